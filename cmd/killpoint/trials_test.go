package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// What another runtime cannot do is skipped, with the reason, on the terminal and
// in the summary; and nothing is opened where nothing is left.
func TestSkipped(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	r := call(t, nil, "run", "commit-in-flight", "engine-goes/stop/fast", "--runtime-image", "mine:1", "--out", out)
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.err, "skipped: commit-in-flight/2.3.19/kill: transaction held before its COMMIT: only the fixture has breakpoints")
	assert.Contains(t, r.err, "nothing is left to carry out")
	assert.NoDirExists(t, out)
	r = call(t, nil, "run", "actor-state/streaming", "--engines", "2.3.5", "--out", out)
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.err, "streamed answers need protocol 8")

	tr := &trials{skipped: []skipped{{"a/b", "x | y"}}}
	assert.Equal(t, "## Skipped\n\n| trial | why |\n|---|---|\n| a/b | x \\| y |\n", tr.skippedTable())
}

// Of more shards than trials some have nothing to do, which is no failure.
func TestShardWithoutATrial(t *testing.T) {
	for _, shard := range []string{"1/3", "2/3"} {
		out := filepath.Join(t.TempDir(), "run")
		// Without Docker: the shard that has the trial would need it.
		r := call(t, nil, "run", "idle-restart/kill/fast", "--seed", "1", "--shard", shard, "--out", out, "--list")
		require.Zero(t, r.code, r.err)
	}
	one := catalog.Group("idle-restart")[:1]
	a := newApp(&strings.Builder{}, &strings.Builder{})
	f := &trialFlags{engines: "2.3.19", seed: "1", cells: 1, out: filepath.Join(t.TempDir(), "run")}
	empty := 0
	for _, shard := range []string{"1/2", "2/2"} {
		f.shard, f.out = shard, filepath.Join(t.TempDir(), "run")
		tr, err := a.newTrials(f)
		require.NoError(t, err)
		apart, _ := tr.jobs(one, catalog.Options{}, "")
		if _, mine := tr.cut([][]runner.Job{apart}); len(names(mine)) == 0 {
			require.NoError(t, tr.carryOut(t.Context(), apart))
			plan, err := runner.ReadPlan(f.out)
			require.NoError(t, err)
			assert.Empty(t, plan.Trials)
			assert.Len(t, plan.All, 1)
			empty++
		}
	}
	assert.Equal(t, 1, empty)
}

// The command that runs a trial again names its settings.
func TestAgain(t *testing.T) {
	a := newApp(&strings.Builder{}, &strings.Builder{})
	tr, err := a.newTrials(&trialFlags{engines: "2.3.19", seed: "7", cells: 1, out: filepath.Join(t.TempDir(), "run"), runtime: "my image"})
	require.NoError(t, err)
	apart, beside := tr.jobs(catalog.Group("known-bugs")[:1], catalog.Options{}, againOptions("0,1s", "2"))
	require.Empty(t, apart)
	assert.Equal(t, "killpoint run --delays 0,1s --repeats 2 --seed 7 --engines 2.3.19 --runtime-image 'my image' 'known-bugs/stopped-forgotten/forgets Stopped'", beside[0].Again)
}

func TestEstimate(t *testing.T) {
	began := time.Now()
	p := newProgress(newApp(&strings.Builder{}, &strings.Builder{}), began)
	p.expect(10, 5)
	p.started = began
	assert.Equal(t, "no estimate yet", p.left(began.Add(time.Second)))
	p.ended = 5
	assert.Equal(t, "about 20s left", p.left(began.Add(20*time.Second)))
	p.ended = 10
	assert.Equal(t, "all carried out", p.left(began.Add(30*time.Second)))
}

func TestTally(t *testing.T) {
	a := newApp(&strings.Builder{}, &strings.Builder{})
	var list []report.Trial
	for _, s := range []check.State{check.Pass, check.Known, check.Fail, check.Inconclusive, check.Pass} {
		list = append(list, report.Trial{Verdict: check.Verdict{State: s}})
	}
	assert.Equal(t, "5 trials, 2 passed, 1 met known bugs, 1 failed, 1 inconclusive", a.tally(list))
}
