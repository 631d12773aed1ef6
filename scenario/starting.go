package scenario

import (
	"context"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// Starting has one more actor created and holds it as it starts, at the
// fixture's breakpoint of that name ("on-start" or "before-running"): there the
// fault strikes. It is let go at the first good /health, and asked from then on.
func Starting(breakpoint string) Part { return starting{breakpoint} }

type starting struct{ breakpoint string }

func (s starting) String() string { return "an actor held as it starts, at " + s.breakpoint }

func (starting) Actors() ([]string, int) { return nil, 1 }

func (starting) Invariants() []check.Invariant { return nil }

// startHold is for how long the fixture holds where nobody lets go: longer than
// any fault that it waits for.
const startHold = 2 * time.Minute

func (p starting) Begin(ctx context.Context, s *Stage) (Course, error) {
	if err := s.Arm(ctx, p.breakpoint, startHold); err != nil {
		return Course{}, err
	}
	var actor string
	reached := s.Expect(func(e history.Event) bool {
		b, ok := e.Body.(*history.Breakpoint)
		if ok && b.Name == p.breakpoint && b.What == "reached" {
			actor = b.Actor
			return true
		}
		return false
	})
	target, err := s.Counter.Create(ctx, "starting")
	if err != nil {
		return Course{}, err
	}
	s.ReadBack(target)
	if err := reached(ctx, holdBound, "the actor "+target.Actor+" to be held as it starts"); err != nil {
		return Course{}, err
	}
	if actor != target.Actor {
		return Course{}, &wrongActorError{want: target.Actor, held: actor}
	}
	return Course{Recovered: func(ctx context.Context, healthy clock.Mono) error {
		if err := s.Release(ctx, p.breakpoint); err != nil {
			return err
		}
		return s.AskAll(ctx, healthy, []probe.Target{target}, workload.HealthProbe())
	}}, nil
}

type wrongActorError struct{ want, held string }

func (e *wrongActorError) Error() string {
	return "actor " + e.held + " is held at its start where " + e.want + " was to be"
}
