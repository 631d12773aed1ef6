package check

import (
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// FaultLanded: the fault struck the engine while it ran, as planned, and the
// engine came back. Without that the trial proved nothing.
func FaultLanded() Invariant {
	return Invariant{Name: "fault-landed", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		for _, e := range h.Events {
			if f, ok := e.Body.(*history.Fault); ok && f.Phase == history.FaultLanded {
				return passed("%s struck %s, dead after %v", f.Kind, f.Target, o.ExitT.Sub(o.FaultT).Round(time.Millisecond))
			}
		}
		return undecided("no fault was confirmed to have landed")
	}}
}

// AnswersWithin: every actor that the sweep probed gave a good answer within
// bound of the first good /health. On a host that was too busy, a miss is
// inconclusive, because it may be the host's.
func AnswersWithin(bound time.Duration) Invariant {
	return Invariant{Name: "answers-within-bound", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		if len(o.Rows) == 0 {
			return undecided("no probe was sent")
		}
		for _, row := range o.Rows {
			if row.Class == window.NotSent {
				return undecided("the probe of actor %s at %v has no end", row.Key, row.Delay)
			}
			if row.AnsweredAt >= 0 && row.AnsweredAt <= bound {
				continue
			}
			if _, last := h.Span(); row.AnsweredAt < 0 && last < o.Healthy.Add(bound) {
				return undecided("actor %s had not answered when the trial ended, %v after /health, before its bound of %v", row.Key, last.Sub(o.Healthy).Round(time.Millisecond), bound)
			}
			if o.Noise.TooNoisy() {
				return undecided("actor %s did not answer within %v, on a busy host (%v)", row.Key, bound, o.Noise)
			}
			return failed(opsOf(h, row.Actor), "actor %s (%s) %s, bound %v", row.Key, row.Actor, answered(row), bound)
		}
		return passed("%d actors answered again within %v", len(o.Rows), bound)
	}}
}

func answered(row window.Row) string {
	if row.AnsweredAt < 0 {
		return "never answered again"
	}
	return "answered only " + row.AnsweredAt.Round(time.Millisecond).String() + " after /health"
}

// opsOf are the events of all probes of an actor.
func opsOf(h *history.History, actor string) []uint64 {
	var seqs []uint64
	ops := map[string]bool{}
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Actor == actor && b.Probe != "" {
				ops[b.Op] = true
				seqs = append(seqs, e.Seq)
			}
		case *history.Return:
			if ops[b.Op] {
				seqs = append(seqs, e.Seq)
			}
		}
	}
	return seqs
}

// RightActor: no good answer came from another actor than the one asked.
func RightActor() Invariant {
	return Invariant{Name: "right-actor", Check: func(h *history.History) Finding {
		asked, seqs, n := map[string]*history.Invoke{}, map[string]uint64{}, 0
		for _, e := range h.Events {
			switch b := e.Body.(type) {
			case *history.Invoke:
				asked[b.Op], seqs[b.Op] = b, e.Seq
			case *history.Return:
				op := asked[b.Op]
				if op == nil || b.Outcome != history.OK || b.AnsweredBy == "" {
					continue
				}
				if b.AnsweredBy != op.Actor {
					return failed([]uint64{seqs[b.Op], e.Seq}, "%s to actor %s was answered by actor %s", op.Name, op.Actor, b.AnsweredBy)
				}
				n++
			}
		}
		if n == 0 {
			return undecided("no answer said who gave it")
		}
		return passed("%d answers came from the actor asked", n)
	}}
}

// NoPanic: no container's log shows a panic.
func NoPanic() Invariant {
	return Invariant{Name: "no-panic", Check: func(h *history.History) Finding {
		for _, e := range h.Events {
			if l, ok := e.Body.(*history.Log); ok && isPanic(l.Line) {
				return failed([]uint64{e.Seq}, "%s#%d: %s", l.Role, l.Incarnation, l.Line)
			}
		}
		return passed("no panic in a log")
	}}
}

