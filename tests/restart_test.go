package tests

import (
	"fmt"
	"testing"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/workload"
)

// fewDelays are for scenarios that ask whether, rather than when, actors answer.
var fewDelays = []time.Duration{0, time.Second, 3 * time.Second}

// counters are the operations by which counter actors are judged.
var counters = check.Counter{Write: workload.Tick, Read: workload.GetCount, Ledger: workload.Ledger}

// TestCommitInFlight strikes while a transaction is held before its COMMIT:
// whatever its caller is told must be what its ledger says.
func TestCommitInFlight(t *testing.T) {
	t.Parallel()
	for _, engine := range engines() {
		for name, f := range map[string]fault.Fault{"stop": fault.Stop(5 * time.Second), "kill": fault.Kill()} {
			t.Run(label(engine)+"/"+name, func(t *testing.T) {
				t.Parallel()
				carryOut(t, scenario.Scenario{
					Name:           "commit-in-flight/" + label(engine) + "/" + name,
					Engine:         engine,
					Fault:          f,
					Reconnect:      "rivet",
					CommitInFlight: true,
					Sweep:          probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 15 * time.Second},
					Again:          again("TestCommitInFlight", engine, name),
				})
			})
		}
	}
}

// TestRestartUnderLoad strikes while clients write and read: no write that was
// acknowledged may be lost, none may be applied twice.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	for _, engine := range engines() {
		for name, f := range map[string]fault.Fault{"stop": fault.Stop(5 * time.Second), "kill": fault.Kill()} {
			t.Run(label(engine)+"/"+name, func(t *testing.T) {
				t.Parallel()
				carryOut(t, scenario.Scenario{
					Name:      "restart-under-load/" + label(engine) + "/" + name,
					Engine:    engine,
					Fault:     f,
					Reconnect: "fast",
					// Writes are linearizable and applied once, whatever is retried.
					Invariants: []check.Invariant{counters.Linearizable(10 * time.Second), counters.AppliedOnce(), check.SingleLiveGeneration()},
					Load:       &workload.Load{Actors: 2, Clients: 2, Retry: true},
					Sweep:      probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 60 * time.Second},
					Again:      again("TestRestartUnderLoad", engine, name),
				})
			})
		}
	}
}

// again is the command that runs one trial again.
func again(test, engine, variant string) string {
	return fmt.Sprintf("make itest ENGINE=%s RUN='%s/%s/%s'", engine, test, label(engine), variant)
}
