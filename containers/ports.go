package containers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"
)

// The default range ends below 32768, where Linux begins to hand out ports to
// outgoing connections: a fixed port inside that range is at times taken.
const (
	defaultFirstPort = 20000
	defaultLastPort  = 31999
)

// PortsEnv names the host ports from which cells get theirs, as in
// "20000-31999", unless [WithPortRange] does. A daemon whose published ports are
// reached through a published range of ports needs it.
const PortsEnv = "KILLPOINT_PORTS"

// ParsePorts reads a value of [PortsEnv]; "" is the range that is used without it.
func ParsePorts(v string) (first, last int, err error) {
	if v == "" {
		return defaultFirstPort, defaultLastPort, nil
	}
	// What follows the second number is noticed as a third thing read.
	var rest string
	if n, _ := fmt.Sscanf(v, "%d-%d%s", &first, &last, &rest); n != 2 {
		return 0, 0, fmt.Errorf("%s is %q: want the first and the last port, as in %d-%d", PortsEnv, v, defaultFirstPort, defaultLastPort)
	}
	return first, last, nil
}

// PortsError says that no port of the range is free.
type PortsError struct {
	First, Last int
}

func (e *PortsError) Error() string {
	return fmt.Sprintf("no free port from %d to %d: all are in use or reserved by other sessions; "+
		"end those, or choose another range (%s, WithPortRange)", e.First, e.Last, PortsEnv)
}

// portPool hands out host ports. A port is reserved by a socket with a name in
// Linux's abstract namespace (unix(7)). It reaches as far as loopback does: all
// processes of one network namespace, whoever runs them. The kernel drops it when
// its process ends, however it ends, and no file is left to be stale or not ours.
type portPool struct {
	first, last int
	// probe says whether a port is free of other programs.
	probe func(ctx context.Context, port int) bool
}

func newPortPool(first, last int) (*portPool, error) {
	if first < 1 || last > 65535 || first > last {
		return nil, fmt.Errorf("port range %d to %d: want 1 <= first <= last <= 65535", first, last)
	}
	return &portPool{first: first, last: last, probe: bindable}, nil
}

// port is a reserved port. It stays reserved until release.
type port struct {
	number int
	name   *os.File // the socket that holds the name
}

func (p *port) release() error {
	if p == nil {
		return nil
	}
	return p.name.Close()
}

// take reserves a free port. It starts at a random one, so that sessions that
// begin at once seldom meet.
func (p *portPool) take(ctx context.Context) (*port, error) {
	n := p.last - p.first + 1
	start := rand.IntN(n)
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("look for a free port: %w", context.Cause(ctx))
		}
		got, err := p.try(ctx, p.first+(start+i)%n)
		if got != nil || err != nil {
			return got, err
		}
	}
	return nil, &PortsError{p.first, p.last}
}

// try returns nil and no error where the port is taken.
func (p *portPool) try(ctx context.Context, number int) (*port, error) {
	name, err := claim(fmt.Sprintf("@killpoint/port/%d", number))
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reserve port %d: %w", number, err)
	}
	if p.probe(ctx, number) {
		return &port{number: number, name: name}, nil
	}
	return nil, name.Close()
}

// claim takes an abstract name. Nothing listens there: the name is all there is to it.
func claim(name string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// bindable tries the port itself: it may belong to a program that knows
// nothing of our reservations, or to a container that outlived its session.
func bindable(_ context.Context, number int) bool {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: number})
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// unpublished asks a daemon elsewhere, whose ports cannot be tried from here. It
// knows of its containers only: what else listens there shows when the container
// is started.
func (s *Session) unpublished(ctx context.Context, number int) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := s.docker.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return true // the next call will say what is wrong with the daemon
	}
	for _, c := range list {
		for _, p := range c.Ports {
			if int(p.PublicPort) == number {
				return false
			}
		}
	}
	return true
}
