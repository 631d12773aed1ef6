package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// asFixture makes the test binary be the fixture, so that its signals and
// exit codes are those of a process.
const asFixture = "FIXTURE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asFixture) != "" {
		main()
	}
	// A process that was started under nohup ignores SIGHUP, and its children do, for
	// Go keeps that. What is handled here is at its default in them.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

const patience = 10 * time.Second

// child is a fixture in a process of its own.
type child struct {
	cmd    *exec.Cmd
	events chan history.Event // of its standard output; closed at its end
	errors *strings.Builder   // its standard error; to be read after exit
}

func spawn(t *testing.T, env ...string) *child {
	t.Helper()
	return spawnIn(t, nil, env...)
}

// spawnIn is spawn with what else the process is to have.
func spawnIn(t *testing.T, attr *syscall.SysProcAttr, env ...string) *child {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	c := &child{events: make(chan history.Event, 1024), errors: &strings.Builder{}}
	c.cmd = exec.CommandContext(ctx, os.Args[0])
	c.cmd.Env = append([]string{asFixture + "=1", prefix + "LISTEN=127.0.0.1:0", prefix + "CONTROL=127.0.0.1:0"}, env...)
	c.cmd.Stderr, c.cmd.SysProcAttr = c.errors, attr
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	go c.read(out)
	return c
}

func (c *child) read(out io.Reader) {
	defer close(c.events)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if e, ok := history.ParseEvent(lines.Bytes()); ok {
			c.events <- e
		}
	}
}

func (c *child) next(t *testing.T) history.Event {
	t.Helper()
	select {
	case e, ok := <-c.events:
		require.True(t, ok, "the fixture ended instead of recording another event")
		return e
	case <-time.After(patience):
		t.Fatalf("the fixture recorded no event within %v", patience)
		return history.Event{}
	}
}

// own reads on to an event of a kind that is the fixture's own.
func own[T any](t *testing.T, c *child, kind history.Kind) T {
	t.Helper()
	for {
		if e := c.next(t); e.Kind == kind {
			var body T
			require.NoError(t, json.Unmarshal(e.Body.(json.RawMessage), &body))
			return body
		}
	}
}

// shutdown reads on to the next step of the way out.
func (c *child) shutdown(t *testing.T) history.Shutdown {
	t.Helper()
	for {
		if s, ok := c.next(t).Body.(*history.Shutdown); ok {
			return *s
		}
	}
}

func (c *child) exit(t *testing.T) int {
	t.Helper()
	for range c.events {
	}
	err := c.cmd.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("wait for the fixture: %v", err)
	}
	return c.cmd.ProcessState.ExitCode()
}

func TestTheClockComesFirst(t *testing.T) {
	t.Parallel()
	c := spawn(t)
	first := c.next(t)
	require.Equal(t, history.KindClock, first.Kind)
	assert.NotEmpty(t, first.Body.(*history.Clock).BootID)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 143, c.exit(t))
}

// A drain that is held is bounded by its grace; a second signal is absorbed.
func TestHeldDrain(t *testing.T) {
	t.Parallel()
	c := spawn(t, prefix+"ARM=in-drain:1m", prefix+"DRAIN_GRACE=300ms")
	require.Equal(t, history.KindClock, c.next(t).Kind)
	require.Equal(t, "armed", c.next(t).Body.(*history.Breakpoint).What)
	own[Listening](t, c, kindListening)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, history.ShutdownSignal, c.shutdown(t).What)
	require.Equal(t, "reached", c.next(t).Body.(*history.Breakpoint).What)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, history.ShutdownAbsorbed, c.shutdown(t).What)
	drained := c.shutdown(t)
	assert.Equal(t, history.ShutdownDrained, drained.What)
	assert.Contains(t, drained.Error, "the drain grace of 300ms has passed")
	assert.InDelta(t, 300*time.Millisecond, drained.TookNS, float64(2*time.Second))
	assert.Equal(t, 143, c.exit(t))
	assert.Contains(t, c.errors.String(), "fixture: drain: held at breakpoint in-drain")
}

func TestServes(t *testing.T) {
	t.Parallel()
	c := spawn(t, prefix+"VERSION=5")
	require.Equal(t, history.KindClock, c.next(t).Kind)
	on := own[Listening](t, c, kindListening)
	assert.Contains(t, get(t, "http://"+on.Control+"/state"), `"actors":[]`)
	assert.Contains(t, get(t, "http://"+on.Serverless+"/api/rivet/metadata"), `"counter"`)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 143, c.exit(t))
}

func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, errors.Join(err, res.Body.Close()))
	return string(body)
}

func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	c := spawn(t, prefix+"PROTOCOL=7", prefix+"VERSION=0")
	assert.Equal(t, 2, c.exit(t))
	assert.Equal(t, "fixture: settings: KILLPOINT_FIXTURE_PROTOCOL: \"7\": use 6 or 8; KILLPOINT_FIXTURE_VERSION: \"0\": use a number from 1 to 4294967295\n", c.errors.String())

	c = spawn(t, prefix+"ENVOY_KEY=x")
	assert.Equal(t, 2, c.exit(t))
	assert.Contains(t, c.errors.String(), "fixture: settings: ")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nothing was written
	c = spawn(t, prefix+"CONTROL="+l.Addr().String())
	assert.Equal(t, 1, c.exit(t))
	assert.Contains(t, c.errors.String(), fmt.Sprintf("fixture: listen for control calls: listen tcp %s", l.Addr()))
}
