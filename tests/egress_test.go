package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// meterUID is a user that nothing else runs as.
const meterUID = 64999

// A whole trial is carried out by a process of a user of its own, while a rule
// in the kernel counts and rejects every packet of that user that is not on
// loopback. On a machine that looks like a container (it has /.dockerenv),
// testcontainers would otherwise take the default route's gateway for the
// Docker host and poll it over the network.
func TestHarnessTalksToLoopbackOnly(t *testing.T) {
	t.Parallel()
	s := session(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, to count packets by user")
	}
	if s.Host() != "127.0.0.1" {
		t.Skipf("the Docker daemon is at %s: the harness has to talk to it there", s.Host())
	}
	if _, err := os.Stat("/.dockerenv"); err != nil {
		t.Log("this machine has no /.dockerenv: testcontainers' detour over the gateway is not provoked here")
	}
	meters := startMeters(t)

	// The meter must be able to see: this datagram to a documentation address
	// is counted and rejected before it gets anywhere.
	control := exec.Command("bash", "-c", "echo x > /dev/udp/192.0.2.1/9")
	control.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: meterUID, Gid: meterUID}}
	_ = control.Run() // fails, because it is rejected
	seen := meters.count(t)
	require.Positive(t, seen, "the meter does not count")

	c := startChildAs(t, socketGroup(t))
	state := c.wait(t, 2*time.Minute)
	require.True(t, state.Success(), "the trial did not pass:\n%s", c.said())
	require.Contains(t, c.said(), "--- PASS: TestIdleRestart/2.3.19/stop/rivet/1s")
	assert.Equal(t, seen, meters.count(t), "packets of the harness that were not on loopback")
}

// socketGroup is the group that may use the daemon's socket, or, where the daemon
// is reached by TCP, one that may do nothing.
func socketGroup(t *testing.T) uint32 {
	t.Helper()
	socket, unix := strings.CutPrefix(docker(t).DaemonHost(), "unix://")
	if !unix {
		return meterUID
	}
	info, err := os.Stat(socket)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Gid
}

// startChildAs starts a child as the metered user, in the socket's group.
func startChildAs(t *testing.T, socketGID uint32) *child {
	t.Helper()
	dir := openDir(t)
	self, err := os.Executable()
	require.NoError(t, err)
	binary := filepath.Join(dir, "tests")
	require.NoError(t, exec.Command("cp", self, binary).Run())
	require.NoError(t, os.Chmod(binary, 0o755))

	cli := docker(t)
	c := &child{dir: filepath.Join(dir, "run"), lines: make(chan string, 1024)}
	c.cmd = exec.Command(binary, childArgs...)
	c.cmd.Dir = dir
	c.cmd.Env = append(withoutOverride(os.Environ()), "HOME="+dir, "XDG_CACHE_HOME="+dir, "TMPDIR="+dir, "KILLPOINT_OUT="+c.dir, "KILLPOINT_ENGINES=2.3.19",
		// The user cannot read root's build cache: it takes what is built.
		"KILLPOINT_FIXTURE_IMAGE="+newest(t, cli, "killpoint/fixture"), "KILLPOINT_RIG_IMAGE="+newest(t, cli, "killpoint/rig"))
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: meterUID, Gid: socketGID}}
	c.start(t)
	return c
}

// openDir is a temporary folder that the metered user may use; t.TempDir is
// below one that only its owner may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "killpoint-egress-")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chown(dir, meterUID, meterUID))
	return dir
}

func withoutOverride(env []string) []string {
	return slices.DeleteFunc(env, func(s string) bool { return strings.HasPrefix(s, "TESTCONTAINERS_HOST_OVERRIDE=") })
}

// newest is the last built image of a repository.
func newest(t *testing.T, cli *client.Client, repo string) string {
	t.Helper()
	list, err := cli.ImageList(t.Context(), image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", repo))})
	require.NoError(t, err)
	require.NotEmpty(t, list, "no image of %s", repo)
	last := slices.MaxFunc(list, func(a, b image.Summary) int { return int(a.Created - b.Created) })
	return last.ID
}

// meters are the packet filters, one for each version of IP.
type meters []string

func startMeters(t *testing.T) meters {
	t.Helper()
	var ms meters
	for _, tool := range []string{"iptables", "ip6tables"} {
		rule := []string{"OUTPUT", "-m", "owner", "--uid-owner", strconv.Itoa(meterUID), "!", "-o", "lo", "-j", "REJECT"}
		if out, err := exec.Command(tool, append([]string{"-w", "-I"}, rule...)...).CombinedOutput(); err != nil {
			if tool == "iptables" {
				t.Skipf("cannot count packets by user: %v: %s", err, out)
			}
			continue
		}
		t.Cleanup(func() {
			out, err := exec.Command(tool, append([]string{"-w", "-D"}, rule...)...).CombinedOutput()
			assert.NoError(t, err, "remove the meter: %s", out)
		})
		ms = append(ms, tool)
	}
	return ms
}

// count is the number of packets that the meters have seen.
func (ms meters) count(t *testing.T) int {
	t.Helper()
	total := 0
	for _, tool := range ms {
		out, err := exec.Command(tool, "-w", "-L", "OUTPUT", "-v", "-n", "-x").Output()
		require.NoError(t, err)
		n, err := meterLine(string(out))
		require.NoError(t, err)
		total += n
	}
	return total
}

func meterLine(listing string) (int, error) {
	for line := range strings.Lines(listing) {
		if strings.Contains(line, "owner UID match "+strconv.Itoa(meterUID)) {
			return strconv.Atoi(strings.Fields(line)[0])
		}
	}
	return 0, fmt.Errorf("the meter is not in the listing:\n%s", listing)
}
