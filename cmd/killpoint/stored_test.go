package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/internal/resulttest"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// sweepJobs are n restarts of which nothing is carried out.
func sweepJobs(t *testing.T, n int) []runner.Job {
	t.Helper()
	var jobs []runner.Job
	for i := range n {
		sweep := catalog.Sweep{
			Engine: "2.3.19", Fault: "kill", Reconnect: "fast", Via: probe.ViaHTTP, Delays: []catalog.Duration{0}, Repeats: 1,
			Timeout: catalog.Duration(time.Second), Bound: catalog.Duration(catalog.SweepBound), Trial: i + 1,
		}
		s, err := sweep.Scenario()
		require.NoError(t, err)
		s.Seed, s.Again = 7+uint64(i), fmt.Sprintf("killpoint sweep --seed %d", 7+i)
		jobs = append(jobs, runner.Job{Scenario: s, Spec: catalog.Spec{Sweep: &sweep}})
	}
	return jobs
}

// store writes a run's folder as `killpoint run` would have left it: a history
// for each of the jobs, of which every third fails, and every fourth proved
// nothing at first.
func store(t *testing.T, dir string, shard runner.Shard, all []runner.Job) {
	t.Helper()
	r, err := runner.New(dir, 7, runner.Lines(&strings.Builder{}, time.Now()))
	require.NoError(t, err)
	mine := shard.Cut(all, r.Seed)
	require.NoError(t, r.WritePlan(shard.String(), names([][]runner.Job{mine}), names([][]runner.Job{all})))
	for _, j := range mine {
		n := j.Spec.(catalog.Spec).Sweep.Trial
		slug := filepath.Join(dir, j.Slug())
		var repeats []string
		if n%4 == 0 {
			writeTrial(t, slug, j, nil, func(b *ht.Builder) { b.At(5, history.KindEnd, &history.End{State: history.EndFailed}) })
			repeats = []string{filepath.Base(slug)}
			slug += "-2"
		}
		writeTrial(t, slug, j, repeats, func(b *ht.Builder) {
			b.Op(500, 510, ht.Tick("a", "w"), ht.OK("a", 1))
			b.Restart(1000, 1010, 1100, 1160)
			ret, book := ht.OK("a", 1), ht.Book("w")
			book.AnsweredBy = "a"
			if n%3 == 0 {
				ret = ht.OK("b", 1) // the wrong actor
			}
			b.Op(1160, 1170+n, ht.Probe("a", 0), ret)
			b.Op(3000, 3010, ht.Ledger("a"), book)
			b.End(4000)
		})
	}
}

func writeTrial(t *testing.T, dir string, j runner.Job, repeats []string, events func(*ht.Builder)) {
	t.Helper()
	w, err := history.Create(report.HistoryPath(dir), history.Header{Run: "r", Trial: j.Name, Seed: j.Seed})
	require.NoError(t, err)
	b := (&ht.Builder{}).At(0, history.KindSettings, &history.Settings{"engine": "2.3.19", "reconnect": "fast"})
	events(b)
	for _, e := range b.H.Events {
		w.RecordAt(e.T, e.Party, e.Kind, e.Body)
	}
	require.NoError(t, w.Close())
	spec, err := json.Marshal(j.Spec)
	require.NoError(t, err)
	stored, err := json.Marshal(runner.Stored{Trial: j.Name, Again: j.Again, Repeats: repeats, Spec: spec})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "scenario.json"), stored, 0o600))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// Four shards of stored histories have the result of the whole, byte for byte:
// its paths are relative, and its times are those of the same histories.
func TestMergedShardsAreTheWhole(t *testing.T) {
	root := t.TempDir()
	all := sweepJobs(t, 12)
	whole := filepath.Join(root, "whole")
	store(t, whole, runner.Shard{}, all)
	r := call(t, nil, "report", whole)
	require.Equal(t, exitFailed, r.code, "every third fails: %s", r.err)
	require.Contains(t, r.out, "12 trials, 8 passed, 4 failed")

	args := []string{"merge", "--out", filepath.Join(root, "merged")}
	for i := 1; i <= 4; i++ {
		dir := filepath.Join(root, fmt.Sprintf("shard-%d", i))
		store(t, dir, runner.Shard{Index: i, Of: 4}, all)
		args = append(args, dir)
	}
	m := call(t, nil, args...)
	require.Equal(t, exitFailed, m.code, m.err)
	want, got := read(t, filepath.Join(whole, "result.json")), read(t, filepath.Join(root, "merged", "result.json"))
	assert.Equal(t, string(want), string(got))
	require.NoError(t, resulttest.Same(want, got))
	assert.Contains(t, string(got), `"repeats"`)
	require.Error(t, resulttest.Same(want, []byte(strings.Replace(string(want), `"pass"`, `"fail"`, 1))), "the comparison can fail")

	plan, err := runner.ReadPlan(filepath.Join(root, "merged"))
	require.NoError(t, err)
	assert.Empty(t, plan.Shard)
	assert.Len(t, plan.Trials, 12)
}

