package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/workload"
)

func begin(fault string) *ht.Builder {
	return (&ht.Builder{}).At(0, history.KindSettings, &history.Settings{"engine": "2.3.19", "probe": "http", "fault": fault})
}

// idle is a trial in which an actor answers gap milliseconds after /health, of
// which its client has the patience to wait 1000; one that is asked 3 s after
// it answers at once.
func idle(gap int) *ht.Builder {
	b := begin("SIGKILL").Restart(1000, 1040, 1100, 1300)
	b.At(1300+gap/2, history.KindEnvoy, &history.Envoy{What: "connected"})
	if gap > 1000 {
		b.Op(1300, 2300, ht.Probe("a", 0), ht.TimedOut()).Op(2300, 1300+gap, ht.Recovery("a"), ht.OK("a", 1))
	} else {
		b.Op(1300, 1300+gap, ht.Probe("a", 0), ht.OK("a", 1))
	}
	return b.Op(4300, 4305, ht.Probe("b", 3*time.Second), ht.OK("b", 1))
}

// watched ends the trial of a host that was as busy as that, from 0 to 1.
func watched(b *ht.Builder, busy float64) *ht.Builder {
	b.At(1600, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: busy}).End(9000)
	return b
}

// a folder of a run, with its trials and, where they were judged, its verdicts.
type folder struct {
	t      *testing.T
	dir    string
	judged []report.Trial
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	return &folder{t: t, dir: t.TempDir()}
}

// add stores a trial with its verdict; none of the state "".
func (f *folder) add(name string, b *ht.Builder, v check.Verdict) *folder {
	f.t.Helper()
	all, err := os.ReadDir(f.dir)
	require.NoError(f.t, err)
	dir := filepath.Join(f.dir, fmt.Sprintf("trial-%03d", len(all)))
	w, err := history.Create(report.HistoryPath(dir), history.Header{Run: "r", Trial: name})
	require.NoError(f.t, err)
	for _, e := range b.H.Events {
		w.RecordAt(e.T, e.Party, e.Kind, e.Body)
	}
	require.NoError(f.t, w.Close())
	if v.State != "" {
		f.judged = append(f.judged, report.Trial{Name: name, Dir: dir, Verdict: v})
	}
	return f
}

// over writes the verdicts, as a run does at its end, and returns the folder.
func (f *folder) over() string {
	f.t.Helper()
	require.NoError(f.t, report.Run{Dir: f.dir, Trials: f.judged}.Write())
	return f.dir
}

var (
	pass     = check.Verdict{State: check.Pass}
	fail     = check.Verdict{State: check.Fail}
	unjudged check.Verdict
)

func tally(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, run(args, &out))
	return out.String()
}

func TestTally(t *testing.T) {
	f := newFolder(t)
	for _, gap := range []int{40, 400, 2000, 2200, 2400, 2600} {
		f.add("idle/kill", watched(idle(gap), 0.1), pass)
	}
	got := tally(t, f.over())
	for _, row := range []string{
		"Trials read: 6, by `go run ./internal/cmd/tally /",
		"| idle/kill | 2.3.19 | 6 | 6 pass | 6 | 0 | - | fault SIGKILL · probe http |",
		"| idle/kill | 2.3.19 | outage window | 6 | 2.40 s | 340 ms to 2.90 s | 2.85 s | >= 2.50 s | 340 ms to 2.90 s | 0 |",
		"| idle/kill | 2.3.19 | health gap | 6 | 2.10 s | 40 ms to 2.60 s | 2.55 s | >= 2.20 s | 40 ms to 2.60 s | 0 |",
		"| idle/kill | 2.3.19 | `/health` to an actor's answer | 5 | 2.20 s | - | 2.56 s | - | 400 ms to 2.60 s | 0 |",
		"| idle/kill | 2.3.19 | 0 ms | 2 of 6, 33 % (95 %: 4.3 % to 78 %) | 1 of 6, 17 % (95 %: 0.4 % to 64 %) | 1 | 4 | 0 | 0 | 0 | - |",
		"| idle/kill | 2.3.19 | 3000 ms | 6 of 6 (95 %: >= 60 %) | 6 of 6 (95 %: >= 60 %) | 0 | 0 | 0 | 0 | 0 | - |",
		"| idle/kill | 2.3.19 | http | 1.00 s | - | 0 ms | 3000 ms: all answered; P(not) < 40 % (n >= 6) | 0 ms (95 %: 0 ms to 3000 ms) | 2549 ms (95 %: 0 ms to later) |",
		"| idle/kill | 2.3.19 | engine leaving | 2.1 % | 6 | 40 ms | 40 ms to 40 ms | 40 ms | >= 40 ms | 40 ms to 40 ms |",
		"| idle/kill | 2.3.19 | booting | 10 % | 6 | 200 ms | 200 ms to 200 ms | 200 ms | >= 200 ms | 200 ms to 200 ms |",
		"| idle/kill | 2.3.19 | runtime's reconnect | 42 % | 6 | 1.05 s | 20 ms to 1.30 s | 1.27 s | >= 1.10 s | 20 ms to 1.30 s |",
	} {
		assert.Contains(t, got, row)
	}
	for _, absent := range []string{"unattributed", "## Heartbeats", "## Commits", "## Known bugs"} {
		assert.NotContains(t, got, absent)
	}
}

