package tap

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// blow is a strike as it is carried out.
type blow struct {
	t     *Tap
	rule  string // its id, or the strike's
	frame uint64
	Strike
	own    *flow // whose frame is held; nil: none
	out    *Outcome
	struck string // the targets, as events call them
	// links are those that were severed: they are closed once the held frame is
	// where it belongs.
	links []*link
}

// strike does what the rule says while the frame is held. The gate is shut.
func (p *passage) strike() error {
	t := p.t
	b := &blow{t: t, rule: p.r.ID, frame: p.f.N, Strike: *p.r.Strike, own: p.fl, out: new(Outcome)}
	var err error
	delivered := false
	if p.r.When == After {
		t.settle()
		if err = p.written(); err == nil {
			delivered, err = true, b.strike(p.r.release)
		}
	} else {
		t.note(p.f, clock.Now(), "held", nil)
		delivered, err = p.afterwards(b, b.strike(p.r.release))
	}
	b.closeLinks()
	t.open()
	p.struck(b, delivered, err)
	switch {
	case b.severs(p.fl.link):
		return errSevered
	case !delivered && err == nil:
		return errDropped
	case !delivered:
		return err
	}
	return nil
}

// written writes the frame while the gate is shut for all others.
func (p *passage) written() error {
	err := p.write()
	return p.t.written(p.f, clock.Now(), "delivered", err)
}

// afterwards does with the held frame what the strike says. One that could not
// be struck for is delivered.
func (p *passage) afterwards(b *blow, struck error) (delivered bool, err error) {
	switch {
	case struck == nil && b.Held == Drop:
		p.t.note(p.f, clock.Now(), "dropped", nil)
		return false, nil
	case p.fl.link.isDead(p.fl.to):
		p.t.note(p.f, clock.Now(), "dropped", fmt.Errorf("the %s is dead", p.fl.to))
		return false, struck
	}
	// One whose connection went with the struck is dropped, and noted as such: the
	// strike was made all the same.
	return p.written() == nil, struck
}

// struck ends the rule.
func (p *passage) struck(b *blow, delivered bool, err error) {
	held := Deliver
	if !delivered {
		held = Drop
	}
	state := Done
	if err != nil {
		state = Failed
	}
	p.t.mu.Lock()
	o := &p.r.out
	o.SignalT, o.SignaledT, o.DiedT, o.Severed, o.Lost = b.out.SignalT, b.out.SignaledT, b.out.DiedT, b.out.Severed, b.out.Lost
	p.t.mu.Unlock()
	p.t.finish(p.r, state, held, err)
}

// Strike strikes without a frame, for moments that are not on the wire. Frames
// that are held on a connection that it severs are lost.
func (t *Tap) Strike(s Strike) (Outcome, error) {
	if err := s.Validate(); err != nil {
		return Outcome{}, err
	}
	t.mu.Lock()
	t.strikes++
	out := Outcome{ID: fmt.Sprintf("strike-%d", t.strikes), State: Done, ArrivedT: clock.Now()}
	if err := t.awaitGate(nil); err != nil {
		t.mu.Unlock()
		return out, err
	}
	t.shutLocked()
	t.mu.Unlock()
	b := &blow{t: t, rule: out.ID, Strike: s, out: &out}
	err := b.strike(nil)
	b.closeLinks()
	t.open()
	if err != nil {
		out.State, out.Error = Failed, err.Error()
	}
	return out, nil
}

// strike signals, and sees a kill through: death, then nothing more of the dead
// on any wire. never is closed, or has a word, where the wait for a target is
// over before there is one.
func (b *blow) strike(never <-chan Held) error {
	targets, err := b.await(never)
	if err != nil {
		return err
	}
	b.struck = targets[0].Party
	for _, g := range targets[1:] {
		b.struck += "+" + g.Party
	}
	b.t.settle()
	if err := b.signal(targets); err != nil {
		return err
	}
	b.later(targets)
	if b.Signal != "SIGKILL" {
		return nil
	}
	if err := b.deaths(targets); err != nil {
		return err
	}
	b.sever()
	return nil
}

// await waits until all that is to be struck has been announced and lives.
func (b *blow) await(never <-chan Held) ([]*target, error) {
	roles := []string{b.Target}
	if b.Both {
		roles = []string{roleEngine, roleRuntime}
	}
	var timeout <-chan time.Time
	for {
		b.t.mu.Lock()
		targets, missing := b.t.announced(roles)
		changed := b.t.changed
		b.t.mu.Unlock()
		if missing == nil {
			return targets, nil
		}
		if timeout == nil {
			timer := time.NewTimer(b.t.cfg.times.announce)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-timeout:
			return nil, fmt.Errorf("strike with %s: %w; waited %v for it to be announced", b.Signal, missing, b.t.cfg.times.announce)
		case <-never:
			return nil, fmt.Errorf("strike with %s: %w; it was called off", b.Signal, missing)
		case <-b.t.ctx.Done():
			return nil, errClosed
		}
	}
}

