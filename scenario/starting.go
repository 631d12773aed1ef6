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

// Starting has one more actor created and holds it as it starts, [OnStart] or
// [BeforeRunning]: there the fault strikes. It is let go at the first good
// /health, and asked from then on.
func Starting(at Place) Part { return starting{at} }

type starting struct{ at Place }

func (p starting) String() string { return "an actor held as it starts, at " + string(p.at) }

func (starting) Actors() ([]string, int) { return nil, 1 }

func (starting) Invariants() []check.Invariant { return nil }

// startHold is for how long the fixture holds where nobody lets go: longer than
// any fault that it waits for.
const startHold = 2 * time.Minute

func (p starting) Begin(ctx context.Context, s *Stage) (Course, error) {
	if err := s.Arm(ctx, p.at, startHold); err != nil {
		return Course{}, err
	}
	var actor string
	held := s.Expect(func(e history.Event) bool {
		who, ok := reached(e, p.at)
		if ok && actor == "" {
			actor = who
		}
		return ok
	})
	target, err := s.Counter.Create(ctx, "starting")
	if err != nil {
		return Course{}, err
	}
	s.ReadBack(target)
	if err := held(ctx, holdBound, "the actor "+target.Actor+" to be held as it starts"); err != nil {
		return Course{}, err
	}
	if actor != target.Actor {
		return Course{}, &wrongActorError{want: target.Actor, held: actor}
	}
	return Course{Recovered: func(ctx context.Context, healthy clock.Mono) error {
		if err := s.Release(ctx, p.at); err != nil {
			return err
		}
		return s.AskAll(ctx, healthy, []probe.Target{target}, workload.HealthProbe())
	}}, nil
}

type wrongActorError struct{ want, held string }

func (e *wrongActorError) Error() string {
	return "actor " + e.held + " is held at its start where " + e.want + " was to be"
}
