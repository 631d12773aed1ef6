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
	// Sees are the names of the invariants that fail of it.
	Sees []string
	// Mark finds the actors that the bug struck, each with the events that show
	// it; "" stands for the engine itself. An actor that is slow, and no more, has
	// no mark.
	Mark func(*history.History) map[string][]uint64
}

// sees reports whether a failure of the invariant may be this bug's.
func (b KnownBug) sees(invariant string) bool { return slices.Contains(b.Sees, invariant) }

// judge is the invariant's finding. What is wrong counts as known only if all
// of it is: with the actors that a known bug marked left out, the invariant does
// not fail any more. One that could not be decided, as on a busy host, is known
// if it holds without them: a mark does not come of noise.
func judge(h *history.History, known []KnownBug, inv Invariant) Finding {
	f := inv.Check(h)
	f.Invariant = inv.Name
	if f.State == Pass {
		return f
	}
	names, marked := marks(h, known, f)
	if len(marked) == 0 {
		return f
	}
	others := without(h, marked)
	rest := inv.Check(others)
	rest.Invariant = inv.Name
	_, whole := marked[""]
	switch {
	case whole && f.State == Fail, rest.State == Pass, f.State == Fail && rest.State == Inconclusive, nobody(others):
	case rest.State == Fail:
		return rest
	default:
		return f
	}
	f.State, f.Bugs = Known, names
	f.Summary = fmt.Sprintf("%s (%s)", strings.Join(names, ", "), f.Summary)
	for _, actor := range slices.Sorted(maps.Keys(marked)) {
		f.Witness = append(f.Witness, marked[actor]...)
	}
	slices.Sort(f.Witness)
	f.Witness = slices.Compact(f.Witness)
	return f
}

// nobody: no actor was asked for anything.
func nobody(h *history.History) bool {
	return !slices.ContainsFunc(h.Events, func(e history.Event) bool {
		b, ok := e.Body.(*history.Invoke)
		return ok && b.Actor != ""
	})
}

// marks are the names of the bugs that may account for the finding and that
// left their mark, and the actors that they struck. A failure must be one that
// the bug is known to cause; that nothing could be decided may come of any, such
// as of an actor that cannot be reached to read its ledger.
func marks(h *history.History, known []KnownBug, f Finding) (names []string, marked map[string][]uint64) {
	marked = map[string][]uint64{}
	for _, b := range known {
		if f.State == Fail && !b.sees(f.Invariant) {
			continue
		}
		if m := b.Mark(h); len(m) > 0 {
			names = append(names, b.Name)
			maps.Copy(marked, m)
		}
	}
	return names, marked
}

// without is the history as if nobody had talked to the actors, nor they to
// anybody.
func without(h *history.History, actors map[string][]uint64) *history.History {
	out, ops := *h, map[string]bool{}
	out.Events = nil
	for _, e := range h.Events {
		actor, drop := "", false
		switch b := e.Body.(type) {
		case *history.Invoke:
			actor = b.Actor
			if _, ok := actors[actor]; ok {
				ops[b.Op] = true
			}
		case *history.Return:
			drop = ops[b.Op]
		case *history.Actor:
			actor = b.Actor
		case *history.Heartbeat:
			actor = b.Actor
		case *history.Breakpoint:
			actor = b.Actor
		}
		if _, ok := actors[actor]; !drop && (!ok || actor == "") {
			out.Events = append(out.Events, e)
		}
	}
	return &out
}

// Reproduces: the known bug showed, in a failure of one of its invariants. A
// trial in which it did not is inconclusive: the bug may be mended, or the
// trial may have missed its moment, and one trial cannot tell which.
func Reproduces(b KnownBug, invariants ...Invariant) Invariant {
	return Invariant{Name: "reproduces-" + b.Name, Check: func(h *history.History) Finding {
		said := make([]string, 0, len(invariants))
		for _, inv := range invariants {
			f := judge(h, []KnownBug{b}, inv)
			if f.State == Known {
				return f
			}
			said = append(said, fmt.Sprintf("%s: %s", inv.Name, f.Summary))
		}
		return undecided("not reproduced: %s", strings.Join(said, "; "))
	}}
}
