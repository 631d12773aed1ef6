package scenario

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/clock"
)

func TestWarmTextSaysWhomItWarms(t *testing.T) {
	commit, starts := []*part{{Part: CommitHeld()}}, []*part{{Part: Starting(OnStart)}}
	one := make([]time.Duration, 1)
	assert.Empty(t, (&trial{parts: starts}).warmText(), "that makes its actor itself")
	assert.Equal(t, "warm 1 actors for the parts", (&trial{parts: commit}).warmText())
	assert.Equal(t, "warm 1 actors, one for each probe", (&trial{delays: one, parts: starts}).warmText())
	assert.Equal(t, "warm 1 actors, one for each probe, and 1 for the parts", (&trial{delays: one, parts: commit}).warmText())
}

// recovering is a part that was begun and fails as err says.
func recovering(p Part, err error) *part {
	return &part{Part: p, course: Course{Recovered: func(context.Context, clock.Mono) error { return err }}}
}

// Of several parts that fail each says so, by its name.
func TestSweepTellsAllThatFailed(t *testing.T) {
	gone, late := errors.New("gone"), errors.New("late")
	tr := &trial{parts: []*part{recovering(CommitHeld(), gone), {Part: StopHeld()}, recovering(OpenWebSocket(), late)}}
	err := tr.sweep(t.Context())
	require.EqualError(t, err, "transaction held before its COMMIT: gone\na WebSocket held open: late")
	require.ErrorIs(t, err, gone)
	require.ErrorIs(t, err, late)

	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("Ctrl-C")
	cancel(stopped)
	tr.parts = []*part{recovering(CommitHeld(), stopped), recovering(OpenWebSocket(), late), recovering(StopHeld(), stopped)}
	require.EqualError(t, tr.sweep(ctx), "a WebSocket held open: late\nCtrl-C", "an interruption is told once")
	tr.parts = nil
	require.NoError(t, tr.sweep(ctx), "whoever did all is not interrupted")
}

func TestReadBackTellsAnInterruption(t *testing.T) {
	s := answering(t, func(http.ResponseWriter, *http.Request) {})
	tr := &trial{counter: s.Counter, targets: s.Actors}
	require.NoError(t, tr.readBack(t.Context()), "an answer that says nothing is the verdict's matter")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	require.EqualError(t, tr.readBack(ctx), "Ctrl-C")
}
