package tests

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// byHandBound is how long the page may take: it has seconds of waiting in it, and
// an engine that was killed may block its actor for half a minute.
const byHandBound = 4 * time.Minute

// The guide's page is run as it is printed, so that none of its commands can go
// stale: it brings the cell of compose.yaml up, asks its actor, kills the engine
// at a commit, and brings it all down.
func TestByHand(t *testing.T) {
	t.Parallel()
	sess, cli, compose := session(t), docker(t), composeCommand(t)
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "guide", "by-hand.md"))
	require.NoError(t, err)
	script := strings.Join(shellBlocks(string(page)), "\n")
	require.Contains(t, script, "docker compose down -v")

	project := "killpoint-" + sess.ID()
	ctx, cancel := context.WithTimeout(run.ctx, byHandBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", "set -e\n"+strings.ReplaceAll(script, "docker compose", compose))
	cmd.Dir = root
	cmd.WaitDelay = time.Second // the shell's children outlive it
	ports := freePorts(t, 3)
	// The page's make is nobody's child.
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "COMPOSE_PROJECT_NAME="+project, "KILLPOINT_SESSION="+sess.ID(),
		fmt.Sprintf("KILLPOINT_GATEWAY_PORT=%d", ports[0]),
		fmt.Sprintf("KILLPOINT_CONTROL_PORT=%d", ports[1]),
		fmt.Sprintf("KILLPOINT_TAP_PORT=%d", ports[2]))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	said := string(out)
	assert.Contains(t, said, `"status":"ok"`)
	assert.Regexp(t, `"count":1,"generation":1`, said)
	assert.Contains(t, said, `"what":"backoff"`)
	assert.Contains(t, said, `"id":"at-commit","state":"done"`)
	ledger := regexp.MustCompile(`\{"output":\[\{.*"count":1.*\]\}  200`)
	assert.Regexp(t, ledger, said, "what was acknowledged is there after two restarts")
	assert.Empty(t, ofProject(t, cli, project), "left when the page is done:\n%s", said)
	if t.Failed() {
		t.Log(said)
	}
}

// shellBlocks are the fenced blocks of a page that are for a shell.
func shellBlocks(page string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// composeCommand is the one that this machine has.
func composeCommand(t *testing.T) string {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") != "" {
		missing = t.Fatalf
	}
	if !strings.HasPrefix(docker(t).DaemonHost(), "unix://") {
		t.Skip("compose.yaml publishes on the daemon's loopback: needs a daemon on this machine")
	}
	for _, tool := range []string{"docker", "curl", "make"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing("the page is for people who have %s: %v", tool, err)
		}
	}
	if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() == nil {
		return "docker compose"
	}
	if _, err := exec.LookPath("docker-compose"); err == nil {
		return "docker-compose"
	}
	missing("needs Compose: the plugin, or Debian's docker-compose (`make by-hand` installs it)")
	return ""
}

// freePorts are below those that the cells of sessions take.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for port := 9000; port < 10000 && len(ports) < n; port++ {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			require.NoError(t, l.Close())
			ports = append(ports, port)
		}
	}
	require.Len(t, ports, n, "free ports on 127.0.0.1 from 9000 to 9999")
	return ports
}

// ofProject lists what Compose has made of a project.
func ofProject(t *testing.T, cli *client.Client, project string) (left []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	mine := filters.NewArgs(filters.Arg("label", "com.docker.compose.project="+project))
	cs, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	ns, nerr := cli.NetworkList(ctx, network.ListOptions{Filters: mine})
	vs, verr := cli.VolumeList(ctx, volume.ListOptions{Filters: mine})
	require.NoError(t, errors.Join(err, nerr, verr))
	for _, c := range cs {
		left = append(left, "container "+strings.Join(c.Names, ","))
	}
	for _, n := range ns {
		left = append(left, "network "+n.Name)
	}
	for _, v := range vs.Volumes {
		left = append(left, "volume "+v.Name)
	}
	return left
}
