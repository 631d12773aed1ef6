package catalog

import (
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/workload"
)

// commitCut kills the engine at an exact place of a COMMIT's way: when its request
// has left the runtime and has not reached the engine, and when it has reached the
// engine and its answer has not left for the runtime. What became of the commit is
// read from the engine's own ledger afterwards.
func commitCut() []Entry {
	var entries []Entry
	for _, v := range []struct {
		name    string
		at      moment.Moment
		reached bool
	}{
		{"request", moment.Frame("execute-request/commit", 1, moment.BeforeDelivery).Of(scenario.WriteKey), false},
		{"answer", moment.Frame("execute-response/commit", 1, moment.BeforeDelivery).Of(scenario.WriteKey), true},
	} {
		entries = append(entries, Entry{Group: "commit-cut", Variant: v.name, Test: "TestCommitCut", build: func(Options) scenario.Scenario {
			return scenario.Scenario{
				Fault:      fault.Kill(),
				At:         v.at,
				Drop:       true,
				Reconnect:  "fast",
				Parts:      []scenario.Part{scenario.OneWrite()},
				Sweep:      probe.Sweep{Timeout: time.Second, Bound: 60 * time.Second},
				Invariants: []check.Invariant{check.CommitCut(workload.CommitClient, workload.Ledger, v.reached)},
			}
		}})
	}
	return entries
}
