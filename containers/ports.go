package containers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/internal/cache"
)

// The default range ends below 32768, where Linux begins to hand out ports to
// outgoing connections: a fixed port inside that range is at times taken.
const (
	defaultFirstPort = 20000
	defaultLastPort  = 31999
)

// PortsError says that no port of the range is free.
type PortsError struct {
	First, Last int
}

func (e *PortsError) Error() string {
	return fmt.Sprintf("no free port on 127.0.0.1 from %d to %d: all are in use or reserved by other sessions; "+
		"end those, or choose another range with WithPortRange", e.First, e.Last)
}

// portPool hands out host ports. A port is reserved against other processes of
// this user by a lock on a file of its own, which the kernel drops when the
// process ends, however it ends.
type portPool struct {
	first, last int
	dir         string
	// probe says whether a port is free of other programs.
	probe func(port int) bool
}

func newPortPool(first, last int) (*portPool, error) {
	if first < 1 || last > 65535 || first > last {
		return nil, fmt.Errorf("port range %d to %d: want 1 <= first <= last <= 65535", first, last)
	}
	dir, err := cache.Dir("ports")
	if err != nil {
		return nil, fmt.Errorf("reserve ports: %w", err)
	}
	return &portPool{first: first, last: last, dir: dir, probe: bindable}, nil
}

// port is a reserved port. It stays reserved until release.
type port struct {
	number int
	lock   *os.File
}

func (p *port) release() error {
	if p == nil {
		return nil
	}
	return p.lock.Close() // drops the lock; the file stays, for removing it would race with its next user
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
		got, err := p.try(p.first + (start+i)%n)
		if got != nil || err != nil {
			return got, err
		}
	}
	return nil, &PortsError{p.first, p.last}
}

// try returns nil and no error where the port is taken.
func (p *portPool) try(number int) (*port, error) {
	path := filepath.Join(p.dir, strconv.Itoa(number))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("reserve port %d: %w", number, err)
	}
	// flock locks belong to the open file, so they exclude this process's other cells as well.
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && p.probe(number) {
		return &port{number: number, lock: f}, nil
	}
	closed := f.Close()
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("reserve port %d: %w", number, errors.Join(err, closed))
	}
	return nil, closed
}

// bindable tries the port itself: it may belong to a program that knows
// nothing of our locks, or to a container that outlived its session.
func bindable(number int) bool {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: number})
	if err != nil {
		return false
	}
	return l.Close() == nil
}
