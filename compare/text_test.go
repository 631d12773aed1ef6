package compare_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/compare"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
)

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	require.NoError(t, rule.Compare(side("2.3.5", 12, about(8)), side("2.3.19", 12, about(4))).Markdown(&b))
	for _, line := range []string{
		"**better**: 2.3.19 is better than 2.3.5: its outage window is shorter.",
		"| verdicts | 12 pass | 12 pass |",
		"| window | 8.02 s [8.00 s to 8.06 s] | 4.02 s [4.00 s to 4.06 s] | -4.00 s (-4.00 s to -4.00 s) |",
		"| engine draining | 6.02 s [6.00 s to 6.04 s] |",
	} {
		assert.Contains(t, b.String(), line)
	}
	b.Reset()
	require.NoError(t, rule.Compare(side("a", 0, nil), side("b", 2, func(int) float64 { return -1 })).Markdown(&b))
	assert.Contains(t, b.String(), "**undecided**: b is not told apart from a: the trials do not tell.")
	assert.Contains(t, b.String(), "| window | - | never | - |")
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, rule.Compare(side("a", 12, about(8)), side("b", 12, func(int) float64 { return -1 })).JSON(&b))
	var got map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	assert.Equal(t, "killpoint-comparison", got["format"])
	assert.Equal(t, "worse", got["decision"])
	first := got["times"].([]any)[0].(map[string]any)
	assert.Nil(t, first["b"].(map[string]any)["median_ms"])
	assert.Nil(t, first["longer"].(map[string]any)["by_ms"], "nobody can say by how much")
	assert.InDelta(t, 8025, first["a"].(map[string]any)["median_ms"], 1)
}

// stored writes a run with trials of that name, each with a window of so many
// milliseconds.
func stored(t *testing.T, name, engine string, windows ...int) string {
	t.Helper()
	run := report.Run{Dir: t.TempDir()}
	for i, ms := range windows {
		dir := filepath.Join(run.Dir, "trial-"+string(rune('a'+i)))
		w, err := history.Create(report.HistoryPath(dir), history.Header{Run: "r", Trial: name})
		require.NoError(t, err)
		b := (&ht.Builder{}).At(0, history.KindSettings, &history.Settings{"engine": engine}).Restart(1000, 1040, 1100, 1300)
		b.Op(1300, 1000+ms, ht.Probe("a", 0), ht.OK("a", 1)).End(99_000)
		for _, e := range b.H.Events {
			w.RecordAt(e.T, e.Party, e.Kind, e.Body)
		}
		require.NoError(t, w.Close())
		run.Trials = append(run.Trials, report.Trial{Name: name, Dir: dir, Verdict: check.Verdict{State: check.Pass}})
	}
	require.NoError(t, run.Write())
	return run.Dir
}

func TestStoredRuns(t *testing.T) {
	read := func(name, engine string, windows ...int) compare.Run {
		r, err := compare.Stored(stored(t, name, engine, windows...))
		require.NoError(t, err)
		return r
	}
	a := read("sweep/2.3.5/stop:5s/rivet/http/1s/01", "2.3.5", 8000, 8100, 8200, 8000, 8100, 8200)
	b := read("sweep/2.3.19/stop:5s/fast/http/1s", "2.3.19", 5000, 5100, 5200, 5000, 5100, 5200)
	pairs, err := compare.Pairs(a, b)
	require.NoError(t, err)
	require.Len(t, pairs, 1)
	assert.Equal(t, "sweep/stop:5s/rivet/http/1s and sweep/stop:5s/fast/http/1s", pairs[0].Scenario)
	got := rule.Compare(pairs[0].A, pairs[0].B)
	assert.Equal(t, compare.Better, got.Decision)
	assert.Equal(t, 6, got.A.States[check.Pass])
	assert.Equal(t, 8100*time.Millisecond, got.Times[0].A.Median.At.Round(50*time.Millisecond))

	a["other"], b["another"] = compare.Side{}, compare.Side{}
	_, err = compare.Pairs(a, b)
	require.ErrorContains(t, err, "no scenario is in both runs: the one has other, sweep/stop:5s/rivet/http/1s; the other another, ")
	b["other"] = compare.Side{Name: "b"}
	pairs, err = compare.Pairs(a, b)
	require.NoError(t, err)
	assert.Equal(t, []compare.Pair{{Scenario: "other", B: compare.Side{Name: "b"}}}, pairs)
}

func TestAStoredRunOfTwoEnginesIsNoSide(t *testing.T) {
	above := t.TempDir()
	for engine, dir := range map[string]string{"2.3.5": stored(t, "x", "2.3.5", 900), "2.3.19": stored(t, "x", "2.3.19", 900)} {
		require.NoError(t, os.CopyFS(filepath.Join(above, engine), os.DirFS(dir)))
	}
	_, err := compare.Stored(above)
	require.ErrorContains(t, err, "compare runs of one engine each")
	_, err = compare.Stored(t.TempDir())
	assert.ErrorContains(t, err, "it holds no trial")
}
