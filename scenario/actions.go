package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

// Timing is when action probes are sent.
type Timing string

// The timings.
const (
	// Immediately: with the engine's first good /health.
	Immediately Timing = "immediately"
	// AfterHeartbeat: once the actor asked has beaten again by itself. An actor
	// that must be made goes by the first beat of any other. It needs a
	// heartbeat: see [Beating].
	AfterHeartbeat Timing = "after-heartbeat"
)

// ActionProbes asks by actions, in the four ways of [workload.ActionProbes],
// each on an actor of its own, so that no probe profits from another. Each is
// sent once, with the sweep's patience, and if there is no good answer the
// client asks on until the sweep's bound.
//
// Where a heartbeat does not come within the bound, the probe is sent then. Its
// delay says so, and [check.ActionsAnswer] finds nothing to conclude from it.
func ActionProbes(when Timing) Part { return actionProbes{when} }

type actionProbes struct{ when Timing }

func (p actionProbes) String() string { return "action probes, " + string(p.when) }

func (actionProbes) Actors() (warm []string, more int) {
	for _, a := range workload.ActionProbes() {
		if a.Warmed() {
			warm = append(warm, a.Key())
		} else {
			more++
		}
	}
	return warm, more
}

// Invariants are the scenario's to choose: see [check.ActionsAnswer].
func (actionProbes) Invariants() []check.Invariant { return nil }

// Begin makes the handles that are there before the fault, and uses them.
func (p actionProbes) Begin(ctx context.Context, s *Stage) (Course, error) {
	c := &asking{Stage: s, when: p.when, pulse: watchPulse(s.History)}
	warm := s.Actors
	for _, a := range workload.ActionProbes() {
		client, err := c.client()
		if err != nil {
			return Course{End: c.end}, err
		}
		k := &asker{ActionProbe: a, target: probe.Target{Key: a.Key()}, handle: s.Counter.Handle(a, client)}
		if a.Warmed() {
			k.target, warm = warm[0], warm[1:]
		}
		c.askers = append(c.askers, k)
	}
	return Course{Recovered: c.recovered, End: c.end}, c.prepare(ctx)
}

// Beating has the fault strike only when the actors beat: an actor that it warms
// after all others has beaten for the second time by then. The scenario needs a
// heartbeat, which it is held to resume within the time given from an actor's
// first answer.
func Beating(within time.Duration) Part { return beating{within} }

type beating struct{ within time.Duration }

func (beating) String() string { return "a heartbeat before the fault" }

func (beating) Actors() ([]string, int) { return []string{"beating"}, 0 }

func (b beating) Invariants() []check.Invariant {
	return []check.Invariant{check.HeartbeatsResume(b.within)}
}

func (beating) Begin(ctx context.Context, s *Stage) (Course, error) {
	twice := s.Expect(func(e history.Event) bool {
		b, ok := e.Body.(*history.Heartbeat)
		return ok && b.Actor == s.Actors[0].Actor && b.Error == "" && b.Beat >= 2
	})
	return Course{}, twice(ctx, holdBound, "actor "+s.Actors[0].Key+" to beat for the second time (has the scenario a heartbeat?)")
}

// asking is the part under way.
type asking struct {
	*Stage
	when   Timing
	pulse  *pulse
	askers []*asker
}

// asker is one of the clients.
type asker struct {
	workload.ActionProbe
	target   probe.Target // without an actor where that is to be made
	handle   *probe.Handle
	answered bool
}

// client is one that keeps its connections, as a client library's does.
func (c *asking) client() (*http.Client, error) {
	base, err := url.Parse(c.Counter.Gateway.Base)
	if err != nil {
		return nil, fmt.Errorf("read the gateway's address: %w", err)
	}
	return &http.Client{Transport: rivet.GuardedTransport(base.Hostname())}, nil
}

// prepare has the handles used that are to be the same after the fault.
func (c *asking) prepare(ctx context.Context) error {
	for _, a := range c.askers {
		if a.Probe == probe.SameHandle {
			r := c.Counter.ActionRequest(workload.ActionProbe{Probe: a.Probe, Action: workload.GetCount}, a.target, c.Counter.Timeout)
			r.Probe = "" // none: it is the use before the fault
			if ret := a.handle.Do(ctx, r); ret.Outcome != history.OK {
				return fmt.Errorf("use the handle of actor %s before the fault: it ended %v", a.target.Key, ret)
			}
		}
	}
	return nil
}

func (c *asking) recovered(ctx context.Context, healthy clock.Mono) error {
	var g errgroup.Group
	for _, a := range c.askers {
		g.Go(func() error { return c.ask(ctx, a, healthy) })
	}
	return g.Wait()
}

func (c *asking) ask(ctx context.Context, a *asker, healthy clock.Mono) error {
	if c.when == AfterHeartbeat {
		if err := c.pulse.await(ctx, a.target.Actor, healthy.Add(c.Sweep.Bound)); err != nil {
			return err
		}
	}
	ret := a.handle.AskOn(ctx, healthy, c.Sweep.Bound, func() probe.Request {
		return c.Counter.ActionRequest(a.ActionProbe, a.target, c.Sweep.Timeout)
	})
	a.answered = ret.Outcome == history.OK
	return context.Cause(ctx)
}

// end closes the connections, and has the ledger of the actor that was made
// read: which one that is, the engine's API says, not the answer.
func (c *asking) end(ctx context.Context) error {
	ctx, cancel := bounded(ctx, readBackBound, "the engine to name the actors that were made")
	defer cancel()
	var errs []error
	for _, a := range c.askers {
		a.handle.Client.CloseIdleConnections()
		if a.Warmed() || !a.answered {
			continue
		}
		target, err := c.Counter.Create(ctx, a.target.Key)
		if err != nil {
			errs = append(errs, fmt.Errorf("find the actor that a probe made: %w", err))
			continue
		}
		c.ReadBack(target)
	}
	return errors.Join(errs...)
}

// pulse knows which actors have beaten since the engine was last started, or
// since it was first watched.
type pulse struct {
	mu    sync.Mutex
	since clock.Mono
	beat  map[string]chan struct{} // of each actor, closed by its first good beat
}

// anyActor stands, among the actors, for whichever beats first.
const anyActor = ""

func watchPulse(w *history.Writer) *pulse {
	p := &pulse{beat: map[string]chan struct{}{}}
	w.Subscribe(func(e history.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch b := e.Body.(type) {
		case *history.Container:
			if b.Role == "engine" && b.What == history.ContainerStarting {
				p.since = e.T
				maps.DeleteFunc(p.beat, func(_ string, ch chan struct{}) bool { return closed(ch) })
			}
		case *history.Heartbeat:
			// What is older may come late: it comes through the runtime's log.
			if b.Error == "" && e.T > p.since {
				p.mark(b.Actor)
				p.mark(anyActor)
			}
		}
	})
	return p
}

// of is the actor's channel; the lock is held.
func (p *pulse) of(actor string) chan struct{} {
	if p.beat[actor] == nil {
		p.beat[actor] = make(chan struct{})
	}
	return p.beat[actor]
}

func (p *pulse) mark(actor string) {
	if ch := p.of(actor); !closed(ch) {
		close(ch)
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// await returns with the actor's first beat, or at the deadline.
func (p *pulse) await(ctx context.Context, actor string, deadline clock.Mono) error {
	p.mu.Lock()
	beat := p.of(actor)
	p.mu.Unlock()
	return clock.UntilOr(ctx, deadline, beat)
}
