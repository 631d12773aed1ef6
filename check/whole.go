package check

import "github.com/killpoint/killpoint/history"

// inTime is for an invariant whose failures say that something did not come, or came
// to a bad end. A trial that was cut short, by Ctrl-C, a kill of the harness or a step
// that failed, cannot say so: what did not come may have been on its way, and an end
// may be the harness's own. Invariants about what must never happen do not need it.
func inTime(inv Invariant) Invariant {
	whole := inv.Check
	inv.Check = func(h *history.History) Finding {
		f := whole(h)
		if f.State == Fail && !h.Complete() {
			f.State, f.Summary = Inconclusive, "the trial was cut short, and until then: "+f.Summary
		}
		return f
	}
	return inv
}
