package scenario

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// Parts that strike the runtime, its connection or an actor while a request or
// a transaction is in flight. They need no fault on the engine, and do their work
// where one would have recovered.

// hold is a write that is held.
type hold struct {
	at Place
	// lasts is for how long at most, patience for how long its caller waits.
	lasts, patience time.Duration
}

// whileHeld has the actor write, and calls do when the fixture holds that. It
// returns when the write's caller knows its end, or has lost patience.
func (s *Stage) whileHeld(ctx context.Context, t probe.Target, h hold, do func(context.Context) error) error {
	if err := s.ArmFor(ctx, h.at, t.Actor, h.lasts); err != nil {
		return err
	}
	held := s.expectReached(t.Actor, h.at)
	writing, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		writer := *s.Counter
		writer.Timeout = h.patience
		writer.Tick(writing, t)
	}()
	err := held(ctx, holdBound, fmt.Sprintf("the write of actor %s (%s) to be held at %s", t.Key, t.Actor, h.at))
	if err == nil {
		err = do(ctx)
	}
	if err != nil {
		cancel() // nobody needs its end any more
	}
	<-over
	return err
}

// Order is what the engine is asked to do with an actor.
type Order string

// The orders.
const (
	OrderNone       Order = ""
	OrderSleep      Order = "sleep"
	OrderReschedule Order = "reschedule"
)

// Interrupted has four actors, one after the other, hold a transaction between
// its two writes, and the engine carry the order out there. The transaction goes
// on as soon as the runtime has the command.
func Interrupted(by Order) Part { return interrupted{by} }

type interrupted struct{ by Order }

func (p interrupted) String() string {
	if p.by == OrderNone {
		return "transactions held between their writes"
	}
	return fmt.Sprintf("transactions held between their writes, for an order to %s", p.by)
}

func (interrupted) Actors() ([]string, int) { return workload.Keys("interrupted", 4), 0 }

func (interrupted) Invariants() []check.Invariant { return nil }

func (p interrupted) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		for _, t := range s.Actors {
			h := hold{at: BetweenWrites, lasts: startHold, patience: s.Counter.Timeout}
			if err := s.whileHeld(ctx, t, h, func(ctx context.Context) error { return p.interrupt(ctx, s, t) }); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

func (p interrupted) interrupt(ctx context.Context, s *Stage, t probe.Target) error {
	wrote := s.expectActor(t.Actor, "write")
	if err := p.order(ctx, s, t); err != nil {
		return fmt.Errorf("%s actor %s (%s): %w", p.by, t.Key, t.Actor, err)
	}
	if err := s.Release(ctx, BetweenWrites); err != nil {
		return err
	}
	return wrote(ctx, holdBound, "actor "+t.Actor+" to say what became of its write")
}

// order returns when the runtime has the engine's command.
func (p interrupted) order(ctx context.Context, s *Stage, t probe.Target) error {
	var told wait
	var err error
	switch p.by {
	case OrderReschedule:
		told = s.expectActor(t.Actor, "stop")
		err = s.Cell.API().RescheduleActor(ctx, s.Counter.Namespace, t.Actor)
	case OrderSleep:
		told = s.expectActor(t.Actor, "sleep")
		err = s.Cell.API().SleepActor(ctx, s.Counter.Namespace, t.Actor)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return told(ctx, holdBound, "the runtime to be told")
}

// SlowAnswer has an actor carry a write out and answer only after a time.
func SlowAnswer(after time.Duration) Part { return slowAnswer{after} }

type slowAnswer struct{ after time.Duration }

func (p slowAnswer) String() string {
	return fmt.Sprintf("a write that is carried out and answered after %v", p.after)
}

func (slowAnswer) Actors() ([]string, int) { return []string{"slow"}, 0 }

func (slowAnswer) Invariants() []check.Invariant { return nil }

func (p slowAnswer) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		h := hold{at: AfterCommit, lasts: p.after, patience: s.Counter.Timeout}
		return s.whileHeld(ctx, s.Actors[0], h, func(context.Context) error { return nil })
	}}, nil
}

// RuntimeKilled has an actor hold a write at the place, where the runtime is
// killed and started again.
func RuntimeKilled(at Place) Part { return runtimeKilled{at} }

type runtimeKilled struct{ at Place }

func (p runtimeKilled) String() string {
	return "the runtime killed where a write is held, at " + string(p.at) + ", and started again"
}

func (runtimeKilled) Actors() ([]string, int) { return []string{"orphan"}, 0 }

func (runtimeKilled) Invariants() []check.Invariant { return nil }