// What does not count is told with its reason, and changes no figure.
func TestWhatDoesNotCountIsToldApart(t *testing.T) {
	cut := idle(2000) // without an end
	missed := (&ht.Builder{}).Restart(1000, 1040, 1100, 1300)
	missed.H.Events[2].Body.(*history.Fault).Phase = history.FaultFailed
	missed.Op(1300, 1340, ht.Probe("a", 0), ht.OK("a", 1)).At(9000, history.KindEnd, &history.End{State: history.EndComplete})
	missed.H.Events = append(begin("SIGKILL").H.Events, missed.H.Events...)
	f := newFolder(t).
		add("idle/kill", watched(idle(40), 0.1), pass).
		add("idle/kill", watched(idle(2000), 0.9), fail).
		add("idle/kill", cut, unjudged).
		add("idle/kill", watched(begin("SIGKILL"), 0.1), check.Verdict{State: check.Inconclusive}).
		add("idle/kill", missed, pass)
	got := tally(t, f.over())
	assert.Contains(t, got, "| idle/kill | 2.3.19 | 5 | 2 pass, 1 fail, 1 inconclusive, 1 not judged | 1 | 1 | "+
		"1 a fault did not land, 1 not carried out to the end, 1 the history has no outage to read: it lacks a fault | fault SIGKILL · probe http |")
	assert.Contains(t, got, "| health gap | 1 | 40 ms | - | 40 ms | - | - | 0 |")
	assert.Contains(t, got, "| 0 ms | 1 of 1 (95 %: >= 5.0 %) | 1 of 1 (95 %: >= 5.0 %) | 0 | 0 | 0 | 0 | 0 | 0 of 1 |")
}

func TestAHostThatNobodyWatchedIsTold(t *testing.T) {
	b := idle(40)
	b.End(9000)
	assert.Contains(t, tally(t, newFolder(t).add("idle", b, unjudged).dir),
		"| idle | 2.3.19 | 1 | 1 not judged | 1 (1 on a host that nobody watched) | 0 | - |")
}

// Trials of one name that were not carried out alike are not one sample.
func TestSettingsThatDifferAreTold(t *testing.T) {
	f := newFolder(t).add("idle", watched(idle(40), 0.1), pass)
	for i := range 4 {
		other := watched(idle(40), 0.1)
		s := *other.H.Events[0].Body.(*history.Settings)
		s["delays"], s["load"], s["seed"] = "[0s]", i, i
		f.add("idle", other, pass)
	}
	assert.Contains(t, tally(t, f.over()), "| fault SIGKILL · probe http · delays - or [0s] · load of 5 values |")
}

// on is the trial on another engine.
func on(engine string, b *ht.Builder) *ht.Builder {
	(*b.H.Events[0].Body.(*history.Settings))["engine"] = engine
	return b
}

