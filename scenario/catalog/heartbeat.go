package catalog

import (
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
)

// heartbeat is the original investigation's matrix: how the engine was busy
// when it was stopped, the heartbeat from inside the actors, and whether the
// clients' actions are sent at once or after their actors beat again. There is
// no none/after-heartbeat: it would wait for what never comes.
func heartbeat() []Entry {
	const bound = 15 * time.Second
	idle := []scenario.Part(nil)
	commit := []scenario.Part{scenario.CommitHeld()}
	var entries []Entry
	for _, v := range []struct {
		name      string
		parts     []scenario.Part
		heartbeat string
		when      scenario.Timing
	}{
		{"idle/none/immediately", idle, "none", scenario.Immediately},
		{"idle/sqlite/immediately", idle, "sqlite", scenario.Immediately},
		{"idle/sqlite/after-heartbeat", idle, "sqlite", scenario.AfterHeartbeat},
		{"idle/kv/immediately", idle, "kv", scenario.Immediately},
		{"idle/kv/after-heartbeat", idle, "kv", scenario.AfterHeartbeat},
		{"commit/none/immediately", commit, "none", scenario.Immediately},
		{"commit/sqlite/immediately", commit, "sqlite", scenario.Immediately},
		{"commit/sqlite/after-heartbeat", commit, "sqlite", scenario.AfterHeartbeat},
		{"commit/kv/immediately", commit, "kv", scenario.Immediately},
		{"commit/kv/after-heartbeat", commit, "kv", scenario.AfterHeartbeat},
	} {
		entries = append(entries, Entry{Group: "heartbeat", Variant: v.name, Test: "TestHeartbeat", build: func(Options) scenario.Scenario {
			parts := []scenario.Part{scenario.ActionProbes(v.when)}
			if v.heartbeat != "none" {
				parts = append(parts, scenario.Beating(BeatWithin))
			}
			return scenario.Scenario{
				Fault:     fault.Stop(5 * time.Second),
				Reconnect: "rivet",
				Heartbeat: v.heartbeat,
				// A transaction that is held comes last: it is for half a
				// second, and the fault must strike meanwhile.
				Parts:      append(parts, v.parts...),
				Sweep:      probe.Sweep{Delays: fewDelays, Timeout: 5 * time.Second, Bound: bound},
				Invariants: []check.Invariant{check.ActionsAnswer(bound)},
				Known:      []check.KnownBug{check.HalfTransaction},
			}
		}})
	}
	return entries
}
