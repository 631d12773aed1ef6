package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

func TestCellSurvivesStopKillAndRestart(t *testing.T) {
	s := openSession(t)
	c, rec := runCell(t, s, nil)
	gateway := c.Gateway()

	stopped, err := c.Engine.Stop(limit(t), 5*time.Second)
	require.NoError(t, err)
	assert.Equal(t, 0, stopped.Code, "an idle engine leaves cleanly at SIGTERM")
	assert.Equal(t, "SIGTERM", stopped.Signal)
	assert.False(t, stopped.GraceEnded)
	assert.Equal(t, 1, stopped.Incarnation)
	assert.Positive(t, stopped.ToDeathNS)
	_, err = c.Engine.Kill(limit(t))
	require.ErrorIs(t, err, ErrNotRunning)

	require.NoError(t, c.Engine.Start(limit(t)))
	require.ErrorIs(t, c.Engine.Start(limit(t)), ErrRunning)
	_, err = c.WaitHealthy(limit(t))
	require.NoError(t, err)
	killed, err := c.Engine.Kill(limit(t))
	require.NoError(t, err)
	assert.Equal(t, 137, killed.Code)
	assert.Equal(t, "SIGKILL", killed.Signal)
	assert.Equal(t, 2, killed.Incarnation)

	require.NoError(t, c.Engine.Start(limit(t)))
	_, err = c.WaitHealthy(limit(t))
	require.NoError(t, err)
	assert.Equal(t, "engine#3", c.Engine.Party())
	assert.Equal(t, gateway, c.Gateway())
	_, found, err := c.API().RunnerConfig(limit(t), c.Namespace(), c.PoolName())
	require.NoError(t, err)
	assert.True(t, found, "what the engine stored outlives it")

	require.NoError(t, c.Close(limit(t)))
	require.NoError(t, c.Close(limit(t)), "Close may be called again")
	requireNothingLeft(t, s)
	assert.Len(t, bodies[history.Health](rec), 3)
	requireExits(t, rec, "engine", []string{"SIGTERM/harness/0", "SIGKILL/harness/137", "SIGKILL/teardown/137"})
	requireExits(t, rec, "runtime", []string{"SIGKILL/teardown/137"})
	assert.Equal(t, []string{"begun", "landed", "begun", "landed"}, faultPhases(rec))
	requireOrdered(t, rec)
}

func requireExits(t *testing.T, rec *memory, role string, want []string) {
	t.Helper()
	var got []string
	for _, e := range bodies[history.Exit](rec) {
		if e.Role == role {
			got = append(got, fmt.Sprintf("%s/%s/%d", e.Signal, e.By, e.Code))
		}
	}
	require.Equal(t, want, got)
}

func faultPhases(rec *memory) (phases []string) {
	for _, f := range bodies[history.Fault](rec) {
		phases = append(phases, string(f.Phase))
	}
	return phases
}

// requireOrdered asserts that no incarnation exits before it started, in time.
func requireOrdered(t *testing.T, rec *memory) {
	t.Helper()
	started := map[string]int64{}
	for _, e := range rec.events {
		switch b := e.Body.(type) {
		case *history.Container:
			if b.What == history.ContainerStarting {
				started[fmt.Sprint(b.Name, b.Incarnation)] = int64(e.T)
			}
		case *history.Exit:
			begun, ok := started[fmt.Sprint(b.Name, b.Incarnation)]
			require.True(t, ok, "%s#%d exits without a start", b.Name, b.Incarnation)
			require.Greater(t, int64(e.T), begun)
		}
	}
}

