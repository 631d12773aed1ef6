package catalog

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/exits"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
)

// Each lane's container is the one that its cases need, and every case is in one.
func TestExitLanes(t *testing.T) {
	cases := 0
	for _, e := range Group(ExitMatrix) {
		s := e.On("2.3.19", Options{})
		behaviour, place, _ := strings.Cut(e.Variant, "/")
		assert.Equal(t, place == string(exits.Init), s.RuntimeInit, e.Variant)
		assert.Equal(t, behaviour == string(exits.OOM), s.RuntimeMemory > 0, e.Variant)
		assert.NotEmpty(t, s.RuntimeEnv["KILLPOINT_FIXTURE_EXIT"], e.Variant)
		assert.Equal(t, behaviour == string(exits.DrainCutShort), s.RuntimeEnv["KILLPOINT_FIXTURE_SECOND_SIGNAL"] == "exit", e.Variant)
		assert.True(t, e.Extra)
		require.Len(t, s.Parts, 1)
		cases += len(s.Parts[0].Invariants()) - 1
	}
	assert.Equal(t, 186, cases)
	few := Group(Exits)
	require.Len(t, few, 3)
	assert.False(t, few[0].Extra)
}

// Each engine has a table of its own, and other trials have none.
func TestExitTables(t *testing.T) {
	trial := func(name string, events ...any) report.Trial {
		dir := filepath.Join(t.TempDir(), "trial")
		w, err := history.Create(report.HistoryPath(dir), history.Header{Trial: name})
		require.NoError(t, err)
		for _, e := range events {
			w.Record("harness", history.KindCase, e)
		}
		require.NoError(t, w.Close())
		return report.Trial{Name: name, Dir: dir}
	}
	begun := &history.Case{Name: "drain/pid1/TERM", State: history.StepBegun}
	failed := &history.Case{Name: "drain/pid1/TERM", State: history.StepFailed, Error: "no daemon"}
	matrix, details := ExitTables([]report.Trial{
		trial("exits/2.3.5/drain/pid1", begun, failed), trial("exit-matrix/2.3.19/drain/pid1", begun, failed),
		trial("handoff/2.3.19/x"), {Name: "exits/2.3.11/gone", Dir: filepath.Join(t.TempDir(), "nothing")},
	})
	assert.Contains(t, matrix, "## Exits, engine 2.3.19\n\n1 cases, 1 not as expected")
	assert.Contains(t, matrix, "## Exits, engine 2.3.5\n")
	assert.NotContains(t, matrix, "2.3.11")
	assert.Contains(t, details, "| drain/pid1/TERM | | | not carried out: no daemon |")
	matrix, _ = ExitTables(nil)
	assert.Empty(t, matrix)
}
