package check

import (
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// CommitHeld: when the fault struck, the write of that client was held before
// its COMMIT, and it had not returned. Without that the trial says nothing of
// a commit in flight.
func CommitHeld(client string) Invariant {
	return Invariant{Name: "commit-held", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		held, returned := commitTimes(h, client)
		switch {
		case held == 0:
			return undecided("no transaction was held before its COMMIT")
		case held > o.FaultT:
			return undecided("the transaction reached its COMMIT %v after the fault began", held.Sub(o.FaultT))
		case returned != 0 && returned < o.FaultT:
			return undecided("the transaction was over %v before the fault began", o.FaultT.Sub(returned))
		}
		return passed("a transaction was held before its COMMIT for %v when the fault began", o.FaultT.Sub(held))
	}}
}

// commitTimes are when a write of that client was held and when it returned.
func commitTimes(h *history.History, client string) (held, returned clock.Mono) {
	ops, actors := map[string]bool{}, map[string]bool{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Client == client {
				ops[b.Op], actors[b.Actor] = true, true
			}
		case *history.Breakpoint:
			if b.Name == "before-commit" && b.What == "reached" && actors[b.Actor] {
				held = e.T
			}
		case *history.Return:
			if ops[b.Op] {
				returned = e.T
			}
		}
	}
	return held, returned
}
