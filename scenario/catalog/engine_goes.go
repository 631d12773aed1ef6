package catalog

import (
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
)

// engineGoes has the engine go in the ways that are neither a plain stop nor a
// plain kill.
func engineGoes() []Entry {
	sweep := probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 15 * time.Second}
	var entries []Entry
	for _, v := range []struct {
		name string
		s    scenario.Scenario
	}{
		// A node that fails while it is drained: the runtime has its going-away
		// stops already.
		{"kill-in-drain", scenario.Scenario{
			Fault: fault.KillInDrain(time.Second), Reconnect: "rivet", Sweep: sweep,
		}},
		// The actor was told to start and has not said that it runs. After a kill
		// nobody can start it for 30 s: that is one of the known bugs.
		{"stop-while-starting", scenario.Scenario{
			Fault: fault.Stop(5 * time.Second), Reconnect: "fast", Sweep: sweep,
			Parts: []scenario.Part{scenario.Starting(scenario.OnStart)},
		}},
		{"two-stops-200ms-apart", scenario.Scenario{
			Fault: fault.Stop(5 * time.Second), Reconnect: "fast", Sweep: sweep,
			Then:  []scenario.Later{{After: 200 * time.Millisecond, Fault: fault.Stop(5 * time.Second)}},
			Known: []check.KnownBug{check.StoppedEngineCounted},
		}},
		{"stop/fast", scenario.Scenario{Fault: fault.Stop(5 * time.Second), Reconnect: "fast", Sweep: sweep}},
	} {
		entries = append(entries, Entry{Group: "engine-goes", Variant: v.name, Test: "TestEngineGoes", build: func(Options) scenario.Scenario {
			s := v.s
			s.Invariants = append(s.Invariants, check.SingleLiveGeneration())
			return s
		}})
	}
	return entries
}
