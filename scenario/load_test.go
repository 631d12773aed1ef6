package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

// hanging makes actors until it comes to a key, which it never answers for.
type hanging struct{ at string }

func (c hanging) GetOrCreateActor(ctx context.Context, namespace string, r rivet.ActorRequest) (rivet.Actor, bool, error) {
	if r.Key == c.at {
		<-ctx.Done()
		return rivet.Actor{}, false, fmt.Errorf("PUT /actors: %w", ctx.Err())
	}
	return namer{}.GetOrCreateActor(ctx, namespace, r)
}

// Actors are made until one is not; each has one write, and is read back.
func TestCreatingStopsAtTheFirstThatHangs(t *testing.T) {
	s, read := stage(t, time.Minute)
	s.Counter.API, s.Counter.Gateway.Client = hanging{at: "new-01"}, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	part := Creating{Load: workload.Load{Actors: 2}, After: 30 * time.Millisecond, Most: 4, Patience: 50 * time.Millisecond}
	keys, more := part.Actors()
	assert.Equal(t, []string{"busy-00", "busy-01"}, keys)
	assert.Equal(t, 4, more)
	s.Actors = []probe.Target{{Actor: "id-busy-00", Key: "busy-00"}, {Actor: "id-busy-01", Key: "busy-01"}}
	course, err := part.Begin(t.Context(), s)
	require.NoError(t, err)
	begun := clock.Now()
	require.NoError(t, course.Recovered(t.Context(), begun))
	assert.Equal(t, []probe.Target{{Actor: "id-new-00", Key: "new-00"}}, s.made.all)

	h, ticks := read(), map[string]int{}
	var creates []*history.Invoke
	var ends []*history.Return
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			switch b.Name {
			case check.Create:
				creates = append(creates, b)
				assert.GreaterOrEqual(t, e.T.Sub(begun), part.After, "the load comes first")
			case workload.Tick:
				ticks[b.Actor]++
			}
		case *history.Return:
			if len(creates) > len(ends) && b.Op == creates[len(ends)].Op {
				ends = append(ends, b)
			}
		}
	}
	require.Len(t, creates, 2)
	assert.Equal(t, "new-00", creates[0].Key)
	assert.Empty(t, creates[0].Actor, "it had no id when it was asked for")
	require.Len(t, ends, 2)
	assert.Equal(t, history.OK, ends[0].Outcome)
	assert.Equal(t, "id-new-00", ends[0].AnsweredBy)
	assert.Equal(t, history.Info, ends[1].Outcome)
	assert.Equal(t, history.CauseTimeout, ends[1].Cause)
	assert.Equal(t, 1, ticks["id-new-00"])
	assert.Positive(t, ticks["id-busy-00"])
	assert.Positive(t, ticks["id-busy-01"])
	// Of the answers to creations, too, it is known who gave them.
	v := check.Judge(h, nil, check.CreatesWithin(time.Second))
	assert.Equal(t, check.Inconclusive, v.Findings[0].State, "this history has no end")
	assert.Equal(t, check.Fail, v.Findings[1].State)
}

func TestEndsOfACreation(t *testing.T) {
	refusal := &rivet.Error{Status: 500, Group: "core", Code: "internal_error"}
	for _, c := range []struct {
		err  error
		want history.Return
	}{
		{nil, history.Return{Outcome: history.OK, AnsweredBy: "a"}},
		{fmt.Errorf("create: %w", refusal), history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 500, Code: "core.internal_error"}},
		{context.DeadlineExceeded, history.Return{Outcome: history.Info, Cause: history.CauseTimeout}},
		{errors.New("connection refused"), history.Return{Outcome: history.Info, Cause: history.CauseRefused}},
	} {
		got := created(t.Context(), probe.Target{Actor: "a"}, c.err)
		assert.Equal(t, int64(-1), got.Generation)
		if c.err != nil {
			assert.Equal(t, c.err.Error(), got.Detail)
		}
		got.Generation, got.Detail = 0, ""
		assert.Equal(t, c.want, *got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, history.CauseStopped, created(ctx, probe.Target{}, context.Canceled).Cause)
}
