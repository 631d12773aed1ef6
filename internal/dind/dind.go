// Package dind runs a Docker daemon in a container of another one, the outer
// daemon: with a data volume and a network of its own, no way off the machine,
// and its port and a range of ports for what its containers publish on loopback.
//
// All of it bears a session's label, and the session's reaper on the outer daemon
// removes it when the process ends that started it, however it ends.
package dind

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"

	"github.com/killpoint/killpoint/internal/reaper"
)

const (
	// Blocks of ports lie below those from which cells on the outer daemon get
	// theirs. A block is the daemon's own port and those of its containers.
	firstPort = 10000
	lastPort  = 19999
	blockSize = 100

	startTimeout = 60 * time.Second
	pingTimeout  = 3 * time.Second
	// pingPoll is how often the new daemon is asked: it tells nobody that it is ready.
	pingPoll = 50 * time.Millisecond
	// attempts bounds the tries with other ports.
	attempts = 3

	daemonPort = nat.Port("2375/tcp")
	dataPath   = "/var/lib/docker"
	role       = "daemon"
	tailLines  = "25"
)

// Daemon is a Docker daemon in a container. Its methods are not safe for
// concurrent use, but Gone may be waited for anywhere.
type Daemon struct {
	// Host is its address, for DOCKER_HOST.
	Host string
	// Ports is the range that its containers may publish, as in "10001-10099".
	Ports string
	// Name is its container's name.
	Name string
	// Version is the daemon's.
	Version string

	docker client.APIClient
	reaper *reaper.Reaper
	id     string
	gone   chan struct{}
	ended  context.CancelFunc
}

// RemoteError says that the outer daemon is not on this machine, where alone its
// containers' ports could be reached by loopback.
type RemoteError struct{ Host string }

func (e *RemoteError) Error() string {
	return fmt.Sprintf("the Docker daemon at %s is not reached by a socket on this machine, so a daemon inside it could not be reached by loopback: unset DOCKER_HOST, or use that daemon itself", e.Host)
}

// Start starts a daemon and returns when it answers. On error nothing is left,
// unless the error says so.
func Start(ctx context.Context, docker client.APIClient, log io.Writer) (*Daemon, error) {
	if !strings.HasPrefix(docker.DaemonHost(), "unix://") {
		return nil, &RemoteError{docker.DaemonHost()}
	}
	session := newID()
	r, err := reaper.Start(ctx, docker, session)
	if err != nil {
		return nil, err
	}
	d := &Daemon{Name: "killpoint-" + session + "-dind", docker: docker, reaper: r}
	if err := d.start(ctx, session, log); err != nil {
		return nil, errors.Join(fmt.Errorf("start a Docker daemon in a container: %w", err), d.Close(context.WithoutCancel(ctx)))
	}
	return d, nil
}

func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // documented never to fail
	return hex.EncodeToString(b)
}

func (d *Daemon) start(ctx context.Context, session string, log io.Writer) error {
	ref, err := Image(ctx, d.docker, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready within %v", startTimeout))
	defer cancel()
	labels := map[string]string{"killpoint": "true", reaper.SessionLabel: session, reaper.RoleLabel: role}
	if _, err := d.docker.NetworkCreate(ctx, d.Name, network.CreateOptions{Labels: labels}); err != nil {
		return fmt.Errorf("create its network: %w", err)
	}
	if _, err := d.docker.VolumeCreate(ctx, volume.CreateOptions{Name: d.Name, Labels: labels}); err != nil {
		return fmt.Errorf("create its volume: %w", err)
	}
	if err := d.run(ctx, ref, labels); err != nil {
		return err
	}
	d.watch()
	return d.awaitAnswer(ctx)
}

// run makes and starts the container, with other ports where another program took
// one of them first.
func (d *Daemon) run(ctx context.Context, ref string, labels map[string]string) error {
	for attempt := 1; ; attempt++ {
		first, err := freeBlock()
		if err != nil {
			return err
		}
		d.Host = "tcp://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(first))
		d.Ports = fmt.Sprintf("%d-%d", first+1, first+blockSize-1)
		config, host := containerConfig(ref, d.Name, labels, first)
		made, err := d.docker.ContainerCreate(ctx, config, host, nil, nil, d.Name)
		if err != nil {
			return fmt.Errorf("create its container: %w", err)
		}
		d.id = made.ID
		err = d.docker.ContainerStart(ctx, d.id, container.StartOptions{})
		if err == nil {
			return nil
		}
		err = fmt.Errorf("start its container: %w", err)
		if attempt == attempts || ctx.Err() != nil || free(first) {
			return err
		}
		if removed := d.docker.ContainerRemove(ctx, d.id, container.RemoveOptions{Force: true}); removed != nil {
			return errors.Join(err, removed)
		}
	}
}

// freeBlock finds a block of which no port is in use, beginning anywhere.
func freeBlock() (first int, err error) {
	const blocks = (lastPort - firstPort + 1) / blockSize
	start := mathrand.IntN(blocks)
	for i := range blocks {
		first := firstPort + (start+i)%blocks*blockSize
		if free(first) {
			return first, nil
		}
	}
	return 0, fmt.Errorf("no %d ports in a row are free on 127.0.0.1 between %d and %d", blockSize, firstPort, lastPort)
}

func free(first int) bool {
	for n := first; n < first+blockSize; n++ {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: n})
		if err != nil || l.Close() != nil {
			return false
		}
	}
	return true
}

