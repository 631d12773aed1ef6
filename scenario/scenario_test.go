package scenario

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
)

func TestSlugIsANameForDockerAndForFiles(t *testing.T) {
	for name, want := range map[string]string{
		"idle-restart/2.3.19/kill": "idle-restart-2.3.19-kill",
		"a b:c@d":                  "a-b-c-d",
		"../../x":                  "..-..-x",
		"ä|\n":                     "---",
	} {
		assert.Equal(t, want, Scenario{Name: name}.Slug())
	}
}

func TestEndSaysHowItCameToAnEnd(t *testing.T) {
	broken := errors.New("no engine")
	assert.Equal(t, &history.End{State: history.EndComplete}, end(t.Context(), nil))
	assert.Equal(t, &history.End{State: history.EndFailed, Error: "no engine"}, end(t.Context(), broken))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	assert.Equal(t, &history.End{State: history.EndInterrupted, Error: "Ctrl-C"}, end(ctx, nil), "also where the plan was carried out")
	assert.Equal(t, history.EndInterrupted, end(ctx, broken).State)
}

// A folder that holds a history is never written over, and the trial that was
// to go there is no pass.
func TestAHistoryIsNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(report.HistoryPath(dir), nil, 0o600))
	trial, err := Scenario{Name: "x", Fault: fault.Kill()}.Run(t.Context(), nil, "r", dir, nil)
	require.ErrorIs(t, err, os.ErrExist)
	assert.Equal(t, check.Inconclusive, report.Run{Trials: []report.Trial{trial}}.State())
	assert.Equal(t, "x", trial.Name)
}
