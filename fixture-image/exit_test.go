package main

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// ending is how a child ended: by itself with a code, or by a signal.
func (c *child) ending(t *testing.T) (code int, by syscall.Signal) {
	t.Helper()
	code = c.exit(t)
	if s, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 0, s.Signal()
	}
	return code, 0
}

// steps reads the way out, to the step named last.
func (c *child) steps(t *testing.T, last history.ShutdownStep) (all []history.ShutdownStep) {
	t.Helper()
	for {
		s := c.shutdown(t)
		all = append(all, s.What)
		if s.What == last {
			return all
		}
	}
}

func (c *child) listening(t *testing.T) *child {
	t.Helper()
	own[Listening](t, c, kindListening)
	return c
}

// inOwnPIDNamespace makes the child PID 1 of a namespace of its own, with all that
// the kernel makes of that: signals whose action is the default one are dropped.
func inOwnPIDNamespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
}

// spawnPID1 skips where no namespace can be made.
func spawnPID1(t *testing.T, env ...string) *child {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a PID namespace; the matrix has these cases in containers")
	}
	return spawnIn(t, inOwnPIDNamespace(), env...).listening(t)
}

const (
	signalled = history.ShutdownSignal
	drained   = history.ShutdownDrained
	exits     = history.ShutdownExit
	reraised  = history.ShutdownReraised
	swallowed = history.ShutdownSwallowed
	stays     = history.ShutdownStays
)

type step = history.ShutdownStep

// What each way to go does on a signal, as PID 1 and as any other process. A
// process that stays is killed here, after it said so.
func TestExits(t *testing.T) {
	const term, quit = syscall.SIGTERM, syscall.SIGQUIT
	for _, c := range []struct {
		exit  exitWay
		sig   syscall.Signal
		pid1  bool
		steps []step // that it records
		code  int
		by    syscall.Signal
	}{
		{exitDrain, term, false, []step{signalled, drained, exits}, 143, 0},
		{exitDrain, syscall.SIGINT, false, []step{signalled, drained, exits}, 130, 0},
		{exitDrain, syscall.SIGHUP, false, []step{signalled, drained, exits}, 129, 0},
		{exitDrain, quit, false, []step{signalled, drained, exits}, 131, 0},
		{exitDrain, term, true, []step{signalled, drained, exits}, 143, 0},
		{exitDrainZero, term, false, []step{signalled, drained, exits}, 0, 0},
		{exitDrainZero, quit, true, []step{signalled, drained, exits}, 0, 0},
		{exitAtOnce, term, false, []step{signalled, exits}, 143, 0},
		{exitAtOnce, syscall.SIGHUP, true, []step{signalled, exits}, 129, 0},
		{exitPanic, term, false, []step{signalled, history.ShutdownPanic}, 2, 0},
		{exitPanic, term, true, []step{signalled, history.ShutdownPanic}, 2, 0},

		// Any process but PID 1 dies of what it sends itself; for PID 1 the kernel
		// drops it, and where Go's runtime is asked, it exits with 2 instead.
		{exitDrainReraise, term, false, []step{signalled, drained, reraised}, 0, term},
		{exitDrainReraise, quit, false, []step{signalled, drained, reraised}, 0, quit},
		{exitDrainReraise, term, true, []step{signalled, drained, reraised, swallowed, stays}, 0, syscall.SIGKILL},
		{exitDrainReraise, quit, true, []step{signalled, drained, reraised, swallowed, stays}, 0, syscall.SIGKILL},
		{exitDrainReset, term, false, []step{signalled, drained, reraised}, 0, term},
		{exitDrainReset, term, true, []step{signalled, drained, reraised}, 2, 0},

		{exitIgnore, term, false, []step{history.ShutdownIgnored}, 0, syscall.SIGKILL},
		{exitIgnore, quit, true, []step{history.ShutdownIgnored}, 0, syscall.SIGKILL},
		// No actor is there to hold up its stop: the process stays all the same.
		{exitEndless, term, false, []step{signalled, drained, stays}, 0, syscall.SIGKILL},
		{exitEndless, term, true, []step{signalled, drained, stays}, 0, syscall.SIGKILL},

		{exitUnhandled, term, false, nil, 0, term},
		{exitUnhandled, term, true, nil, 2, 0},
		{exitUnhandled, syscall.SIGHUP, true, nil, 2, 0},
		{exitUnhandled, quit, true, nil, 2, 0},
	} {
		name := string(c.exit) + "/" + nameOf(c.sig)
		if c.pid1 {
			name += "/PID 1"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *child
			if env := prefix + "EXIT=" + string(c.exit); c.pid1 {
				p = spawnPID1(t, env)
			} else {
				p = spawn(t, env).listening(t)
			}
			require.NoError(t, p.cmd.Process.Signal(c.sig))
			if len(c.steps) > 0 {
				assert.Equal(t, c.steps, p.steps(t, c.steps[len(c.steps)-1]))
			}
			if c.by == syscall.SIGKILL {
				p.isDeaf(t)
			}
			code, by := p.ending(t)
			assert.Equal(t, c.code, code)
			assert.Equal(t, c.by, by)
		})
	}
}

