// Package reaper makes sure that nothing of a session outlives it in the Docker
// daemon, however the session ends.
//
// A container of the rig's image holds the daemon's socket, and the session holds
// the container's standard input. When the session's process dies, by whatever
// means, its kernel closes the connection, the daemon closes the container's
// input, and the container removes all that bears the session's label. There is
// no port to find free, no token to guard and no image to pull, and a process
// that is merely stopped, as by a debugger, is not mistaken for a dead one. When
// the daemon itself goes down and comes back, it restarts the reaper, which takes
// the session for lost.
package reaper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"

	"github.com/killpoint/killpoint/internal/image"
)

const (
	// SessionLabel marks containers, networks and volumes with the session they
	// belong to. Whatever bears it is removed with its session.
	SessionLabel = "killpoint.session"
	// RoleLabel says what a container is for.
	RoleLabel = "killpoint.role"
	// Role is the reaper's own RoleLabel. It bears its session's label too, and is
	// the last to go.
	Role = "reaper"

	// The protocol: the container says readyLine when it can do its work, the
	// session says farewell when it ends in order, and the container ends with
	// doneLine when nothing is left.
	readyLine = "reaper ready"
	farewell  = "sweep"
	doneLine  = "nothing is left"

	// SocketEnv names the daemon's socket in the daemon's own file system, where
	// it is not the usual one.
	SocketEnv     = "KILLPOINT_DOCKER_SOCKET"
	defaultSocket = "/var/run/docker.sock"
	// SocketInside is where the container finds the socket.
	SocketInside = "/var/run/docker.sock"

	startTimeout   = 20 * time.Second
	cleanUpTimeout = 20 * time.Second
	pingTimeout    = 5 * time.Second
	// stillbornAge is far more than the time between a reaper's creation and its
	// start, also where the daemon's clock is a little off ours.
	stillbornAge = 10 * time.Minute

	// restarts bounds the tries after an outage of the daemon; Docker doubles the
	// time between them from 100 ms on.
	restarts = 8
)

var errLost = errors.New("its container ended before it was asked to: was it stopped from outside?")

// Reaper is the session's hold on its reaper container. It is not safe for
// concurrent use.
type Reaper struct {
	docker  client.APIClient
	session string
	id      string
	conn    types.HijackedResponse
	log     *bufio.Reader
	closed  bool
}

// Start starts the reaper of the session and returns when it is ready to work.
// From then on the death of this process ends the session. Where Start fails it
// leaves nothing behind.
func Start(ctx context.Context, docker client.APIClient, session string) (*Reaper, error) {
	// Before the time begins to run: the first time it is compiled, which may take
	// a minute on a machine that compiled nothing yet.
	ref, err := image.Rig(ctx, docker)
	if err != nil {
		return nil, fmt.Errorf("make the image of the reaper of session %s available: %w", session, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("not ready within %s", startTimeout))
	defer cancel()
	r, err := start(ctx, docker, session, ref)
	if err != nil {
		return nil, fmt.Errorf("start the reaper of session %s: %w", session, err)
	}
	return r, nil
}

func start(ctx context.Context, docker client.APIClient, session, ref string) (*Reaper, error) {
	if err := removeStillborn(ctx, docker, stillbornAge); err != nil {
		return nil, err
	}
	config, host := containerConfig(ref, session, socket(docker.DaemonHost()))
	made, err := docker.ContainerCreate(ctx, config, host, nil, nil, "")
	if err != nil {
		return nil, fmt.Errorf("create container: %w", err)
	}
	r := &Reaper{docker: docker, session: session, id: made.ID}
	if err := r.begin(ctx); err != nil {
		return nil, errors.Join(err, r.discard(ctx))
	}
	return r, nil
}

func containerConfig(ref, session, socket string) (*container.Config, *container.HostConfig) {
	config := &container.Config{
		Image:        ref,
		Cmd:          []string{"reaper", session},
		Labels:       map[string]string{SessionLabel: session, RoleLabel: Role},
		AttachStdin:  true,
		AttachStdout: true,
		AttachStderr: true,
		OpenStdin:    true,
		StdinOnce:    true, // the daemon closes the input when our connection ends
	}
	host := &container.HostConfig{
		// Docker restarts no container that it is to remove, so the reaper removes itself.
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: restarts},
		NetworkMode:   "none",
		CapDrop:       []string{"ALL"},
		UsernsMode:    "host", // the socket belongs to the host's root
		// SELinux would keep a confined container from the socket.
		SecurityOpt: []string{"label=disable", "no-new-privileges"},
		// A mount, unlike a bind, fails where the source is missing, and does not make a directory of it.
		Mounts: []mount.Mount{{Type: mount.TypeBind, Source: socket, Target: SocketInside}},
	}
	return config, host
}

