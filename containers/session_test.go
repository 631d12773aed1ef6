package containers

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// TestOpenWithoutDocker runs itself in another process, because testcontainers
// looks for the daemon once in a process.
func TestOpenWithoutDocker(t *testing.T) {
	if os.Getenv("KILLPOINT_TEST_CHILD") != "" {
		_, err := Open(t.Context())
		var unavailable *UnavailableError
		require.ErrorAs(t, err, &unavailable)
		t.Log(err)
		return
	}
	for _, host := range []string{"tcp://127.0.0.1:1", "unix:///no/such/docker.sock"} {
		cmd := exec.CommandContext(limit(t), os.Args[0], "-test.run=^TestOpenWithoutDocker$", "-test.v")
		cmd.Env = append(os.Environ(), "KILLPOINT_TEST_CHILD=1", "DOCKER_HOST="+host)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "no Docker daemon answers at "+host+", which DOCKER_HOST names")
	}
}

func TestDirectSignals(t *testing.T) {
	if os.Geteuid() != 0 {
		assert.Contains(t, NoDirectSignals(), "needs root")
		return
	}
	for host, why := range map[string]string{
		"": "", "unix:///var/run/docker.sock": "", "tcp://127.0.0.1:2375": "", "tcp://localhost:2375": "",
		"tcp://192.0.2.7:2376": "DOCKER_HOST is tcp://192.0.2.7:2376",
	} {
		t.Setenv("DOCKER_HOST", host)
		if why == "" {
			assert.Empty(t, NoDirectSignals(), host)
			continue
		}
		assert.Contains(t, NoDirectSignals(), why)
	}
}

func TestOpenKeepsTheUsersHostOverride(t *testing.T) {
	t.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.2")
	openSession(t, withoutReaper())
	assert.Equal(t, "127.0.0.2", os.Getenv("TESTCONTAINERS_HOST_OVERRIDE"))
}

func TestOpenKeepsTestcontainersOnLoopback(t *testing.T) {
	t.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "")
	s := openSession(t, withoutReaper())
	if !s.local {
		t.Skip("the daemon is remote")
	}
	assert.Equal(t, "127.0.0.1", os.Getenv("TESTCONTAINERS_HOST_OVERRIDE"))
	assert.Equal(t, "true", os.Getenv("TESTCONTAINERS_RYUK_DISABLED"))
}

// A daemon that goes away in the middle of a run is an error at once, and what
// the run has made can be removed when it is back.
func TestDaemonGoesAway(t *testing.T) {
	s := openSession(t, withoutReaper())
	if !s.local {
		t.Skip("cuts the daemon's socket: needs a local one")
	}
	wire := cuttable(t, strings.TrimPrefix(s.docker.DaemonHost(), "unix://"))
	direct := s.docker
	cut, err := client.NewClientWithOpts(client.WithHost("unix://"+wire.path), client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	s.docker = cut
	c, rec := runCell(t, s, nil)
	wire.cut()

	begun := time.Now()
	_, err = c.Engine.Kill(limit(t))
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	_, err = c.Runtime.Stop(limit(t), time.Second)
	require.ErrorAs(t, err, &unavailable)
	err = c.Close(limit(t))
	require.ErrorAs(t, err, &unavailable)
	assert.Less(t, time.Since(begun), 25*time.Second)
	assert.Contains(t, faultPhases(rec), string(history.FaultFailed))

	require.NoError(t, cut.Close())
	s.docker = direct
	require.NoError(t, c.Close(limit(t)))
	requireNothingLeft(t, s)
}

// relay is a socket that leads to another one until it is cut.
type relay struct {
	path   string
	listen net.Listener
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func cuttable(t *testing.T, target string) *relay {
	t.Helper()
	r := &relay{path: filepath.Join(t.TempDir(), "docker.sock")}
	var err error
	r.listen, err = net.Listen("unix", r.path)
	require.NoError(t, err)
	r.wg.Go(func() {
		for {
			from, err := r.listen.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", target)
			if err != nil {
				from.Close() //nolint:errcheck // of a test's connection
				return
			}
			if r.keep(from, to) {
				r.wg.Go(func() { copyHalf(to, from) })
				r.wg.Go(func() { copyHalf(from, to) })
			}
		}
	})
	t.Cleanup(r.cut)
	return r
}

func copyHalf(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if c, ok := to.(*net.UnixConn); ok && (err == nil || errors.Is(err, net.ErrClosed)) {
		_ = c.CloseWrite() // a test's connection
	}
}

func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		for _, c := range conns {
			_ = c.Close() // a test's connection
		}
		return false
	}
	r.conns = append(r.conns, conns...)
	return true
}

func (r *relay) cut() {
	_ = r.listen.Close()
	r.mu.Lock()
	r.dead = true
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// The reaper is another package's; that a session starts one and ends it is ours.
func TestSessionCloseRemovesOpenCells(t *testing.T) {
	s := openSession(t)
	image := stubImage(t, s)
	_, err := s.Run(limit(t), CellConfig{Engine: engineUnderTest(), Runtime: RuntimeConfig{Image: image}, Recorder: &memory{}})
	require.NoError(t, err)
	other := openSession(t, withoutReaper())
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	require.NoError(t, s.Close(ctx))
	other.id = s.id // look with a client that is open for what the closed session left
	requireNothingLeft(t, other)
}