// signal sends the signal to all, one right after the other.
func (b *blow) signal(targets []*target) error {
	sig := unix.SignalNum(b.Signal)
	errs := make([]error, len(targets))
	begun := clock.Now()
	for i, g := range targets {
		errs[i] = g.process.Signal(sig)
	}
	ended := clock.Now()
	b.out.SignalT, b.out.SignaledT = begun, ended
	for i, g := range targets {
		e := b.event(g, "signaled")
		e.TookNS = int64(ended.Sub(begun))
		b.emit(begun, e, errs[i])
		if errs[i] != nil {
			errs[i] = fmt.Errorf("send %s to %s (process %d): %w", b.Signal, g.Party, g.PID, errs[i])
		}
	}
	return errors.Join(errs...)
}

func (b *blow) event(g *target, what string) *history.TapStrike {
	return &history.TapStrike{Rule: b.rule, Frame: b.frame, Target: g.Party, Signal: b.Signal, What: what}
}

func (b *blow) emit(at clock.Mono, e *history.TapStrike, err error) {
	if err != nil {
		e.What, e.Error = "failed", err.Error()
	}
	b.t.emit.emit(at, history.KindTapStrike, e)
}

// deaths waits until all are dead.
func (b *blow) deaths(targets []*target) error {
	timer := time.NewTimer(b.t.cfg.times.death)
	defer timer.Stop()
	for _, g := range targets {
		select {
		case <-g.died:
			b.out.DiedT = max(b.out.DiedT, g.diedT)
			e := b.event(g, "died")
			e.TookNS = int64(g.diedT.Sub(b.out.SignalT))
			b.emit(g.diedT, e, nil)
		case <-timer.C:
			err := fmt.Errorf("%s (process %d) was sent SIGKILL and is not dead after %v", g.Party, g.PID, b.t.cfg.times.death)
			b.emit(clock.Now(), b.event(g, "died"), err)
			return err
		case <-b.t.ctx.Done():
			return errClosed
		}
	}
	return nil
}

// later has the signals sent that come some time after the first.
func (b *blow) later(targets []*target) {
	for _, g := range targets {
		if b.Resume > 0 && b.Signal == "SIGSTOP" {
			b.t.timers.Go(func() { b.signalAfter(g, b.Resume, "SIGCONT") })
		}
		if b.Grace > 0 && b.Signal != "SIGKILL" {
			b.t.timers.Go(func() { b.signalAfter(g, b.Grace, "SIGKILL") })
		}
	}
}

func (b *blow) signalAfter(g *target, wait time.Duration, name string) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.died:
		return
	case <-b.t.ctx.Done():
		// A process that is left frozen would be in the way of its container's
		// end.
		if name != "SIGCONT" {
			return
		}
	}
	begun := clock.Now()
	err := g.process.Signal(unix.SignalNum(name))
	if errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrClosed) {
		return // it died in this instant
	}
	e := b.event(g, "signaled")
	e.Signal, e.TookNS = name, int64(clock.Now().Sub(begun))
	b.emit(begun, e, err)
}

// sever ends what the dead had to do with: what they sent and is not delivered
// never will be. The connections' other ends are told when the held frame is
// done with.
func (b *blow) sever() {
	dead := map[string]bool{b.Target: true}
	if b.Both {
		dead = map[string]bool{roleEngine: true, roleRuntime: true}
	}
	var flows []*flow
	t := b.t
	t.mu.Lock()
	for l := range t.links {
		if !dead[l.client] && !dead[l.server] {
			continue
		}
		l.dead = dead
		close(l.severed)
		l.deadlines(dead)
		b.links = append(b.links, l)
		for fl := range l.flows {
			if fl != b.own {
				flows = append(flows, fl)
			}
		}
	}
	t.mu.Unlock()
	if b.own != nil && b.severs(b.own.link) {
		b.own.run() //nolint:errcheck // it ends with the connection
	}
	b.awaitFlows(flows)
}

// drainedTimeout bounds the wait for all directions of severed connections,
// whose reads have a deadline.
const drainedTimeout = 2 * drainTimeout

func (b *blow) awaitFlows(flows []*flow) {
	timer := time.NewTimer(drainedTimeout)
	defer timer.Stop()
	for _, fl := range flows {
		select {
		case <-fl.done:
		case <-timer.C:
			return
		}
	}
}

func (b *blow) severs(l *link) bool {
	for _, s := range b.links {
		if s == l {
			return true
		}
	}
	return false
}

// closeLinks ends the severed connections at their living ends.
func (b *blow) closeLinks() {
	if len(b.links) == 0 {
		return
	}
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	for _, l := range b.links {
		l.closeLocked()
		b.out.Lost += l.lost
	}
	b.out.Severed = len(b.links)
	b.t.emit.emit(clock.Now(), history.KindTapStrike, &history.TapStrike{
		Rule: b.rule, Frame: b.frame, Target: b.struck, Signal: b.Signal, What: "severed",
		Severed: b.out.Severed, Lost: b.out.Lost,
	})
}

// isDead says that a party at an end of the link was struck dead.
func (l *link) isDead(role string) bool {
	l.tap.mu.Lock()
	defer l.tap.mu.Unlock()
	return l.dead[role]
}