func TestTheEnginesOfAVariantStandBesideEachOther(t *testing.T) {
	f := newFolder(t)
	for _, engine := range []string{"2.3.5", "2.3.19", "2.3.11", "registry/engine:mine"} {
		for _, variant := range []string{"kill/1s", "stop"} {
			f.add("idle/"+filepath.Base(engine)+"/"+variant, on(engine, watched(idle(40), 0.1)), pass)
		}
	}
	got := tally(t, f.add("idle/2.3.5/none", on("2.3.19", watched(idle(40), 0.1)), pass).over())
	_, after, _ := strings.Cut(got, "## Trials")
	var rows []string
	for line := range strings.Lines(after[:strings.Index(after, "## Outage")]) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows = append(rows, cells[1]+cells[2])
		}
	}
	assert.Equal(t, []string{
		" idle/2.3.5/none  2.3.19 ", // it is not that engine's
		" idle/kill/1s  registry/engine:mine ", " idle/kill/1s  2.3.5 ", " idle/kill/1s  2.3.11 ", " idle/kill/1s  2.3.19 ",
		" idle/stop  registry/engine:mine ", " idle/stop  2.3.5 ", " idle/stop  2.3.11 ", " idle/stop  2.3.19 ",
	}, rows[2:])
	for _, only := range []string{"^idle/2.3.5/stop", "^idle/stop"} {
		assert.Contains(t, tally(t, "-scenario", only, f.dir), "| idle/stop | 2.3.5 | 1 |")
	}
}

func TestTheHeadNamesTheRuns(t *testing.T) {
	wall := regexp.MustCompile(`"wall":"[^"]*"`)
	var dirs []string
	for _, began := range []string{"2026-03-04T05:06:07.8Z", "2026-01-02T03:04:05Z"} {
		f := newFolder(t).add("idle", watched(idle(40), 0.1), pass).add("idle", watched(idle(50), 0.1), pass).add("busy-host", watched(idle(60), 0.9), unjudged)
		path := filepath.Join(f.dir, "trial-000", "history.jsonl")
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, wall.ReplaceAll(b, []byte(`"wall":"`+began+`"`)), 0o600))
		dirs = append(dirs, f.over())
	}
	got := tally(t, dirs...)
	assert.Contains(t, got, "| run | began | trials |\n|---|---|---:|\n| `"+dirs[1]+"` | 2026-01-02 03:04 | 2 |\n| `"+dirs[0]+"` | 2026-03-04 05:06 | 2 |\n")
	assert.Contains(t, got, "Trials read: 4, ")
	assert.NotContains(t, got, "busy-host", "which disturbs itself")
	assert.Equal(t, "-", minute("yesterday"))
}

func TestAScenarioThatLeavesTheEngineAlone(t *testing.T) {
	b := watched(begin("none on the engine").Op(1300, 1310, ht.Probe("a", 0), ht.OK("a", 1)), 0.1)
	assert.Contains(t, tally(t, newFolder(t).add("dropped", b, pass).over()), "| dropped | 2.3.19 | 1 | 1 pass | 0 | 0 | 1 no fault on the engine | fault none on the engine · probe http |")
}

// Of a few trials nobody can say that they are safe.
func TestRangesNeedSixTrials(t *testing.T) {
	f := newFolder(t)
	for range 5 {
		f.add("idle", watched(idle(2000), 0.1), pass)
	}
	f.add("idle", watched(idle(2000), 0.9), pass)
	assert.NotContains(t, tally(t, f.over()), "## Unsafe")
	assert.Contains(t, tally(t, "-brief", f.dir), "| idle | 2.3.19 | 5 (1) | 2.30 s [2.30 s to 2.30 s] | 2.00 s [2.00 s to 2.00 s] | - | - | - |")
	f.add("idle", watched(idle(2000), 0.1), pass)
	assert.Contains(t, tally(t, f.over()), "| 0 ms: none answered; P(answered) < 40 % (n >= 6) | - | 3000 ms: all answered; P(not) < 40 % (n >= 6) |")
	assert.Contains(t, tally(t, "-brief", f.dir), "| 0 ms (< 40 %) | - | 3000 ms (< 40 %) |")
}

