package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/exits"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// Bounds of a case's steps. An actor of a runtime that was killed is placed anew
// within seconds; nobody waits for longer than that for one that is not.
const (
	backBound     = 20 * time.Second
	exitBound     = 30 * time.Second
	destroyBound  = 15 * time.Second
	askerPatience = 1500 * time.Millisecond
	// writePatience is that with the write in flight, which takes exits.InFlight
	// where somebody is left to answer it.
	writePatience = exits.InFlight + 2500*time.Millisecond
)

// ExitLane is the scenario that carries out cases of the exit matrix in one cell:
// all of one lane, since the container is the same.
func ExitLane(lane exits.Lane, cases ...exits.Case) Scenario {
	var names []string
	for _, inv := range exits.Invariants(cases) {
		names = append(names, inv.Name)
	}
	return Scenario{
		Reconnect:     "rivet",
		RuntimeEnv:    lane.Behaviour.Env(),
		RuntimeInit:   lane.Place == exits.Init,
		RuntimeMemory: lane.Behaviour.Memory(),
		Parts:         []Part{exitCases{cases}},
		// A drain stops an actor that is writing, and then one that has just answered.
		Known: []check.KnownBug{check.HalfTransaction, check.AnswerOvertaken(names...)},
	}
}

// exitCases has the runtime go once for each case. Each has two actors of its own:
// one with a write in flight, and one that a client asks all the while and another
// holds a WebSocket to. After the death the runtime is started again, the ledgers
// are read back, and the actors destroyed, so that the next case finds none of them.
type exitCases struct{ cases []exits.Case }

func (p exitCases) String() string {
	names := make([]string, len(p.cases))
	for i, c := range p.cases {
		names[i] = c.String()
	}
	return "exits: " + strings.Join(names, ", ")
}

// Actors has room for those of a case and of the one before, which may still go.
func (exitCases) Actors() ([]string, int) { return nil, 8 }

func (p exitCases) Invariants() []check.Invariant { return exits.Invariants(p.cases) }

func (p exitCases) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		for i, c := range p.cases {
			if err := (&exitCase{Stage: s, Case: c, n: i + 1}).carryOut(ctx); err != nil {
				return fmt.Errorf("case %s: %w", c, err)
			}
		}
		return nil
	}}, nil
}

// exitCase is one case under way.
type exitCase struct {
	*Stage
	exits.Case
	n           int
	busy, asked probe.Target
}

func (c *exitCase) carryOut(ctx context.Context) (err error) {
	note := func(state history.StepState, err error) {
		body := &history.Case{Name: c.String(), State: state}
		if err != nil {
			body.Error = err.Error()
		}
		c.History.Record("harness", history.KindCase, body)
	}
	note(history.StepBegun, nil)
	defer func() {
		if err != nil {
			note(history.StepFailed, err)
			return
		}
		note(history.StepDone, nil)
	}()
	if err := c.warm(ctx); err != nil {
		return err
	}
	if err := c.exit(ctx); err != nil {
		return err
	}
	c.readBack(ctx)
	return c.destroy(ctx)
}

func (c *exitCase) warm(ctx context.Context) error {
	ctx, cancel := bounded(ctx, warmBound, "the actors to be warm")
	defer cancel()
	key := func(what string) string { return fmt.Sprintf("%s-%02d", what, c.n) }
	all, err := c.Counter.Warm(ctx, key(exits.KeyBusy), key(exits.KeyAsked))
	if err == nil {
		c.busy, c.asked = all[0], all[1]
	}
	return err
}

// exit strikes with everything in flight, and returns when the runtime is back and
// all that was in flight has ended.
func (c *exitCase) exit(ctx context.Context) (err error) {
	socket, err := c.Counter.HoldSocket(ctx, c.asked)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	stop := c.Counter.Start(ctx, workload.Load{Timeout: askerPatience, Pause: 50 * time.Millisecond}, []probe.Target{c.asked})
	defer stop()
	written, err := c.write(ctx)
	defer func() { <-written }()
	if err != nil {
		return err
	}
	if err := c.strike(ctx); err != nil {
		return err
	}
	return c.back(ctx)
}

// write begins the write that is in flight when the strike comes: it is committed,
// and its answer takes as long as exits.InFlight. No transaction is open then,
// which the engine would break (check.HalfTransaction). The channel is closed at the
// write's end, which its client's patience bounds.
func (c *exitCase) write(ctx context.Context) (<-chan struct{}, error) {
	over := make(chan struct{})
	if err := c.ArmFor(ctx, AfterCommit, c.busy.Actor, exits.InFlight); err != nil {
		close(over)
		return over, err
	}
	held := c.expectReached(c.busy.Actor, AfterCommit)
	go func() {
		defer close(over)
		w := *c.Counter
		w.Timeout = writePatience
		w.Tick(ctx, c.busy)
	}()
	return over, held(ctx, holdBound, "the write of actor "+c.busy.Key+" to be in flight")
}