// isDeaf proves that a further signal changes nothing, and kills the process.
// HUP is none of those that were re-raised, so that it can be told.
func (c *child) isDeaf(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGHUP))
	assert.Equal(t, history.Shutdown{What: history.ShutdownIgnored, Signal: "SIGHUP"}, c.shutdown(t))
	require.NoError(t, c.cmd.Process.Kill())
}

// The first signal's event says how the process was told to go, and whether it is
// PID 1; the drain's how long it took.
func TestTheWayOutIsTold(t *testing.T) {
	t.Parallel()
	c := spawn(t).listening(t)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGINT))
	assert.Equal(t, history.Shutdown{What: signalled, Signal: "SIGINT", Exit: "drain", PID: c.cmd.Process.Pid}, c.shutdown(t))
	d := c.shutdown(t)
	assert.Equal(t, drained, d.What)
	assert.Positive(t, d.TookNS)
	assert.Empty(t, d.Error)
	assert.Equal(t, history.Shutdown{What: exits, Code: 130}, c.shutdown(t))
	assert.Equal(t, 130, c.exit(t))
	assert.Empty(t, c.errors.String())
}

func TestPID1KnowsThatItIs(t *testing.T) {
	t.Parallel()
	c := spawnPID1(t)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 1, c.shutdown(t).PID)
	assert.Equal(t, 143, c.exit(t))
}

// A second signal ends a drain at once where it is told to, with that signal's
// code.
func TestSecondSignalExits(t *testing.T) {
	t.Parallel()
	c := spawn(t, prefix+"SECOND_SIGNAL=exit", prefix+"ARM=in-drain:1m", prefix+"DRAIN_GRACE=30s").listening(t)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, signalled, c.shutdown(t).What)
	require.Equal(t, "reached", c.next(t).Body.(*history.Breakpoint).What)
	begun := time.Now()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGINT))
	assert.Equal(t, history.Shutdown{What: history.ShutdownCutShort, Signal: "SIGINT"}, c.shutdown(t))
	assert.Equal(t, history.Shutdown{What: exits, Code: 130}, c.shutdown(t))
	assert.Equal(t, 130, c.exit(t))
	assert.Less(t, time.Since(begun), 10*time.Second)
}

// A process that would take the machine's memory does not start.
func TestOOMNeedsALimit(t *testing.T) {
	t.Parallel()
	if _, err := memoryLimit(); !errors.Is(err, errNoLimit) {
		t.Skip("this process has a memory limit itself")
	}
	c := spawn(t, prefix+"EXIT=oom")
	assert.Equal(t, 2, c.exit(t))
	assert.Equal(t, "fixture: settings: KILLPOINT_FIXTURE_EXIT=oom: there is no memory limit to exceed: give the container one of at most 1024 MiB\n", c.errors.String())
}