func TestADrainIsCalledOne(t *testing.T) {
	b := watched(idle(40), 0.1)
	for _, e := range b.H.Events {
		if f, ok := e.Body.(*history.Fault); ok {
			f.Kind = "stop"
		}
	}
	f := newFolder(t).add("stop", b, pass)
	assert.Contains(t, tally(t, f.over()), "| stop | 2.3.19 | engine draining | 12 % |")
	assert.Contains(t, tally(t, "-brief", f.dir), "| scenario | engine | n | engine leaving | down | booting | runtime's reconnect | first answer |\n"+
		"|---|---|---:|---:|---:|---:|---:|---:|\n| stop | 2.3.19 | 1 | 40 ms | 60 ms | 200 ms | 20 ms | 20 ms |\n")
}

func TestInBriefNeverIsTold(t *testing.T) {
	silent := begin("SIGKILL").Restart(1000, 1040, 1100, 1300).Op(1300, 2300, ht.Probe("a", 0), ht.TimedOut())
	f := newFolder(t).add("idle", watched(silent, 0.1), fail)
	assert.Contains(t, tally(t, "-brief", f.over()), "| idle | 2.3.19 | 1 (0) | never in 1 | never in 1 | - | - | - |")
	f.add("idle", watched(idle(40), 0.1), pass)
	assert.Contains(t, tally(t, "-brief", f.over()), "| idle | 2.3.19 | 2 (0) | 340 ms, never in 1 | 40 ms, never in 1 | - | - | - |")
}

// held is a trial whose transaction was held for the fault. Its caller was told
// that; the ledger that is read at the end is that.
func held(told history.Return, ledger ...any) *ht.Builder {
	b := begin("SIGKILL").At(900, history.KindBreakpoint, &history.Breakpoint{Name: "before-commit", Actor: "w", What: "reached"})
	b.Restart(1000, 1040, 1100, 1300).Op(1300, 1310, ht.Probe("a", 0), ht.OK("a", 1))
	b.Op(800, 1200, history.Invoke{Op: "the-write", Client: workload.CommitClient, Name: workload.Tick, Actor: "w"}, told)
	if ledger != nil {
		b.Op(5000, 5010, history.Invoke{Op: "read", Name: workload.Ledger, Actor: "w"}, ht.Book(ledger...))
		b.Op(5000, 5010, history.Invoke{Op: "other", Name: workload.Ledger, Actor: "x"}, ht.Book("x-write"))
	}
	return watched(b, 0.1)
}

func TestCommitsInFlight(t *testing.T) {
	refused := history.Return{Outcome: history.Info, Cause: history.CauseRefused}
	late := held(refused, "the-write")
	late.H.Events[1].T = late.H.Events[1].T.Add(200 * time.Millisecond) // it was held after the fault
	f := newFolder(t).
		add("commit", held(refused, "the-write"), pass).
		add("commit", held(refused, "another"), pass).
		add("commit", held(refused), pass).
		add("commit", late, pass).
		add("commit", held(ht.NotApplied("w"), "another"), pass).
		add("commit", held(ht.OK("w", 1), "another", "the-write"), pass).
		add("commit", held(ht.OK("w", 1), "another"), fail)
	// Read while its caller still waited: that is not the last word.
	early := held(refused).Op(1100, 1101, history.Invoke{Op: "early", Name: workload.Ledger, Actor: "w"}, ht.Book("another"))
	f.add("commit", early, pass)
	got := tally(t, f.over())
	for _, row := range []string{
		"| commit | 2.3.19 | yes | fail 500 user.not_applied | 0 | 1 | 0 |\n" +
			"| commit | 2.3.19 | yes | info refused | 1 | 1 | 2 |\n" +
			"| commit | 2.3.19 | yes | ok | 1 | 1 | 0 |\n" +
			"| commit | 2.3.19 | no | info refused | 1 | 0 | 0 |\n",
		"| commit | 2.3.19 | 5 | 2 of 5, 40 % (95 %: 5.3 % to 85 %) | 1 of 3, 33 % (95 %: 0.8 % to 90.6 %) | 1 of 2, 50 % (95 %: 1.3 % to 98.7 %) |",
	} {
		assert.Contains(t, got, row)
	}
	assert.Contains(t, tally(t, "-brief", f.dir), "| commit | 2.3.19 | 5 | 2 ok, 1 fail 500 user.not_applied, 2 info refused | 2 of 5, 40 % (95 %: 5.3 % to 85 %) |")
}

