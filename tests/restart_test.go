package tests

import (
	"fmt"
	"os"
	"regexp"
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
		Reconnect: "rivet",
		Parts:     []scenario.Part{scenario.CommitHeld()},
		Sweep:     probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 15 * time.Second},
	})
}

// TestRestartUnderLoad strikes while clients write and read: no write that was
// acknowledged may be lost, none that was refused may be booked, and the
// counters have one order of their writes and reads. After a stop the engine
// itself breaks that now and then, by a bug that has a name and leaves a mark.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	stopAndKill(t, "restart-under-load", scenario.Scenario{
		Reconnect:  "fast",
		Parts:      []scenario.Part{scenario.UnderLoad(workload.Load{Actors: 2, Clients: 2, Retry: true})},
		Sweep:      probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 60 * time.Second},
		Invariants: counterInvariants(),
		Known:      []check.KnownBug{check.HalfTransaction, check.DeafConnection},
	})
}

// stopAndKill carries the scenario out on each engine, with either fault.
func stopAndKill(t *testing.T, name string, s scenario.Scenario) {
	for _, engine := range engines() {
		for _, v := range []struct {
			name  string
			fault fault.Fault
		}{{"stop", fault.Stop(5 * time.Second)}, {"kill", fault.Kill()}} {
			t.Run(label(engine)+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				s := s
				s.Fault = v.fault
				carryOutOn(t, engine, name, v.name, s)
			})
		}
	}
}

// carryOutOn carries the variant of a scenario out on the engine, under the
// names by which -run finds it.
func carryOutOn(t *testing.T, engine, name, variant string, s scenario.Scenario) {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	s.Engine, s.Name = engine, name+"/"+label(engine)+"/"+variant
	s.Again = again(test, engine, variant)
	carryOut(t, s)
}

// counterInvariants hold each counter to one order of its writes and reads, in
// which nothing is applied twice, whatever is retried.
func counterInvariants() []check.Invariant {
	return []check.Invariant{counters.Linearizable(10 * time.Second), counters.AppliedOnce()}
}

// again is the command that runs one trial again, and no other: each level of
// its name is anchored. Settings that were set go with it.
func again(test, engine, variant string) string {
	levels := append([]string{test, label(engine)}, strings.Split(variant, "/")...)
	for i, l := range levels {
		levels[i] = "^" + regexp.QuoteMeta(strings.ReplaceAll(l, " ", "_")) + "$"
	}
	command := fmt.Sprintf("make itest SEED=%d ENGINE='%s'", run.seed, engine)
	for _, setting := range []string{"DELAYS", "REPEATS", "KNOWN_BUGS"} {
		if v := os.Getenv("KILLPOINT_" + setting); v != "" {
			command += fmt.Sprintf(" %s='%s'", setting, v)
		}
	}
	return command + fmt.Sprintf(" RUN='%s'", strings.Join(levels, "/"))
}
