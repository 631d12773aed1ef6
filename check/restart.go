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

// FaultLanded: each fault struck the engine while it ran, as planned, the
// engine died of it and came back. Without that the trial proved nothing.
func FaultLanded() Invariant {
	return Invariant{Name: "fault-landed", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		var all findings
		said := make([]string, 0, len(o.Strikes))
		for i, s := range o.Strikes {
			last := i+1 == len(o.Strikes) || o.Strikes[i+1].Exit.Incarnation != s.Exit.Incarnation
			all.add(landed(s, last))
			said = append(said, fmt.Sprintf("%s struck %s, dead after %v", s.Fault.Kind, s.Fault.Target, s.ExitT.Sub(s.T).Round(time.Millisecond)))
		}
		return all.sum("%s", strings.Join(said, "; "))
	}}
}

// landed judges one strike; last says that the incarnation had to die of it
// and not of a later one.
func landed(s window.Strike, last bool) Finding {
	struck := fmt.Sprintf("engine#%d", s.Exit.Incarnation)
	switch {
	case s.LandedT == 0:
		return undecided("%s of %s was not confirmed to have landed", s.Fault.Kind, s.Fault.Target)
	case s.ExitT == 0:
		return undecided("%s of %s did not end it", s.Fault.Kind, s.Fault.Target)
	case s.Fault.Target != struck:
		return undecided("%s was to strike %s, but %s died", s.Fault.Kind, s.Fault.Target, struck)
	case s.Exit.Signal == "":
		return undecided("%s left by itself, with code %d, before the fault struck it", struck, s.Exit.Code)
	case s.Exit.OOM:
		return undecided("%s died for lack of memory", struck)
	case last && s.Fault.Kind == "stop" && !stopped(s.Exit):
		return failed(nil, "%s died of something else than the stop: exit code %d", struck, s.Exit.Code)
	case last && s.Fault.Kind == "kill" && s.Exit.Code != killedCode:
		return undecided("%s exited with code %d, not with the %d of a SIGKILL: it died of something else", struck, s.Exit.Code, killedCode)
	}
	return passed("")
}

// Exit codes of a container that was struck, as Docker reports them: 128 and the
// signal.
const (
	killedCode     = 137
	terminatedCode = 143
)

// stopped reports whether the exit is how a stop ends: by itself, by SIGTERM, or
// killed when its grace had ended.
func stopped(e history.Exit) bool {
	return e.Code == 0 || e.Code == terminatedCode || e.Code == killedCode && e.GraceEnded
}

// AnswersWithin: every actor that the sweep probed gave a good answer within
// bound of the first good /health. On a host that was too busy while the actor
// was waited for, a miss is inconclusive, because it may be the host's: but not
// an answer after more than twice the bound.
func AnswersWithin(bound time.Duration) Invariant {
	return Invariant{Name: "answers-within-bound", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		rows := slices.Concat(o.Rows, o.Beside)
		if len(rows) == 0 {
			return undecided("no probe was sent")
		}
		worst := passed("%d actors answered again within %v", len(rows), bound)
		for _, row := range rows {
			f := answersWithin(h, o, row, bound)
			if f.State == Fail {
				return f
			}
			if worst.State == Pass && f.State != Pass {
				worst = f
			}
		}
		return worst
	}}
}