func TestACallerWhoNeverLearnedOfItsCommit(t *testing.T) {
	b := held(history.Return{}, "the-write")
	for i, e := range b.H.Events {
		if ret, ok := e.Body.(*history.Return); ok && ret.Op == "the-write" {
			b.H.Events[i].Body, b.H.Events[i].Kind = &history.Log{}, history.KindLog
		}
	}
	assert.Contains(t, tally(t, newFolder(t).add("commit", b, pass).over()), "| commit | 2.3.19 | yes | nothing | 1 | 0 | 0 |")
}

func TestKnownBugs(t *testing.T) {
	met := func(bugs ...string) check.Verdict {
		return check.Verdict{State: check.Known, Findings: []check.Finding{
			{Invariant: "answers-within-bound", State: check.Known, Bugs: bugs},
			{Invariant: "applied-once", State: check.Known, Bugs: bugs[:1]},
		}}
	}
	sought := check.Verdict{State: check.Inconclusive, Findings: []check.Finding{
		{Invariant: check.Reproduces(check.KnownBug{Name: "two-live-generations"}).Name, State: check.Inconclusive},
	}}
	f := newFolder(t).
		add("load", watched(idle(40), 0.1), met("half-transaction", "slow-drain")).
		add("load", watched(idle(40), 0.1), met("half-transaction")).
		add("load", watched(idle(40), 0.1), pass).
		add("load", watched(idle(40), 0.9), met("half-transaction")).
		add("load", watched(idle(40), 0.9), pass).
		add("load", watched(idle(40), 0.1), unjudged).
		add("load", idle(40), fail). // cut off
		add("start", watched(idle(40), 0.1), sought)
	got := tally(t, f.over())
	assert.Contains(t, got, "## Known bugs\n\n")
	assert.Contains(t, got, "| half-transaction | load | 2.3.19 | 2 of 3, 67 % (95 %: 9.4 % to 99.2 %) | 1 of 2 |\n"+
		"| slow-drain | load | 2.3.19 | 1 of 3, 33 % (95 %: 0.8 % to 90.6 %) | 0 of 2 |\n"+
		"| two-live-generations | start | 2.3.19 | 0 of 1 (95 %: <= 95.0 %) | - |\n")
	assert.Contains(t, got, "| load | 2.3.19 | 7 | 2 pass, 3 known, 1 fail, 1 not judged |")
}

// repeated is a run of a scenario that is there to reproduce a bug, carried out
// three times until it did: twice in vain, then at once, then once in vain.
func repeated(t *testing.T) *folder {
	t.Helper()
	bug := check.KnownBug{Name: "half-transaction"}
	missed := check.Verdict{State: check.Inconclusive, Findings: []check.Finding{
		{Invariant: check.Reproduces(bug).Name, State: check.Inconclusive, Summary: "not reproduced: x: y"},
	}}
	met := check.Verdict{State: check.Known, Findings: []check.Finding{{Invariant: check.Reproduces(bug).Name, State: check.Known, Bugs: []string{bug.Name}}}}
	f := newFolder(t)
	for _, v := range []check.Verdict{missed, missed, met, met, missed, met} {
		f.add("bug", watched(idle(40), 0.1), v)
	}
	for _, a := range f.judged[:2] {
		f.judged[2].Repeats = append(f.judged[2].Repeats, report.Attempt{Dir: a.Dir, Verdict: a.Verdict})
	}
	f.judged[5].Repeats = []report.Attempt{{Dir: f.judged[4].Dir, Verdict: missed}}
	f.judged = []report.Trial{f.judged[2], f.judged[3], f.judged[5]}
	f.over()
	return f
}

