package containers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"
	"github.com/testcontainers/testcontainers-go"
	"golang.org/x/sync/semaphore"

	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/internal/image"
	"github.com/killpoint/killpoint/internal/reaper"
)

// harness is the party that records what the rig does and sees.
const harness = "harness"

// Labels of everything that a session makes, besides those of the reaper.
const (
	ownLabel  = "killpoint" // "true"
	cellLabel = "killpoint.cell"
)

const (
	// callTimeout bounds a call to Docker that should take well under a second. It
	// leaves room for a busy disk; what it must end is a daemon that went silent.
	callTimeout = 30 * time.Second
	pingTimeout = 3 * time.Second
	// closeTimeout bounds the removal of a cell that failed to start, for
	// which the caller's context may be spent.
	closeTimeout = 60 * time.Second
)

// Session is what all cells of a process share. It is safe for concurrent use.
type Session struct {
	id     string
	bootID string
	docker client.APIClient
	// local: the daemon's socket is a file, so its loopback is ours.
	local bool
	// near: it is reached over a file or loopback, so its containers may be our kernel's.
	near bool
	host string // where published ports answer
	// caller is the address by which the containers of a daemon elsewhere see us.
	caller string
	ports  *portPool
	reaper *reaper.Reaper
	cells  atomic.Int64
	// building is who makes a cell: see mostBuilding.
	building *semaphore.Weighted

	mu   sync.Mutex
	open map[*Cell]struct{}
}

// mostBuilding is how many cells of a session are made at once. The daemon makes
// networks one after the other: forty at once take it longer than any one call may.
const mostBuilding = 8

// SessionOption changes a [Session].
type SessionOption func(*sessionConfig)

type sessionConfig struct {
	first, last int
	reaper      bool
}

// WithPortRange sets the host ports from which cells get theirs, by default
// those of [PortsEnv], or else 20000 to 31999. Ports from 32768 on are the kernel's own for outgoing
// connections, and not reliable.
func WithPortRange(first, last int) SessionOption {
	return func(c *sessionConfig) { c.first, c.last = first, last }
}

// withoutReaper is for tests that kill nobody.
func withoutReaper() SessionOption { return func(c *sessionConfig) { c.reaper = false } }

// UnavailableError says that no Docker daemon answers, or no longer.
type UnavailableError struct {
	Host string // its address, "" where none was found
	// Named: DOCKER_HOST asks for it, so no other one will do.
	Named bool
	Err   error
}

func (e *UnavailableError) Error() string {
	if e.Named {
		return fmt.Sprintf("no Docker daemon answers at %s, which DOCKER_HOST names; start it, or correct or unset DOCKER_HOST: %v", e.Host, e.Err)
	}
	at := ""
	if e.Host != "" {
		at = " at " + e.Host
	}
	return fmt.Sprintf("no Docker daemon answers%s; start it (Debian: apt-get install docker.io, then dockerd as root) or point DOCKER_HOST at one: %v", at, e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// Open connects to Docker and starts the session's reaper, which removes all
// that is labelled with the session's id should this process be killed. It
// returns an [*UnavailableError] where no daemon answers.
//
// It sets testcontainers' environment variables for this process: its own
// reaper off, for its image would have to be pulled, and its idea of the Docker
// host to loopback unless the user chose another or the daemon is remote,
// for it else may take the default route's gateway for the Docker host and
// poll that address on the network.
func Open(ctx context.Context, opts ...SessionOption) (*Session, error) {
	first, last, err := ParsePorts(os.Getenv(PortsEnv))
	if err != nil {
		return nil, err
	}
	cfg := sessionConfig{first: first, last: last, reaper: true}
	for _, opt := range opts {
		opt(&cfg)
	}
	ports, err := newPortPool(cfg.first, cfg.last)
	if err != nil {
		return nil, err
	}
	bootID, err := clock.BootID()
	if err != nil {
		return nil, err
	}
	s := &Session{id: newID(), bootID: bootID, ports: ports, open: make(map[*Cell]struct{}), building: semaphore.NewWeighted(mostBuilding)}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if cfg.reaper {
		s.reaper, err = reaper.Start(ctx, s.docker, s.id)
		if err != nil {
			return nil, errors.Join(err, s.docker.Close())
		}
	}
	if !s.local {
		if err := s.meet(ctx); err != nil {
			return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}
	return s, nil
}

func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // documented never to fail
	return hex.EncodeToString(b)
}

func (s *Session) connect(ctx context.Context) error {
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return err
	}
	if err := pingNamed(ctx); err != nil {
		return err
	}
	docker, err := dial(ctx)
	if err != nil {
		return err
	}
	if err := ping(ctx, docker); err != nil {
		return errors.Join(err, docker.Close())
	}
	s.docker = docker
	s.local, s.host = reach(docker.DaemonHost())
	s.near = s.local || isLoopback(s.host)
	if !s.local {
		s.ports.probe = s.unpublished
	}
	if os.Getenv("TESTCONTAINERS_HOST_OVERRIDE") == "" {
		return os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", s.host)
	}
	return nil
}

// pingNamed asks the daemon that DOCKER_HOST names, if it names one. Where that
// does not answer, testcontainers would quietly take the default one.
func pingNamed(ctx context.Context) error {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		return nil
	}
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return &UnavailableError{Host: host, Named: true, Err: err}
	}
	return errors.Join(ping(ctx, docker), docker.Close())
}