func containerConfig(ref, name string, labels map[string]string, first int) (*container.Config, *container.HostConfig) {
	bindings := nat.PortMap{}
	publish := func(inside nat.Port, number int) {
		bindings[inside] = []nat.PortBinding{{HostIP: "127.0.0.1", HostPort: strconv.Itoa(number)}}
	}
	publish(daemonPort, first)
	for n := first + 1; n < first+blockSize; n++ {
		publish(nat.Port(strconv.Itoa(n)+"/tcp"), n)
	}
	exposed := nat.PortSet{}
	for p := range bindings {
		exposed[p] = struct{}{}
	}
	yes := true
	host := &container.HostConfig{
		Init:         &yes,
		NetworkMode:  container.NetworkMode(name),
		PortBindings: bindings,
		Mounts:       []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: dataPath}},
		// What --privileged grants, less the one capability that not every machine
		// has to give and a daemon can do without.
		CapAdd:        []string{"ALL"},
		CapDrop:       []string{"SYS_RESOURCE"},
		SecurityOpt:   []string{"seccomp=unconfined", "apparmor=unconfined", "label=disable"},
		MaskedPaths:   []string{},
		ReadonlyPaths: []string{},
		Resources:     container.Resources{DeviceCgroupRules: []string{"a *:* rwm"}},
	}
	return &container.Config{Image: ref, Labels: labels, ExposedPorts: exposed}, host
}

// watch notes the container's end.
func (d *Daemon) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	d.ended, d.gone = cancel, make(chan struct{})
	end, failed := d.docker.ContainerWait(ctx, d.id, container.WaitConditionNotRunning)
	go func() {
		defer close(d.gone)
		select {
		case <-end:
		case <-failed: //nolint:errcheck // the outer daemon is gone, or Close ends the wait
		}
	}()
}

// Gone is closed when the daemon's container has ended.
func (d *Daemon) Gone() <-chan struct{} { return d.gone }

// Ping says why the daemon does not answer, or nil.
func (d *Daemon) Ping(ctx context.Context) error {
	_, err := d.version(ctx)
	return err
}

func (d *Daemon) awaitAnswer(ctx context.Context) error {
	tick := time.NewTicker(pingPoll)
	defer tick.Stop()
	for {
		version, err := d.version(ctx)
		if err == nil {
			d.Version = version
			return nil
		}
		select {
		case <-d.gone:
			return fmt.Errorf("it ended while starting; its last lines:\n%s", d.Log())
		case <-ctx.Done():
			return fmt.Errorf("wait for an answer at %s: %w; last seen: %w; its last lines:\n%s", d.Host, context.Cause(ctx), err, d.Log())
		case <-tick.C:
		}
	}
}

func (d *Daemon) version(ctx context.Context) (_ string, err error) {
	inner, err := client.NewClientWithOpts(client.WithHost(d.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, inner.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	v, err := inner.ServerVersion(ctx)
	return v.Version, err
}

// Log is the end of what the daemon wrote, for a message.
func (d *Daemon) Log() string {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	logs, err := d.docker.ContainerLogs(ctx, d.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: tailLines})
	if err != nil {
		return fmt.Sprintf("(none: %v)", err)
	}
	defer func() { _ = logs.Close() }() // it was only read
	var b strings.Builder
	if _, err := stdcopy.StdCopy(&b, &b, logs); err != nil {
		fmt.Fprintf(&b, "(cut off: %v)", err)
	}
	return strings.TrimSpace(b.String())
}

// Close removes the daemon and all that is in it, and waits for that.
func (d *Daemon) Close(ctx context.Context) error {
	err := d.reaper.Close(ctx)
	if d.gone != nil {
		d.ended()
		<-d.gone
	}
	return err
}
