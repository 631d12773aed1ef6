package tests

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/exits"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// TestWrongExitIsFoundOut plants what the matrix was made for: a runtime that is
// said to drain and exit, and raises its signal again instead.
func TestWrongExitIsFoundOut(t *testing.T) {
	t.Parallel()
	sess := session(t)
	lane := exits.Lane{Behaviour: exits.Drain, Place: exits.PID1}
	c := exits.Case{Behaviour: exits.Drain, Place: exits.PID1, Strike: exits.StopLong}
	s := scenario.ExitLane(lane, c)
	s.Name, s.Engine, s.RuntimeEnv = "exits/planted", catalog.DefaultEngine, exits.DrainReraise.Env()
	trial, err := s.Run(run.ctx, sess, run.ID, t.TempDir(), nil)
	require.NoError(t, err)
	f := trial.Verdict.First()
	assert.Equal(t, check.Fail, f.State, trial.Verdict)
	assert.Equal(t, "exits "+c.String(), f.Invariant)
	assert.Contains(t, f.Summary, "it exited with 137, not 143; its end: grace ran out, not itself")
}
