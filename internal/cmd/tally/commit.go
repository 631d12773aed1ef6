package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/workload"
)

// commit is a write that was held before its COMMIT, or in it.
type commit struct {
	held bool   // when the fault struck
	told string // what its caller was told: the outcome, and what came with it
	ok   bool   // its caller was told that it took effect
	// read: its actor's ledger was read after that, or although its caller was
	// never told anything. durable: it is in there.
	read, durable bool
}

// readCommits finds the writes of the trial's one client that has them held.
func readCommits(h *history.History) []commit {
	held := check.CommitHeld(workload.CommitClient).Check(h).State == check.Pass || check.MomentHeld().Check(h).State == check.Pass
	var order []string
	commits, reads := map[string]*commit{}, map[string]string{} // by operation: the commit; the ledger's actor
	actors := map[string]string{}                               // by operation
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Client == workload.CommitClient {
				order = append(order, b.Op)
				commits[b.Op], actors[b.Op] = &commit{held: held, told: "nothing"}, b.Actor
			} else if b.Name == workload.Ledger {
				reads[b.Op] = b.Actor
			}
		case *history.Return:
			if c := commits[b.Op]; c != nil {
				c.told, c.ok = told(b), b.Outcome == history.OK
				c.read = false // an earlier reading is not the last word
			}
			ledger, whole := b.Value.([]any)
			if actor, ok := reads[b.Op]; ok && whole {
				for op, c := range commits {
					if actors[op] == actor {
						c.read, c.durable = true, slices.Contains(ledger, any(op))
					}
				}
			}
		}
	}
	var out []commit
	for _, op := range order {
		out = append(out, *commits[op])
	}
	return out
}

// told is an answer in a few words: "ok", "fail 500 user.not_applied", "info
// refused".
func told(b *history.Return) string {
	words := []string{string(b.Outcome)}
	if b.Outcome != history.OK {
		if b.Cause != history.CauseNone && b.Cause != history.CauseStatus {
			words = append(words, string(b.Cause))
		}
		if b.Status != 0 {
			words = append(words, fmt.Sprint(b.Status))
		}
		if b.Code != "" {
			words = append(words, b.Code)
		}
	}
	return strings.Join(words, " ")
}
