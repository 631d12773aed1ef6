package catalog

import (
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
)

// KnownBugs is the group of the known bugs, by name and by side. Those of its
// scenarios that are no extra always show their bug.
const KnownBugs = "known-bugs"

// knownBugs are the reproductions as scenarios.
func knownBugs() []Entry {
	var entries []Entry
	for _, r := range reproductions {
		e := Entry{
			Group: KnownBugs, Variant: r.bug.Name + "/" + r.behaviour, Test: "TestKnownBugs",
			Extra: r.shows != always || r.long,
			build: func(Options) scenario.Scenario { return r.trial() },
		}
		if len(r.only) > 0 {
			e.Skip = func(engine string) string {
				if slices.Contains(r.only, engine) {
					return ""
				}
				return "the bug is one of " + strings.Join(r.only, ", ")
			}
		}
		entries = append(entries, e)
	}
	return entries
}

// reproduction is one side of a known bug: what the runtime's client does, and
// whether the bug shows then.
type reproduction struct {
	bug check.KnownBug
	// behaviour is how the table calls that side.
	behaviour string
	shows     shows
	// seenBy are the invariants that fail of it. They are added to the
	// scenario's own, but for those that every restart is held to.
	seenBy []check.Invariant
	// long trials are carried out only where all are asked for.
	long bool
	// only are the engines on which that is so; empty is all.
	only     []string
	scenario func() scenario.Scenario
}

// shows says how often a bug shows.
type shows int

const (
	// never: this side mends it, and the trial must pass.
	never shows = iota
	// sometimes: a trial may meet it or not, and its rate is what counts.
	sometimes
	// always: it was met in every trial so far. A trial that does not meet it is
	// carried out again, and in the end fails.
	always
)

// quick is the sweep beside a known bug: actors whom it does not strike, asked
// at once. What answers later than its bound is far out of a restart's range,
// whose worst was 3.6 s.
var quick = probe.Sweep{Delays: []time.Duration{0, time.Second}, Timeout: time.Second, Bound: 8 * time.Second}

// reproductions are all sides of all known bugs.
var reproductions = slices.Concat([]reproduction{
	// The engine leaves cleanly, without a grace for its pool: what it holds
	// leases of does not matter here.
	{
		bug: check.StoppedForgotten, behaviour: "forgets Stopped", shows: always,
		scenario: func() scenario.Scenario { return stoppingWhileDown("true") },
	},
	{
		bug: check.StoppedForgotten, behaviour: "sends Stopped again", shows: never,
		scenario: func() scenario.Scenario { return stoppingWhileDown("false") },
	},
	// The control has slept for longer than its lease lasts.
	{
		bug: check.LeaseOutlivesEngine, behaviour: "killed, actor just asleep", shows: always,
		scenario: func() scenario.Scenario {
			return scenario.Scenario{
				Fault: fault.Kill(), Reconnect: "fast", Sweep: quick,
				Parts: []scenario.Part{scenario.Asleep(8 * time.Second), scenario.Asleep(0)},
			}
		},
	},
	{
		bug: check.LeaseOutlivesEngine, behaviour: "stopped, actor just asleep", shows: never,
		scenario: func() scenario.Scenario {
			return scenario.Scenario{
				Fault: fault.Stop(8 * time.Second), Reconnect: "fast", Sweep: quick,
				Parts: []scenario.Part{scenario.Asleep(8 * time.Second), scenario.Asleep(0)},
			}
		},
	},
	{
		bug: check.LeaseOutlivesEngine, behaviour: "killed, actor starting", shows: always,
		scenario: func() scenario.Scenario {
			return scenario.Scenario{
				Fault: fault.Kill(), Reconnect: "fast", Sweep: quick,
				Parts: []scenario.Part{scenario.Starting(scenario.OnStart)},
			}
		},
	},
	// An idle engine leaves 5.1 s after the signal, with its pool's grace.
	{
		bug: check.DrainAwaitsAnswer, behaviour: "a request in flight", shows: always,
		seenBy: []check.Invariant{check.DrainEndsWithin(8 * time.Second)},
		scenario: func() scenario.Scenario {
			return scenario.Scenario{
				Fault: fault.Stop(10 * time.Second), Reconnect: "fast", Sweep: quick,
				Parts: []scenario.Part{scenario.CommitHeld()},
			}
		},
	},
	{
		bug: check.DrainAwaitsAnswer, behaviour: "nothing in flight", shows: never,
		seenBy: []check.Invariant{check.DrainEndsWithin(8 * time.Second)},
		scenario: func() scenario.Scenario {
			return scenario.Scenario{Fault: fault.Stop(10 * time.Second), Reconnect: "fast", Sweep: quick}
		},
	},
	// It rests on who pings whom when, and on chance.
	{
		bug: check.StoppedEngineCounted, behaviour: "two restarts 200 ms apart", shows: sometimes,
		scenario: func() scenario.Scenario { return twoStops("rivet") },
	},
	{
		bug: check.StoppedEngineCounted, behaviour: "two restarts 200 ms apart, fast reconnect", shows: sometimes,
		scenario: func() scenario.Scenario { return twoStops("fast") },
	},
	// A client that forgets its actors when the engine is away for longer
	// than its lost threshold.
	{
		bug: check.StoppedForgotten, behaviour: "drops its actors after 15 s without the engine", shows: always, long: true,
		scenario: func() scenario.Scenario { return lost("drop") },
	},
	{
		bug: check.StoppedForgotten, behaviour: "keeps its actors after 15 s without the engine", shows: never,
		scenario: func() scenario.Scenario { return lost("keep") },
	},
	{
		bug: check.LostRuntimeKeepsActors, behaviour: "does not reconnect", shows: always,
		scenario: func() scenario.Scenario {
			return scenario.Scenario{Fault: fault.Kill(), Reconnect: "none", Sweep: quick}
		},
	},
}, moreReproductions)

