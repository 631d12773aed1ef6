package containers

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// What the daemon starts by itself is followed as what the rig starts: each
// incarnation has its own output, whole and once, its exit and its own name.
func TestDaemonRestarts(t *testing.T) {
	const lines = 200
	s := openSession(t, withoutReaper())
	if !s.local || os.Getuid() != 0 {
		t.Skip("a crash is a direct signal: needs root and a local daemon")
	}
	c, rec := runCell(t, s, func(cfg *CellConfig) {
		cfg.Runtime.Restart = RestartAlways
		cfg.Runtime.Env = map[string]string{"STUB_LINES": fmt.Sprint(lines)}
	})
	for n := 1; n <= 3; n++ {
		require.NoError(t, c.Runtime.awaitLine(limit(t), fmt.Sprintf("begin %d", lines-1)))
		require.NoError(t, c.Runtime.Signal(limit(t), "SIGKILL", WayPidfd))
		if n == 1 {
			<-c.Runtime.Exited()
			require.ErrorIs(t, c.Runtime.Start(limit(t)), ErrRunning, "the daemon starts it")
		}
		require.Eventually(t, func() bool { return c.Runtime.Incarnation() == n+1 }, 20*time.Second, 5*time.Millisecond)
	}
	require.NoError(t, c.Runtime.awaitLine(limit(t), fmt.Sprintf("begin %d", lines-1)))
	seen, counted, err := c.Runtime.Restarts(limit(t))
	require.NoError(t, err)
	assert.Equal(t, []int{3, 3}, []int{seen, counted})
	exit, err := c.Runtime.Stop(limit(t), 5*time.Second)
	require.NoError(t, err)
	assert.Equal(t, 143, exit.Code, "who stops by the API wants it gone")

	requireSameAsDocker(t, s, c.Runtime)
	for n := 1; n <= 4; n++ {
		got := map[string]int{}
		for _, l := range c.Runtime.Logs(n) {
			got[l.Text]++
		}
		for i := range lines {
			require.Equal(t, 1, got[fmt.Sprintf("begin %d", i)], "line %d of incarnation %d", i, n)
		}
	}
	requireExits(t, rec, "runtime", []string{"SIGKILL/harness/137", "SIGKILL/harness/137", "SIGKILL/harness/137", "SIGTERM/harness/143"})
	var by []string
	for _, b := range bodies[history.Container](rec) {
		if b.Role == "runtime" && b.What == history.ContainerStarted {
			by = append(by, b.By)
		}
	}
	assert.Equal(t, []string{"", "daemon", "daemon", "daemon"}, by)
	requireOrdered(t, rec)
	require.NoError(t, c.Close(limit(t)))
	requireNothingLeft(t, s)
}

// The executioner strikes what the daemon has started as it does what the rig has,
// and each strike is the incarnation's that it hit.
func TestExecutionerStrikesWhatTheDaemonStarted(t *testing.T) {
	s := openSession(t, withoutReaper())
	c, rec := runCell(t, s, func(cfg *CellConfig) {
		tapped(cfg)
		cfg.Runtime.Restart = RestartAlways
	})
	for n := 1; n <= 3; n++ {
		_, err := c.Tap().StrikeNow(limit(t), Blow{Target: c.Runtime, Signal: "SIGKILL"})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return startedByDaemon(rec) == n }, 20*time.Second, 5*time.Millisecond)
	}
	require.NoError(t, c.Close(limit(t)))
	requireExits(t, rec, "runtime", []string{"SIGKILL/executioner/137", "SIGKILL/executioner/137", "SIGKILL/executioner/137", "SIGKILL/teardown/137"})
	var struck []string
	for _, f := range bodies[history.Fault](rec) {
		if f.Phase == history.FaultLanded {
			struck = append(struck, f.Target)
		}
	}
	assert.Equal(t, []string{"runtime#1", "runtime#2", "runtime#3"}, struck)
}

func startedByDaemon(rec *memory) (n int) {
	for _, b := range bodies[history.Container](rec) {
		if b.What == history.ContainerStarted && b.By == byDaemon {
			n++
		}
	}
	return n
}

func TestRestartPolicyForm(t *testing.T) {
	for text, good := range map[RestartPolicy]bool{
		RestartNever: true, RestartAlways: true, RestartOnFailure: true, "on-failure:3": true, RestartUnlessStopped: true,
		"on-failure:0": false, "on-failure:x": false, "sometimes": false, "always:3": false,
	} {
		_, err := text.docker()
		assert.Equal(t, good, err == nil, "%q: %v", text, err)
	}
}