// strike returns when the runtime is dead.
func (c *exitCase) strike(ctx context.Context) error {
	r := c.Cell.Runtime
	if grace, stop := c.Strike.Grace(); stop {
		_, err := r.DockerStop(ctx, grace)
		return err
	}
	if c.Strike == exits.KILL {
		_, err := r.Kill(ctx)
		return err
	}
	said := c.Expect(func(e history.Event) bool { return e.Party == r.Party() && e.Kind == history.KindShutdown })
	if err := r.Signal(ctx, c.Strike.Signal(), containers.WayDocker); err != nil {
		return err
	}
	struck := clock.Now()
	if c.Strike == exits.Twice {
		if err := c.again(ctx, r, said); err != nil {
			return err
		}
	}
	return c.untilDead(ctx, r, struck)
}

// again sends the second signal as soon as the runtime says that it has the first.
// A runtime that has gone by then, or says nothing, gets it or does not.
func (c *exitCase) again(ctx context.Context, r *containers.Container, said wait) error {
	heard, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.Exited():
			cancel()
		case <-heard.Done():
		}
	}()
	if err := said(heard, exits.Patience/2, "the runtime to say that it has the signal"); err != nil && ctx.Err() != nil {
		return err
	}
	err := r.Signal(ctx, c.Strike.Signal(), containers.WayDocker)
	if errors.Is(err, containers.ErrNotRunning) {
		return nil
	}
	return err
}

// untilDead kills a runtime that outlives the patience.
func (c *exitCase) untilDead(ctx context.Context, r *containers.Container, struck clock.Mono) error {
	err := clock.UntilOr(ctx, struck.Add(exits.Patience), r.Exited())
	if err != nil {
		return err
	}
	select {
	case <-r.Exited():
	default:
		if _, err := r.Kill(ctx); err != nil && !errors.Is(err, containers.ErrNotRunning) {
			return err
		}
	}
	ctx, cancel := bounded(ctx, exitBound, "the record of the runtime's exit")
	defer cancel()
	_, err = r.Wait(ctx)
	return err
}

// back starts the runtime again and waits until the actor that is asked has
// answered: what has not by the bound is in the history.
func (c *exitCase) back(ctx context.Context) error {
	dead := clock.Now()
	mine := map[string]bool{}
	answered := c.Expect(func(e history.Event) bool {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Actor == c.asked.Actor && e.T > dead && strings.HasPrefix(b.Client, c.asked.Key+"/") {
				mine[b.Op] = true
			}
		case *history.Return:
			return mine[b.Op] && b.Outcome == history.OK
		}
		return false
	})
	if err := c.Cell.Runtime.Start(ctx); err != nil {
		return err
	}
	if err := c.Cell.WaitRuntime(ctx); err != nil {
		return err
	}
	return answered(ctx, backBound, "actor "+c.asked.Key+" to answer again")
}

// readBack reads both ledgers; one that cannot be read is missing in the history,
// where the verdict finds that.
func (c *exitCase) readBack(ctx context.Context) {
	ctx, cancel := bounded(ctx, readBackBound, "the ledgers")
	defer cancel()
	both := []probe.Target{c.busy, c.asked}
	c.Counter.ReadCounts(ctx, both)
	c.Counter.ReadLedgers(ctx, both)
}

// destroy returns when the runtime has stopped both actors.
func (c *exitCase) destroy(ctx context.Context) error {
	for _, t := range []probe.Target{c.busy, c.asked} {
		if err := c.destroyOne(ctx, t); err != nil {
			return fmt.Errorf("destroy actor %s (%s): %w", t.Key, t.Actor, err)
		}
	}
	return nil
}

func (c *exitCase) destroyOne(ctx context.Context, t probe.Target) error {
	op := c.Counter.Gateway.NextOp()
	c.History.Record("client", history.KindInvoke, &history.Invoke{
		Op: op, Client: "client", Name: check.Destroy, Actor: t.Actor, Key: t.Key, Via: string(probe.ViaHTTP),
	})
	stopped := c.expectActor(t.Actor, "stopped")
	err := c.Cell.API().DeleteActor(ctx, c.Counter.Namespace, t.Actor)
	if err == nil {
		err = stopped(ctx, destroyBound, "the runtime to stop the actor")
	}
	ret := &history.Return{Op: op, Outcome: history.OK, AnsweredBy: t.Actor, Generation: -1}
	if err != nil {
		ret.Outcome, ret.Detail = history.Info, err.Error()
	}
	c.History.Record("client", history.KindReturn, ret)
	return err
}
