package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// dindEnv names the command that runs another one against a Docker daemon in a
// container. `make itest-dind` sets it.
const dindEnv = "KILLPOINT_DIND"

// inDind is a child that carries out a trial against a daemon in a container.
type inDind struct {
	*child
	session   string // of the container, on the outer daemon
	container string
}

// startInDind starts it and waits for its daemon. Prefix is what runs the command.
func startInDind(t *testing.T, cli *client.Client, prefix ...string) inDind {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := &child{dir: filepath.Join(t.TempDir(), "run"), lines: make(chan string, 1024)}
	args := append(append(prefix, os.Getenv(dindEnv), self), childArgs...)
	c.cmd = exec.Command(args[0], args[1:]...)
	c.cmd.Env = append(os.Environ(), "KILLPOINT_OUT="+c.dir, "KILLPOINT_ENGINES=2.3.19")
	c.start(t)
	line := c.until(t, "dind: Docker", 3*time.Minute) // the first one makes an image
	_, name, _ := strings.Cut(line, " in container ")
	name, _, _ = strings.Cut(name, " ")
	d := inDind{child: c, session: strings.TrimSuffix(strings.TrimPrefix(name, "killpoint-"), "-dind")}
	info, err := cli.ContainerInspect(t.Context(), name)
	require.NoError(t, err)
	d.container = info.ID
	require.Len(t, leftovers(t, cli, d.session), 4, "its container, its network, its volume and the reaper")
	return d
}

// processes are those of this machine that run in the container, or in one inside it.
func (d inDind) processes(t *testing.T) (found []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		cgroup, err := os.ReadFile("/proc/" + e.Name() + "/cgroup")
		if err == nil && strings.Contains(string(cgroup), d.container) { // else it has just ended
			command, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
			found = append(found, fmt.Sprintf("%s %s", e.Name(), strings.TrimSpace(string(command))))
		}
	}
	return found
}

// killDaemon kills dockerd itself, not its container.
func (d inDind) killDaemon(t *testing.T, cli *client.Client) {
	t.Helper()
	made, err := cli.ContainerExecCreate(t.Context(), d.container, container.ExecOptions{
		Cmd: []string{"sh", "-c", "kill -KILL $(cat /var/run/docker.pid)"},
	})
	require.NoError(t, err)
	require.NoError(t, cli.ContainerExecStart(t.Context(), made.ID, container.ExecStartOptions{}))
}

func outerDaemon(t *testing.T) *client.Client {
	t.Helper()
	session(t)
	cli := docker(t)
	switch {
	case os.Getenv(dindEnv) == "":
		t.Skip("`make itest-dind` runs it")
	case !strings.HasPrefix(cli.DaemonHost(), "unix://"):
		t.Skip("a daemon in a container is reached by loopback of the machine of its outer daemon only")
	}
	return cli
}

// A trial against a daemon in a container is worth as much as any: one clock, and
// deaths seen at their source.
func TestDockerInDocker(t *testing.T) {
	t.Parallel()
	cli := outerDaemon(t)
	d := startInDind(t, cli)
	state := d.wait(t, 2*time.Minute)
	require.True(t, state.Success(), d.said())
	assert.Contains(t, d.said(), "--- PASS: TestIdleRestart/2.3.19/stop/rivet/1s")
	assert.Empty(t, leftovers(t, cli, d.session), "left when the command has ended")
	assert.Empty(t, d.processes(t))

	h, err := history.ReadFile(d.history())
	require.NoError(t, err)
	boots, started := map[string][]string{}, map[string]history.Event{}
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Clock:
			boots[b.BootID] = append(boots[b.BootID], e.Party)
		case *history.Container:
			if b.What == history.ContainerStarting {
				started[b.Name+strconv.Itoa(b.Incarnation)] = e
			}
		case *history.Exit:
			if os.Geteuid() == 0 {
				assert.Equal(t, "pidfd", b.Source, "of the exit of %s#%d", b.Role, b.Incarnation)
			}
			begun, ok := started[b.Name+strconv.Itoa(b.Incarnation)]
			assert.True(t, ok && begun.T < e.T, "%s#%d exits before it starts", b.Role, b.Incarnation)
		}
	}
	assert.Len(t, boots, 1, "one kernel, one clock: %v", boots)
	for _, parties := range boots {
		assert.Subset(t, parties, []string{"harness", "runtime#1"})
	}
}

// However a run against a daemon in a container ends, the outer daemon has
// nothing of it afterwards, and the machine no process.
func TestDockerInDockerLeavesNothing(t *testing.T) {
	t.Parallel()
	cli := outerDaemon(t)
	for name, tt := range map[string]struct {
		prefix []string // what stands between the test and the command
		end    func(t *testing.T, d inDind)
		code   int
		says   []string
	}{
		"the daemon is killed": {
			end:  func(t *testing.T, d inDind) { d.killDaemon(t, cli) },
			code: 1, says: []string{"ended while it was needed", "inconclusive: trial-complete"},
		},
		"its container is killed": {
			end: func(t *testing.T, d inDind) {
				require.NoError(t, cli.ContainerKill(t.Context(), d.container, "SIGKILL"))
			},
			code: 1, says: []string{"ended while it was needed", "inconclusive: trial-complete"},
		},
		"interrupted": {
			end:  func(t *testing.T, d inDind) { require.NoError(t, d.cmd.Process.Signal(os.Interrupt)) },
			code: exitInterrupted, says: []string{"dind: interrupted", "inconclusive: trial-complete"},
		},
		"the command is killed": {
			end:  func(t *testing.T, d inDind) { require.NoError(t, d.cmd.Process.Kill()) },
			code: -1,
		},
		"what started the command is killed": {
			prefix: []string{"sh", "-c", `"$@"; exit`, "sh"},
			end:    func(t *testing.T, d inDind) { require.NoError(t, d.cmd.Process.Kill()) },
			code:   -1, says: []string{"the parent process is gone", "inconclusive: trial-complete"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startInDind(t, cli, tt.prefix...)
			d.until(t, "strike the engine", 2*time.Minute)
			require.NotEmpty(t, d.processes(t), "the check must be able to see what runs there")
			tt.end(t, d)
			ended := time.Now()
			// It returns when nobody holds its output any more, the last grandchild included.
			state := d.wait(t, 2*time.Minute)
			assert.Equal(t, tt.code, state.ExitCode(), d.said())
			awaitNothing(t, cli, d.session, killedBound)
			t.Logf("everything was gone after %.1f s", time.Since(ended).Seconds())
			assert.Empty(t, d.processes(t))
			for _, want := range tt.says {
				assert.Contains(t, d.said(), want)
			}
		})
	}
}
