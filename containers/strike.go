package containers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/internal/tap"
	"github.com/killpoint/killpoint/moment"
)

// Blow is what the executioner does to a container.
type Blow struct {
	// Target is the cell's engine or runtime; Both strikes the other one as well,
	// by the same signal in the same moment.
	Target *Container
	Both   bool
	// Signal as in "SIGKILL". SIGKILL's death is awaited while the frame is held,
	// and the wire to the dead severed; of others nothing is awaited.
	Signal string
	// Grace after a signal that asks: when it has passed without an exit, SIGKILL
	// is sent by the Docker API. [None]: never.
	Grace time.Duration
	// Resume sends SIGCONT so long after a SIGSTOP.
	Resume time.Duration
	// Drop has the held frame dropped rather than delivered.
	Drop bool
}

// kind is the fault's, in a history.
func (b Blow) kind() string {
	switch b.Signal {
	case "SIGKILL":
		return "kill"
	case "SIGSTOP":
		return "pause"
	case "SIGTERM":
		return "stop"
	}
	return "signal"
}

func (b Blow) detail() string {
	switch {
	case b.Resume > 0:
		return fmt.Sprintf("%s, SIGCONT after %v", b.Signal, b.Resume)
	case b.Signal != "SIGKILL" && b.Grace > 0:
		return fmt.Sprintf("%s, SIGKILL after %v", b.Signal, b.Grace)
	}
	return b.Signal
}

func (b Blow) wire() *tap.Strike {
	s := &tap.Strike{Target: b.Target.role, Both: b.Both, Signal: b.Signal, Resume: b.Resume, Held: tap.Deliver}
	if b.Drop {
		s.Held = tap.Drop
	}
	return s
}

// targets are all that it strikes.
func (b Blow) targets(c *Cell) []*Container {
	switch {
	case !b.Both:
		return []*Container{b.Target}
	case b.Target == c.Engine:
		return []*Container{c.Engine, c.Runtime}
	}
	return []*Container{c.Runtime, c.Engine}
}

// strike is one that may yet end somebody: until it is known to be over, the
// exit of a target asks whether it was of it.
type strike struct {
	blow Blow
	// outcome so far.
	outcome func(context.Context) (tap.Outcome, error)
}

func (t *Tap) remember(s *strike) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.strikes[s] = true
}

func (t *Tap) forget(s *strike) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.strikes, s)
}

func (t *Tap) pending() []*strike {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*strike, 0, len(t.strikes))
	for s := range t.strikes {
		all = append(all, s)
	}
	return all
}

// attribute notes for an exit record whether a strike that is not yet known to
// be over was the reason. Where the tap does not answer, its signal is unknown,
// and so is who sent it.
func (t *Tap) attribute(l *life) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	for _, s := range t.pending() {
		for _, c := range s.blow.targets(t.cell) {
			if c != l.c {
				continue
			}
			if o, err := s.outcome(ctx); err == nil {
				l.struck(s.blow.Signal, o.SignalT)
			}
		}
	}
}

// struck notes the executioner's signal, if it came in this life.
func (l *life) struck(sig string, at clock.Mono) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at > l.began && at > l.signalT && (l.died == 0 || at <= l.died) {
		l.signal, l.by, l.signalT = sig, string(WayExecutioner), at
	}
}

// StrikeAt has the executioner strike at a frame's moment.
func (t *Tap) StrikeAt(ctx context.Context, m moment.Moment, b Blow) (*Armed, error) {
	match, when, err := frameOf(m)
	if err != nil {
		return nil, err
	}
	a, err := t.Arm(ctx, tap.Rule{Match: match, When: when, Do: tap.DoStrike, Strike: b.wire()})
	if err != nil {
		return nil, err
	}
	a.blow, a.note = &b, &strike{blow: b, outcome: a.decided}
	t.remember(a.note)
	return a, nil
}