func answersWithin(h *history.History, o *window.Outage, row window.Row, bound time.Duration) Finding {
	_, last := h.Span()
	until := bound
	if row.AnsweredAt >= 0 {
		until = row.AnsweredAt
	}
	noise := window.NoiseBetween(h, o.Healthy.Add(row.Delay), o.Healthy.Add(until))
	switch {
	case row.AnsweredAt >= 0 && row.AnsweredAt <= bound:
		return passed("")
	case row.Delay >= bound:
		return undecided("actor %s was first asked %v after /health, which is not before its bound of %v", row.Key, row.Delay, bound)
	case row.Class == window.CutOff:
		return undecided("the probe of actor %s at %v has no end", row.Key, row.Delay)
	case row.AnsweredAt < 0 && last < o.Healthy.Add(bound):
		return undecided("actor %s had not answered when the trial ended, %v after /health, before its bound of %v", row.Key, last.Sub(o.Healthy).Round(time.Millisecond), bound)
	case noise.TooNoisy() && row.AnsweredAt <= 2*bound:
		return undecided("actor %s did not answer within %v, on a busy host (%v)", row.Key, bound, noise)
	}
	return failed(opsOf(h, row.Actor), "actor %s (%s) %s, bound %v", row.Key, row.Actor, answered(row), bound)
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

// RightActor: every good answer came from the actor that was asked. What the
// engine's API answers is nobody's answer.
func RightActor() Invariant {
	return Invariant{Name: "right-actor", Check: func(h *history.History) Finding {
		asked, seqs, said, silent := map[string]*history.Invoke{}, map[string]uint64{}, 0, 0
		for _, e := range h.Events {
			switch b := e.Body.(type) {
			case *history.Invoke:
				asked[b.Op], seqs[b.Op] = b, e.Seq
			case *history.Return:
				op := asked[b.Op]
				switch {
				case op == nil || b.Outcome != history.OK || op.Via == "api":
				case b.AnsweredBy == "" || op.Actor == "": // asked by its key, which nobody else named
					silent++
				case b.AnsweredBy != op.Actor:
					return failed([]uint64{seqs[b.Op], e.Seq}, "%s to actor %s was answered by actor %s", op.Name, op.Actor, b.AnsweredBy)
				default:
					said++
				}
			}
		}
		if silent > 0 || said == 0 {
			return undecided("%d of %d good answers do not show that who was asked gave them", silent, silent+said)
		}
		return passed("%d answers came from the actor asked", said)
	}}
}

// NoPanic: no container's log shows a panic, and the runtime reported none of
// an actor's. That of a runtime which was told to go by a panic, and said so
// before, is none. It needs the log of the engine to have been read.
func NoPanic() Invariant {
	return Invariant{Name: "no-panic", Check: func(h *history.History) Finding {
		read, told := 0, toldToPanic(h)
		for _, e := range h.Events {
			switch b := e.Body.(type) {
			case *history.Log:
				if isPanic(b.Line) && !told[fmt.Sprintf("%s#%d", b.Role, b.Incarnation)] {
					return failed([]uint64{e.Seq}, "%s#%d: %s", b.Role, b.Incarnation, b.Line)
				}
			case *history.Actor:
				if b.What == "panic" {
					first, _, _ := strings.Cut(b.Error, "\n")
					return failed([]uint64{e.Seq}, "%s, actor %s, generation %d: %s", e.Party, b.Actor, b.Generation, first)
				}
			case *history.Exit:
				if b.Role == "engine" {
					read += b.LogLines
				}
			}
		}
		if read == 0 {
			return undecided("no line of the engine's log was read")
		}
		return passed("no panic in a log")
	}}
}

// toldToPanic are the parties that said so of themselves. It came before, but a
// panic takes another stream, and may arrive first.
func toldToPanic(h *history.History) map[string]bool {
	told := map[string]bool{}
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Shutdown); ok && b.What == history.ShutdownPanic {
			told[e.Party] = true
		}
	}
	return told
}

