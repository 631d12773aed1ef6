package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/tap"
)

// asTap makes the test binary be the tap, so that its signals and exit codes
// are those of a process.
const asTap = "WIRETAP_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asTap) != "" {
		main()
	}
	os.Exit(m.Run())
}

const patience = 10 * time.Second

// command is a tap in a process of its own.
func command(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append([]string{asTap + "=1", prefix + "ENVOY=127.0.0.1:0", prefix + "SERVERLESS=127.0.0.1:0",
		prefix + "GATEWAY=127.0.0.1:0", prefix + "CONTROL=127.0.0.1:0", prefix + "ENGINE=127.0.0.1:1", prefix + "TOKEN=" + secret}, env...)
	return cmd
}

// What happened before the signal is written before the exit.
func TestOrderlyEnd(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd := command(t)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		next := func() (history.Event, bool) {
			if !lines.Scan() {
				return history.Event{}, false
			}
			e, ok := history.ParseEvent(lines.Bytes())
			require.True(t, ok, "%s", lines.Bytes())
			return e, true
		}
		first, _ := next()
		assert.Equal(t, history.KindClock, first.Kind, "the clock comes first")
		second, _ := next()
		on, ok := second.Body.(*history.TapListening)
		require.True(t, ok, "%v", second)

		client := tap.NewClient("http://"+on.Control, secret)
		defer client.Close()
		resp, err := http.Get("http://" + on.Envoy + "/health") //nolint:bodyclose // there is none
		require.Error(t, err, "%v", resp)
		s, err := client.State(t.Context())
		require.NoError(t, err)
		assert.Equal(t, uint64(1), s.Frames)
		require.NoError(t, cmd.Process.Signal(sig))
		var whats []string
		for e, ok := next(); ok; e, ok = next() {
			whats = append(whats, e.Body.(*history.Frame).What)
		}
		assert.Equal(t, []string{"arrived", "lost"}, whats)
		assert.NoError(t, cmd.Wait())
	}
}

func TestBadSettingsAreOneLine(t *testing.T) {
	cmd := command(t, prefix+"TOKEN=x", prefix+"RUNTIME=x")
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	assert.Equal(t, exitSettings, cmd.ProcessState.ExitCode(), "%v", err)
	assert.Equal(t, 1, strings.Count(said.String(), "\n"), said.String())
	assert.Contains(t, said.String(), "wiretap: settings: "+prefix+"RUNTIME:")
}

func TestAPortThatIsTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close() //nolint:errcheck // nothing was written
	cmd := command(t, prefix+"SERVERLESS="+ln.Addr().String())
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	assert.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), "%v", err)
	assert.Contains(t, said.String(), "wiretap: listen for the serverless wire: ")
}
