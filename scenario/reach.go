package scenario

import (
	"context"
	"fmt"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/workload"
)

// StopHeld has an actor told to sleep and holds it as it stops. There the fault
// strikes, and while the engine is down the actor is let go: its Stopped falls
// into the outage. From the first good /health on it is asked.
func StopHeld() Part { return stopHeld{} }

type stopHeld struct{}

func (stopHeld) String() string { return "an actor that stops while the engine is down" }

func (stopHeld) Actors() ([]string, int) { return []string{"stopping"}, 0 }

func (stopHeld) Invariants() []check.Invariant { return nil }

func (stopHeld) Begin(ctx context.Context, s *Stage) (Course, error) {
	t := s.Actors[0]
	if err := s.ArmFor(ctx, OnStop, t.Actor, startHold); err != nil {
		return Course{}, err
	}
	held := s.expectReached(t.Actor, OnStop)
	if err := s.Cell.API().SleepActor(ctx, s.Counter.Namespace, t.Actor); err != nil {
		return Course{}, fmt.Errorf("put actor %s (%s) to sleep: %w", t.Key, t.Actor, err)
	}
	if err := held(ctx, holdBound, "actor "+t.Actor+" to be held as it stops"); err != nil {
		return Course{}, err
	}
	lost := s.expectEnvoy("closed")
	return Course{
		Down: func(ctx context.Context) error {
			if err := lost(ctx, holdBound, "the runtime to lose its connection"); err != nil {
				return err
			}
			stopped := s.expectActor(t.Actor, "stopped")
			if err := s.Release(ctx, OnStop); err != nil {
				return err
			}
			return stopped(ctx, holdBound, "actor "+t.Actor+" to stop")
		},
		Recovered: func(ctx context.Context, healthy clock.Mono) error {
			return s.AskAll(ctx, healthy, s.Actors, workload.HealthProbe())
		},
	}, nil
}
