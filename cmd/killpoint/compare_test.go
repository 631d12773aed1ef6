package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/scenario/catalog"
	"github.com/killpoint/killpoint/window"
)

// measured writes a run whose trials have windows of so many milliseconds.
func measured(t *testing.T, windows ...int) string {
	t.Helper()
	dir := t.TempDir()
	for i, ms := range windows {
		w, err := history.Create(report.HistoryPath(filepath.Join(dir, string(rune('a'+i)))), history.Header{Run: "r", Trial: "sweep/2.3.19/kill/fast/http/1s"})
		require.NoError(t, err)
		b := (&ht.Builder{}).At(0, history.KindSettings, &history.Settings{"engine": "2.3.19"}).Restart(1000, 1040, 1100, 1300)
		b.At(1310, history.KindEnvoy, &history.Envoy{What: "connected"}).Op(1300, 1000+ms, ht.Probe("a", 0), ht.OK("a", 1)).End(99_000)
		for _, e := range b.H.Events {
			w.RecordAt(e.T, e.Party, e.Kind, e.Body)
		}
		require.NoError(t, w.Close())
	}
	return dir
}

func steady(ms, n int) (out []int) {
	for i := range n {
		out = append(out, ms+i)
	}
	return out
}

// With --fail-if-worse the exit code is what a pipeline goes by.
func TestCompareStoredRuns(t *testing.T) {
	short, long, few := measured(t, steady(900, 8)...), measured(t, steady(1900, 8)...), measured(t, steady(900, 3)...)
	assert.Equal(t, exitPassed, call(t, nil, "compare", short, long).code, "it was compared")
	for _, c := range []struct {
		a, b string
		code int
		says string
	}{
		{short, long, exitFailed, "**worse**"},
		{long, short, exitPassed, "**better**"},
		{short, measured(t, steady(900, 9)...), exitPassed, "**same**"},
		{short, few, exitInconclusive, "**undecided**"},
	} {
		r := call(t, nil, "compare", c.a, c.b, "--fail-if-worse")
		assert.Equal(t, c.code, r.code, "%s%s", r.out, r.err)
		assert.Contains(t, r.out, c.says)
		assert.Empty(t, r.err)
	}
	assert.Equal(t, exitPassed, call(t, nil, "compare", short, long, "--fail-if-worse", "--margin", "200%").code)
	assert.Equal(t, exitPassed, call(t, nil, "compare", short, long, "--fail-if-worse", "--least", "3s").code)

	var got map[string]any
	r := call(t, nil, "compare", short, long, "--json")
	require.NoError(t, json.Unmarshal([]byte(r.out), &got))
	assert.Equal(t, "worse", got["decision"])
}

func TestWindowOfStoredRuns(t *testing.T) {
	dir := measured(t, steady(900, 8)...)
	file := filepath.Join(t.TempDir(), "phases.svg")
	r := call(t, nil, "window", dir, "--picture", file, "--title", "A kill")
	require.Zero(t, r.code, r.err)
	assert.Contains(t, r.out, "sweep/kill/fast/http/1s\n  8 trials, 8 counted, 0 on a busy host\n")
	assert.Contains(t, r.out, "outage window          0.90 s")
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(svg), "A kill")
	assert.Equal(t, exitUsage, call(t, nil, "window", dir, "--picture", filepath.Join(dir, "nowhere", "x.svg")).code)
}

// A search asks what follows from the seed and what came; its jobs say how to do
// each again.
func TestTheJobsOfASearch(t *testing.T) {
	a := newApp(io.Discard, io.Discard)
	f := &trialFlags{engines: "2.3.19", seed: "7", cells: 3, out: filepath.Join(t.TempDir(), "out")}
	runs, err := a.newTrials(f)
	require.NoError(t, err)
	sweep := catalog.Sweep{
		Engine: "2.3.19", Fault: "kill", Reconnect: "fast", Via: probe.ViaHTTP, Timeout: catalog.Duration(time.Second), Bound: catalog.Duration(catalog.SweepBound),
	}
	search := &window.Search{Grid: []time.Duration{0, time.Second, 2 * time.Second}, Width: time.Second, Budget: 5, Seed: runs.Seed}
	jobs, err := runs.proposed(search, sweep)
	require.NoError(t, err)
	require.Len(t, jobs, 3)
	assert.Equal(t, "sweep/2.3.19/kill/fast/http/1s/01", jobs[0].Name)
	assert.ElementsMatch(t, []time.Duration{0, time.Second, 2 * time.Second}, jobs[0].Sweep.Delays)
	assert.Contains(t, jobs[2].Again, "killpoint sweep --seed 9 --engines 2.3.19 --fault kill --reconnect fast --via http --delays ")
	jobs, err = runs.proposed(search, sweep)
	require.NoError(t, err)
	assert.Len(t, jobs, 2, "the budget")
}

// A trial on a busy host shows a search nothing, unless it is told that it does.
func TestASearchAndABusyHost(t *testing.T) {
	a := newApp(io.Discard, io.Discard)
	runs, err := a.newTrials(&trialFlags{engines: "2.3.19", seed: "7", cells: 3, out: filepath.Join(t.TempDir(), "out")})
	require.NoError(t, err)
	for _, fromBusy := range []bool{false, true} {
		search := &window.Search{Grid: []time.Duration{0, time.Second}, Width: time.Second, Budget: 60}
		for range 60 {
			search.Next()
			job := runner.Job{Scenario: scenario.Scenario{Name: "sweep"}}
			o := &window.Outage{Noise: window.Noise{Busy: 1}, Rows: []window.Row{{Class: window.Held}, {Delay: time.Second, Class: window.Held}}}
			runs.Add(report.Trial{Name: "sweep", Outage: o})
			assert.Equal(t, 1, runs.learn(search, []runner.Job{job}, fromBusy))
			assert.True(t, o.Noise.TooNoisy(), "the trial itself stays as it was")
		}
		assert.Equal(t, fromBusy, search.Narrow())
	}
}
