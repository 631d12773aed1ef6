package tests

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
)

// killedBound is how long the leftovers of a killed harness may live.
const killedBound = 30 * time.Second

// child is another process of this test binary that carries out one trial of
// TestIdleRestart, so that it can be interrupted and killed.
type child struct {
	cmd   *exec.Cmd
	dir   string
	lines chan string

	mu     sync.Mutex
	output strings.Builder
}

// childArgs choose the trial.
var childArgs = []string{"-test.v", "-test.run=^TestIdleRestart$/^2.3.19$/^stop$/^rivet$/^1s$"}

func startChild(t *testing.T, env ...string) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := &child{dir: filepath.Join(t.TempDir(), "run"), lines: make(chan string, 1024)}
	c.cmd = exec.Command(self, childArgs...)
	c.cmd.Env = append(append(os.Environ(), "KILLPOINT_OUT="+c.dir, "KILLPOINT_ENGINES=2.3.19"), env...)
	c.start(t)
	return c
}

// start starts the process and reads what it says; the test's end ends it.
func (c *child) start(t *testing.T) {
	t.Helper()
	out, in := io.Pipe()
	c.cmd.Stdout, c.cmd.Stderr = in, in
	require.NoError(t, c.cmd.Start())
	go c.read(out)
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // an error says that it has ended, as it should
		_ = in.Close()
	})
}

func (c *child) read(out io.Reader) {
	defer close(c.lines)
	for sc := bufio.NewScanner(out); sc.Scan(); {
		c.mu.Lock()
		fmt.Fprintln(&c.output, sc.Text())
		c.mu.Unlock()
		select {
		case c.lines <- sc.Text():
		default: // nobody waits for a line any more
		}
	}
	// A line too long for the scanner ends it: the child must be able to write on.
	_, _ = io.Copy(io.Discard, out)
}

func (c *child) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}

// until waits for a line that holds text, and returns it.
func (c *child) until(t *testing.T, text string, bound time.Duration) string {
	t.Helper()
	deadline := time.After(bound)
	for {
		select {
		case line, ok := <-c.lines:
			if !ok {
				t.Fatalf("waited for %q, but the child ended:\n%s", text, c.said())
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-deadline:
			t.Fatalf("waited %v for the child to say %q, it said:\n%s", bound, text, c.said())
		}
	}
}

func (c *child) session(t *testing.T) string {
	t.Helper()
	var id string
	_, err := fmt.Sscanf(c.until(t, "session ", time.Minute), "session %s", &id)
	require.NoError(t, err)
	return strings.TrimSuffix(id, ",")
}

// wait waits for the child's end, with a bound.
func (c *child) wait(t *testing.T, bound time.Duration) *os.ProcessState {
	t.Helper()
	kill := time.AfterFunc(bound, func() { _ = c.cmd.Process.Signal(syscall.SIGQUIT) })
	err := c.cmd.Wait()
	if !kill.Stop() {
		t.Fatalf("waited %v for the child to end, then had it dump its goroutines: %v\n%s", bound, err, c.said())
	}
	return c.cmd.ProcessState
}

func (c *child) history() string {
	return report.HistoryPath(filepath.Join(c.dir, "idle-restart-2.3.19-stop-rivet-1s"))
}

func docker(t *testing.T) *client.Client {
	t.Helper()
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	t.Cleanup(func() { _ = cli.Close() })
	return cli
}

// leftovers lists what exists of a session.
func leftovers(t *testing.T, cli *client.Client, session string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	mine := filters.NewArgs(filters.Arg("label", containers.SessionLabel+"="+session))
	var left []string
	cs, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	require.NoError(t, err)
	for _, c := range cs {
		left = append(left, "container "+strings.Join(c.Names, ","))
	}
	ns, err := cli.NetworkList(ctx, network.ListOptions{Filters: mine})
	require.NoError(t, err)
	for _, n := range ns {
		left = append(left, "network "+n.Name)
	}
	vs, err := cli.VolumeList(ctx, volume.ListOptions{Filters: mine})
	require.NoError(t, err)
	for _, v := range vs.Volumes {
		left = append(left, "volume "+v.Name)
	}
	return left
}

// steps at which a trial is interrupted: while things are being made, while
// the engine drains, while probes are held.
var interruptions = map[string]string{
	"starting a cell": "start a cell",
	"draining":        "strike the engine",
	"probing":         "probe each actor",
}

// Ctrl-C ends a trial in order: nothing is left, and the history says so.
func TestInterruptedRunLeavesNothing(t *testing.T) {
	t.Parallel()
	session(t)
	for name, step := range interruptions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cli, c := docker(t), startChild(t)
			id := c.session(t)
			c.until(t, step, time.Minute)
			require.NotEmpty(t, leftovers(t, cli, id), "the check must be able to see what the session has made")
			require.NoError(t, c.cmd.Process.Signal(os.Interrupt))
			state := c.wait(t, time.Minute)
			assert.Equal(t, exitInterrupted, state.ExitCode(), c.said())
			assert.Empty(t, leftovers(t, cli, id), "left when the process has ended")

			h, err := history.ReadFile(c.history())
			require.NoError(t, err)
			end, ok := h.Events[len(h.Events)-1].Body.(*history.End)
			require.True(t, ok, "the last event is the end")
			assert.Equal(t, history.EndInterrupted, end.State)
			assert.Contains(t, c.said(), "inconclusive: trial-complete")
			page, err := os.ReadFile(filepath.Join(c.dir, "report.html"))
			require.NoError(t, err, "it has its report as any run")
			assert.Contains(t, string(page), "inconclusive: trial-complete: the trial ended interrupted")
			assert.Contains(t, string(page), `<span class="pstate">interrupted</span>`)
			if name == "draining" {
				lookAt(t, c.dir, "the trial ended interrupted")
			}
		})
	}
}

// SIGKILL gives the harness no chance: the reaper removes what it made.
func TestKilledRunLeavesNothing(t *testing.T) {
	t.Parallel()
	session(t)
	for name, step := range interruptions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cli, c := docker(t), startChild(t)
			id := c.session(t)
			c.until(t, step, time.Minute)
			require.NotEmpty(t, leftovers(t, cli, id))
			require.NoError(t, c.cmd.Process.Kill())
			killed := time.Now()
			c.wait(t, time.Minute)
			awaitNothing(t, cli, id, killedBound)
			t.Logf("everything of the session was gone %.1f s after the SIGKILL", time.Since(killed).Seconds())
			_, err := history.ReadFile(c.history())
			require.NoError(t, err, "what was recorded before the kill can be read")
			stored, err := report.Load(c.dir, report.Loading{})
			require.NoError(t, err)
			require.NoError(t, stored.Write(), "and reported")
			assert.Equal(t, check.Inconclusive, stored.State())
			assert.FileExists(t, filepath.Join(c.dir, "report.html"))
		})
	}
}

// awaitNothing waits until the session has left nothing. The daemon's events
// would have to be followed for three kinds of things at once; asking for the
// state itself four times a second is as good here.
func awaitNothing(t *testing.T, cli *client.Client, session string, bound time.Duration) {
	t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(bound)
	for left := leftovers(t, cli, session); len(left) > 0; left = leftovers(t, cli, session) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for everything of session %s to be gone, still there: %v", bound, session, left)
		}
	}
}
