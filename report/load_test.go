package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
)

// storedRun is a run of two trials, one of which failed and was carried out twice.
func storedRun(t *testing.T) (string, report.Run) {
	t.Helper()
	dir := t.TempDir()
	lost, err := report.Judge(stored(t, filepath.Join(dir, "lost"), &lostWrite().Builder), []check.KnownBug{lostByDesign("b")}, check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)
	lost.Name, lost.Again = "under-load/kill", "make itest RUN=X"
	miss := stored(t, filepath.Join(dir, "lost-1"), (&ht.Builder{}).At(0, history.KindLog, &history.Log{Role: "engine", Incarnation: 1, Line: "x"}))
	lost.Repeats = []report.Attempt{{Dir: miss, Verdict: check.Verdict{State: check.Inconclusive, Findings: []check.Finding{{Invariant: "fault-landed", State: check.Inconclusive, Summary: "it was late"}}}}}
	b := (&ht.Builder{}).Restart(1000, 1010, 1100, 1160).Op(1160, 1170, ht.Probe("a", 0), ht.OK("a", 1))
	b.End(3000)
	good, err := report.Judge(stored(t, filepath.Join(dir, "good"), b), nil, check.FaultLanded())
	require.NoError(t, err)
	run := report.Run{Dir: dir, Trials: []report.Trial{lost, good}, Sections: []string{"## Table\n\n| a |\n|---|\n| 1 |\n"}}
	require.NoError(t, run.Write())
	return dir, run
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range []string{"summary.md", "result.json", "report.html", "junit.xml"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		out[name] = string(b)
	}
	return out
}

// same compares pages, without printing them.
func same(t *testing.T, want, got string) {
	t.Helper()
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	require.Len(t, b, len(a))
	for i := range a {
		if a[i] != b[i] {
			assert.Equal(t, cutLine(a[i]), cutLine(b[i]), "line %d", i+1)
			return
		}
	}
}

func cutLine(s string) string { return s[:min(len(s), 200)] + s[max(0, len(s)-200):] }

// What is written anew from the histories is what the run itself wrote, but for
// the word of where the verdict is from.
func TestAStoredRunIsWrittenAnewAsItWas(t *testing.T) {
	dir, _ := storedRun(t)
	before := files(t, dir)
	for name := range before {
		if name != "result.json" {
			require.NoError(t, os.Remove(filepath.Join(dir, name)))
		}
	}
	run, err := report.Load(dir, report.Loading{})
	require.NoError(t, err)
	require.NoError(t, run.Write())
	after := files(t, dir)
	assert.Equal(t, before["summary.md"], after["summary.md"])
	assert.Equal(t, before["junit.xml"], after["junit.xml"])
	const judged = `      "judged": "then",` + "\n"
	assert.Equal(t, 2, strings.Count(after["result.json"], judged))
	assert.Equal(t, before["result.json"], strings.ReplaceAll(after["result.json"], judged, ""))
	const word = `<p class="muted small">The verdict is the one that was given when the trial ran; it was not formed again.</p>`
	same(t, before["report.html"], strings.ReplaceAll(after["report.html"], word, ""))
	assert.Contains(t, after["report.html"], "carrying-out 1")

	again, err := report.Load(dir, report.Loading{})
	require.NoError(t, err, "and once more")
	assert.Equal(t, run.State(), again.State())
}

func TestAStoredTrialIsJudgedAgain(t *testing.T) {
	dir, _ := storedRun(t)
	run, err := report.Load(dir, report.Loading{Judge: func(trial string) ([]check.KnownBug, []check.Invariant, bool) {
		return []check.KnownBug{lostByDesign("a")}, []check.Invariant{check.LedgerKeeps("tick", "ledger")}, trial == "under-load/kill"
	}})
	require.NoError(t, err)
	lost, good := run.Trials[0], run.Trials[1]
	assert.Equal(t, check.Known, lost.Verdict.State)
	assert.Equal(t, report.JudgedAgain, lost.Judged)
	assert.Equal(t, []string{"write-forgotten"}, lost.Known)
	assert.Equal(t, "make itest RUN=X", lost.Again)
	assert.Equal(t, report.JudgedThen, good.Judged)
}

