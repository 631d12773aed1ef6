package containers

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

func TestKillTogether(t *testing.T) {
	s := openSession(t, withoutReaper())
	if !s.local || os.Getuid() != 0 {
		t.Skip("signals processes directly: needs root and a local daemon")
	}
	c, rec := runCell(t, s, nil)
	require.NoError(t, KillTogether(limit(t), 0, c.Engine, c.Runtime))
	requireExits(t, rec, "engine", []string{"SIGKILL/harness/137"})
	requireExits(t, rec, "runtime", []string{"SIGKILL/harness/137"})
	sent := map[string]history.Exit{}
	for _, e := range bodies[history.Exit](rec) {
		sent[e.Role] = e
	}
	apart := sent["runtime"].SignalT.Sub(sent["engine"].SignalT)
	assert.Positive(t, apart, "in the order of the targets")
	assert.Less(t, apart, 5*time.Millisecond)
	require.ErrorIs(t, KillTogether(limit(t), 0, c.Engine, c.Runtime), ErrNotRunning)

	require.NoError(t, c.Runtime.Start(limit(t)))
	require.NoError(t, c.WaitRuntime(limit(t)))
	exit, err := c.Runtime.StopWith(limit(t), 5*time.Second, 100*time.Millisecond, "SIGUSR1", "SIGTERM")
	require.NoError(t, err)
	assert.Equal(t, 143, exit.Code)
	assert.Equal(t, "SIGTERM", exit.Signal, "the last one sent")
	assert.Contains(t, texts(c.Runtime.Logs(2)), "got SIGUSR1")
}
