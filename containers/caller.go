package containers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/killpoint/killpoint/internal/reaper"
)

const (
	callerCommand = "caller"
	callerPort    = nat.Port("8080/tcp")
	// callerTimeout bounds the tries to reach it; callerPoll is between them, since
	// nothing but an answer tells that a published port leads somewhere.
	callerTimeout = 10 * time.Second
	callerPoll    = 50 * time.Millisecond
)

// PublishedPortsError says that the ports that a daemon's containers publish
// cannot be reached from here.
type PublishedPortsError struct {
	Address string // what was tried
	Err     error
}

func (e *PublishedPortsError) Error() string {
	return fmt.Sprintf("the Docker daemon answers, but a port that a container of it publishes is not reached at %s: "+
		"let such ports through, or, for a daemon in a container, publish a range of its ports on the same numbers and name it in %s: %v",
		e.Address, PortsEnv, e.Err)
}

func (e *PublishedPortsError) Unwrap() error { return e.Err }

// meet learns by which address the containers of a daemon elsewhere see this
// process, and that the ports they publish can be reached from here. The cells'
// sandboxes have no way out, so they are told this one address, or they could
// not answer it: here it is Docker's proxy that they answer, on their own link.
func (s *Session) meet(ctx context.Context) (err error) {
	rig, err := s.rig(ctx)
	if err != nil {
		return err
	}
	var tried []*port // kept until the end, so that none is tried twice
	defer func() {
		for _, p := range tried {
			err = errors.Join(err, p.release())
		}
	}()
	for attempt := 1; ; attempt++ {
		p, err := s.ports.take(ctx)
		if err != nil {
			return err
		}
		tried = append(tried, p)
		started, err := s.meetAt(ctx, rig, p.number)
		// The daemon says in words only that somebody else had the port, and the
		// reservations of other machines are not seen here.
		if err == nil || started || attempt == portAttempts {
			return err
		}
	}
}

// meetAt says whether the container that is met was started.
func (s *Session) meetAt(ctx context.Context, rig string, port int) (started bool, err error) {
	call, cancel := uncut(ctx)
	defer cancel()
	made, err := s.docker.ContainerCreate(call,
		&container.Config{
			Image: rig, Cmd: []string{callerCommand}, ExposedPorts: nat.PortSet{callerPort: {}},
			Labels: map[string]string{ownLabel: "true", reaper.SessionLabel: s.id, reaper.RoleLabel: callerCommand},
		},
		&container.HostConfig{
			CapDrop:      []string{"ALL"},
			PortBindings: nat.PortMap{callerPort: {{HostIP: s.bindIP(), HostPort: strconv.Itoa(port)}}},
		}, (*network.NetworkingConfig)(nil), nil, "")
	if err != nil {
		return false, s.explain("create a container to meet the daemon's", err)
	}
	defer func() {
		// The context may be spent.
		ctx, cancel := uncut(ctx)
		defer cancel()
		err = errors.Join(err, gone(s.docker.ContainerRemove(ctx, made.ID, removal)))
	}()
	if err := s.docker.ContainerStart(call, made.ID, container.StartOptions{}); err != nil {
		return false, s.explain("start a container to meet the daemon's", err)
	}
	s.caller, err = askCaller(ctx, net.JoinHostPort(s.host, strconv.Itoa(port)))
	return true, err
}

// askCaller connects until it is told an address.
func askCaller(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callerTimeout)
	defer cancel()
	tick := time.NewTicker(callerPoll)
	defer tick.Stop()
	for {
		// Bounded by itself: cut off, it would say so instead of what is wrong.
		told, err := hear(context.WithoutCancel(ctx), address)
		if err == nil {
			return told, nil
		}
		select {
		case <-ctx.Done():
			return "", &PublishedPortsError{Address: address, Err: err}
		case <-tick.C:
		}
	}
}

func hear(ctx context.Context, address string) (_ string, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // it was only read
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	ip := net.ParseIP(strings.TrimSpace(line))
	if ip == nil {
		return "", fmt.Errorf("the answer %q is no address: somebody else listens there", line)
	}
	return ip.String(), nil
}
