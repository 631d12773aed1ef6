// Package check reads a history and gives the verdict. It talks to nothing
// else, so that a stored history can be judged again later.
package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/history"
)

// State is a verdict's word.
type State string

// The states. Inconclusive is never a pass: the trial proved nothing. Known is
// a failure that bears the mark of a known bug, and is nothing else.
const (
	Pass         State = "pass"
	Known        State = "known"
	Fail         State = "fail"
	Inconclusive State = "inconclusive"
)

// Finding is what one invariant says of a history.
type Finding struct {
	Invariant string `json:"invariant"`
	State     State  `json:"state"`
	// Summary says it in one line: for a failure what was lost, by whom.
	Summary string `json:"summary"`
	// Witness are the Seqs of the fewest events that show it.
	Witness []uint64 `json:"witness,omitempty"`
	// Bugs are the names of the known bugs that account for it, where State is
	// Known.
	Bugs []string `json:"bugs,omitempty"`
}

// Invariant is a statement about a history.
type Invariant struct {
	Name string
	// Check returns the finding; its Invariant is filled in by Judge.
	Check func(*history.History) Finding
	// own: it is about the trial itself or about a known bug, and no known bug
	// accounts for it.
	own bool
}

// Verdict is the sum of the findings: fail if one failed, else inconclusive
// if one could not be decided, else known if one met a known bug, else pass.
type Verdict struct {
	State    State     `json:"state"`
	Findings []Finding `json:"findings"`
}

// Judge checks all invariants, and tells failures that are a known bug's from
// others. A history that is not complete is judged too:
// a failure in it stands, a pass does not.
func Judge(h *history.History, known []KnownBug, invariants ...Invariant) Verdict {
	v, h := Verdict{State: Pass}, addressed(h)
	for _, inv := range append([]Invariant{complete()}, invariants...) {
		f := judge(h, known, inv)
		v.Findings = append(v.Findings, f)
		v.State = Worse(v.State, f.State)
	}
	return v
}

// Worse is the worse of two states: fail, then inconclusive, then known, then
// pass.
func Worse(a, b State) State {
	return worst[max(rank(a), rank(b))]
}

// worst are the states from the best to the worst.
var worst = []State{Pass, Known, Inconclusive, Fail}

// rank is a state's place among them. One that nobody knows, or none, proves
// nothing.
func rank(s State) int {
	if i := slices.Index(worst, s); i >= 0 {
		return i
	}
	return rank(Inconclusive)
}

// First is the finding that decided the verdict.
func (v Verdict) First() Finding {
	for _, f := range v.Findings {
		if f.State == v.State {
			return f
		}
	}
	return Finding{}
}

// String is the verdict in a line, with what decided it where it is no pass.
func (v Verdict) String() string {
	if v.State == Pass {
		names := make([]string, len(v.Findings))
		for i, f := range v.Findings {
			names[i] = f.Invariant
		}
		return fmt.Sprintf("%s (%s)", v.State, strings.Join(names, ", "))
	}
	f := v.First()
	return fmt.Sprintf("%s: %s: %s", v.State, f.Invariant, f.Summary)
}

func passed(format string, args ...any) Finding {
	return Finding{State: Pass, Summary: fmt.Sprintf(format, args...)}
}

func failed(witness []uint64, format string, args ...any) Finding {
	return Finding{State: Fail, Summary: fmt.Sprintf(format, args...), Witness: witness}
}

func undecided(format string, args ...any) Finding {
	return Finding{State: Inconclusive, Summary: fmt.Sprintf(format, args...)}
}

// complete: the plan was carried out to its end.
func complete() Invariant {
	return Invariant{Name: "trial-complete", own: true, Check: func(h *history.History) Finding {
		if h.Complete() {
			return passed("the plan was carried out")
		}
		for _, e := range h.Events {
			if end, ok := e.Body.(*history.End); ok && end.State == history.EndComplete {
				return undecided("events follow the history's end, which was event %d", e.Seq)
			} else if ok {
				return undecided("the trial ended %s: %s", end.State, end.Error)
			}
		}
		return undecided("the history has no end: the harness was cut off after event %d", len(h.Events))
	}}
}
