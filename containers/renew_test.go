package containers

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// A renewed cell is as a new one: an engine that knows nothing of before, and a
// history of its own from the first incarnation on.
func TestRenewedCellKnowsNothingOfBefore(t *testing.T) {
	s := openSession(t)
	c, rec := runCell(t, s, nil)
	gateway := c.Gateway()
	_, err := c.API().CreateNamespace(limit(t), "before")
	require.NoError(t, err)
	_, err = c.Engine.Kill(limit(t))
	require.NoError(t, err)

	require.ErrorIs(t, c.Renew(limit(t), &memory{}), ErrNotRenewable, "its runtime still runs")
	require.NoError(t, c.Halt(limit(t)))
	requireExits(t, rec, "engine", []string{"SIGKILL/harness/137"})
	requireExits(t, rec, "runtime", []string{"SIGKILL/teardown/137"})
	before := len(rec.events)
	require.NoError(t, c.Halt(limit(t)), "there is nothing more to halt")

	again := &memory{}
	require.NoError(t, c.Renew(limit(t), again))
	assert.Equal(t, before, len(rec.events), "the first history is complete")
	assert.Equal(t, gateway, c.Gateway())
	assert.Equal(t, "engine#1", c.Engine.Party())
	assert.Equal(t, "runtime#1", c.Runtime.Party())
	_, err = c.API().CreateNamespace(limit(t), "before")
	require.NoError(t, err, "the name is free: the database is another")
	_, err = c.API().CreateNamespace(limit(t), "before")
	require.Error(t, err)
	assert.Len(t, bodies[history.Health](again), 1)
	requireOrdered(t, again)

	_, err = c.Engine.Kill(limit(t))
	require.NoError(t, err)
	require.NoError(t, c.Engine.Start(limit(t)))
	_, err = c.WaitHealthy(limit(t))
	require.NoError(t, err)
	_, err = c.API().CreateNamespace(limit(t), "before")
	require.Error(t, err, "what the renewed engine stored outlives it")

	require.NoError(t, c.Close(limit(t)))
	requireNothingLeft(t, s)
	requireExits(t, again, "engine", []string{"SIGKILL/harness/137", "SIGKILL/teardown/137"})
}

func TestCellsThatCannotBeRenewed(t *testing.T) {
	s := openSession(t, withoutReaper())
	c, _ := runCell(t, s, func(cfg *CellConfig) {
		cfg.EngineConfig.Extra = map[string]any{"file_system": map[string]any{"path": dataPath + "/mine"}}
	})
	require.NoError(t, c.Halt(limit(t)))
	require.ErrorIs(t, c.Renew(limit(t), &memory{}), ErrNotRenewable)
}

// BenchmarkRenew measures what a further trial pays for a cell that is there: to
// halt what runs, and to begin anew.
func BenchmarkRenew(b *testing.B) {
	s := openSession(b, withoutReaper())
	c, err := s.Run(limit(b), CellConfig{Engine: engineUnderTest(), Runtime: RuntimeConfig{Image: stubImage(b, s)}, Recorder: &memory{}})
	require.NoError(b, err)
	defer func() { require.NoError(b, c.Close(context.Background())) }()
	var halt, renew time.Duration
	for b.Loop() {
		begun := time.Now()
		require.NoError(b, c.Halt(limit(b)))
		halt += time.Since(begun)
		begun = time.Now()
		require.NoError(b, c.Renew(limit(b), &memory{}))
		renew += time.Since(begun)
	}
	for name, d := range map[string]time.Duration{"halt": halt, "renew": renew} {
		b.ReportMetric(float64(d.Milliseconds())/float64(b.N), name+"-ms/op")
	}
}
