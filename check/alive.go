package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// HeartbeatsResume: each actor that beat before the fault has a beat, by the
// runtime's stamp, between the engine's next start and within after the first
// good answer that the actor gave after the fault.
//
// It proves that the actor's own work goes on by itself once it can be reached.
// It proves nothing of an actor that does not answer at all, which is inconclusive
// here and what [AnswersWithin] is for; nor does a beat prove that requests are
// answered. Where no actor beat before the fault, or one that ran did not, it
// is inconclusive. A busy host excuses a late beat, and the lack of one for up to
// twice the bound.
func HeartbeatsResume(within time.Duration) Invariant {
	return Invariant{Name: "heartbeats-resume", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		_, end := h.Span()
		var all findings
		for _, b := range readBeating(h, o) {
			all.add(b.resumed(h, end, within))
		}
		return all.sum("%d actors beat again", len(all))
	}}
}

// beating is an actor that ran before the fault.
type beating struct {
	actor       string
	before      mark // its last beat before the fault
	after       mark // its first one after the engine's start
	answered    mark // its first good answer after that
	everStarted bool
}

func readBeating(h *history.History, o *window.Outage) []*beating {
	of := map[string]*beating{}
	at := func(actor string) *beating {
		if of[actor] == nil {
			of[actor] = &beating{actor: actor}
		}
		return of[actor]
	}
	asked := map[string]string{}
	for _, e := range h.ByTime() {
		m := mark{e.T, e.Seq}
		switch b := e.Body.(type) {
		case *history.Actor:
			if b.What == "running" && e.T < o.FaultT {
				at(b.Actor).everStarted = true
			}
		case *history.Heartbeat:
			if b.Error == "" {
				at(b.Actor).beat(m, o)
			}
		case *history.Invoke:
			asked[b.Op] = b.Actor
		case *history.Return:
			if actor := asked[b.Op]; actor != "" && b.Outcome == history.OK && e.T > o.StartT && at(actor).answered.t == 0 {
				at(actor).answered = m
			}
		}
	}
	var out []*beating
	for _, b := range of {
		if b.everStarted {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b *beating) int { return cmp.Compare(a.actor, b.actor) })
	return out
}

func (b *beating) beat(m mark, o *window.Outage) {
	switch {
	case m.t < o.FaultT:
		b.before = m
	case m.t > o.StartT && b.after.t == 0:
		b.after = m
	}
}

func (b *beating) resumed(h *history.History, end clock.Mono, within time.Duration) Finding {
	due := b.answered.t.Add(within)
	noise := window.NoiseBetween(h, b.answered.t, max(due, b.after.t))
	switch {
	case b.before.t == 0:
		return undecided("actor %s never beat before the fault", b.actor)
	case b.after.t != 0 && (b.answered.t == 0 || b.after.t <= due):
		return passed("actor %s beat again", b.actor)
	case b.answered.t == 0:
		return undecided("actor %s gave no answer after the fault", b.actor)
	case b.after.t == 0 && end < due:
		return undecided("actor %s had not beaten again when the trial ended, %v after its first answer, before the bound of %v", b.actor, end.Sub(b.answered.t), within)
	case noise.TooNoisy() && (b.after.t != 0 || end < due.Add(within)):
		return undecided("actor %s did not beat again within %v, on a busy host (%v)", b.actor, within, noise)
	case b.after.t == 0:
		return failed([]uint64{b.before.seq, b.answered.seq}, "actor %s beat before the fault and never again, although it answered, bound %v", b.actor, within)
	}
	return failed([]uint64{b.before.seq, b.answered.seq, b.after.seq}, "actor %s beat again only %v after its first answer, bound %v", b.actor, b.after.t.Sub(b.answered.t), within)
}

// HealthMeansAlive: an actor that answered a health check well after the fault
// also answers an action well that is sent to it after that, within the bound
// from its sending. Actions are all operations that are neither that check nor
// a probe; one that succeeds is enough for an actor.
//
// An action fails decisively with an error that the actor itself gave (that an
// operation was repeated is an answer, not an error), or by taking longer than
// within. What the engine answered in the actor's place is not held against the
// actor.
//
// It proves that the check is worth something: who waits for it may go on. It
// proves nothing of actors that nobody checked or that were sent no action
// afterwards: where there is no such actor at all it is inconclusive.
func HealthMeansAlive(health string, within time.Duration) Invariant {
	return Invariant{Name: "health-means-alive", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		var all findings
		for _, p := range readPatients(h, o, health) {
			if len(p.actions) > 0 {
				all.add(p.alive(h, within))
			}
		}
		return all.sum("%d actors that said they were well answered an action", len(all))
	}}
}

// patient is an actor that said that it is well, at well.
type patient struct {
	actor   string
	well    mark
	actions []action
}

type action struct {
	inv   *history.Invoke
	ret   *history.Return // nil where it never returned
	begun mark
	ended mark
}

func readPatients(h *history.History, o *window.Outage, health string) []*patient {
	of, open := map[string]*patient{}, map[string]*action{}
	var asked []*action
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			a := &action{inv: b, begun: mark{e.T, e.Seq}}
			open[b.Op], asked = a, append(asked, a)
		case *history.Return:
			a := open[b.Op]
			if a == nil {
				continue
			}
			a.ret, a.ended = b, mark{e.T, e.Seq}
			actor := a.inv.Actor
			if a.inv.Name == health && b.Outcome == history.OK && a.begun.t > o.FaultT && of[actor] == nil {
				of[actor] = &patient{actor: actor, well: a.ended}
			}
		}
	}
	for _, a := range asked {
		p := of[a.inv.Actor]
		if p != nil && a.inv.Probe == "" && a.inv.Name != health && a.begun.t > p.well.t {
			p.actions = append(p.actions, *a)
		}
	}
	out := make([]*patient, 0, len(of))
	for _, p := range of {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *patient) int { return cmp.Compare(a.actor, b.actor) })
	return out
}

func (p *patient) alive(h *history.History, within time.Duration) Finding {
	var bad *action
	for _, a := range p.actions {
		switch {
		case a.ret == nil:
		case a.answered() && a.took() <= within:
			return passed("actor %s answered %s", p.actor, a.inv.Name)
		case bad == nil && (a.ret.AnsweredBy == p.actor || a.took() > within):
			bad = &a
		}
	}
	if bad == nil {
		return undecided("actor %s said that it is well and answered no action, but nothing shows that it was the actor's doing", p.actor)
	}
	if noise := window.NoiseBetween(h, bad.begun.t, bad.ended.t); bad.took() > within && noise.TooNoisy() {
		return undecided("actor %s answered no action within %v, on a busy host (%v)", p.actor, within, noise)
	}
	return failed([]uint64{p.well.seq, bad.begun.seq, bad.ended.seq}, "actor %s said that it is well, and answered none of %d actions after that: %s ended %s after %v (status %d %s), bound %v",
		p.actor, len(p.actions), bad.inv.Name, bad.ret.Outcome, bad.took().Round(time.Millisecond), bad.ret.Status, bad.ret.Code, within)
}

func (a action) answered() bool {
	return a.ret.Outcome == history.OK || a.ret.Code == codeRepeated
}

func (a action) took() time.Duration { return a.ended.t.Sub(a.begun.t) }