// stoppingWhileDown lets an actor's Stopped fall into the outage.
func stoppingWhileDown(forgets string) scenario.Scenario {
	return scenario.Scenario{
		Fault: fault.Stop(5 * time.Second), Reconnect: "fast", DrainGrace: containers.None, Sweep: quick,
		Parts:      []scenario.Part{scenario.StopHeld()},
		RuntimeEnv: map[string]string{"KILLPOINT_FIXTURE_FORGET_STOPPED": forgets},
	}
}

// twoStops are two restarts so near to each other that the second engine still
// counts on the first.
func twoStops(reconnect string) scenario.Scenario {
	return scenario.Scenario{
		Fault: fault.Stop(6 * time.Second), Reconnect: reconnect,
		Then: []scenario.Later{{After: 200 * time.Millisecond, Fault: fault.Stop(6 * time.Second)}},
		// At 0 an actor's old generation may still answer, and be stopped after.
		Sweep: probe.Sweep{Delays: []time.Duration{time.Second, 1500 * time.Millisecond, 2 * time.Second}, Timeout: time.Second, Bound: 12 * time.Second},
	}
}

// lost keeps the engine away for longer than the threshold that it tells its
// runtimes.
func lost(policy string) scenario.Scenario {
	return scenario.Scenario{
		Fault: scenario.StayDown(fault.Kill(), 17*time.Second), Reconnect: "fast", Sweep: quick,
		RuntimeEnv: map[string]string{"KILLPOINT_FIXTURE_LOST": policy},
	}
}

// trial is the scenario with what is expected of it.
func (r reproduction) trial() scenario.Scenario {
	s := r.scenario()
	s.Invariants = append(s.Invariants, r.seenBy...)
	if r.shows == never {
		return s
	}
	s.Known = append(s.Known, r.bug)
	if r.shows == always {
		seenBy := slices.Clone(r.seenBy)
		if slices.Contains(r.bug.Sees, "answers-within-bound") {
			seenBy = append(seenBy, check.AnswersWithin(s.Sweep.Bound))
		}
		s.Invariants = append(s.Invariants, check.Reproduces(r.bug, seenBy...))
	}
	return s
}
