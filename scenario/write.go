package scenario

import (
	"context"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/workload"
)

// OneWrite has a client write once, for a moment that lies in that write. From
// the return of whoever was struck on, the actor is asked.
func OneWrite() Part { return oneWrite{} }

type oneWrite struct{}

// WriteKey is the key of the actor of [OneWrite].
const WriteKey = "write"

func (oneWrite) String() string { return "one write" }

func (oneWrite) Actors() ([]string, int) { return []string{WriteKey}, 0 }

func (oneWrite) Invariants() []check.Invariant { return nil }

func (oneWrite) Begin(ctx context.Context, s *Stage) (Course, error) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.Counter.TickAs(ctx, workload.CommitClient, s.Actors[0])
	}()
	return Course{
		Over: over,
		Recovered: func(ctx context.Context, healthy clock.Mono) error {
			return s.AskAll(ctx, healthy, s.Actors, workload.HealthProbe())
		},
		// Its own patience ends it.
		End: func(context.Context) error { <-over; return nil },
	}, nil
}
