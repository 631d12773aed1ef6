package exits

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
)

// Wrong says what of the result is not as expected, nothing where all is.
func (r Result) Wrong() []string {
	want := r.Expected()
	if r.Ending == ByKernel && r.Death > InFlight {
		want.Answered = true // the kernel took its time
	}
	var wrong []string
	bad := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	bad(!slices.Contains(want.Codes, r.Exit.Code), "it exited with %d, not %s", r.Exit.Code, listed(want.Codes))
	bad(!slices.Contains(want.Endings, r.Ending), "its end: %s, not %s", r.Ending, listed(want.Endings))
	bad(r.Death > want.AtMost, "it was dead after %v, later than %v", millis(r.Death), want.AtMost)
	if least := r.least(); r.Death < least {
		bad(true, "it was dead after %v, before %v", millis(r.Death), millis(least))
	}
	_, drained := r.Drained()
	if waited, _ := r.Waited(); drained && r.Ending == Itself {
		bad(waited > leaveWithin, "it left %v after its drain, later than %v", millis(waited), leaveWithin)
	}
	_, raised := r.step(history.ShutdownReraised)
	_, swallowed := r.step(history.ShutdownSwallowed)
	bad(raised != want.Reraised, "it raised its signal again: %v, not %v", raised, want.Reraised)
	bad(swallowed != want.Swallowed, "its signal was swallowed: %v, not %v", swallowed, want.Swallowed)
	bad(drained != want.Drained, "its drain came to its end: %v, not %v", drained, want.Drained)
	bad(r.StopHooks < want.StopHooks[0] || r.StopHooks > want.StopHooks[1], "the stop hooks of %d of 2 actors ran, not %s", r.StopHooks, between(want.StopHooks))
	bad(r.AbortHooks != want.AbortHooks, "the abort hooks of %d of 2 actors ran, not %d", r.AbortHooks, want.AbortHooks)
	answered := r.InFlight.Outcome == history.OK
	bad(answered != want.Answered && !want.AnswerRaces, "the write in flight was answered: %v, not %v (%s)", answered, want.Answered, endOf(&r.InFlight.Return))
	bad(len(r.Lost) > 0, "lost: %d acknowledged writes are in no ledger: %v", len(r.Lost), r.Lost)
	bad(r.Place == PID1 && r.PID > 1, "it was process %d of its container, not 1", r.PID)
	bad(r.Place == Init && r.PID == 1, "it was PID 1 of its container, with an init before it")
	return wrong
}

// Judged is the result with what the verdict on its history says of known bugs.
func (r Result) Judged(v check.Verdict) Result {
	for _, f := range v.Findings {
		if f.Invariant == invariantOf(r.Case) && f.State == check.Known {
			r.Known = f.Bugs
		}
	}
	return r
}

// off: it is not as expected, and no known bug is why.
func (r Result) off() bool {
	return !r.Done || r.Exit == nil || len(r.Wrong()) > 0 && len(r.Known) == 0
}

func invariantOf(c Case) string { return "exits " + c.String() }

// least is the time before which it must not be dead: what a stop or a drain waits
// for. The write in flight began a moment before the strike.
func (r Result) least() time.Duration {
	grace, _ := r.Strike.Grace()
	_, drained := r.Drained()
	switch {
	case r.Ending == ByGrace:
		return grace
	case r.Ending == ByUs:
		return Patience
	case drained && r.Behaviour == DrainOvertime:
		return ownGrace
	case drained:
		return r.held.Add(InFlight).Sub(r.struck)
	}
	return 0
}

func listed[T any](all []T) string {
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = fmt.Sprint(one)
	}
	return strings.Join(texts, " or ")
}

func between(n [2]int) string {
	if n[0] == n[1] {
		return fmt.Sprint(n[0])
	}
	return fmt.Sprintf("%d to %d", n[0], n[1])
}

func millis(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// Invariants judge the cases: each by what is expected of it, and all by whether
// they stayed apart.
func Invariants(cases []Case) []check.Invariant {
	var all []check.Invariant
	for _, c := range cases {
		all = append(all, check.Invariant{Name: invariantOf(c), Check: func(h *history.History) check.Finding {
			return judge(h, c)
		}})
	}
	return append(all, check.Invariant{Name: "cases-apart", Check: apart})
}

func judge(h *history.History, c Case) check.Finding {
	all, err := Read(h)
	i := slices.IndexFunc(all, func(r Result) bool { return r.Case == c })
	switch {
	case i < 0 && err != nil:
		return check.Finding{State: check.Inconclusive, Summary: err.Error()}
	case i < 0:
		return check.Finding{State: check.Inconclusive, Summary: fmt.Sprintf("the case %s was not carried out", c)}
	}
	return all[i].finding()
}

// finding is the verdict on a case. It proved nothing where it could not be carried
// out, nothing was in flight, or no ledger could be read.
func (r Result) finding() check.Finding {
	f := check.Finding{Witness: r.witness}
	switch {
	case !r.Done:
		f.State, f.Summary = check.Inconclusive, fmt.Sprintf("%s was not carried out: %s", r.Case, r.Error)
	case r.Exit == nil || r.held == 0 || r.held > r.struck || r.InFlight.Op == "":
		f.State, f.Summary = check.Inconclusive, fmt.Sprintf("%s: nothing was in flight, or nothing was struck", r.Case)
	case len(r.Unread) > 0:
		f.State, f.Summary = check.Inconclusive, fmt.Sprintf("%s: the ledgers of %s could not be read back", r.Case, strings.Join(r.Unread, ", "))
	default:
		f.State, f.Summary = check.Pass, r.Summary()
		if wrong := r.Wrong(); len(wrong) > 0 {
			f.State, f.Summary = check.Fail, fmt.Sprintf("%s: %s", r.Case, strings.Join(wrong, "; "))
		}
	}
	return f
}

// apart: no case was struck while an actor of another lived beside its own, and so
// drained with it.
func apart(h *history.History) check.Finding {
	all, err := Read(h)
	if err != nil {
		return check.Finding{State: check.Inconclusive, Summary: err.Error()}
	}
	for _, r := range all {
		if len(r.Strangers) > 0 {
			return check.Finding{
				State: check.Inconclusive, Witness: r.witness,
				Summary: fmt.Sprintf("%s was struck while actors of other cases lived: %s", r.Case, strings.Join(r.Strangers, ", ")),
			}
		}
	}
	return check.Finding{State: check.Pass, Summary: fmt.Sprintf("%d cases, each with its own actors only", len(all))}
}
