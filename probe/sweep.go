package probe

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Target is an actor to probe.
type Target struct{ Actor, Key string }

// Sweep is the same probe sent at a list of delays from one instant, each to
// an actor of its own, so that no probe profits from the one before.
type Sweep struct {
	// Via is the way of the probes; "" is [ViaHTTP].
	Via Via
	// As is the name of its probes in the history; "" is [ProbeName].
	As string
	// Delays from the origin.
	Delays []time.Duration
	// Timeout is the client's patience with each probe, above zero.
	Timeout time.Duration
	// Bound is how long after the origin an actor may take to answer again.
	// It is longer than every delay: an actor cannot answer before it is asked.
	Bound time.Duration
}

// ProbeName and RecoveryName tell, in a history, the sweep's own probes from
// those that ask on after one without an answer. BesideName is that of a sweep
// over actors that are in a state of their own, such as asleep, and so are no
// sample of the others.
const (
	ProbeName    = "sweep"
	RecoveryName = "recovery"
	BesideName   = "beside"
)

// RecoveryPause is the least time from one probe of an actor to the next. An
// actor offers nothing to wait on from outside, so this is a poll. After a
// probe that was held for longer the next one follows at once.
const RecoveryPause = 50 * time.Millisecond

// Run sends the probe for targets[i] at Delays[i] after origin, and then asks
// each actor that gave no good answer again and again until it does or Bound
// has passed. All it learns is in the history.
func (s Sweep) Run(ctx context.Context, g *Gateway, origin clock.Mono, targets []Target, probe Request) error {
	if err := s.valid(targets); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for i, target := range targets {
		wg.Go(func() { s.one(ctx, g, origin, s.Delays[i], target, probe) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (s Sweep) valid(targets []Target) error {
	if len(targets) != len(s.Delays) {
		return fmt.Errorf("sweep of %d delays over %d actors: each delay needs an actor of its own", len(s.Delays), len(targets))
	}
	if s.Timeout <= 0 {
		return fmt.Errorf("sweep with a client timeout of %v: it must be above zero, or a probe that is held would never end", s.Timeout)
	}
	seen := map[string]bool{}
	for i, t := range targets {
		if seen[t.Actor] {
			return fmt.Errorf("sweep asks actor %s (%s) twice: each delay needs an actor of its own", t.Key, t.Actor)
		}
		seen[t.Actor] = true
		if d := s.Delays[i]; d < 0 || d >= s.Bound {
			return fmt.Errorf("sweep with a delay of %v and a bound of %v: a delay must be at least 0 and below the bound", d, s.Bound)
		}
	}
	return nil
}

func (s Sweep) one(ctx context.Context, g *Gateway, origin clock.Mono, delay time.Duration, target Target, r Request) {
	r.Actor, r.Key, r.Timeout, r.Op = target.Actor, target.Key, s.Timeout, ""
	r.Probe, r.Delay = cmp.Or(s.As, ProbeName), delay
	if clock.Until(ctx, origin.Add(delay)) != nil {
		return
	}
	send := g.Do
	if s.Via == ViaWebSocket {
		send = g.Ping
	}
	asked := clock.Now()
	ret := send(ctx, r)
	deadline := origin.Add(s.Bound)
	for ret.Outcome != history.OK && clock.Now() < deadline {
		if clock.Until(ctx, asked.Add(RecoveryPause)) != nil {
			return
		}
		asked = clock.Now()
		r.Probe, r.Delay = RecoveryName, asked.Sub(origin)
		ret = send(ctx, r)
	}
}
