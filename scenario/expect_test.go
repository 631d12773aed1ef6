package scenario

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// Only what comes after the watch began is seen, and only of that actor, at that
// place.
func TestExpectReached(t *testing.T) {
	s := answering(t, func(http.ResponseWriter, *http.Request) {})
	say := func(actor string, at Place, what string) {
		s.History.Record("runtime#1", history.KindBreakpoint, &history.Breakpoint{Actor: actor, Name: string(at), What: what})
	}
	say("a", OnStop, "reached")
	held := s.expectReached("a", OnStop)
	say("b", OnStop, "reached")
	say("a", OnStart, "reached")
	say("a", OnStop, "armed")
	err := held(t.Context(), 20*time.Millisecond, "the actor to be held")
	require.ErrorContains(t, err, "waited 20ms for the actor to be held")
	say("a", OnStop, "reached")
	assert.NoError(t, held(t.Context(), time.Minute, "the actor to be held"))
}

func TestReachedNamesTheActor(t *testing.T) {
	who, ok := reached(history.Event{Body: &history.Breakpoint{Actor: "a", Name: "on-start", What: "reached"}}, OnStart)
	assert.True(t, ok)
	assert.Equal(t, "a", who)
	_, ok = reached(history.Event{Body: &history.Actor{Actor: "a", What: "reached"}}, OnStart)
	assert.False(t, ok)
}