func (p runtimeKilled) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		h := hold{at: p.at, lasts: startHold, patience: s.Counter.Timeout}
		return s.whileHeld(ctx, s.Actors[0], h, func(ctx context.Context) error {
			if err := s.killRuntime(ctx); err != nil {
				return err
			}
			return s.startRuntime(ctx)
		})
	}}, nil
}

func (s *Stage) killRuntime(ctx context.Context) error {
	_, err := fault.Kill().Strike(ctx, s.Cell.Runtime)
	return err
}

func (s *Stage) startRuntime(ctx context.Context) error {
	if err := s.Cell.Runtime.Start(ctx); err != nil {
		return err
	}
	return s.Cell.WaitRuntime(ctx)
}

// ConnectionCut has an actor hold an answer while the runtime's connection is
// cut, and give it before there is a new one; then somebody else asks the
// actor. The write's caller waits for its patience, that of the other is the
// same. The reconnect policy must wait for longer than a call to the fixture
// takes, as Rivet's does.
func ConnectionCut(patience time.Duration) Part { return connectionCut{patience} }

type connectionCut struct{ patience time.Duration }

func (p connectionCut) String() string {
	return fmt.Sprintf("an answer given while the runtime's connection is cut, whose client waits for %v", p.patience)
}

func (connectionCut) Actors() ([]string, int) { return []string{"cut"}, 0 }

func (connectionCut) Invariants() []check.Invariant { return nil }

func (p connectionCut) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		h := hold{at: AfterCommit, lasts: startHold, patience: p.patience}
		return s.whileHeld(ctx, s.Actors[0], h, func(ctx context.Context) error { return p.cut(ctx, s) })
	}}, nil
}

func (p connectionCut) cut(ctx context.Context, s *Stage) error {
	lost, back := s.expectEnvoy("closed"), s.expectEnvoy("init")
	if err := s.cutConnection(ctx); err != nil {
		return err
	}
	if err := lost(ctx, holdBound, "the runtime to lose its connection"); err != nil {
		return err
	}
	if err := s.Release(ctx, AfterCommit); err != nil {
		return err
	}
	if err := back(ctx, holdBound, "the runtime to have a connection again"); err != nil {
		return err
	}
	t, r := s.Actors[0], workload.HealthProbe()
	r.Actor, r.Key, r.Timeout = t.Actor, t.Key, p.patience
	if ret := s.Counter.Gateway.Do(ctx, r); ret.Outcome != history.OK {
		return fmt.Errorf("actor %s (%s) did not answer another client after the cut: it ended %v", t.Key, t.Actor, ret)
	}
	return nil
}

// RuntimeDown kills the runtime, keeps it down for a time, and starts it again.
// Where Asked, meanwhile one client asks an actor without a pause and another
// asks a second actor once. From the runtime's return on both are asked.
type RuntimeDown struct {
	For   time.Duration
	Asked bool
}

var _ Part = RuntimeDown{}

// String implements [Part].
func (p RuntimeDown) String() string {
	if !p.Asked {
		return fmt.Sprintf("the runtime down for %v, while nobody asks", p.For)
	}
	return fmt.Sprintf("the runtime down for %v, while clients ask", p.For)
}

// Actors implements [Part].
func (RuntimeDown) Actors() ([]string, int) { return []string{"asked-on", "asked-once"}, 0 }

// Invariants implements [Part].
func (RuntimeDown) Invariants() []check.Invariant { return nil }

// Begin implements [Part].
func (p RuntimeDown) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		if err := s.killRuntime(ctx); err != nil {
			return err
		}
		if err := p.down(ctx, s, clock.Now().Add(p.For)); err != nil {
			return err
		}
		if err := s.startRuntime(ctx); err != nil {
			return err
		}
		return s.AskAll(ctx, clock.Now(), s.Actors, workload.HealthProbe())
	}}, nil
}

// down returns at the given time, or when the last answer came after it.
func (p RuntimeDown) down(ctx context.Context, s *Stage, end clock.Mono) error {
	var clients errgroup.Group
	if p.Asked {
		clients.Go(func() error { return s.askUntil(ctx, s.Actors[0], p.For, end) })
		clients.Go(func() error { return s.askUntil(ctx, s.Actors[1], p.For, clock.Now()) })
	}
	clients.Go(func() error { return clock.Until(ctx, end) })
	return clients.Wait()
}

// askUntil asks the actor once, and again without a pause until the end.
func (s *Stage) askUntil(ctx context.Context, t probe.Target, patience time.Duration, end clock.Mono) error {
	r := workload.HealthProbe()
	r.Actor, r.Key, r.Timeout = t.Actor, t.Key, patience
	for {
		s.Counter.Gateway.Do(ctx, r)
		if clock.Now() >= end || ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
