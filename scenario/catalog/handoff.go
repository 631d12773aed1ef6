package catalog

import (
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/handoff"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/workload"
)

// Handoffs is the group of the scenarios in which one runtime takes over from
// another under a constant stream of requests.
const Handoffs = "handoff"

// handing is a way in which one runtime takes over from another.
type handing struct {
	name  string
	front containers.Front
	// lifespan is that of the engine's requests; 0 is the scenario's own.
	lifespan time.Duration
	part     scenario.Handoff
	least    int // requests
	code     int // with which the old runtime leaves
	// bug is one that always shows.
	bug   *check.KnownBug
	extra bool
}

// servedWithin is far above the worst that was seen, some half a second: it tells
// a handoff from an outage.
const servedWithin = 3 * time.Second

// flow is so little that two or three cells side by side leave two cores half idle:
// a stream that does not wait for answers would else stand still for good. calm is
// for five cells.
var (
	flow = workload.Flow{Actors: 6, Every: 25 * time.Millisecond, Timeout: 10 * time.Second}
	calm = workload.Flow{Actors: 4, Every: 50 * time.Millisecond, Timeout: 10 * time.Second}
)

var handings = []handing{
	{
		name: "rolling", front: containers.FrontHTTP, least: 150, code: 143,
		part: scenario.Handoff{By: scenario.HandRolling, Flow: calm, Before: 3 * time.Second, After: 6 * time.Second},
	},
	{
		name: "rolling/2000-requests", front: containers.FrontHTTP, least: 2000, code: 143, extra: true,
		part: scenario.Handoff{By: scenario.HandRolling, Flow: flow, Before: 25 * time.Second, After: 26 * time.Second},
	},
	{
		name: "rolling/by-connection", front: containers.FrontTCP, least: 300, code: 143, extra: true,
		part: scenario.Handoff{By: scenario.HandRolling, Flow: flow, Before: 3 * time.Second, After: 6 * time.Second},
	},
	// The engine takes the pool's drain grace of 5 s off the lifespan: after 15 s it
	// drains the old generations, and after 15 s more those that follow.
	{
		name: "lifespan", front: containers.FrontHTTP, lifespan: 20 * time.Second, least: 300, code: 143, extra: true,
		part: scenario.Handoff{By: scenario.HandLifespan, Flow: flow, Before: 3 * time.Second, After: 6 * time.Second},
	},
	{
		name: "killed-in-drain", front: containers.FrontHTTP, least: 300, code: 137, extra: true,
		part: scenario.Handoff{By: scenario.HandKilled, Flow: flow, Before: 3 * time.Second, After: 6 * time.Second},
	},
	// Its actors are away for 25 s.
	{
		name: "version-upgrade", front: containers.FrontHTTP, least: 300, code: 143, bug: &check.UpgradeEvicts, extra: true,
		part: scenario.Handoff{
			By: scenario.HandUpgrade, Before: 3 * time.Second, After: 34 * time.Second,
			Flow: workload.Flow{Actors: 6, Every: 50 * time.Millisecond, Timeout: 4 * time.Second},
		},
	},
}

func handoffs() []Entry {
	var entries []Entry
	for _, v := range handings {
		entries = append(entries, Entry{
			Group: Handoffs, Variant: v.name, Test: "TestHandoff", Extra: v.extra,
			build: func(Options) scenario.Scenario { return v.scenario() },
		})
	}
	return entries
}

func (v handing) scenario() scenario.Scenario {
	s := scenario.Scenario{
		// A fast runtime: what is to be seen here is no back-off.
		Reconnect: "fast", Sweep: noSweep, Front: v.front, Lifespan: v.lifespan,
		Parts: []scenario.Part{v.part}, Known: []check.KnownBug{check.HalfTransaction},
		Invariants: append([]check.Invariant{
			check.EngineNeverLeaves(), check.HandedOver(v.least), check.HandoffServes(servedWithin), check.FailuresExplained(),
			check.StartsFollowRoute(), check.SingleLiveGeneration(), check.OldGenerationSilent(),
		}, CounterInvariants()...),
	}
	if v.code == terminated {
		s.Invariants = append(s.Invariants, check.OldRuntimeLeaves(v.code, 10*time.Second))
	}
	if v.bug == nil { // of which no actor is told to stop
		s.Invariants = append(s.Invariants, check.StopsWriting())
	} else {
		s.Known = append(s.Known, *v.bug)
		s.Invariants = append(s.Invariants, check.Reproduces(*v.bug, check.HandoffServes(servedWithin)))
	}
	return s
}

// terminated is the exit code of a runtime that left by its SIGTERM.
const terminated = 143

// HandoffTable is what became of the requests of each handoff among the trials,
// and of each that failed why, in Markdown; "" where there is none.
func HandoffTable(trials []report.Trial) string {
	var rows, failures []string
	for _, t := range trials {
		d := readHandoff(t)
		if d == nil {
			continue
		}
		name := strings.TrimPrefix(t.Name, Handoffs+"/")
		rows, failures = append(rows, d.Row(name)), append(failures, d.Failures(name))
	}
	if len(rows) == 0 {
		return ""
	}
	slices.Sort(rows)
	return "## Handoffs\n\nOne runtime takes over from another under a constant stream of requests. Held: answered later than 100 ms. Doubled: writes that reached their actor more than once, under one id, and were booked once.\n\n" +
		handoff.Head + strings.Join(rows, "") + strings.Join(failures, "")
}

// readHandoff is nil where there is none to read: the trial's verdict says why.
func readHandoff(t report.Trial) *handoff.Handoff {
	if !strings.HasPrefix(t.Name, Handoffs+"/") {
		return nil
	}
	h, err := history.ReadFile(report.HistoryPath(t.Dir))
	if err != nil {
		return nil
	}
	d, err := handoff.Read(h)
	if err != nil {
		return nil
	}
	return d
}

// Tables are all tables over the trials of a run.
func Tables(trials []report.Trial, engines []string) []string {
	matrix, details := ExitTables(trials)
	all := []string{HandoffTable(trials), EngineExitTable(trials), RestartTable(trials), matrix, details, KnownBugsTable(trials, engines)}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// BothKilled is the group in which engine and runtime die together.
const BothKilled = "both-killed"

// bothKilled kills them in both orders, and in one moment. What the killed engine
// had leases of, of a runtime that is gone, too, it holds for 30 s.
func bothKilled() []Entry {
	const apart, bound = 300 * time.Millisecond, 45 * time.Second
	var entries []Entry
	for _, v := range []struct {
		name       string
		gap, slack time.Duration // between the signals
	}{{"same-ms", 0, time.Millisecond}, {"engine-first", apart, 50 * time.Millisecond}, {"runtime-first", -apart, 50 * time.Millisecond}} {
		entries = append(entries, Entry{Group: BothKilled, Variant: v.name, Test: "TestBothKilled", Extra: true, Direct: true, build: func(Options) scenario.Scenario {
			return scenario.Scenario{
				Fault: scenario.BothKilled(v.gap), Reconnect: "fast",
				Sweep:      probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: bound},
				Invariants: []check.Invariant{check.KilledTogether(v.gap, v.slack), check.SingleLiveGeneration(), check.OldGenerationSilent()},
			}
		}})
	}
	return entries
}
