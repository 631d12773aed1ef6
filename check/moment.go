package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// MomentHeld: each strike at a moment struck while that was held. Where the
// executioner killed, no frame was delivered between the signal and the death, and
// nothing that the dead had sent was delivered after it but the frame that was
// held. A strike of which the history does not show that proved nothing.
func MomentHeld() Invariant {
	return Invariant{Name: "moment-held", own: true, Check: func(h *history.History) Finding {
		frames := framesOf(h)
		struck, armed := 0, map[string]int{}
		var all findings
		for _, e := range h.Events {
			m, ok := e.Body.(*history.Moment)
			if !ok {
				continue
			}
			switch m.What {
			case "armed":
				armed[m.Moment]++
			case "missed":
				all.add(undecided("the moment %s did not come", m.Moment))
			case "struck":
				armed[m.Moment]--
				struck++
				all.add(momentHeld(h, e, m, frames))
			}
		}
		for _, text := range slices.Sorted(maps.Keys(armed)) {
			if armed[text] > 0 {
				all.add(undecided("the moment %s was armed, and nobody was struck there", text))
			}
		}
		if len(all) == 0 {
			return undecided("nobody was struck")
		}
		return all.sum("%d of %d strikes landed while their moment was held", struck, struck)
	}}
}

// wired is what the tap tells of one frame.
type wired struct {
	body    *history.Frame
	arrived history.Event
	gone    history.Event // delivered
}

func framesOf(h *history.History) map[uint64]*wired {
	all := map[uint64]*wired{}
	for _, e := range h.Events {
		b, ok := e.Body.(*history.Frame)
		if !ok {
			continue
		}
		w := all[b.N]
		if w == nil {
			w = &wired{body: b}
			all[b.N] = w
		}
		switch b.What {
		case "arrived":
			w.arrived = e
		case "delivered":
			w.gone = e
		}
	}
	return all
}

func momentHeld(h *history.History, e history.Event, m *history.Moment, frames map[uint64]*wired) Finding {
	if m.SignalT == 0 {
		return undecided("nobody was struck at %s", m.Moment)
	}
	if f := breakpointHeld(h, m); f.State != Pass {
		return f
	}
	if m.DiedT == 0 {
		return passed("")
	}
	if f := diedOfIt(h, m); f.State != Pass {
		return f
	}
	if m.Frame != 0 && frames[m.Frame] == nil {
		return undecided("the frame %d, at which the executioner struck, is not in the history", m.Frame)
	}
	if m.Way != "executioner" {
		return passed("") // who strikes by the Docker API holds one frame, not the world
	}
	return stoodStill(e, m, frames)
}

// breakpointHeld: the runtime was at the place until the strike.
func breakpointHeld(h *history.History, m *history.Moment) Finding {
	place, ok := strings.CutPrefix(m.Moment, "breakpoint:")
	if !ok {
		return passed("")
	}
	place, _, _ = strings.Cut(place, "?")
	held := false
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Breakpoint)
		if !ok || b.Name != place || e.T > m.SignalT {
			continue
		}
		held = b.What == "reached"
	}
	if !held {
		return undecided("nobody was held at breakpoint %s when the strike came", place)
	}
	return passed("")
}

// diedOfIt: whoever the strike was for left by it.
func diedOfIt(h *history.History, m *history.Moment) Finding {
	roles := []string{m.Target}
	if m.Target == "both" {
		roles = []string{"engine", "runtime"}
	}
	for _, role := range roles {
		died := slices.ContainsFunc(h.Events, func(e history.Event) bool {
			x, ok := e.Body.(*history.Exit)
			return ok && x.Role == role && x.SignalT >= m.SignalT && x.SignalT <= m.DiedT
		})
		if !died {
			return undecided("no exit of the %s is of the strike at %s", role, m.Moment)
		}
	}
	return passed("")
}

// stoodStill: nothing crossed the wire between signal and death, and nothing of
// the dead after it.
func stoodStill(e history.Event, m *history.Moment, frames map[uint64]*wired) Finding {
	for _, n := range slices.Sorted(maps.Keys(frames)) {
		switch w := frames[n]; {
		case w.gone.Seq == 0 || w.arrived.Seq == 0:
		case w.gone.T > m.SignalT && w.gone.T < m.DiedT:
			return failed([]uint64{w.gone.Seq, e.Seq}, "frame %d (%s) was delivered between the signal at %s and the death", n, w.body.Type, m.Moment)
		case n != m.Frame && w.gone.T > m.DiedT && w.arrived.T < m.DiedT && ofTheDead(w.body, m.Target):
			return failed([]uint64{w.arrived.Seq, w.gone.Seq, e.Seq}, "frame %d (%s) of the %s was delivered %v after its death",
				n, w.body.Type, m.Target, w.gone.T.Sub(m.DiedT).Round(time.Microsecond))
		}
	}
	return passed("")
}

