package containers

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is a hold on one process that cannot slip to another one which is
// later given the same number.
type process struct {
	pid  int
	file *os.File // the pidfd, non-blocking, so that the runtime polls it
}

// openProcess opens PID 1 of a container by its number in the daemon's PID
// namespace, and proves that it is that container's: the number may mean
// another process here, where the daemon lives in another PID namespace, and
// may have been given away since the daemon said it.
func openProcess(pid int, containerID string) (*process, error) {
	if pid <= 0 {
		return nil, errors.New("the daemon names no process")
	}
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open a pidfd of process %d: %w", pid, err)
	}
	p := &process{pid: pid, file: os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid))}
	// After the open: a process of that number which is still the container's
	// now is the one that the pidfd holds.
	cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err == nil && !strings.Contains(string(cgroup), containerID) {
		err = fmt.Errorf("process %d is not in the container's cgroup", pid)
	}
	if err == nil {
		err = p.signal(0) // alive still, so the cgroup file was this process's
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prove that process %d is PID 1 of the container: %w", pid, err), p.close())
	}
	return p, nil
}

// wait returns when the process has died, or when the hold was closed.
func (p *process) wait() error {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	var polled error
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		polled = err
		return n > 0 || (err != nil && !errors.Is(err, unix.EINTR))
	})
	return errors.Join(err, polled)
}

func (p *process) signal(sig unix.Signal) error {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	return errors.Join(err, sent)
}

func (p *process) close() error { return p.file.Close() }