// Whoever repeats until a bug shows meets it in every trial.
func TestKnownBugsCountTheFirstCarryingOut(t *testing.T) {
	f := repeated(t)
	got := tally(t, f.dir)
	assert.Contains(t, got, "| bug | 2.3.19 | 6 | 3 known, 3 inconclusive | 6 | 0 | - |")
	assert.Contains(t, got, "| half-transaction | bug | 2.3.19 | 1 of 3, 33 % (95 %: 0.8 % to 90.6 %) | - |")
	assert.Contains(t, got, "Of the first carrying-out of each trial")

	// Older results say of the repeats only how their verdicts began.
	path := filepath.Join(f.dir, "result.json")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var result map[string]any
	require.NoError(t, json.Unmarshal(b, &result))
	result["version"] = 2
	lines := []string{"inconclusive: reproduces-half-transaction: not reproduced: x: y", "inconclusive: fault-landed: it was late", "inconclusive: fault-landed: it was early"}
	for i, before := range map[int][]string{0: lines[:2], 2: lines[2:]} {
		result["trials"].([]any)[i].(map[string]any)["repeats"] = before
	}
	b, err = json.Marshal(result)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b, 0o600))
	assert.Equal(t, got, tally(t, f.dir))
	trials, err := read([]string{f.dir})
	require.NoError(t, err)
	require.Len(t, trials, 6)
	for i, at := range []int{0, 1, 4} {
		assert.Equal(t, lines[i], trials[at].Verdict.String())
	}
}

func TestHeartbeats(t *testing.T) {
	b := idle(2000).Beat(1500, "a", 1, "").Beat(1600, "b", 1, "")
	assert.Contains(t, tally(t, newFolder(t).add("beat", watched(b, 0.1), pass).over()),
		"| beat | 2.3.19 | 1 of 1, 100 % | 1 of 1, 100 % | 0 of 1, 0 % | 0 of 1, 0 % | 1 | 1.80 s | - |")
}

func TestProbesByName(t *testing.T) {
	f := newFolder(t)
	for _, took := range []int{40, 400} {
		b := idle(40).Op(1500, 1500+took, history.Invoke{Probe: "new-key", Name: "tick"}, ht.OK("", 1))
		f.add("ask", watched(b.Op(1600, -1, history.Invoke{Probe: "new-key", Name: "tick"}, history.Return{}), 0.1), pass)
	}
	assert.Contains(t, tally(t, f.over()),
		"| ask | 2.3.19 | new-key tick | 200 ms | 200 ms to 200 ms | 2 of 2 (95 %: >= 22 %) | 1 of 2, 50 % (95 %: 1.3 % to 98.7 %) | 220 ms | 40 ms to 400 ms |")
}

func TestOnlyTheScenariosAskedFor(t *testing.T) {
	dir := newFolder(t).add("idle/kill", watched(idle(40), 0.1), pass).add("load/kill", watched(idle(40), 0.1), pass).over()
	got := tally(t, "-scenario", "^idle/", dir)
	assert.Contains(t, got, "| idle/kill |")
	assert.NotContains(t, got, "load/kill")
}

// The same trials make the same tables, in whatever order and however often
// their folders are given.
func TestTheOrderIsStable(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	for i, names := range [][]string{{"b", "a"}, {"a", "c", "b"}} {
		f := &folder{t: t, dir: filepath.Join(root, fmt.Sprint(i))}
		require.NoError(t, os.Mkdir(f.dir, 0o755))
		for j, name := range names {
			f.add(name, watched(idle(100*j+40), 0.1), pass)
		}
		dirs = append(dirs, f.over())
	}
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(root, link))
	tables := func(args ...string) string {
		_, after, found := strings.Cut(tally(t, args...), "## Trials")
		require.True(t, found)
		return after
	}
	want := tables(root)
	for range 10 {
		assert.Equal(t, want, tables(dirs[1], dirs[0]))
		assert.Equal(t, want, tables(link, dirs[0], root))
	}
}

// A run that was killed has no verdicts; its whole histories count.
func TestARunWithoutVerdicts(t *testing.T) {
	assert.Contains(t, tally(t, newFolder(t).add("idle", watched(idle(40), 0.1), unjudged).dir), "| 1 not judged | 1 |")
}

