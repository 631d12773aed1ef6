// Command dind runs a command against a Docker daemon in a container of its own,
// which it removes with all that is in it when the command has ended, or when it
// is itself interrupted or killed, or when its parent is gone. It exits with the
// command's code.
//
// The command finds the daemon by DOCKER_HOST, and by KILLPOINT_PORTS the ports
// that the daemon's containers may publish: what they publish elsewhere is not
// reached by loopback.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/internal/dind"
)

const (
	exitUsage       = 2
	exitInterrupted = 130 // after SIGINT, as shells count
	// endTimeout is how long an interrupted command, or one whose daemon is gone,
	// may take to end.
	endTimeout = 90 * time.Second
)

var errInterrupted = errors.New("interrupted")

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: dind COMMAND [ARGUMENT...]: run it against a Docker daemon in a container")
		os.Exit(exitUsage)
	}
	// The command is told of our death by the death of the thread that started it.
	runtime.LockOSThread()
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "dind:", err)
	}
	os.Exit(code)
}

func run(command []string) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := watchParent(cancel); err != nil {
		return 1, err
	}
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return 1, fmt.Errorf("make Docker client: %w", err)
	}
	defer func() { err = errors.Join(err, docker.Close()) }()
	begun := time.Now()
	daemon, err := dind.Start(ctx, docker, os.Stderr)
	if err != nil {
		return 1, err
	}
	fmt.Fprintf(os.Stderr, "dind: Docker %s in container %s at %s, ports %s, after %.1f s\n",
		daemon.Version, daemon.Name, daemon.Host, daemon.Ports, time.Since(begun).Seconds())
	code, err = runCommand(ctx, daemon, command)
	if closed := daemon.Close(context.Background()); closed != nil {
		return max(code, 1), errors.Join(err, closed)
	}
	return code, err
}

// watchParent ends the run with the process that started us. Make that is killed
// by SIGKILL tells its children nothing.
func watchParent(cancel context.CancelCauseFunc) error {
	parent := os.Getppid()
	fd, err := unix.PidfdOpen(parent, 0)
	if err != nil {
		return fmt.Errorf("watch the parent process %d: %w", parent, err)
	}
	go func() {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
				cancel(errors.New("the parent process is gone"))
				return
			}
		}
	}()
	return nil
}

// runCommand runs the command in a process group of its own, so that it is
// signalled as a whole and exactly once, whoever else the signal went to.
func runCommand(ctx context.Context, daemon *dind.Daemon, command []string) (int, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = environment(os.Environ(), daemon)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	group := -cmd.Process.Pid
	// Whoever of it is left has lost its daemon.
	defer func() { _ = syscall.Kill(group, syscall.SIGKILL) }() // mostly nobody: ESRCH
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil && daemon.Ping(ctx) != nil { // of which it heard first
			return 1, lost(daemon)
		}
		return exitCode(err)
	case <-ctx.Done():
		_ = syscall.Kill(group, syscall.SIGINT) // it may just have ended
		awaitEnd(ended)
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			return exitInterrupted, cause
		}
		return exitInterrupted, errInterrupted
	case <-daemon.Gone():
		// It finds out by itself, and says what it has to say.
		awaitEnd(ended)
		return 1, lost(daemon)
	}
}

func lost(daemon *dind.Daemon) error {
	return fmt.Errorf("the Docker daemon in container %s ended while it was needed; its last lines:\n%s", daemon.Name, daemon.Log())
}

func awaitEnd(ended <-chan error) {
	timer := time.NewTimer(endTimeout)
	defer timer.Stop()
	select {
	case <-ended: //nolint:errcheck // how it ended, its own output says
	case <-timer.C: // what is left of it is killed
	}
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	}
	return 1, err
}

// environment points at the daemon, and forgets what is true of the outer one only.
func environment(outer []string, daemon *dind.Daemon) []string {
	forget := []string{
		"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "TESTCONTAINERS_HOST_OVERRIDE",
		"KILLPOINT_DOCKER_SOCKET", "KILLPOINT_PORTS", "KILLPOINT_RIG_IMAGE", "KILLPOINT_FIXTURE_IMAGE",
	}
	env := slices.DeleteFunc(slices.Clone(outer), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(forget, name)
	})
	return append(env, "DOCKER_HOST="+daemon.Host, "KILLPOINT_PORTS="+daemon.Ports)
}