func ping(ctx context.Context, docker client.APIClient) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if _, err := docker.Ping(ctx); err != nil {
		host := docker.DaemonHost()
		return &UnavailableError{Host: host, Named: host == os.Getenv("DOCKER_HOST"), Err: err}
	}
	return nil
}

// dial makes the client that testcontainers would, so that both talk to the
// same daemon. Where testcontainers finds no daemon it panics.
func dial(ctx context.Context) (_ client.APIClient, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &UnavailableError{Host: os.Getenv("DOCKER_HOST"), Err: fmt.Errorf("%v", p)}
		}
	}()
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, &UnavailableError{Host: os.Getenv("DOCKER_HOST"), Err: err}
	}
	return docker.Client, nil
}

// NoDirectSignals says why [WayPidfd] cannot be had here, "" where it can as far as
// is known without a session.
func NoDirectSignals() string {
	const what = "signals a container's process itself, as the daemon's API cannot: "
	if os.Geteuid() != 0 {
		return what + "needs root"
	}
	host := os.Getenv("DOCKER_HOST")
	if local, name := reach(host); !local && !isLoopback(name) {
		return what + "needs a daemon on this machine, and DOCKER_HOST is " + host
	}
	return ""
}

// reach says whether a daemon is on this machine and where its published
// ports answer.
func reach(daemonHost string) (local bool, host string) {
	u, err := url.Parse(daemonHost)
	if err != nil || u.Hostname() == "" {
		return true, "127.0.0.1" // unix:///var/run/docker.sock
	}
	return false, u.Hostname()
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// rig makes the rig's own image available.
func (s *Session) rig(ctx context.Context) (string, error) { return image.Rig(ctx, s.docker) }

// ID names the session. Everything that it makes carries it as a label.
func (s *Session) ID() string { return s.id }

// Docker is the session's client, for making images available before a run.
func (s *Session) Docker() client.APIClient { return s.docker }

// Host is where published ports answer: "127.0.0.1", or the host of a remote
// daemon.
func (s *Session) Host() string { return s.host }

// Close closes the cells that are still open, has the reaper remove whatever
// else is left of the session, and ends the connection to Docker.
func (s *Session) Close(ctx context.Context) error {
	var errs []error
	for _, c := range s.openCells() {
		errs = append(errs, c.Close(ctx))
	}
	if s.reaper != nil {
		if err := s.reaper.Close(ctx); err != nil {
			errs = append(errs, s.explain("close the reaper", err))
		}
	}
	return errors.Join(append(errs, s.docker.Close())...)
}

func (s *Session) openCells() []*Cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	cells := make([]*Cell, 0, len(s.open))
	for c := range s.open {
		cells = append(cells, c)
	}
	return cells
}

// explain wraps an error of a Docker call. Where the daemon does not answer a
// ping either, that is the reason: a daemon that dies under a call shows as an
// unexpected end of file, a reset, or silence, none of which says so.
func (s *Session) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if gone := ping(context.Background(), s.docker); gone != nil {
		err = errors.Join(gone, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