// decided is the outcome where there is one to tell: a strike that has begun is
// waited for, since the daemon may report the death before the tap is done with it.
func (a *Armed) decided(ctx context.Context) (tap.Outcome, error) {
	o, err := a.Outcome(ctx)
	if err != nil || o.State != tap.Reached {
		return o, err
	}
	return a.Done(ctx)
}

// Landed waits until the strike was made, and confirmed: a killed target is dead
// then, and its exit recorded; of one that was asked to leave the exit or the end
// of its grace, and its exit then, is awaited as well.
func (a *Armed) Landed(ctx context.Context) (tap.Outcome, error) {
	o, err := a.Done(ctx)
	defer a.tap.forget(a.note)
	if err != nil {
		return o, err
	}
	if o.SignalT == 0 {
		return o, fmt.Errorf("the tap's rule is %s, and nobody was struck: %s", o.State, o.Error)
	}
	return o, a.tap.landed(ctx, *a.blow, o)
}

// StrikeNow has the executioner strike at once. It waits as [Armed.Landed] does.
func (t *Tap) StrikeNow(ctx context.Context, b Blow) (tap.Outcome, error) {
	if t == nil {
		return tap.Outcome{}, ErrNoTap
	}
	over := make(chan struct{})
	var o tap.Outcome
	var err error
	s := &strike{blow: b, outcome: func(ctx context.Context) (tap.Outcome, error) {
		select {
		case <-over:
			return o, err
		case <-ctx.Done():
			return tap.Outcome{}, context.Cause(ctx)
		}
	}}
	t.remember(s)
	defer t.forget(s)
	limited, done := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("waited %v for the executioner's word: %w", callTimeout, context.DeadlineExceeded))
	defer done()
	call, cancel := t.living(limited)
	defer cancel()
	o, err = t.client.Strike(call, *b.wire())
	if err == nil && o.State == tap.Failed {
		err = errors.New(o.Error)
	}
	close(over)
	if err != nil {
		return o, t.explain("have the executioner strike "+b.Target.name, err)
	}
	return o, t.landed(ctx, b, o)
}

// landed records what a strike did, and waits for what belongs to it.
func (t *Tap) landed(ctx context.Context, b Blow, o tap.Outcome) error {
	var errs []error
	for _, c := range b.targets(t.cell) {
		errs = append(errs, c.struckBy(ctx, b, o))
	}
	return errors.Join(errs...)
}

func (c *Container) struckBy(ctx context.Context, b Blow, o tap.Outcome) error {
	l := c.at(o.SignalT)
	if l == nil {
		return fmt.Errorf("%s was struck at %v, when none of its incarnations lived", c.name, o.SignalT)
	}
	l.struck(b.Signal, o.SignalT)
	f := c.faultOf(party(c.role, l.n), b.kind(), WayExecutioner, b.detail())
	f.rec.RecordAt(o.SignalT, harness, history.KindFault, f.body(history.FaultBegun, ""))
	if b.kind() == "pause" || b.kind() == "signal" {
		f.landed(o.SignaledT)
		return c.resumed(ctx, f, o.SignaledT, b.Resume)
	}
	err := l.leave(ctx, b, o.SignalT)
	if err == nil {
		_, err = c.ended(ctx, l)
	}
	if err != nil {
		f.record(history.FaultFailed, err.Error())
		return err
	}
	f.landed(l.diedAt())
	return nil
}

// leave waits for who was asked to leave, for its grace.
func (l *life) leave(ctx context.Context, b Blow, asked clock.Mono) error {
	if b.kind() != "stop" {
		return nil
	}
	return l.killAfter(ctx, asked.Add(b.Grace).Sub(clock.Now()), b.Signal)
}

// resumed records the end of a pause, which the executioner brings about.
func (c *Container) resumed(ctx context.Context, f fault, from clock.Mono, after time.Duration) error {
	if after <= 0 {
		return nil
	}
	thaw := from.Add(after)
	if err := clock.Until(ctx, thaw); err != nil {
		return err
	}
	f.rec.RecordAt(thaw, harness, history.KindFault, f.body(history.FaultHealed, ""))
	return nil
}
