package envoy

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// recording keeps a history in memory and lets tests wait for its events.
type recording struct {
	mu     sync.Mutex
	events []history.Event
	grown  chan struct{}
}

func newRecording() *recording { return &recording{grown: make(chan struct{})} }

func (r *recording) Record(party string, kind history.Kind, body any) {
	r.RecordAt(clock.Now(), party, kind, body)
}

func (r *recording) RecordAt(t clock.Mono, party string, kind history.Kind, body any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, history.Event{T: t, Party: party, Kind: kind, Body: body})
	close(r.grown)
	r.grown = make(chan struct{})
}

// await waits for an actor event of a generation.
func (r *recording) await(t *testing.T, what string, generation uint32) history.Actor {
	t.Helper()
	return awaitEvent(t, r, fmt.Sprintf("actor event %q of generation %d", what, generation), func(a history.Actor) bool {
		return a.What == what && a.Generation == generation
	})
}

// awaitActor is await for one of several actors.
func (r *recording) awaitActor(t *testing.T, actor, what string, generation uint32) {
	t.Helper()
	awaitEvent(t, r, fmt.Sprintf("event %q of actor %s, generation %d", what, actor, generation), func(a history.Actor) bool {
		return a.Actor == actor && a.What == what && a.Generation == generation
	})
}

// awaitEnvoy waits for the nth connection event of a kind.
func (r *recording) awaitEnvoy(t *testing.T, what string, nth int) history.Envoy {
	t.Helper()
	n := 0
	return awaitEvent(t, r, fmt.Sprintf("envoy event %q number %d", what, nth), func(e history.Envoy) bool {
		if e.What == what {
			n++
		}
		return e.What == what && n == nth
	})
}

// awaitEvent waits for the first event for which match is true; it is called
// once for each event, in order.
func awaitEvent[B any](t *testing.T, r *recording, what string, match func(B) bool) (none B) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for seen := 0; ; {
		r.mu.Lock()
		events, grown := r.events[seen:], r.grown
		seen = len(r.events)
		r.mu.Unlock()
		for _, e := range events {
			if b, ok := e.Body.(B); ok && match(b) {
				return b
			}
		}
		select {
		case <-grown:
		case <-deadline:
			require.Fail(t, "waited in vain", "for %s; there was:\n%s", what, r)
		}
	}
}

// actors are the actor events recorded so far.
func (r *recording) actors() (out []history.Actor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if a, ok := e.Body.(history.Actor); ok {
			out = append(out, a)
		}
	}
	return out
}

func (r *recording) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.events {
		fmt.Fprintf(&b, "%12.3f ms %s %+v\n", float64(e.T.Sub(r.events[0].T))/1e6, e.Kind, e.Body)
	}
	return b.String()
}
