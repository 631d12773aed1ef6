package tests

import (
	"fmt"
	"strings"
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
	stopAndKill(t, "commit-in-flight", scenario.Scenario{
		Reconnect:      "rivet",
		CommitInFlight: true,
		Sweep:          probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 15 * time.Second},
	})
}

// TestRestartUnderLoad strikes while clients write and read: no write that was
// acknowledged may be lost, and none that was refused may be booked. After a
// kill the counters are held to more. After a stop they are not: there the
// engine now and then drops a transaction halfway and carries its remaining
// statements out one by one (docs/research/idle-restart.md, 3 of 18 trials),
// which is a finding to reproduce by name, not one to meet by chance.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	stopAndKill(t, "restart-under-load", scenario.Scenario{
		Reconnect: "fast",
		Load:      &workload.Load{Actors: 2, Clients: 2, Retry: true},
		Sweep:     probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 60 * time.Second},
	}, counterInvariants()...)
}

// stopAndKill carries the scenario out on each engine, with either fault, and
// holds it to afterKill besides where that is a kill.
func stopAndKill(t *testing.T, name string, s scenario.Scenario, afterKill ...check.Invariant) {
	variants := []struct {
		name  string
		fault fault.Fault
		more  []check.Invariant
	}{{"stop", fault.Stop(5 * time.Second), nil}, {"kill", fault.Kill(), afterKill}}
	for _, engine := range engines() {
		for _, v := range variants {
			t.Run(label(engine)+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				s := s
				s.Engine, s.Fault, s.Invariants = engine, v.fault, v.more
				s.Name = name + "/" + label(engine) + "/" + v.name
				test, _, _ := strings.Cut(t.Name(), "/")
				s.Again = again(test, engine, v.name)
				carryOut(t, s)
			})
		}
	}
}

// counterInvariants hold each counter to one order of its writes and reads, in
// which nothing is applied twice, whatever is retried.
func counterInvariants() []check.Invariant {
	return []check.Invariant{counters.Linearizable(10 * time.Second), counters.AppliedOnce()}
}

// again is the command that runs one trial again.
func again(test, engine, variant string) string {
	return fmt.Sprintf("make itest ENGINE=%s RUN='%s/%s/%s'", engine, test, label(engine), variant)
}