// isPanic knows how Go's and Rust's runtimes begin the report of a panic.
func isPanic(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") ||
		(strings.Contains(line, "thread '") && strings.Contains(line, "panicked at"))
}

// LedgerKeeps: each write that was acknowledged before the ledger was read
// back is in it, and none is in it twice. The writes are operations named write; the
// ledger is the value of operations named read, a list of operation ids.
func LedgerKeeps(write, read string) Invariant {
	return Invariant{Name: "ledger-keeps-acked-writes", Check: func(h *history.History) Finding {
		l := readLedger(h, write, read)
		if len(l.books) == 0 {
			return undecided("no ledger was read back")
		}
		n := 0
		for _, w := range l.writes {
			book, ok := l.books[w.actor]
			if !ok {
				return undecided("the ledger of actor %s was not read back", w.actor)
			}
			// Whether acknowledged or not, no write may take effect twice.
			if times := book.times[w.op]; times > 1 {
				return failed([]uint64{w.seq, book.seq}, "%s %s of actor %s was applied %d times", write, w.op, w.actor, times)
			}
			if !w.acked || w.returned > book.invoked {
				continue
			}
			if book.times[w.op] == 0 {
				return failed([]uint64{w.seq, book.seq}, "acknowledged %s %s of actor %s is missing from its ledger", write, w.op, w.actor)
			}
			n++
		}
		if n == 0 {
			return undecided("no write was acknowledged before the ledger was read")
		}
		return passed("%d acknowledged writes are in their ledgers once", n)
	}}
}

type ledger struct {
	writes []*ledgerWrite
	books  map[string]*ledgerBook // the last one read of each actor
}

type ledgerWrite struct {
	op, actor string
	acked     bool
	returned  clock.Mono
	seq       uint64
}

type ledgerBook struct {
	invoked clock.Mono
	times   map[string]int
	seq     uint64
}

func readLedger(h *history.History, write, read string) ledger {
	l := ledger{books: map[string]*ledgerBook{}}
	pending, reads := map[string]*ledgerWrite{}, map[string]history.Event{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			switch b.Name {
			case write:
				w := &ledgerWrite{op: b.Op, actor: b.Actor}
				pending[b.Op], l.writes = w, append(l.writes, w)
			case read:
				reads[b.Op] = e
			}
		case *history.Return:
			if w := pending[b.Op]; w != nil {
				w.acked, w.returned, w.seq = b.Outcome == history.OK, e.T, e.Seq
			}
			if inv, ok := reads[b.Op]; ok && b.Outcome == history.OK {
				l.books[inv.Body.(*history.Invoke).Actor] = &ledgerBook{inv.T, count(b.Value), e.Seq}
			}
		}
	}
	return l
}

// count reads a ledger as JSON gives it: a list of operation ids.
func count(value any) map[string]int {
	times := map[string]int{}
	ids, _ := value.([]any)
	for _, id := range ids {
		if s, ok := id.(string); ok {
			times[s]++
		}
	}
	return times
}

// HealthGap: the first good answer came between least and most after the
// first good /health. It is for races that are expected to show: a run in
// which one does not says so instead of passing in silence. Zero bounds are
// not checked.
func HealthGap(least, most time.Duration) Invariant {
	return Invariant{Name: "health-gap-as-expected", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		gap := o.HealthGap()
		if gap < 0 {
			return undecided("no actor answered again")
		}
		shown := gap.Round(time.Millisecond)
		switch {
		case least > 0 && gap < least:
			return failed(nil, "not reproduced: the first actor answered %v after /health, expected at least %v", shown, least)
		case most > 0 && gap > most && o.Noise.TooNoisy():
			return undecided("the first actor answered %v after /health, expected at most %v, on a busy host (%v)", shown, most, o.Noise)
		case most > 0 && gap > most:
			return failed(nil, "the first actor answered %v after /health, expected at most %v", shown, most)
		}
		return passed("the first actor answered %v after /health", shown)
	}}
}
