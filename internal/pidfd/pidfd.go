// Package pidfd holds processes of containers by pidfds: a hold cannot slip to
// another process that is later given the same number, sees the death within a
// millisecond, and signals nobody else.
package pidfd

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Process is a hold on one process.
type Process struct {
	file   *os.File // non-blocking, so that the runtime polls it
	closed atomic.Bool
}

// containerID is the form of a daemon's container id: nothing shorter is a
// proof, as every cgroup's name contains the empty one.
var containerID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Open holds PID 1 of a container by its number in this PID namespace, and
// proves that it is that container's: the number may mean another process here,
// where the daemon lives in another PID namespace, and may have been given away
// since the daemon said it. That it may be signalled is proved too.
func Open(pid int, container string) (*Process, error) {
	switch {
	case pid <= 0:
		return nil, errors.New("the daemon names no process")
	case pid == 1 || pid == os.Getpid():
		return nil, fmt.Errorf("process %d is never a container's to be struck", pid)
	case !containerID.MatchString(container):
		return nil, fmt.Errorf("%.80q is no container id: want the 64 hexadecimal digits", container)
	}
	p, err := Hold(pid)
	if err != nil {
		return nil, err
	}
	if err := p.prove(pid, container); err != nil {
		return nil, errors.Join(fmt.Errorf("prove that process %d is PID 1 of the container: %w", pid, err), p.Close())
	}
	return p, nil
}

// Find is Open for a daemon that may live in a PID namespace of its own, below
// ours: in a container of this machine. Its numbers mean other processes here,
// but its containers are processes here all the same, with the container's id in
// the path of their cgroup.
func Find(pid int, container string) (*Process, error) {
	p, direct := Open(pid, container)
	if direct == nil {
		return p, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, errors.Join(direct, err)
	}
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err == nil && isFirstOf(number, pid, container) {
			return Open(number, container)
		}
	}
	return nil, fmt.Errorf("%w; and no process that is seen from here is PID 1 of the container", direct)
}

// isFirstOf says whether the process is PID 1 of the container and has the number
// pid one PID namespace further out. A process that ends meanwhile is not.
func isFirstOf(number, pid int, container string) bool {
	dir := "/proc/" + strconv.Itoa(number)
	cgroup, err := os.ReadFile(dir + "/cgroup")
	if err != nil || !containerID.MatchString(container) || !strings.Contains(string(cgroup), container) {
		return false
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok { // outermost namespace first
			return strings.HasSuffix(numbers, fmt.Sprintf("\t%d\t1\n", pid))
		}
	}
	return false
}

// Hold holds a process whoever it is.
func Hold(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open a pidfd of process %d: %w", pid, err)
	}
	return &Process{file: os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid))}, nil
}

// prove reads the cgroup after the open: a process of that number which is
// still the container's now is the one that the pidfd holds.
func (p *Process) prove(pid int, container string) error {
	cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return err
	}
	if !strings.Contains(string(cgroup), container) {
		return fmt.Errorf("process %d is not in the container's cgroup", pid)
	}
	return p.Signal(0) // alive still, so the cgroup file was this process's
}

// Wait returns when the process has died, or with os.ErrClosed when the hold
// was closed.
func (p *Process) Wait() error {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return p.told(err)
	}
	var polled error
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		polled = err
		return n > 0 || (err != nil && !errors.Is(err, unix.EINTR))
	})
	return p.told(errors.Join(err, polled))
}

// Signal sends sig. Of a process that has died it is unix.ESRCH, of a hold that
// was closed os.ErrClosed.
func (p *Process) Signal(sig unix.Signal) error {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return p.told(err)
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	return p.told(errors.Join(err, sent))
}

// told names the error of a hold that was closed: the one of a raw connection
// cannot be recognised.
func (p *Process) told(err error) error {
	if err != nil && p.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// Close lets go. It wakes who waits.
func (p *Process) Close() error {
	p.closed.Store(true)
	return p.file.Close()
}
