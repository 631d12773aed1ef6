package pidfd

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// child is a process that lives until it is killed.
func child(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead
		_ = cmd.Wait()
	})
	return cmd
}

func TestDeathIsSeen(t *testing.T) {
	cmd := child(t)
	p, err := Hold(cmd.Process.Pid)
	require.NoError(t, err)
	defer p.Close() //nolint:errcheck // nothing is lost
	dead := make(chan error, 1)
	go func() { dead <- p.Wait() }()
	select {
	case err := <-dead:
		t.Fatalf("it lives, and Wait returned %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	require.NoError(t, p.Signal(unix.SIGKILL))
	require.NoError(t, <-dead)
	assert.ErrorContains(t, cmd.Wait(), "killed")
	assert.ErrorIs(t, p.Signal(0), unix.ESRCH)
}

func TestCloseWakesTheWaiter(t *testing.T) {
	p, err := Hold(child(t).Process.Pid)
	require.NoError(t, err)
	dead := make(chan error, 1)
	go func() { dead <- p.Wait() }()
	require.NoError(t, p.Close())
	assert.ErrorIs(t, <-dead, os.ErrClosed)
	assert.ErrorIs(t, p.Signal(unix.SIGKILL), os.ErrClosed)
}

func TestOpenProvesWhoseProcessItIs(t *testing.T) {
	id := strings.Repeat("0a", 32)
	for want, open := range map[string]struct {
		pid int
		id  string
	}{
		"the daemon names no process":                   {0, id},
		"process 1 is never a container's to be struck": {1, id},
		"is never a container's":                        {os.Getpid(), id},
		`"" is no container id`:                         {child(t).Process.Pid, ""},
		`"/" is no container id`:                        {child(t).Process.Pid, "/"},
		"is not in the container's cgroup":              {child(t).Process.Pid, id},
	} {
		_, err := Open(open.pid, open.id)
		assert.ErrorContains(t, err, want)
	}
}

// That it finds the process of a daemon in a container, `make itest-dind` shows.
func TestFindSaysThatThereIsNone(t *testing.T) {
	_, err := Find(child(t).Process.Pid, strings.Repeat("0a", 32))
	assert.ErrorContains(t, err, "is not in the container's cgroup")
	assert.ErrorContains(t, err, "no process that is seen from here")
	assert.False(t, isFirstOf(os.Getpid(), os.Getpid(), ""), "every cgroup's name contains the empty id")
}
