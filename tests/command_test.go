package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/resulttest"
)

// commandBound is the patience with one call of the command line, which is done
// in a few seconds.
const commandBound = 2 * time.Minute

// command is the path of the command line, built once.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "killpoint-command-")
	if err != nil {
		return "", err
	}
	run.removeAtEnd = dir
	path := filepath.Join(dir, "killpoint")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/killpoint").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the command line: %w\n%s", err, out)
	}
	return path, nil
})

// callCommand is a call of the command line under way.
func callCommand(t *testing.T, args ...string) *child {
	t.Helper()
	c := newCommand(t, args...)
	c.start(t)
	return c
}

// newCommand is one that is not started yet.
func newCommand(t *testing.T, args ...string) *child {
	t.Helper()
	path, err := command()
	require.NoError(t, err)
	return &child{cmd: exec.Command(path, args...), lines: make(chan string, 1024)}
}

// Four shards, each a process of its own, and one that carries out all of it,
// come to the same result with the same seed: the same trials in the same order,
// with the same verdicts, asked in the same way.
func TestShardsMergeToTheWhole(t *testing.T) {
	t.Parallel()
	session(t)
	root := t.TempDir()
	sweep := func(out string, more ...string) *child {
		return callCommand(t, append([]string{
			"sweep", "--fault", "kill", "--reconnect", "fast", "--delays", "0,200ms", "--trials", "4", "--repeats", "1",
			"--engines", engines()[0], "--seed", "7", "--cells", "2", "--out", filepath.Join(root, out),
		}, more...)...)
	}
	whole := sweep("whole")
	assert.Zero(t, whole.wait(t, commandBound).ExitCode(), whole.said())
	merge := []string{"merge", "--out", filepath.Join(root, "merged")}
	var shards []*child
	for i := range 4 {
		out := fmt.Sprintf("shard-%d", i+1)
		shards = append(shards, sweep(out, "--shard", fmt.Sprintf("%d/4", i+1)))
		merge = append(merge, filepath.Join(root, out))
	}
	for _, c := range shards {
		assert.Zero(t, c.wait(t, commandBound).ExitCode(), c.said())
	}
	merged := callCommand(t, merge...)
	assert.Zero(t, merged.wait(t, commandBound).ExitCode(), merged.said())

	result := func(dir string) []byte {
		b, err := os.ReadFile(filepath.Join(root, dir, "result.json"))
		require.NoError(t, err)
		return b
	}
	require.NoError(t, resulttest.Same(result("whole"), result("merged")))
	require.Error(t, resulttest.Same(result("whole"), result("shard-1")), "the comparison can fail")
}

// Ctrl-C ends a run of the command line in order: nothing is left, and there is a
// report.
func TestInterruptedCommandLeavesNothing(t *testing.T) {
	t.Parallel()
	session(t)
	cli, dir := docker(t), filepath.Join(t.TempDir(), "run")
	c := callCommand(t, "run", "idle-restart/stop/rivet/1s", "--engines", engines()[0], "--out", dir)
	id := c.session(t)
	c.until(t, "strike the engine", time.Minute)
	require.NotEmpty(t, leftovers(t, cli, id), "the check must be able to see what the session has made")
	require.NoError(t, c.cmd.Process.Signal(os.Interrupt))
	assert.Equal(t, exitInterrupted, c.wait(t, time.Minute).ExitCode(), c.said())
	assert.Empty(t, leftovers(t, cli, id), "left when the process has ended")
	assert.FileExists(t, filepath.Join(dir, "summary.md"))
	assert.Contains(t, c.said(), "1 inconclusive")
}
