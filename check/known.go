package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/history"
)

// KnownBug is something the engine, or a client's way with it, is known to do
// wrong. It has a name, and it leaves a mark in a history that nothing else
// leaves, so that meeting it is told from a bug that nobody knows.
type KnownBug struct {
	// Name says what happens: "half-transaction".
	Name string
	// Says is the same in a line, Ends what ends it.
	Says, Ends string
	// Sees are the names of the invariants that fail of it. Hides are those that it
	// leaves undecided: who is unreachable has no ledger that could be read.
	Sees, Hides []string
	// Mark finds the actors that the bug struck, each with the events that show
	// it; "" stands for the engine itself. An actor that is slow, and no more, has
	// no mark.
	Mark func(*history.History) map[string][]uint64
	// Allows is the history with no more taken out or left open than what the bug
	// can do. What fails in it nevertheless is another's doing. nil: anything may
	// come of it on the actors that it struck.
	Allows func(*history.History) *history.History
}

// sees reports whether a failure of the invariant may be this bug's.
func (b KnownBug) sees(invariant string) bool { return slices.Contains(b.Sees, invariant) }

// mayCause reports whether the finding may be this bug's.
func (b KnownBug) mayCause(f Finding) bool {
	return b.sees(f.Invariant) || f.State == Inconclusive && slices.Contains(b.Hides, f.Invariant)
}

// unreachable are the invariants that need answers of an actor to decide
// anything about it.
var unreachable = []string{"ledger-keeps-acked-writes", "linearizable", "applied-once", "right-actor"}

// judge is the invariant's finding. What is wrong counts as known only if all
// of it is: with what known bugs did left out, the invariant holds, or nothing is
// left to check it on. Else what is left decides.
func judge(h *history.History, known []KnownBug, inv Invariant) Finding {
	f := inv.Check(h)
	f.Invariant = inv.Name
	if f.State == Pass || inv.own {
		return f
	}
	marked := struck{}
	for _, b := range known {
		if !b.mayCause(f) {
			continue
		}
		if m := b.Mark(h); len(m) > 0 {
			marked = append(marked, strike{b, m})
		}
	}
	if len(marked) == 0 {
		return f
	}
	rest, explained := marked.explain(h, inv, f)
	if !explained {
		return rest
	}
	marked = marked.needed(h, inv, f)
	f.State, f.Bugs = Known, marked.names()
	f.Summary = fmt.Sprintf("%s (%s)", strings.Join(f.Bugs, ", "), f.Summary)
	f.Witness = slices.Concat(f.Witness, marked.witness())
	slices.Sort(f.Witness)
	f.Witness = slices.Compact(f.Witness)
	return f
}

// strike is a known bug with the mark that it left.
type strike struct {
	KnownBug
	marked map[string][]uint64
}

// struck are all known bugs that left one.
type struck []strike

// explain is what the invariant says of the history without what the bugs did,
// and whether that is all that is wrong.
func (s struck) explain(h *history.History, inv Invariant, f Finding) (rest Finding, all bool) {
	actors, engine := map[string][]uint64{}, false
	for _, b := range s {
		if b.Allows != nil {
			h = b.Allows(h)
			continue
		}
		maps.Copy(actors, b.marked)
		_, whole := b.marked[""]
		engine = engine || whole
	}
	h = without(h, func(actor string) bool { _, ok := actors[actor]; return ok })
	rest = inv.Check(h)
	rest.Invariant = inv.Name
	switch rest.State {
	case Pass:
		return rest, true
	case Fail:
		return rest, engine && f.State == Fail
	}
	none := inv.Check(without(h, func(string) bool { return true }))
	return rest, rest.State == none.State && rest.Summary == none.Summary
}

// needed are the bugs without any of which something would be left unexplained.
func (s struck) needed(h *history.History, inv Invariant, f Finding) struck {
	for i := 0; i < len(s) && len(s) > 1; {
		fewer := slices.Delete(slices.Clone(s), i, i+1)
		if _, all := fewer.explain(h, inv, f); all {
			s = fewer
		} else {
			i++
		}
	}
	return s
}

func (s struck) names() []string {
	out := make([]string, len(s))
	for i, b := range s {
		out[i] = b.Name
	}
	return out
}

func (s struck) witness() []uint64 {
	var seqs []uint64
	for _, b := range s {
		for _, m := range b.marked {
			seqs = append(seqs, m...)
		}
	}
	return seqs
}

// without is the history as if nobody had talked to the actors, nor they to
// anybody.
func without(h *history.History, drop func(actor string) bool) *history.History {
	out, ops := *h, map[string]bool{}
	out.Events = nil
	for _, e := range h.Events {
		actor, of := "", false
		switch b := e.Body.(type) {
		case *history.Invoke:
			actor = b.Actor
			ops[b.Op] = actor != "" && drop(actor)
		case *history.Return:
			of = ops[b.Op]
		case *history.Actor:
			actor = b.Actor
		case *history.Heartbeat:
			actor = b.Actor
		case *history.Breakpoint:
			actor = b.Actor
		}
		if !of && (actor == "" || !drop(actor)) {
			out.Events = append(out.Events, e)
		}
	}
	return &out
}

// omitting is the history without the events that drop picks.
func omitting(h *history.History, drop func(history.Event) bool) *history.History {
	out := *h
	out.Events = slices.DeleteFunc(slices.Clone(h.Events), drop)
	return &out
}

// Reproduces: the known bug showed in one of its invariants. A failure beside it
// that is not the bug's stands. A trial in which nothing showed is inconclusive:
// the bug may be mended, or the trial may have missed its moment, and one trial
// cannot tell which. On a busy host a miss is nobody's failure, but the mark does
// not come of noise: there the mark shows the bug, and the summary says so.
func Reproduces(b KnownBug, invariants ...Invariant) Invariant {
	return Invariant{Name: "reproduces-" + b.Name, own: true, Check: func(h *history.History) Finding {
		shown, said := Finding{}, make([]string, 0, len(invariants))
		for _, inv := range invariants {
			f := judge(h, []KnownBug{b}, inv)
			said = append(said, fmt.Sprintf("%s: %s", inv.Name, f.Summary))
			switch {
			case f.State == Fail:
				f.Summary = fmt.Sprintf("%s, and not by %s: %s", inv.Name, b.Name, f.Summary)
				return f
			case f.State == Known && b.sees(inv.Name) && shown.State == "":
				shown = f
			}
		}
		if shown.State == "" {
			return undecided("not reproduced: %s", strings.Join(said, "; "))
		}
		return shown
	}}
}
