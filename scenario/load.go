package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

// Creating has actors made while clients work on others: one after the other,
// each asked for one write, until Most are made or one was not within Patience.
type Creating struct {
	Load workload.Load
	// After is how long the clients work before the first: the engine's own
	// figure of its CPU use is a mean that takes that long to follow.
	After    time.Duration
	Most     int
	Patience time.Duration
}

var _ Part = Creating{}

// String implements [Part].
func (p Creating) String() string {
	return fmt.Sprintf("%d actors made under load: %v", p.Most, p.Load)
}

// Actors implements [Part].
func (p Creating) Actors() ([]string, int) {
	return workload.Keys("busy", p.Load.ActorCount()), p.Most
}

// Invariants implements [Part].
func (Creating) Invariants() []check.Invariant { return nil }

// Begin implements [Part].
func (p Creating) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		stop := s.Counter.Start(ctx, p.Load, s.Actors)
		defer stop()
		if err := clock.Until(ctx, clock.Now().Add(p.After)); err != nil {
			return err
		}
		for _, key := range workload.Keys("new", p.Most) {
			t, ok := s.create(ctx, key, p.Patience)
			if !ok {
				break
			}
			s.ReadBack(t)
			s.Counter.Tick(ctx, t)
		}
		return context.Cause(ctx)
	}}, nil
}

// create makes an actor as a client's operation. It was made, unless ok is
// false.
func (s *Stage) create(ctx context.Context, key string, patience time.Duration) (t probe.Target, ok bool) {
	op := s.Counter.Gateway.NextOp()
	s.History.Record("client", history.KindInvoke, &history.Invoke{
		Op: op, Client: "client", Name: check.Create, Key: key, Via: string(probe.ViaHTTP), TimeoutNS: int64(patience),
	})
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := s.Counter.Create(patient, key)
	ret := created(ctx, t, err)
	ret.Op = op
	s.History.Record("client", history.KindReturn, ret)
	return t, err == nil
}

// created is the end of a creation. One that failed may yet take effect. No
// actor answers it: who is named is the one that the engine says it made.
func created(ctx context.Context, t probe.Target, err error) *history.Return {
	if err == nil {
		return &history.Return{Outcome: history.OK, AnsweredBy: t.Actor, Generation: -1}
	}
	ret := &history.Return{Outcome: history.Info, Generation: -1, Detail: err.Error()}
	var answer *rivet.Error
	switch {
	case ctx.Err() != nil:
		ret.Cause = history.CauseStopped
	case errors.As(err, &answer):
		ret.Cause, ret.Status, ret.Code = history.CauseStatus, answer.Status, answer.FullCode()
	case errors.Is(err, context.DeadlineExceeded):
		ret.Cause = history.CauseTimeout
	default:
		ret.Cause = history.CauseRefused
	}
	return ret
}
