package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
)

// lostByDesign marks actor a, and whoever else is named, wherever it is met.
func lostByDesign(actors ...string) check.KnownBug {
	return check.KnownBug{
		Name: "write-forgotten", Sees: []string{"ledger-keeps-acked-writes"},
		Mark: func(h *history.History) map[string][]uint64 {
			marks := map[string][]uint64{}
			for _, e := range h.Events {
				if b, ok := e.Body.(*history.Invoke); ok {
					for _, actor := range actors {
						if b.Actor == actor {
							marks[actor] = append(marks[actor], e.Seq)
						}
					}
				}
			}
			return marks
		},
	}
}

func TestAKnownBugIsNamedInOneLine(t *testing.T) {
	dir := stored(t, t.TempDir(), &lostWrite().Builder)
	tr, err := report.Judge(dir, []check.KnownBug{lostByDesign("a")}, check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)
	require.Equal(t, check.Known, tr.Verdict.State)
	const line = "known: write-forgotten (seen by ledger-keeps-acked-writes)"
	assert.Equal(t, line+"\n", failureOf(t, tr))
	var text strings.Builder
	require.NoError(t, tr.Text(&text))
	assert.Contains(t, text.String(), "  verdict        "+line+"\n")
	assert.NotContains(t, text.String(), "witness")
	assert.NoFileExists(t, dir+"/engine-1.log", "it is no failure")

	twice := check.LedgerKeeps("tick", "ledger")
	both, err := report.Judge(dir, []check.KnownBug{lostByDesign("a")}, twice, twice)
	require.NoError(t, err)
	assert.Equal(t, "known: write-forgotten (seen by ledger-keeps-acked-writes, ledger-keeps-acked-writes)\n", failureOf(t, both), "each bug once")

	got := results(t, tr)
	assert.Equal(t, "known", got.State)
	assert.Equal(t, []string{"write-forgotten"}, got.Trials[0].Bugs)
	assert.Nil(t, got.Trials[0].Failure)
}

// A trial can fail beside a known bug that it met; the bug is counted, and
// does not excuse it.
func TestTheTableOfKnownBugsCountsTrials(t *testing.T) {
	judge := func(bug string, invariants ...check.Invariant) report.Trial {
		tr, err := report.Judge(stored(t, t.TempDir(), &lostWrite().Builder), []check.KnownBug{lostByDesign(bug)},
			append(invariants, check.LedgerKeeps("tick", "ledger"))...)
		require.NoError(t, err)
		return tr
	}
	gap := check.HealthGap(time.Hour, 0)
	run := report.Run{Trials: []report.Trial{judge("a"), judge("a", gap), judge("b"), judge("a")}}
	assert.Equal(t, check.Fail, run.State())
	md := run.Markdown()
	assert.Contains(t, md, "## Known bugs met\n\n| bug | scenario | trials |\n|---|---|---:|\n| write-forgotten | idle-restart/kill | 3 of 4 |\n")
	assert.Contains(t, md, "| idle-restart/kill | known: write-forgotten | ")
	assert.Contains(t, md, "| idle-restart/kill | fail (and known: write-forgotten) | ")
	assert.Contains(t, md, "    known: ledger-keeps-acked-writes: write-forgotten (", "beside the failure")
	assert.Contains(t, md, "| idle-restart/kill | 0 of 4, 2 known | ")

	assert.Equal(t, check.Known, report.Run{Trials: []report.Trial{judge("a")}}.State())
	assert.NotContains(t, report.Run{Trials: []report.Trial{judge("b")}}.Markdown(), "Known bugs")
}

func TestATrialThatPassedStaysShort(t *testing.T) {
	dir := t.TempDir()
	b := (&ht.Builder{}).Restart(1000, 1010, 1100, 1160).Op(1160, 1170, ht.Probe("a", 0), ht.OK("a", 1))
	b.End(2000)
	tr, err := report.Judge(stored(t, dir, b), nil, check.FaultLanded())
	require.NoError(t, err)
	assert.Equal(t, "pass (trial-complete, fault-landed)\n", failureOf(t, tr))
	var text strings.Builder
	require.NoError(t, tr.Text(&text))
	for _, word := range []string{"plan", "witness", "logs", "run it again"} {
		assert.NotContains(t, text.String(), word)
	}
	assert.Nil(t, results(t, tr).Trials[0].Failure)
}