// ofTheDead is whether who was struck had sent it.
func ofTheDead(f *history.Frame, target string) bool {
	switch {
	case f.Wire == "gateway":
		return false // of clients and gateway: the engine's own death ends these
	case target == "both":
		return true
	case target == "engine":
		return f.Direction == "to-runtime"
	}
	return f.Direction == "to-engine"
}

// AnswersAgain: every actor that was probed after the last fault, of which the
// engine did not die, gave a good answer within bound of its end.
func AnswersAgain(bound time.Duration) Invariant {
	return Invariant{Name: "answers-again", Check: func(h *history.History) Finding {
		origin := faultsEnd(h)
		if origin == 0 {
			return undecided("no fault has landed")
		}
		asked, good := probesSince(h, origin)
		if len(asked) == 0 {
			return undecided("no probe was sent after the fault")
		}
		noise := window.NoiseBetween(h, origin, origin.Add(bound))
		var all findings
		for _, actor := range slices.Sorted(maps.Keys(asked)) {
			switch at, ok := good[actor]; {
			case ok && at.Sub(origin) <= bound:
				all.add(passed(""))
			case noise.TooNoisy() && (!ok || at.Sub(origin) <= 2*bound):
				all.add(undecided("actor %s did not answer within %v, on a busy host (%v)", actor, bound, noise))
			case ok:
				all.add(failed(opsOf(h, actor), "actor %s answered only %v after the fault, bound %v", actor, at.Sub(origin).Round(time.Millisecond), bound))
			case endedBefore(h, origin.Add(bound)):
				all.add(undecided("actor %s had not answered again when the trial was cut short", actor))
			default:
				all.add(failed(opsOf(h, actor), "actor %s never answered again, bound %v", actor, bound))
			}
		}
		return all.sum("%d actors answered again within %v", len(asked), bound)
	}}
}

// faultsEnd is when the last fault had landed, was healed, or the last container
// had been started again.
func faultsEnd(h *history.History) (end clock.Mono) {
	landed := false
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Fault:
			if b.Phase == history.FaultLanded || b.Phase == history.FaultHealed {
				landed, end = true, e.T
			}
		case *history.Container:
			if landed && b.What == history.ContainerStarted {
				end = e.T
			}
		}
	}
	return end
}

// probesSince are the actors that were probed, and when each first answered well.
func probesSince(h *history.History, origin clock.Mono) (asked map[string]bool, good map[string]clock.Mono) {
	asked, good = map[string]bool{}, map[string]clock.Mono{}
	ops := map[string]string{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Probe != "" && b.Actor != "" && e.T >= origin {
				ops[b.Op], asked[b.Actor] = b.Actor, true
			}
		case *history.Return:
			actor, ours := ops[b.Op]
			if _, done := good[actor]; ours && !done && b.Outcome == history.OK {
				good[actor] = e.T
			}
		}
	}
	return asked, good
}

// CommitCut says of a transaction that was cut in its COMMIT whether it is in the
// ledger, and holds it to what the moment allows: absent where the request never
// reached the engine. Where the request did, either is right, and the finding says
// which it was. The ledger is read from the engine after its return.
func CommitCut(client, ledger string, reachedEngine bool) Invariant {
	return Invariant{Name: "commit-cut", Check: func(h *history.History) Finding {
		op, seq := "", uint64(0)
		struck := clock.Mono(0)
		for _, e := range h.Events {
			switch b := e.Body.(type) {
			case *history.Invoke:
				if b.Client == client {
					op, seq = b.Op, e.Seq
				}
			case *history.Moment:
				if b.What == "struck" {
					struck = b.SignalT
				}
			}
		}
		l := readLedger(h, "tick", ledger)
		if op == "" || struck == 0 {
			return undecided("no transaction of client %s was struck", client)
		}
		for _, w := range l.writes {
			if w.op != op {
				continue
			}
			book, ok := l.books[w.actor]
			if !ok || book.invoked < struck {
				return undecided("the ledger of actor %s was not read after the strike", w.actor)
			}
			return commitCut(w.outcome, book.times[op], []uint64{seq, book.seq}, reachedEngine)
		}
		return undecided("the write %s is in no ledger's account", op)
	}}
}

func commitCut(told history.Outcome, times int, witness []uint64, reachedEngine bool) Finding {
	durable := "absent"
	if times > 0 {
		durable = "durable"
	}
	said := fmt.Sprintf("the commit is %s, its caller was told %s", durable, told)
	switch {
	case times > 1:
		return failed(witness, "the commit was applied %d times", times)
	case times > 0 && !reachedEngine:
		return failed(witness, "%s, although its request never reached the engine", said)
	case times == 0 && told == history.OK:
		return failed(witness, "%s", said)
	}
	return passed("%s", said)
}
