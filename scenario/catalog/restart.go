package catalog

import (
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/workload"
)

// fewDelays are for scenarios that ask whether, rather than when, actors answer.
var fewDelays = []time.Duration{0, time.Second, 3 * time.Second}

// BeatWithin is one and a half of the interval of a beat.
const BeatWithin = 1500 * time.Millisecond

// counters are the operations by which counter actors are judged.
var counters = check.Counter{Write: workload.Tick, Read: workload.GetCount, Ledger: workload.Ledger}

// CounterInvariants hold each counter to one order of its writes and reads, in
// which nothing is applied twice, whatever is retried.
func CounterInvariants() []check.Invariant {
	return []check.Invariant{counters.Linearizable(10 * time.Second), counters.AppliedOnce()}
}

// inFlight strikes while a transaction is held before its COMMIT: whatever its
// caller is told must be what its ledger says.
func inFlight() []Entry {
	return stopAndKill("commit-in-flight", "TestCommitInFlight", func() scenario.Scenario {
		return scenario.Scenario{
			Reconnect: "rivet",
			Parts:     []scenario.Part{scenario.CommitHeld()},
			Sweep:     probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 15 * time.Second},
		}
	})
}

// underLoad strikes while clients write and read: no write that was
// acknowledged may be lost, none that was refused may be booked, and the
// counters have one order of their writes and reads. After a stop the engine
// itself breaks that now and then, by a bug that has a name and leaves a mark.
func underLoad() []Entry {
	return stopAndKill("restart-under-load", "TestRestartUnderLoad", func() scenario.Scenario {
		return scenario.Scenario{
			Reconnect:  "fast",
			Parts:      []scenario.Part{scenario.UnderLoad(workload.Load{Actors: 2, Clients: 2, Retry: true})},
			Sweep:      probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: 60 * time.Second},
			Invariants: CounterInvariants(),
			Known:      []check.KnownBug{check.HalfTransaction, check.DeafConnection},
		}
	})
}

// stopAndKill is the scenario with either fault.
func stopAndKill(group, test string, s func() scenario.Scenario) []Entry {
	var entries []Entry
	for _, v := range []struct {
		name  string
		fault fault.Fault
	}{{"stop", fault.Stop(5 * time.Second)}, {"kill", fault.Kill()}} {
		entries = append(entries, Entry{Group: group, Variant: v.name, Test: test, build: func(Options) scenario.Scenario {
			s := s()
			s.Fault = v.fault
			return s
		}})
	}
	return entries
}
