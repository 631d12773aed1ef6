package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// Handing is the way in which one runtime hands over to another.
type Handing string

// The ways. In each of them the new runtime serves, and the engine's new calls
// go to it, before anything happens to the old one.
const (
	// HandRolling is a rolling replacement: the old one is stopped.
	HandRolling Handing = "rolling"
	// HandUpgrade gives the new one a higher version, by which the engine drains
	// the old one; that is stopped when its actors have gone.
	HandUpgrade Handing = "version-upgrade"
	// HandLifespan leaves the old one alone until the engine ends its requests,
	// whose lifespan is over; it is stopped when its actors have gone.
	HandLifespan Handing = "lifespan"
	// HandKilled kills the old one in its drain: where one of its actors was told
	// to stop and has done nothing yet.
	HandKilled Handing = "killed-in-drain"
)

// Handoff has one runtime take over from another under a constant stream of
// requests. It needs a front, and no fault on the engine.
type Handoff struct {
	By   Handing
	Flow workload.Flow
	// Before and After are how long the flow goes on before the new runtime
	// starts and after the old one has left.
	Before, After time.Duration
	// Grace of the old runtime's stop; 0 is 10 s, Kubernetes' and Docker's own
	// habit, but for HandKilled.
	Grace time.Duration
	// Within is how long the actors may take to leave the old runtime where it is
	// not stopped; 0 is 30 s.
	Within time.Duration
	// Judged by besides what every handoff is held to.
	Judged []check.Invariant
}

var _ Part = Handoff{}

// String implements [Part].
func (p Handoff) String() string {
	return fmt.Sprintf("one runtime takes over from another, %s, under %v", p.By, p.Flow)
}

// Actors implements [Part].
func (p Handoff) Actors() ([]string, int) { return p.Flow.Keys(), 0 }

// Invariants implements [Part].
func (p Handoff) Invariants() []check.Invariant { return p.Judged }

func (p Handoff) grace() time.Duration {
	if p.Grace == 0 {
		return 10 * time.Second
	}
	return p.Grace
}

func (p Handoff) within() time.Duration {
	if p.Within == 0 {
		return 30 * time.Second
	}
	return p.Within
}

// Begin implements [Part].
func (p Handoff) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		stop := s.Counter.StartFlow(ctx, p.Flow, s.Actors)
		defer stop()
		if err := clock.Until(ctx, clock.Now().Add(p.Before)); err != nil {
			return err
		}
		if err := p.handOver(ctx, s); err != nil {
			return err
		}
		return clock.Until(ctx, clock.Now().Add(p.After))
	}}, nil
}

// handOver returns when the old runtime has left.
func (p Handoff) handOver(ctx context.Context, s *Stage) error {
	old := s.Cell.Runtime
	gone := s.expectAllStopped(old.Party(), s.Actors)
	cfg := s.Cell.RuntimeConfig()
	if p.By == HandUpgrade {
		cfg.Env["KILLPOINT_FIXTURE_VERSION"] = "2"
	}
	young, err := s.Cell.AddRuntime(ctx, cfg)
	if err != nil {
		return err
	}
	if p.By == HandKilled {
		return p.killInDrain(ctx, s, old, young)
	}
	if err := s.Cell.Route(ctx, young); err != nil {
		return err
	}
	if p.By != HandRolling {
		if err := gone(ctx, p.within(), "the engine to take all actors from the old runtime"); err != nil {
			return err
		}
	}
	_, err = old.Stop(ctx, p.grace())
	return err
}

// killInDrain holds the first actor where it was told to stop.
func (p Handoff) killInDrain(ctx context.Context, s *Stage, old, young *containers.Container) error {
	held := s.Actors[0]
	if err := s.ArmFor(ctx, OnStop, held.Actor, startHold); err != nil {
		return err
	}
	reached := s.expectReached(held.Actor, OnStop)
	if err := s.Cell.Route(ctx, young); err != nil {
		return err
	}
	if err := old.Terminate(ctx); err != nil {
		return err
	}
	if err := reached(ctx, holdBound, "actor "+held.Actor+" to be told to stop"); err != nil {
		return err
	}
	_, err := old.Kill(ctx)
	return err
}

// expectAllStopped is Expect for the last of the actors to stop in the runtime.
func (s *Stage) expectAllStopped(party string, actors []probe.Target) wait {
	left := map[string]bool{}
	for _, t := range actors {
		left[t.Actor] = true
	}
	return s.Expect(func(e history.Event) bool {
		b, ok := e.Body.(*history.Actor)
		if !ok || e.Party != party || b.What != "stopped" {
			return false
		}
		delete(left, b.Actor)
		return len(left) == 0
	})
}

var errNeedsFront = errors.New("another runtime takes over: the scenario needs a Front, and no Fault")

func (Handoff) fits(s Scenario, _ bool) error {
	if s.Front == containers.FrontNone || s.Fault != nil {
		return errNeedsFront
	}
	return nil
}