func TestBadInputIsRefusedInOneLine(t *testing.T) {
	write := func(name, text string) string {
		dir := newFolder(t).add("idle", watched(idle(40), 0.1), pass).over()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		return dir
	}
	good := newFolder(t).add("idle", watched(idle(40), 0.1), pass).over()
	b, err := os.ReadFile(filepath.Join(good, "trial-000", "history.jsonl"))
	require.NoError(t, err)
	lines := strings.SplitAfter(string(b), "\n")
	cut := write("trial-000/history.jsonl", strings.Join(lines[:3], "")+lines[3][:20])
	lost := write("trial-000/history.jsonl", lines[0]+lines[2])
	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, os.DirFS(good)))
	impatient := idle(40)
	impatient.H.Events[7].Body.(*history.Invoke).TimeoutNS = 5e9
	mixed := newFolder(t).add("idle", watched(impatient, 0.1), pass).over()

	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"no folder":             {nil, []string{"no folder to read", "-h"}},
		"unknown flag":          {[]string{"-engine", "x", good}, []string{"-engine", "-h"}},
		"no expression":         {[]string{"-scenario", "(", good}, []string{"-scenario", "missing closing )"}},
		"nothing matches":       {[]string{"-scenario", "load", good}, []string{`"load" matches none of the 1 trials`, "idle"}},
		"no such folder":        {[]string{good, good + "-missing"}, []string{good + "-missing", "no such file"}},
		"a folder without any":  {[]string{good, t.TempDir()}, []string{"holds no trial"}},
		"only the self-test":    {[]string{newFolder(t).add("busy-host", watched(idle(40), 0.9), unjudged).dir}, []string{"no trial but the self-test"}},
		"a history cut off":     {[]string{cut}, []string{"trial-000/history.jsonl:4: ", "cut off"}},
		"events lost":           {[]string{lost}, []string{"trial-000/history.jsonl:2: ", "missing"}},
		"no history at all":     {[]string{write("trial-000/history.jsonl", "")}, []string{"history.jsonl:1: ", "empty"}},
		"verdicts cut off":      {[]string{write("result.json", "{\n\"format\":\n")}, []string{"result.json:3: ", "unexpected end"}},
		"verdicts of two forms": {[]string{write("result.json", "{\n\"trials\":\n\n7}\n")}, []string{"result.json:4: ", "cannot unmarshal"}},
		"verdicts of later":     {[]string{write("result.json", `{"format":"killpoint-result","version":99}`)}, []string{"result.json:1: ", "version 99"}},
		"repeats of another":    {[]string{write("result.json", `{"format":"killpoint-result","version":3,"trials":[{"repeats":["inconclusive"]}]}`)}, []string{"result.json: ", "repeats of trial 1", "cannot unmarshal"}},
		"a copy":                {[]string{good, copied}, []string{good, copied, "same trial"}},
		"two scenarios in one":  {[]string{mixed}, []string{"idle", "patience: ", "1s", "5s"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := run(c.args, &out)
			require.Error(t, err)
			assert.Empty(t, out.String())
			assert.NotContains(t, err.Error(), "\n")
			for _, want := range c.says {
				assert.Contains(t, err.Error(), want)
			}
			var usage *usageError
			assert.Equal(t, strings.Contains(err.Error(), "-h"), errors.As(err, &usage), "only a wrong command line is told the way to the usage")
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	got := tally(t, "-h")
	assert.Contains(t, got, "usage: tally")
	assert.Contains(t, got, "-scenario")
}

// A text of a scenario, or of an answer, that would end a cell does not.
func TestCellsKeepTheirRow(t *testing.T) {
	tb := newTable("a", "b:")
	tb.row("x|y\nz", 1)
	assert.Equal(t, "| a | b |\n|---|---:|\n| x\\|y z | 1 |\n", tb.b.String())
}

// A bound that was rounded is one still.
func TestBoundsAreRoundedToBeBounds(t *testing.T) {
	assert.Equal(t, "14 %", atMost(0.1391))
	assert.Equal(t, "16 %", atMost(0.1533))
	assert.Equal(t, "84 %", atLeast(0.8467))
	assert.Equal(t, "0.3 %", atMost(0.0021))
	assert.Equal(t, "5.0 %", atLeast(1-0.95))
	assert.Equal(t, "95.0 %", atMost(0.95))
	assert.Equal(t, "0 of 1 (95 %: <= 95.0 %)", rate(0, 1))
	assert.Equal(t, "1 of 1 (95 %: >= 5.0 %)", rate(1, 1))
}