// A run that was killed has histories and nothing else.
func TestHistoriesAloneMakeARun(t *testing.T) {
	dir, _ := storedRun(t)
	require.NoError(t, os.Remove(filepath.Join(dir, "result.json")))
	run, err := report.Load(dir, report.Loading{})
	require.NoError(t, err)
	require.Len(t, run.Trials, 3)
	for _, tr := range run.Trials {
		assert.Equal(t, report.JudgedAlone, tr.Judged)
	}
	states := map[string]check.State{}
	for _, tr := range run.Trials {
		states[filepath.Base(tr.Dir)] = tr.Verdict.State
	}
	assert.Equal(t, map[string]check.State{"lost": check.Fail, "lost-1": check.Inconclusive, "good": check.Pass}, states)
	require.NoError(t, run.Write())
	assert.Contains(t, files(t, dir)["report.html"], "No verdict was stored.")

	one, err := report.Load(filepath.Join(dir, "good"), report.Loading{})
	require.NoError(t, err)
	require.Len(t, one.Trials, 1, "a trial's own folder is a run of one")
}

func TestTheBoundOfTheSettingsIsHeldWhereNothingElseIsThere(t *testing.T) {
	dir := t.TempDir()
	b := (&ht.Builder{}).At(0, history.KindSettings, &history.Settings{"bound": "2s"})
	b.Restart(1000, 1010, 1100, 1160).Op(1160, 4000, ht.Probe("a", 0), ht.OK("a", 1)).Op(5000, 5010, ht.Ledger("a"), ht.Book())
	b.End(6000)
	stored(t, filepath.Join(dir, "t"), b)
	run, err := report.Load(dir, report.Loading{})
	require.NoError(t, err)
	assert.Equal(t, "answers-within-bound", run.Trials[0].Verdict.First().Invariant)
}

func TestACorruptHistoryIsRefusedOrSalvaged(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut off": func(b []byte) []byte { return b[:len(b)-30] },
		"garbage": func(b []byte) []byte { return append(b, "\x00\x00\n"...) },
	} {
		for _, result := range []bool{true, false} {
			dir, _ := storedRun(t)
			path := report.HistoryPath(filepath.Join(dir, "lost"))
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, damage(b), 0o600))
			if !result {
				require.NoError(t, os.Remove(filepath.Join(dir, "result.json")))
			}

			_, err = report.Load(dir, report.Loading{})
			var line *history.LineError
			require.ErrorAs(t, err, &line, name)
			assert.Contains(t, err.Error(), "lost/history.jsonl:")
			assert.NotContains(t, err.Error(), "\n")

			run, err := report.Load(dir, report.Loading{Salvage: true})
			require.NoError(t, err, name)
			require.NoError(t, run.Write())
			assert.Contains(t, files(t, dir)["report.html"], "The history cannot be read from its line")
			assert.NotEqual(t, check.Pass, run.State())
		}
	}
}

func TestWhatIsNoRunIsRefusedInALine(t *testing.T) {
	_, err := report.Load(t.TempDir(), report.Loading{})
	require.ErrorIs(t, err, report.ErrNoRun)
	_, err = report.Load(filepath.Join(t.TempDir(), "missing"), report.Loading{})
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, text := range []string{"{", `{"format":"other","version":3}`, `{"format":"killpoint-result","version":2}`, `{"format":"killpoint-result","version":3,"trials":1}`} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "result.json"), []byte(text), 0o600))
		_, err := report.Load(dir, report.Loading{})
		require.ErrorContains(t, err, "result.json", text)
		assert.NotContains(t, err.Error(), "\n", text)
	}

	dir, _ := storedRun(t)
	require.NoError(t, os.Remove(report.HistoryPath(filepath.Join(dir, "good"))))
	_, err = report.Load(dir, report.Loading{})
	require.ErrorIs(t, err, os.ErrNotExist)
	run, err := report.Load(dir, report.Loading{Salvage: true})
	require.NoError(t, err, "its verdict is there still")
	assert.Equal(t, check.Pass, run.Trials[1].Verdict.State)
	assert.Contains(t, pageOf(t, run), "open the history")
}

// A result.json may come from anywhere: nothing is written outside the folder.
func TestNothingIsWrittenOutsideTheRun(t *testing.T) {
	outside := stored(t, filepath.Join(t.TempDir(), "x"), &lostWrite().Builder)
	tr, err := report.Judge(outside, nil, check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, report.Run{Dir: dir, Trials: []report.Trial{tr}}.Write())
	require.NoError(t, os.Remove(filepath.Join(outside, "engine-1.log")))
	_, err = report.Load(dir, report.Loading{})
	require.NoError(t, err)
	assert.NoFileExists(t, filepath.Join(outside, "engine-1.log"))
}
