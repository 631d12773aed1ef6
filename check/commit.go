package check

import (
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// CommitHeld: when the fault struck, the write of that client was held before
// its COMMIT, and its caller waited for it, until it was answered or its own
// patience ended. Without that the trial says nothing of a commit in flight.
func CommitHeld(client string) Invariant {
	return Invariant{Name: "commit-held", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		c := readCommit(h, client)
		switch {
		case c.held == 0:
			return undecided("no transaction was held before its COMMIT")
		case c.held > o.FaultT:
			return undecided("the transaction reached its COMMIT %v after the fault began", c.held.Sub(o.FaultT))
		case c.left != 0 && c.left < o.FaultT:
			return undecided("the transaction went on %v before the fault began", o.FaultT.Sub(c.left))
		case c.returned != 0 && c.returned < o.FaultT:
			return undecided("the transaction was over %v before the fault began", o.FaultT.Sub(c.returned))
		case c.cause == history.CauseStopped:
			return undecided("the harness itself took the caller of the transaction away")
		}
		return passed("a transaction was held before its COMMIT for %v when the fault began", o.FaultT.Sub(c.held))
	}}
}

// commit is a write of a client: when it was held, when it went on, when it
// returned and how. Instants are 0 where they never came.
type commit struct {
	held, left, returned clock.Mono
	cause                history.Cause
}

func readCommit(h *history.History, client string) commit {
	var c commit
	ops, actors := map[string]bool{}, map[string]bool{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Client == client {
				ops[b.Op], actors[b.Actor] = true, true
			}
		case *history.Breakpoint:
			if b.Name != "before-commit" || !actors[b.Actor] {
				continue
			}
			if b.What == "reached" {
				c.held, c.left = e.T, 0
			} else if c.held != 0 { // released, expired or abandoned
				c.left = e.T
			}
		case *history.Return:
			if ops[b.Op] {
				c.returned, c.cause = e.T, b.Cause
			}
		}
	}
	return c
}