func TestPartiesHaveNoWayOut(t *testing.T) {
	s := openSession(t, withoutReaper())
	if !s.local || os.Getuid() != 0 {
		t.Skip("reads /proc of the containers' processes: needs root and a local daemon")
	}
	c, _ := runCell(t, s, nil)
	for _, ctr := range []*Container{c.Engine, c.Runtime} {
		pid := ctr.current().pid()
		routes, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/route", pid))
		require.NoError(t, err)
		for _, line := range strings.Split(strings.TrimSpace(string(routes)), "\n")[1:] {
			fields := strings.Fields(line)
			require.NotEqual(t, "00000000", fields[1], "%s has a default route: %s", ctr.Role(), line)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		require.NoError(t, err)
		require.Contains(t, string(status), "\nNSpid:\t"+fmt.Sprint(pid)+"\t1\n", "%s is PID 1 of its container", ctr.Role())
	}
	runtime := c.url(c.runtimePorts[8080])
	// An address of the documentation range, and a name that is reserved.
	assert.Contains(t, get(t, runtime+"/connect?to=192.0.2.1:80"), "true")
	assert.Regexp(t, `^\[\d+\.`, get(t, runtime+"/resolve?name=engine"))
	assert.Contains(t, get(t, runtime+"/resolve?name=killpoint.invalid"), "[]")
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(body)
}

func TestLogsAreCompleteAndNotRepeated(t *testing.T) {
	const lines = 3000
	s := openSession(t, withoutReaper())
	c, rec := runCell(t, s, func(cfg *CellConfig) {
		cfg.Runtime.Env = map[string]string{"STUB_LINES": fmt.Sprint(lines)}
	})
	_, err := c.Runtime.Stop(limit(t), 5*time.Second)
	require.NoError(t, err)
	require.NoError(t, c.Runtime.Start(limit(t)))
	require.NoError(t, c.WaitRuntime(limit(t)))
	_, err = c.Runtime.Kill(limit(t))
	require.NoError(t, err)
	require.NoError(t, c.Runtime.Start(limit(t)))
	require.NoError(t, c.WaitRuntime(limit(t)))
	exit, err := c.Runtime.Stop(limit(t), 5*time.Second)
	require.NoError(t, err)
	assert.Equal(t, 143, exit.Code)
	assert.Equal(t, 2*lines+2, exit.LogLines)

	for i, both := range map[int]bool{1: true, 2: false, 3: true} {
		got := map[string]int{}
		for _, l := range c.Runtime.Logs(i) {
			got[l.Text]++
		}
		for n := range lines {
			require.Equal(t, 1, got[fmt.Sprintf("begin %d", n)], "begin %d of incarnation %d", n, i)
			if both {
				require.Equal(t, 1, got[fmt.Sprintf("end %d", n)], "end %d of incarnation %d", n, i)
			}
		}
		if both {
			require.Equal(t, 1, got["last words, without a line end"], "incarnation %d", i)
		}
	}
	assert.Nil(t, c.Runtime.Logs(4))
	requireSameAsDocker(t, s, c.Runtime)
	requireParties(t, rec, map[string]int{"runtime#1": 2*lines + 1, "runtime#2": lines, "runtime#3": 2*lines + 1})
}

// requireSameAsDocker compares, a stream at a time, what was followed with
// what the daemon kept of all incarnations.
func requireSameAsDocker(t *testing.T, s *Session, ctr *Container) {
	t.Helper()
	kept, err := s.Docker().ContainerLogs(limit(t), ctr.ID(), container.LogsOptions{ShowStdout: true, ShowStderr: true})
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	_, err = stdcopy.StdCopy(&stdout, &stderr, kept)
	require.NoError(t, err)
	require.NoError(t, kept.Close())
	followed := map[string]string{}
	for i := 1; i <= ctr.Incarnation(); i++ {
		for _, l := range ctr.Logs(i) {
			followed[l.Stream] += l.Text
		}
	}
	require.Equal(t, strings.ReplaceAll(stdout.String(), "\n", ""), followed["stdout"])
	require.Equal(t, strings.ReplaceAll(stderr.String(), "\n", ""), followed["stderr"])
}

// requireParties counts the log lines in the history by party, and wants one
// clock event each, which the runtime had written as a line of its output.
func requireParties(t *testing.T, rec *memory, want map[string]int) {
	t.Helper()
	logs, clocks := map[string]int{}, map[string]int{}
	for _, e := range rec.events {
		if !strings.HasPrefix(e.Party, "runtime#") {
			continue
		}
		switch e.Kind {
		case history.KindLog:
			logs[e.Party]++
		case history.KindClock:
			clocks[e.Party]++
		}
	}
	require.Equal(t, want, logs)
	for party := range want {
		require.Equal(t, 1, clocks[party], party)
	}
}

func TestStopKillsWhenGraceEnds(t *testing.T) {
	const grace = 300 * time.Millisecond
	s := openSession(t, withoutReaper())
	c, rec := runCell(t, s, func(cfg *CellConfig) {
		cfg.Runtime.Env = map[string]string{"STUB_DEAF": "1"}
	})
	begun := time.Now()
	exit, err := c.Runtime.Stop(limit(t), grace)
	took := time.Since(begun)
	require.NoError(t, err)
	assert.True(t, exit.GraceEnded)
	assert.Equal(t, "SIGKILL", exit.Signal)
	assert.Equal(t, 137, exit.Code)
	assert.GreaterOrEqual(t, took, grace, "it was killed before its time")
	assert.Contains(t, texts(c.Runtime.Logs(1)), "deaf to SIGTERM", "the stop signal came first")
	requireExits(t, rec, "runtime", []string{"SIGKILL/harness/137"})
	select {
	case <-c.Runtime.Exited():
	default:
		t.Error("Exited is open after the exit")
	}
}

func texts(lines []LogLine) (out []string) {
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return out
}

func TestSignalAndPause(t *testing.T) {
	s := openSession(t, withoutReaper())
	c, rec := runCell(t, s, nil)
	require.NoError(t, c.Runtime.Signal(limit(t), "USR1", WayDocker))
	require.NoError(t, c.Runtime.awaitLine(limit(t), "got SIGUSR1"))
	if s.local && os.Getuid() == 0 {
		require.NoError(t, c.Runtime.Signal(limit(t), "SIGUSR1", WayPidfd))
	}
	require.Error(t, c.Runtime.Signal(limit(t), "SIGNONE", WayDocker))

	require.NoError(t, c.Engine.Pause(limit(t)))
	short, cancel := context.WithTimeout(limit(t), 200*time.Millisecond)
	defer cancel()
	_, err := c.API().Health(short)
	require.ErrorIs(t, err, context.DeadlineExceeded, "a paused engine answers nothing")
	require.NoError(t, c.Engine.Unpause(limit(t)))
	_, err = c.API().Health(limit(t))
	require.NoError(t, err)

	_, err = c.Runtime.Wait(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	phases := faultPhases(rec)
	assert.Equal(t, "failed", phases[len(phases)-4], "the unknown signal")
	assert.Equal(t, []string{"begun", "landed", "healed"}, phases[len(phases)-3:])
}

func TestEngineThatExitsAtStartShowsWhy(t *testing.T) {
	s := openSession(t, withoutReaper())
	_, err := s.Run(limit(t), CellConfig{
		Engine:       engineUnderTest(),
		EngineConfig: EngineConfig{Extra: map[string]any{"no_such_section": true}},
		Runtime:      RuntimeConfig{Image: stubImage(t, s)},
		Recorder:     &memory{},
	})
	var exited *ExitedError
	require.ErrorAs(t, err, &exited)
	assert.NotZero(t, exited.Exit.Code)
	assert.Contains(t, exited.Tail, "no_such_section")
	assert.ErrorContains(t, err, "no_such_section")
	requireNothingLeft(t, s)
}

func TestRuntimeThatExitsAtStartShowsWhy(t *testing.T) {
	s := openSession(t, withoutReaper())
	_, err := s.Run(limit(t), CellConfig{
		Engine:   engineUnderTest(),
		Runtime:  RuntimeConfig{Image: stubImage(t, s), Cmd: []string{"fail"}},
		Recorder: &memory{},
	})
	var exited *ExitedError
	require.ErrorAs(t, err, &exited)
	assert.Equal(t, 7, exited.Exit.Code)
	assert.Contains(t, exited.Tail, "cannot go on: as I was told")
	requireNothingLeft(t, s)
}

func TestRunRefusesWhatIsNotThere(t *testing.T) {
	s := openSession(t, withoutReaper())
	for name, change := range map[string]func(*CellConfig){
		"no-such-runtime:1":     func(c *CellConfig) { c.Runtime.Image = "no-such-runtime:1" },
		"9.9.9":                 func(c *CellConfig) { c.Engine = "9.9.9" },
		"/no/such/engine":       func(c *CellConfig) { c.Engine = "/no/such/engine" },
		"Recorder":              func(c *CellConfig) { c.Recorder = nil },
		"LoadShedding \"some\"": func(c *CellConfig) { c.EngineConfig.LoadShedding = "some" },
	} {
		cfg := CellConfig{Runtime: RuntimeConfig{Image: stubImage(t, s)}, Recorder: &memory{}}
		change(&cfg)
		_, err := s.Run(limit(t), cfg)
		require.ErrorContains(t, err, name)
	}
	requireNothingLeft(t, s)
}

func TestCancelledRunLeavesNothing(t *testing.T) {
	s := openSession(t, withoutReaper())
	image := stubImage(t, s)
	ctx, cancel := context.WithTimeout(limit(t), 250*time.Millisecond)
	defer cancel()
	_, err := s.Run(ctx, CellConfig{Engine: engineUnderTest(), Runtime: RuntimeConfig{Image: image}, Recorder: &memory{}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	requireNothingLeft(t, s)
}

func TestRunTakesOtherPortsWhenOneIsLost(t *testing.T) {
	s := openSession(t, withoutReaper())
	var thief net.Listener
	var mu sync.Mutex // the two sandboxes ask at once
	s.ports.probe = func(ctx context.Context, n int) bool {
		mu.Lock()
		defer mu.Unlock()
		if thief != nil {
			return bindable(ctx, n)
		}
		var err error
		thief, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", n))
		return err == nil
	}
	c, _ := runCell(t, s, nil)
	defer thief.Close() //nolint:errcheck // of a test's listener
	assert.Contains(t, get(t, c.Gateway()+"/health"), "ok")
}

// A cell waits for its turn no longer than its caller does, and leaves nothing.
func TestACellWaitsForItsTurn(t *testing.T) {
	s := openSession(t)
	require.NoError(t, s.building.Acquire(limit(t), mostBuilding))
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("enough"))
	defer cancel()
	_, err := s.Run(ctx, CellConfig{Runtime: RuntimeConfig{Image: "none"}, Recorder: &memory{}})
	require.ErrorContains(t, err, "wait for other cells to be made: enough")
	requireNothingLeft(t, s)
	s.building.Release(mostBuilding)
	runCell(t, s, nil)
}
