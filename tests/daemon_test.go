package tests

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// proxy stands before the Docker daemon, so that the daemon can go away for one
// process only. It listens on TCP, as a daemon elsewhere would: the reaper then
// mounts the daemon's own socket, not the proxy's.
type proxy struct {
	listener net.Listener
	target   *url.URL

	mu    sync.Mutex
	conns []net.Conn
	gone  bool
}

// startProxy stands before a daemon at "unix:///..." or "tcp://...".
func startProxy(t *testing.T, daemon string) *proxy {
	t.Helper()
	target, err := url.Parse(daemon)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, target: target}
	go p.serve()
	t.Cleanup(p.goAway)
	return p
}

func (p *proxy) host() string { return "tcp://" + p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial(p.target.Scheme, p.target.Host+p.target.Path) // either is empty
		if err != nil {
			_ = in.Close()
			continue
		}
		if !p.keep(in, out) {
			_, _ = in.Close(), out.Close()
			return
		}
		go pipe(in, out)
		go pipe(out, in)
	}
}

// keep notes the connections for goAway; false says that it has been.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	return !p.gone
}

func pipe(dst, src net.Conn) {
	_, _ = io.Copy(dst, src) // ends with either side
	_ = dst.Close()
}

// goAway ends all connections and takes no more.
func (p *proxy) goAway() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// A daemon that stops answering in the middle of a run ends the run with a
// clear error, not with a hang, and what was made is removed all the same.
func TestDaemonGoingAwayEndsTheRun(t *testing.T) {
	t.Parallel()
	session(t)
	cli := docker(t)
	p := startProxy(t, cli.DaemonHost())
	c := startChild(t, "DOCKER_HOST="+p.host())
	id := c.session(t)
	c.until(t, "strike the engine", time.Minute)
	p.goAway()
	state := c.wait(t, time.Minute)
	assert.Equal(t, 1, state.ExitCode(), c.said())
	assert.Contains(t, c.said(), "Docker daemon")
	assert.Contains(t, c.said(), "inconclusive: trial-complete")
	awaitNothing(t, cli, id, killedBound)
}
