package tests

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/window"
)

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
	// long trials are none of make itest's.
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

// knownBugsEnv asks for all sides of all bugs. Without it only those are
// carried out that always show, and soon.
const knownBugsEnv = "KILLPOINT_KNOWN_BUGS"

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

// TestKnownBugs carries the known bugs out, by name. `make itest` expects those
// to show that always did; `make known-bugs` runs every side of all of them.
func TestKnownBugs(t *testing.T) {
	t.Parallel()
	all := os.Getenv(knownBugsEnv) != ""
	for _, engine := range engines() {
		for _, r := range reproductions {
			if !all && (r.shows != always || r.long) || len(r.only) > 0 && !slices.Contains(r.only, label(engine)) {
				continue
			}
			t.Run(label(engine)+"/"+r.bug.Name+"/"+r.behaviour, func(t *testing.T) {
				t.Parallel()
				carryOutOn(t, engine, knownBugs, r.bug.Name+"/"+r.behaviour, r.trial())
			})
		}
	}
}

// knownBugs begins the names of these trials.
const knownBugs = "known-bugs"

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

// knownBugsTable is bug × engine × behaviour, over the trials of the run.
func knownBugsTable(trials []report.Trial) string {
	rows := map[string][]report.Trial{}
	for _, t := range trials {
		// One that was interrupted says nothing of the rate.
		if strings.HasPrefix(t.Name, knownBugs+"/") && finding(t, "trial-complete").State == check.Pass {
			rows[t.Name] = append(rows[t.Name], t)
		}
	}
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("## Known bugs\n\n| bug | engine | the runtime's side | seen | 95 % interval | as expected | last actor answered | ended by |\n|---|---|---|---:|---|---|---|---|\n")
	for _, r := range reproductions {
		for _, engine := range engines() {
			name := strings.Join([]string{knownBugs, label(engine), r.bug.Name, r.behaviour}, "/")
			if trials := rows[name]; len(trials) > 0 {
				b.WriteString(r.row(engine, trials))
			}
		}
	}
	b.WriteString("\nSeen counts the trials in which the bug's own mark explained what an invariant found wrong. Of a trial that proved nothing and was carried out again only the first counts, as one without: to repeat until it shows would make the rate too high. The last actor's answer counts from the first good `/health`.\n")
	return b.String()
}

func (r reproduction) row(engine string, trials []report.Trial) string {
	seen, ok := 0, true
	var last []time.Duration
	for _, t := range trials {
		if len(t.Repeats) == 0 && slices.Contains(t.Bugs(), r.bug.Name) {
			seen++
		}
		ok = ok && fine(t) && (r.shows != always || len(t.Repeats) == 0)
		if t.Outage != nil {
			last = append(last, lastAnswer(t))
		}
	}
	p := stats.Proportion(seen, len(trials))
	return fmt.Sprintf("| %s | %s | %s | %d of %d | %.0f–%.0f %% | %s | %s | %s |\n", r.bug.Name, label(engine), r.behaviour,
		seen, len(trials), 100*p.Low, 100*p.High, map[bool]string{true: "yes", false: "**no**"}[ok], spanned(last), r.bug.Ends)
}

// lastAnswer is when the last of all actors asked gave its first good answer;
// -1 if one never did.
func lastAnswer(t report.Trial) time.Duration {
	var last time.Duration
	for _, row := range slices.Concat(t.Outage.Rows, t.Outage.Beside) {
		if row.AnsweredAt < 0 {
			return -1
		}
		// Whoever was asked late and answered at once waited for nothing.
		if row.Class != window.Answered {
			last = max(last, row.AnsweredAt)
		}
	}
	return last
}

// spanned is the least and the most of the times; -1 stands for one that never
// came within the trial.
func spanned(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	slices.Sort(times)
	came := slices.DeleteFunc(slices.Clone(times), func(d time.Duration) bool { return d < 0 })
	never := len(times) - len(came)
	switch {
	case len(came) == 0:
		return "not within the trial"
	case never > 0:
		return fmt.Sprintf("%.1f–%.1f s; not within the trial in %d of %d", came[0].Seconds(), came[len(came)-1].Seconds(), never, len(times))
	}
	return fmt.Sprintf("%.1f–%.1f s", came[0].Seconds(), came[len(came)-1].Seconds())
}

// The table counts a trial that was repeated as one in which the bug did not
// show, and one that was cut off not at all.
func TestKnownBugsTable(t *testing.T) {
	noteSettings()
	engine := label(engines()[0])
	bug := reproductions[0].bug.Name
	name := strings.Join([]string{knownBugs, engine, bug, reproductions[0].behaviour}, "/")
	trial := func(complete check.State, repeats int, bugs ...string) report.Trial {
		tr := report.Trial{Name: name, Repeats: make([]report.Attempt, repeats)}
		tr.Verdict.State = check.Known
		tr.Verdict.Findings = []check.Finding{
			{Invariant: "trial-complete", State: complete},
			{Invariant: "answers-within-bound", State: check.Known, Bugs: bugs},
		}
		return tr
	}
	row := func(trials ...report.Trial) string {
		for _, line := range strings.Split(knownBugsTable(trials), "\n") {
			if strings.HasPrefix(line, "| "+bug+" |") {
				return line
			}
		}
		return ""
	}
	assert.Contains(t, row(trial(check.Pass, 0, bug), trial(check.Pass, 0, bug)), "| 2 of 2 | 16–100 % | yes |")
	assert.Contains(t, row(trial(check.Pass, 0, bug), trial(check.Pass, 1, bug)), "| 1 of 2 | 1–99 % | **no** |")
	assert.Contains(t, row(trial(check.Pass, 0, bug), trial(check.Inconclusive, 0)), "| 1 of 1 |")
	assert.Empty(t, row(trial(check.Inconclusive, 0)))
}
