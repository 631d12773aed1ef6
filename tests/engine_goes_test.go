package tests

import (
	"testing"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
)

// TestEngineGoes has the engine go in the ways that are neither a plain stop
// nor a plain kill.
func TestEngineGoes(t *testing.T) {
	t.Parallel()
	sweep := probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 15 * time.Second}
	variants := []struct {
		name string
		scenario.Scenario
	}{
		// A node that fails while it is drained: the runtime has its going-away
		// stops already.
		{"kill-in-drain", scenario.Scenario{
			Fault: fault.KillInDrain(time.Second), Reconnect: "rivet", Sweep: sweep,
		}},
		// The actor was told to start and has not said that it runs. After a kill
		// nobody can start it for 30 s: that is one of TestKnownBugs.
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
	}
	for _, engine := range engines() {
		for _, v := range variants {
			t.Run(label(engine)+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				v.Invariants = append(v.Invariants, check.SingleLiveGeneration())
				carryOutOn(t, engine, "engine-goes", v.name, v.Scenario)
			})
		}
	}
}