// socket is the path of the daemon's socket in the daemon's file system. A daemon
// reached by TCP is taken to listen at the usual place as well.
func socket(daemonHost string) string {
	if s := os.Getenv(SocketEnv); s != "" {
		return s
	}
	if path, ok := strings.CutPrefix(daemonHost, "unix://"); ok {
		return path
	}
	return defaultSocket
}

// begin attaches before it starts, so that no line is missed and the container
// never runs without its hold.
func (r *Reaper) begin(ctx context.Context) error {
	conn, err := r.docker.ContainerAttach(ctx, r.id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("attach to container: %w", err)
	}
	r.conn = conn
	r.log = bufio.NewReader(&demuxer{src: conn.Reader})
	if err := r.docker.ContainerStart(ctx, r.id, container.StartOptions{}); err != nil {
		return fmt.Errorf("start container (set %s if the daemon's socket is elsewhere in its file system): %w", SocketEnv, err)
	}
	return r.awaitReady(ctx)
}

func (r *Reaper) awaitReady(ctx context.Context) error {
	stop := r.endReadsWith(ctx)
	defer stop()
	line, err := r.log.ReadString('\n')
	if err == nil && strings.TrimSpace(line) == readyLine {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	rest, _ := io.ReadAll(io.LimitReader(r.log, 4096)) // what it still says can only help
	return fmt.Errorf("waited for %q, got %q: %w", readyLine, line+string(rest), err)
}

// endReadsWith makes a read on the connection fail when ctx ends. The returned
// function undoes it.
func (r *Reaper) endReadsWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = r.conn.Conn.SetReadDeadline(time.Unix(1, 0)) })
}

// discard removes a container that did not get as far as a session's hold.
func (r *Reaper) discard(ctx context.Context) error {
	if r.conn.Conn != nil {
		r.conn.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	gone := watchRemoval(ctx, r.docker, r.id)
	err := remove(ctx, r.docker, kindContainer, r.id)
	if err != nil && !errdefs.IsConflict(err) { // conflict: it ended by itself and is being removed
		gone.abandon()
		return fmt.Errorf("remove its container %.12s: %w", r.id, err)
	}
	if err := gone.wait(); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("wait for the removal of its container %.12s: %w", r.id, err)
	}
	return nil
}

// Close ends the session: the container removes at once whatever bears the
// session's label, then itself, and Close waits for that. Where the container was
// lost, Close does its work and reports the loss. It fails where something could
// not be removed, and says what. A second Close does nothing.
func (r *Reaper) Close(ctx context.Context) error {
	if r.closed {
		return nil
	}
	r.closed = true
	defer r.conn.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, sweepTimeout+cleanUpTimeout,
		fmt.Errorf("not done within %s", sweepTimeout+cleanUpTimeout))
	defer cancel()
	if err := r.part(ctx); err != nil {
		err = fmt.Errorf("end session %s by its reaper %.12s: %w", r.session, r.id, err)
		if gone := r.ping(ctx); gone != nil {
			// Through a daemon that does not answer nothing can be removed, and
			// asking on would only keep the user waiting. Its reaper does the
			// work when it is back.
			return errors.Join(err, gone)
		}
		return errors.Join(
			err,
			sweep(ctx, r.docker, r.session, 0, io.Discard),
			removeReaper(ctx, r.docker, r.session))
	}
	return nil
}

// ping has a time of its own: a spent context says nothing of the daemon.
func (r *Reaper) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	if _, err := r.docker.Ping(ctx); err != nil {
		return fmt.Errorf("the Docker daemon does not answer: %w", err)
	}
	return nil
}

func (r *Reaper) part(ctx context.Context) error {
	// Waited for from before the farewell: a container that is gone cannot be asked.
	gone := watchRemoval(ctx, r.docker, r.id)
	said, err := r.sayFarewell(ctx)
	if err != nil {
		gone.abandon()
		return err
	}
	if !strings.HasSuffix(said, doneLine+"\n") {
		gone.abandon() // one that was killed never goes by itself
		if said == "" {
			return errLost
		}
		return fmt.Errorf("it could not remove everything:\n%s", said)
	}
	if err := gone.wait(); err != nil {
		return fmt.Errorf("wait for its removal (it said %q): %w", said, err)
	}
	return nil
}

// sayFarewell returns what the reaper said from then to its end.
func (r *Reaper) sayFarewell(ctx context.Context) (string, error) {
	stop := r.endReadsWith(ctx)
	defer stop()
	if _, err := io.WriteString(r.conn.Conn, farewell+"\n"); err != nil {
		return "", fmt.Errorf("say farewell: %w", err)
	}
	said, err := io.ReadAll(r.log)
	if err != nil {
		return "", fmt.Errorf("read its log (so far %q): %w", said, errors.Join(err, context.Cause(ctx)))
	}
	return string(said), nil
}
