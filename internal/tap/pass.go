package tap

import (
	"errors"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Undecoded is the type of a frame that could not be read. It is passed on all
// the same.
const Undecoded = "undecoded"

// gate is what every frame passes on its way out. A strike shuts it, so that
// nothing is forwarded on any wire between the moment and the death. It is
// guarded by the tap's lock.
type gate struct {
	shut    bool
	opened  chan struct{} // closed when it opens again
	writing int           // frames that are being written
	quiet   chan struct{} // closed when there are none, for who shut it
}

// enter waits for the gate and begins a write. It must be followed by leave
// where it returns nil.
func (t *Tap) enter(l *link) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.awaitGate(l); err != nil {
		return err
	}
	t.gate.writing++
	return nil
}

// awaitGate returns when the gate is open. The lock is held, but for the wait.
func (t *Tap) awaitGate(l *link) error {
	for {
		switch {
		case l != nil && l.dead != nil:
			return errSevered
		case !t.gate.shut:
			return nil
		}
		opened := t.gate.opened
		t.mu.Unlock()
		var severed chan struct{}
		if l != nil {
			severed = l.severed
		}
		select {
		case <-opened:
		case <-severed:
		case <-t.ctx.Done():
			t.mu.Lock()
			return errClosed
		}
		t.mu.Lock()
	}
}

func (t *Tap) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gate.writing--
	if t.gate.writing == 0 && t.gate.quiet != nil {
		close(t.gate.quiet)
		t.gate.quiet = nil
	}
}

// shutLocked shuts the gate, which is open.
func (t *Tap) shutLocked() {
	t.gate.shut, t.gate.opened = true, make(chan struct{})
}

// settle waits until no frame is being written, for a while: one that its
// receiver does not take has begun before the moment, and no strike waits for
// it for ever.
func (t *Tap) settle() {
	t.mu.Lock()
	if t.gate.writing == 0 {
		t.mu.Unlock()
		return
	}
	quiet := make(chan struct{})
	t.gate.quiet = quiet
	t.mu.Unlock()
	timer := time.NewTimer(t.cfg.times.quiet)
	defer timer.Stop()
	select {
	case <-quiet:
	case <-timer.C:
	}
}

func (t *Tap) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gate.shut, t.gate.quiet = false, nil
	close(t.gate.opened)
}

// pass takes a frame through the tap: it is numbered, recorded, held where a
// rule says so, and written on. The error says what became of it otherwise.
func (t *Tap) pass(fl *flow, f *frame, write func() error) error {
	r, err := t.arrive(fl, f)
	if err != nil {
		return err
	}
	if r == nil {
		return t.deliver(fl, f, write)
	}
	return t.carryOut(&passage{t, fl, f, write, r})
}

// passage is a frame that a rule has selected.
type passage struct {
	t     *Tap
	fl    *flow
	f     *frame
	write func() error
	r     *armed
}

// arrive numbers a frame and finds the rule that it is for. While the gate is
// shut it waits, since what a strike loses was never there for a rule to
// select. A rule that strikes finds the gate shut behind this frame.
func (t *Tap) arrive(fl *flow, f *frame) (*armed, error) {
	l := fl.link
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number(fl, f)
	t.note(f, f.arrived, "arrived", nil)
	if err := t.awaitGate(l); err != nil {
		return nil, t.lose(l, f, err)
	}
	if !l.proven {
		if !l.alive() {
			return nil, t.lose(l, f, errors.New("its sender was dead before the connection was accepted"))
		}
		l.proven = true
	}
	r := t.match(f)
	if r != nil && r.Do == DoStrike {
		t.shutLocked()
	}
	return r, nil
}

func (t *Tap) number(fl *flow, f *frame) {
	t.frames++
	a := f.account
	f.Frame = history.Frame{
		N: t.frames, Wire: string(fl.link.wire), Direction: direction(fl.to), Type: a.typ, Detail: a.detail,
		Key: a.key, Generation: a.generation, Bytes: f.Bytes, Error: a.err,
	}
	if len(a.actors) == 1 {
		f.Actor = a.actors[0]
	} else {
		f.Generation = 0 // of which of them?
	}
	k := countKey{fl.link.wire, f.Direction, f.Type, f.Detail, f.Actor}
	t.counts[k]++
	f.Nth = t.counts[k]
}

// lose records a frame that will not be delivered, and tells the reader that.
func (t *Tap) lose(l *link, f *frame, why error) error {
	if l.dead != nil {
		l.lost++
	}
	t.note(f, clock.Now(), "lost", why)
	return why
}

// deliver writes a frame on.
func (t *Tap) deliver(fl *flow, f *frame, write func() error) error {
	if err := t.enter(fl.link); err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.lose(fl.link, f, err)
	}
	err := write()
	at := clock.Now()
	t.leave()
	return t.written(f, at, "delivered", err)
}

func (t *Tap) written(f *frame, at clock.Mono, what string, err error) error {
	if err != nil {
		what = "lost"
	}
	t.note(f, at, what, err)
	return err
}

// note emits an event of a frame.
func (t *Tap) note(f *frame, at clock.Mono, what string, err error) {
	e := f.Frame
	e.What = what
	if err != nil {
		e.Error = err.Error()
	}
	t.emit.emit(at, history.KindFrame, &e)
}