func TestMergeRefusesWhatIsNoWhole(t *testing.T) {
	root := t.TempDir()
	all := sweepJobs(t, 8)
	shard := func(name string, s runner.Shard, jobs []runner.Job) string {
		dir := filepath.Join(root, name)
		store(t, dir, s, jobs)
		return dir
	}
	one, two := shard("1", runner.Shard{Index: 1, Of: 3}, all), shard("2", runner.Shard{Index: 2, Of: 3}, all)
	again := shard("again", runner.Shard{Index: 2, Of: 3}, all)
	half := shard("half", runner.Shard{Index: 2, Of: 2}, all)
	other := shard("other", runner.Shard{Index: 2, Of: 3}, all[:7])
	single := shard("whole", runner.Shard{}, all)
	for _, c := range []struct {
		dirs []string
		want string
	}{
		{[]string{one, two}, "shards 3/3 are missing"},
		{[]string{one, two, again}, "are both shard 2/3"},
		{[]string{one, half}, "one of 3 and one of 2"},
		{[]string{one, other}, "different trials"},
		{[]string{single}, "no shard of one"},
		{[]string{root}, "no folder of a shard"},
	} {
		out := filepath.Join(root, "out")
		r := call(t, nil, append([]string{"merge", "--out", out}, c.dirs...)...)
		assert.Equal(t, exitUsage, r.code)
		assert.Contains(t, r.err, c.want)
		assert.NoDirExists(t, out)
	}
	// What is missing is said, and is no pass.
	r := call(t, nil, "merge", "--partial", "--out", filepath.Join(root, "part"), one, two)
	assert.Contains(t, r.err, "2 trials not carried out: ")
	assert.Equal(t, exitFailed, r.code)
}

// A run without its result, as one that was killed leaves it, is judged from its
// histories; what cannot be judged is said.
func TestReportJudgesAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	all := sweepJobs(t, 2)
	store(t, dir, runner.Shard{}, all)
	r := call(t, nil, "report", "--json", dir)
	require.Zero(t, r.code, r.err)
	assert.JSONEq(t, string(read(t, filepath.Join(dir, "result.json"))), r.out)
	for _, name := range []string{"summary.md", "result.json"} {
		assert.FileExists(t, filepath.Join(dir, name))
	}

	// Without its scenario a trial keeps its verdict while there is one, and then is
	// judged by what every trial is held to.
	require.NoError(t, os.Remove(filepath.Join(dir, all[0].Slug(), "scenario.json")))
	r = call(t, nil, "report", dir)
	assert.Zero(t, r.code, r.err)
	assert.Contains(t, r.err, all[0].Name+" keeps the verdict of then")
	require.NoError(t, os.Remove(filepath.Join(dir, "result.json")))
	r = call(t, nil, "report", dir)
	assert.Zero(t, r.code, r.err)
	assert.Contains(t, r.err, all[0].Name+" is judged by its history alone")

	// A history that breaks off is refused with its line, or taken as far as it
	// goes.
	path := report.HistoryPath(filepath.Join(dir, all[1].Slug()))
	text := read(t, path)
	require.NoError(t, os.WriteFile(path, text[:len(text)-20], 0o600))
	r = call(t, nil, "report", dir)
	assert.Equal(t, exitData, r.code)
	assert.Contains(t, r.err, "line ")
	assert.Contains(t, r.err, "--salvage")
	r = call(t, nil, "report", "--salvage", dir)
	assert.Zero(t, r.code, r.err)
	assert.Contains(t, r.err, all[1].Name+" keeps the verdict of then")
	require.NoError(t, os.Remove(filepath.Join(dir, "result.json")))
	assert.Equal(t, exitInconclusive, call(t, nil, "report", "--salvage", dir).code)
}

// What is judged anew has its tables anew, where they stood.
func TestStoredTablesAreRenewed(t *testing.T) {
	stored := []string{"## Skipped\n\none\n", "## Exits, engine 2.3.19\n\n1 not as expected.\n", "## Edges\n\ntwo\n"}
	fresh := []string{"## Exits, engine 2.3.19\n\n0 not as expected.\n", "## Handoffs\n\nthree\n"}
	assert.Equal(t, []string{stored[0], fresh[0], stored[2], fresh[1]}, renewed(stored, fresh))
	assert.Equal(t, fresh, renewed(nil, fresh))
	assert.Equal(t, stored, renewed(stored, nil))
}