// isPanic knows how Go's and Rust's runtimes begin the report of a panic.
func isPanic(line string) bool {
	for _, begin := range []string{"panic: ", "fatal error: ", "fatal runtime error: "} {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	return strings.Contains(line, "thread '") && strings.Contains(line, "panicked at")
}

// LedgerKeeps: each write that was acknowledged before the ledger was read
// back is in it; no write is in it twice, and none that was not sent to its
// actor or that certainly had no effect. The writes are operations named
// write; the ledger is the value of operations named read, a list of operation
// ids. A ledger that was read before the engine died proves nothing, but for an
// actor that was destroyed afterwards: that has none any more.
func LedgerKeeps(write, read string) Invariant {
	return Invariant{Name: "ledger-keeps-acked-writes", Check: func(h *history.History) Finding {
		l := readLedger(h, write, read)
		if len(l.books) == 0 && len(l.writes) == 0 {
			return undecided("no ledger was read back")
		}
		if f := l.foreign(write); f.State == Fail {
			return f
		}
		kept, missing := 0, Finding{State: Pass}
		for _, w := range l.writes {
			book, ok := l.books[w.actor]
			switch {
			case !ok:
				missing = undecided("the ledger of actor %s was not read back", w.actor)
				continue
			// Whether acknowledged or not, no write may take effect twice.
			case book.times[w.op] > 1:
				return failed(append(w.events, book.seq), "%s %s of actor %s was applied %d times", write, w.op, w.actor, book.times[w.op])
			case w.outcome == history.Fail && book.times[w.op] > 0 && l.refused(w.op):
				return failed(append(w.events, book.seq), "%s %s of actor %s certainly had no effect, but is in its ledger", write, w.op, w.actor)
			case w.outcome != history.OK && !w.repeated || w.returned > book.invoked:
				continue
			case book.times[w.op] == 0:
				return failed(append(w.events, book.seq), "acknowledged %s %s of actor %s is missing from its ledger", write, w.op, w.actor)
			case book.invoked < l.died && !l.destroyed[w.actor]:
				missing = undecided("the ledger of actor %s was last read before the engine died", w.actor)
			}
			kept++
		}
		if missing.State != Pass {
			return missing
		}
		if kept == 0 {
			return undecided("no write was acknowledged before the ledger was read")
		}
		return passed("%d acknowledged writes are in their ledgers once", kept)
	}}
}

// refused reports whether all attempts at a write certainly had no effect.
func (l ledger) refused(op string) bool {
	for _, w := range l.writes {
		if w.op == op && w.outcome != history.Fail {
			return false
		}
	}
	return true
}

// foreign finds an entry of a ledger that no write to its actor explains.
func (l ledger) foreign(write string) Finding {
	sent := map[string]string{}
	for _, w := range l.writes {
		sent[w.op] = w.actor
	}
	for _, actor := range slices.Sorted(maps.Keys(l.books)) {
		book := l.books[actor]
		for _, op := range slices.Sorted(maps.Keys(book.times)) {
			if to, ok := sent[op]; !ok || to != actor {
				return failed([]uint64{book.seq}, "the ledger of actor %s holds %s, and no %s of that name was sent to it", actor, op, write)
			}
		}
	}
	return Finding{State: Pass}
}

type ledger struct {
	writes []*ledgerWrite
	books  map[string]*ledgerBook // the last one read of each actor
	died   clock.Mono             // when the engine was last struck dead; 0 if never
	// destroyed are the actors that were, after the last reading.
	destroyed map[string]bool
}

type ledgerWrite struct {
	op, actor string
	outcome   history.Outcome // "" while it is open
	repeated  bool            // it was told that it is in the ledger already
	returned  clock.Mono
	events    []uint64
}

type ledgerBook struct {
	invoked clock.Mono
	times   map[string]int
	seq     uint64
}

func readLedger(h *history.History, write, read string) ledger {
	l := ledger{books: map[string]*ledgerBook{}, destroyed: map[string]bool{}}
	ends := map[string]string{} // destructions under way, and of whom
	pending, reads := map[string]*ledgerWrite{}, map[string]history.Event{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			switch b.Name {
			case write:
				w := &ledgerWrite{op: identity(b), actor: b.Actor, events: []uint64{e.Seq}}
				pending[b.Op], l.writes, l.destroyed[b.Actor] = w, append(l.writes, w), false
			case read:
				reads[b.Op] = e
			case Destroy:
				ends[b.Op] = b.Actor
			}
		case *history.Return:
			if w := pending[b.Op]; w != nil {
				w.outcome, w.returned, w.events = b.Outcome, e.T, append(w.events, e.Seq)
				w.repeated = b.Code == codeRepeated
			}
			if actor, ends := ends[b.Op]; ends && b.Outcome == history.OK {
				l.destroyed[actor] = true
			}
			times, ok := count(b.Value)
			if inv, asked := reads[b.Op]; asked && ok && b.Outcome == history.OK {
				l.books[inv.Body.(*history.Invoke).Actor] = &ledgerBook{inv.T, times, e.Seq}
			}
		case *history.Fault:
			if b.Phase == history.FaultLanded {
				l.died = e.T
			}
		}
	}
	return l
}

// Destroy is the name of the operation that destroys an actor.
const Destroy = "destroy"

// identity is the id under which a write stands in the ledger: that of its
// first attempt.
func identity(b *history.Invoke) string {
	if b.RetryOf != "" {
		return b.RetryOf
	}
	return b.Op
}

// count reads a ledger as JSON gives it: a list of operation ids. ok is false
// for anything else.
func count(value any) (times map[string]int, ok bool) {
	ids, ok := value.([]any)
	times = map[string]int{}
	for _, id := range ids {
		s, text := id.(string)
		ok = ok && text
		times[s]++
	}
	return times, ok
}

// HealthGap: the outage lasted for at least window, from the fault to the first
// good answer, and its part in which /health said ok for at most most. It is for
// races that are expected to show: a run in which one does not says so instead
// of passing in silence. Zero bounds are not checked.
//
// How much of the window is gap depends on how soon the engine is back, which is
// later on a busy host; that its runtime's next try comes no sooner than its
// policy says does not. So the race is told by the window, and by the runtime's
// wait for its next try while /health said ok already.
func HealthGap(outage, most time.Duration) Invariant {
	return Invariant{Name: "health-gap-as-expected", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		gap := o.HealthGap()
		if gap < 0 {
			return undecided("no actor answered again")
		}
		shown := fmt.Sprintf("the first actor answered %v after /health, %v after the fault", gap.Round(time.Millisecond), o.Window().Round(time.Millisecond))
		judge := failed
		if o.Noise.TooNoisy() {
			judge = func(_ []uint64, format string, args ...any) Finding {
				return undecided(format+", on a busy host (%v)", append(args, o.Noise)...)
			}
		}
		switch {
		case o.Window() < outage:
			return failed(nil, "not reproduced: %s, expected an outage of at least %v", shown, outage)
		case outage > 0 && o.Backoff == 0:
			return judge(nil, "not reproduced: %s, and the runtime did not wait for its next try meanwhile", shown)
		case most > 0 && gap > most:
			return judge(nil, "%s, expected at most %v after /health", shown, most)
		}
		return passed("%s", shown)
	}}
}
