package tap

import (
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// armed is a rule that the tap has taken. Its outcome is guarded by the tap's
// lock.
type armed struct {
	Rule
	out     Outcome
	taken   bool      // a frame was selected
	release chan Held // takes one word for who holds its frame
}

// holdDeadline is a hold's where the rule names none.
const holdDeadline = 30 * time.Second

// Arm takes a rule. One of the same id must have come to its end.
func (t *Tap) Arm(r Rule) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.Match.Nth == 0 {
		r.Match.Nth = 1
	}
	if r.Deadline <= 0 {
		r.Deadline = holdDeadline
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.rules[r.ID]; old != nil && !old.out.State.Final() {
		return fmt.Errorf("rule %q is %s already: disarm it first, or use another id", r.ID, old.out.State)
	}
	a := &armed{Rule: r, out: Outcome{ID: r.ID, State: Armed}, release: make(chan Held, 1)}
	t.rules[r.ID] = a
	t.order = append(t.order, a)
	t.told(a, string(Armed))
	return nil
}

// match counts the frame at every rule that it matches, and returns the one
// that it is for. The lock is held.
func (t *Tap) match(f *frame) (chosen *armed) {
	if len(t.order) == 0 {
		return nil
	}
	waiting := t.order[:0:0]
	for _, a := range t.order {
		switch {
		case !t.selects(a.Match, f):
			waiting = append(waiting, a)
			continue
		default:
			a.out.Matched++
		}
		switch {
		case a.out.Matched < a.Match.Nth:
			waiting = append(waiting, a)
		case chosen != nil:
			// To take the next one instead would be off by a frame.
			a.out.State, a.out.Frame = Failed, f.N
			a.out.Error = fmt.Sprintf("frame %d was taken by rule %q", f.N, chosen.ID)
			t.told(a, string(Failed))
		default:
			chosen = a
			a.taken, a.out.Frame, a.out.ArrivedT = true, f.N, f.arrived
			if a.When == Before || a.Do != DoHold { // one that is held after its delivery is not there yet
				t.reached(a)
			}
		}
	}
	t.order = waiting
	return chosen
}

// reached tells that the frame is there. The lock is held.
func (t *Tap) reached(a *armed) {
	a.out.State = Reached
	if a.Do == DoHold || a.Do == DoStrike {
		t.told(a, string(Reached))
	}
}

func (t *Tap) selects(m Match, f *frame) bool {
	if m.Wire != "" && string(m.Wire) != f.Wire || m.Direction != "" && m.Direction != f.Direction ||
		m.Type != "" && m.Type != f.Type || m.Detail != "" && m.Detail != f.Detail || m.Frame != 0 && m.Frame != f.N {
		return false
	}
	if m.Actor != "" && !contains(f.actors, m.Actor) {
		return false
	}
	return m.Key == "" || m.Key == f.Key || contains(t.known.keysOf(f.actors), m.Key)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// told records a rule's change and tells who waits for one. The lock is held.
func (t *Tap) told(a *armed, what string) {
	t.record(history.KindTapRule, &history.TapRule{
		Rule: a.ID, Do: string(a.Do), When: string(a.When), What: what,
		Frame: a.out.Frame, Held: string(a.out.Held), Error: a.out.Error,
	})
	t.bump()
}

// finish ends a rule.
func (t *Tap) finish(a *armed, s State, held Held, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a.out.State, a.out.Held = s, held
	if err != nil {
		a.out.Error = err.Error()
	}
	t.told(a, string(s))
}

// carryOut does with a frame what its rule says.
func (t *Tap) carryOut(p *passage) error {
	switch p.r.Do {
	case DoHold:
		return p.hold()
	case DoStrike:
		return p.strike()
	case DoDrop:
		return p.drop()
	case DoDelay:
		return p.delay()
	case DoDuplicate:
		return p.duplicate()
	case DoCut:
		return p.cut()
	}
	return p.deliver(Failed, fmt.Errorf("do %q is unknown", p.r.Do))
}

// deliver writes the frame on, and ends the rule.
func (p *passage) deliver(s State, why error) error {
	err := p.t.deliver(p.fl, p.f, p.write)
	p.ended(s, why, err)
	return err
}

// ended ends the rule by what became of its frame.
func (p *passage) ended(s State, why, err error) {
	held := Deliver
	if err != nil {
		held = Drop
		why = errors.Join(why, err)
	}
	p.t.finish(p.r, s, held, why)
}

func (p *passage) drop() error {
	p.t.note(p.f, clock.Now(), "dropped", nil)
	p.t.finish(p.r, Done, Drop, nil)
	return errDropped
}

func (p *passage) hold() error {
	if p.r.When == After {
		if err := p.t.deliver(p.fl, p.f, p.write); err != nil {
			p.ended(Failed, nil, err)
			return err
		}
		p.t.mu.Lock()
		p.t.reached(p.r)
		p.t.mu.Unlock()
	}
	word, state := p.wait(p.r.Deadline)
	switch {
	case p.r.When == After:
		p.t.finish(p.r, state, Deliver, nil)
		return nil
	case word == Drop:
		return p.drop()
	}
	return p.deliver(state, nil)
}

// wait holds the frame until there is word of it, the deadline is over, or its
// connection is severed.
func (p *passage) wait(deadline time.Duration) (Held, State) {
	p.t.note(p.f, clock.Now(), "held", nil)
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case word := <-p.r.release:
		return word, Done
	case <-timer.C:
		return Deliver, Expired
	case <-p.fl.link.severed:
		return Deliver, Done // as far as it can be
	case <-p.t.ctx.Done():
		return Deliver, Failed
	}
}

func (p *passage) delay() error {
	pause := func() {
		p.t.note(p.f, clock.Now(), "held", nil)
		timer := time.NewTimer(p.r.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.fl.link.severed:
		case <-p.t.ctx.Done():
		}
	}
	if p.r.When == Before {
		pause()
		return p.deliver(Done, nil)
	}
	err := p.t.deliver(p.fl, p.f, p.write)
	if err == nil {
		pause()
	}
	p.ended(Done, nil, err)
	return err
}

func (p *passage) duplicate() error {
	if p.f.whole {
		return p.deliver(Failed, fmt.Errorf("a %s cannot be doubled: choose a message or an event of a stream", p.f.Type))
	}
	err := p.t.deliver(p.fl, p.f, p.write)
	if err == nil {
		if err = p.t.enter(p.fl.link); err == nil {
			err = p.write()
			at := clock.Now()
			p.t.leave()
			err = p.t.written(p.f, at, "duplicated", err)
		}
	}
	p.ended(Done, nil, err)
	return err
}

func (p *passage) cut() error {
	var err error
	if p.r.When == After {
		err = p.t.deliver(p.fl, p.f, p.write)
	}
	p.fl.link.close()
	p.t.note(p.f, clock.Now(), "cut", nil)
	p.t.mu.Lock()
	p.r.out.Severed = 1
	p.t.mu.Unlock()
	held := Drop
	if p.r.When == After && err == nil {
		held = Deliver
	}
	p.t.finish(p.r, Done, held, err)
	return errCut
}

// Release lets a held frame go.
func (t *Tap) Release(id string, word Held) (Outcome, error) {
	if word == "" {
		word = Deliver
	}
	if word != Deliver && word != Drop {
		return Outcome{}, fmt.Errorf("held %q: want %q or %q", word, Deliver, Drop)
	}
	t.mu.Lock()
	a := t.rules[id]
	if a == nil {
		t.mu.Unlock()
		return Outcome{}, &UnknownRuleError{id}
	}
	if a.out.State != Reached || a.Do != DoHold {
		defer t.mu.Unlock()
		return a.out, fmt.Errorf("rule %q holds no frame: it is to %s, and %s", id, a.Do, a.out.State)
	}
	t.mu.Unlock()
	select {
	case a.release <- word:
	default: // somebody said so already
	}
	return t.awaitFinal(a)
}

// releasePatience bounds the way of a frame that was let go.
const releasePatience = 10 * time.Second

// awaitFinal waits for a rule's end, which is near.
func (t *Tap) awaitFinal(a *armed) (Outcome, error) {
	timer := time.NewTimer(releasePatience)
	defer timer.Stop()
	for {
		t.mu.Lock()
		out, changed := a.out, t.changed
		t.mu.Unlock()
		if out.State.Final() {
			return out, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return out, fmt.Errorf("rule %q: its frame was let go, and is not written after %v: its receiver does not read", a.ID, releasePatience)
		case <-t.ctx.Done():
			return out, errClosed
		}
	}
}

// UnknownRuleError says that the tap knows no rule of that id.
type UnknownRuleError struct{ ID string }

func (e *UnknownRuleError) Error() string { return fmt.Sprintf("there is no rule %q", e.ID) }

// Disarm takes a rule back. A frame that it holds is delivered; a strike that
// has begun is not stopped.
func (t *Tap) Disarm(id string) (Outcome, error) {
	t.mu.Lock()
	a := t.rules[id]
	if a == nil {
		t.mu.Unlock()
		return Outcome{}, &UnknownRuleError{id}
	}
	if !a.taken && a.out.State == Armed {
		defer t.mu.Unlock()
		delete(t.rules, id)
		for i, w := range t.order {
			if w == a {
				t.order = append(t.order[:i:i], t.order[i+1:]...)
				break
			}
		}
		t.told(a, "disarmed")
		return a.out, nil
	}
	t.mu.Unlock()
	select {
	case a.release <- Deliver:
	default:
	}
	out, err := t.awaitFinal(a)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rules[id] == a && out.State.Final() {
		delete(t.rules, id)
	}
	return out, err
}
