// Package scripts tests the set-up scripts with stubs in place of all that could
// change the machine.
package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tools are the real programs that the scripts may use. All else is a stub or
// missing.
var tools = []string{"sh", "cat", "date", "dirname", "head", "mktemp", "nohup", "rm", "setsid", "sleep", "tail", "touch", "chmod"}

// machine is a made-up machine for a script to run on.
type machine struct {
	t   *testing.T
	dir string
	env []string
}

// newMachine has Go, is root, has a package manager that works and a kernel that
// can do it all, but neither Docker nor npm. The daemon answers when the file
// "up" is there.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	bin := filepath.Join(m.dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(bin, tool)))
	}
	m.env = []string{
		"PATH=" + bin, "DIR=" + m.dir, "HOME=" + m.dir,
		"KILLPOINT_DOCKER_PIDFILE=" + m.path("docker.pid"), "KILLPOINT_DOCKER_LOG=" + m.path("dockerd.log"),
	}
	m.stub("id", `echo 0`)
	// Compiling the ping makes one that looks for the file.
	m.stub("go", `while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\n[ -e "$DIR/up" ] || { echo "nobody answers" >&2; exit 1; }\n' >"$2"; chmod +x "$2"`)
	m.stub("apt-get", `echo "$@" >>"$DIR/apt"`)
	m.stub("iptables", `[ "$*" = "-t nat -L -n" ]`)
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) stub(name, body string) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(m.path("bin/"+name), []byte("#!/bin/sh\n"+body+"\n"), 0o755))
}

func (m *machine) without(name string) {
	m.t.Helper()
	require.NoError(m.t, os.Remove(m.path("bin/"+name)))
}

func (m *machine) write(name, content string) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(m.path(name), []byte(content), 0o644))
}

func (m *machine) read(name string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.path(name))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(m.t, err)
	return string(b)
}

// run returns what the script says and whether it succeeds.
func (m *machine) run(script string, args ...string) (string, bool) {
	m.t.Helper()
	path, err := filepath.Abs(script)
	require.NoError(m.t, err)
	cmd := exec.CommandContext(m.t.Context(), path, args...)
	cmd.Env = m.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		var exit *exec.ExitError
		require.ErrorAs(m.t, err, &exit)
	}
	return string(out), err == nil
}

func TestDockerUpLeavesRunningDaemonAlone(t *testing.T) {
	m := newMachine(t)
	m.write("up", "")
	m.stub("dockerd", `touch "$DIR/started"`)
	m.stub("id", `echo 1000`) // nor need one be root
	out, ok := m.run("docker-up.sh")
	assert.True(t, ok, out)
	assert.Empty(t, out)
	assert.Empty(t, m.read("apt"))
	assert.NoFileExists(t, m.path("started"))
}

func TestDockerUpInstallsAndStarts(t *testing.T) {
	m := newMachine(t)
	m.write("docker.pid", "999999999") // of a daemon long dead
	m.stub("apt-get", `echo "$@" >>"$DIR/apt"
printf '#!/bin/sh\ntouch "$DIR/up"; exec sleep 0.5\n' >"$DIR/bin/dockerd"; chmod +x "$DIR/bin/dockerd"`)
	out, ok := m.run("docker-up.sh")
	assert.True(t, ok, out)
	assert.Contains(t, out, "started dockerd")
	assert.Equal(t, "update\ninstall -y --no-install-recommends docker.io iptables ca-certificates\n", m.read("apt"))
	assert.NoFileExists(t, m.path("docker.pid"))
}

func TestDockerUpUsesDaemonThatInstallingStarted(t *testing.T) {
	m := newMachine(t)
	m.stub("apt-get", `touch "$DIR/up"`)
	out, ok := m.run("docker-up.sh")
	assert.True(t, ok, out)
	assert.NotContains(t, out, "started dockerd")
}

func TestDockerUpFallsBackToLegacyIptables(t *testing.T) {
	m := newMachine(t)
	m.stub("dockerd", `touch "$DIR/up"; exec sleep 0.5`)
	m.stub("iptables", `exit 3`)
	m.stub("iptables-legacy", `exit 0`)
	m.stub("update-alternatives", `echo "$@" >"$DIR/alternatives"`)
	out, ok := m.run("docker-up.sh")
	assert.True(t, ok, out)
	assert.Equal(t, "--set iptables "+m.path("bin/iptables-legacy")+"\n", m.read("alternatives"))
}

// Each missing thing gives one line that names it, and nothing is started.
func TestDockerUpSaysWhatIsMissing(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*machine)
		says   string
	}{
		"go":        {func(m *machine) { m.without("go") }, "go is missing"},
		"root":      {func(m *machine) { m.stub("id", `echo 1000`) }, "needs root"},
		"apt-get":   {func(m *machine) { m.without("apt-get") }, "no apt-get"},
		"nat":       {func(m *machine) { m.stub("dockerd", `touch "$DIR/started"`); m.stub("iptables", `exit 3`) }, "no iptables nat table"},
		"the host":  {func(m *machine) { m.env = append(m.env, "DOCKER_HOST=tcp://127.0.0.1:1") }, "DOCKER_HOST=tcp://127.0.0.1:1"},
		"an answer": {func(m *machine) { m.write("docker.pid", self()) }, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			tt.change(m)
			out, ok := m.run("docker-up.sh")
			assert.False(t, ok)
			assert.Contains(t, out, tt.says)
			assert.Equal(t, 1, strings.Count(out, "\n"), out)
			assert.NoFileExists(t, m.path("started"))
			assert.Empty(t, m.read("apt"))
		})
	}
}

func self() string {
	// The kernel's own name for a process that is certainly alive.
	link, err := os.Readlink("/proc/self")
	if err != nil {
		return ""
	}
	return link
}

func TestDockerUpShowsWhyInstallingFailed(t *testing.T) {
	m := newMachine(t)
	m.stub("apt-get", `echo "E: no mirror"; exit 100`)
	out, ok := m.run("docker-up.sh")
	assert.False(t, ok)
	assert.Contains(t, out, "E: no mirror")
	assert.Contains(t, out, "apt-get could not install docker.io")
}

func TestDockerUpShowsWhyDockerdDied(t *testing.T) {
	m := newMachine(t)
	m.stub("dockerd", `echo "failed to start daemon: no space" >&2; exit 1`)
	out, ok := m.run("docker-up.sh")
	assert.False(t, ok)
	assert.Contains(t, out, "no space")
	assert.Contains(t, out, "dockerd ended while starting")
}

func TestNPMUp(t *testing.T) {
	for name, tt := range map[string]struct {
		engine  string
		change  func(*machine)
		install bool
		says    string
	}{
		"an image":   {engine: "rivetdev/engine:latest"},
		"a binary":   {engine: "./engine"},
		"present":    {engine: "2.3.5", change: func(m *machine) { m.stub("npm", "") }},
		"cached":     {engine: "v2.3.5", change: cacheEngine},
		"other one":  {engine: "2.3.11", change: cacheEngine, install: true},
		"default":    {install: true},
		"not root":   {engine: "2.3.5", change: func(m *machine) { m.stub("id", "echo 1000") }, says: "needs root"},
		"no apt-get": {engine: "2.3.5", change: func(m *machine) { m.without("apt-get") }, says: "npm missing"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if tt.change != nil {
				tt.change(m)
			}
			out, ok := m.run("npm-up.sh", "an/image", tt.engine)
			assert.Equal(t, tt.says == "", ok, out)
			assert.Contains(t, out, tt.says)
			assert.Equal(t, tt.install, strings.Contains(m.read("apt"), "npm"))
		})
	}
}

// Without a browser the tests of the page are skipped, but never where CI is
// promised them.
func TestBrowserUp(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*machine)
		install bool
		says    string
		fails   bool
	}{
		"missing": {install: true},
		"present": {change: func(m *machine) { m.stub("chromium", "") }},
		"named": {change: func(m *machine) {
			m.stub("my-browser", "")
			m.env = append(m.env, "KILLPOINT_BROWSER=my-browser")
		}},
		"not root":       {change: func(m *machine) { m.stub("id", "echo 1000") }, says: "are skipped"},
		"no apt-get":     {change: func(m *machine) { m.without("apt-get") }, says: "are skipped"},
		"not root in CI": {change: func(m *machine) { m.stub("id", "echo 1000"); m.env = append(m.env, "CI=1") }, says: "needs root", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if tt.change != nil {
				tt.change(m)
			}
			out, ok := m.run("browser-up.sh")
			assert.Equal(t, tt.fails, !ok, out)
			assert.Contains(t, out, tt.says)
			assert.Equal(t, tt.install, strings.Contains(m.read("apt"), "install -y --no-install-recommends chromium"))
		})
	}
}

func cacheEngine(m *machine) {
	m.t.Helper()
	dir := m.path(".cache/killpoint/engine/2.3.5")
	require.NoError(m.t, os.MkdirAll(dir, 0o755))
	require.NoError(m.t, os.WriteFile(filepath.Join(dir, "rivet-engine"), nil, 0o755))
}

// newDebian can make root file systems: apt knows its own packages and those of
// another vendor, mmdebstrap writes down what it is asked for.
func newDebian(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.write("os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
	m.env = append(m.env, "KILLPOINT_OS_RELEASE="+m.path("os-release"))
	m.stub("sort", `cat`)
	m.stub("apt-config", ``)
	m.stub("apt-get", `echo "$@" >>"$DIR/apt"
[ "$1" != indextargets ] || echo "deb http://mirror.invalid bookworm main"`)
	m.stub("mmdebstrap", `printf '%s\n' "$@" >"$DIR/asked"; cat >"$DIR/sources"; echo made >"$DIR/rootfs.tar"`)
	return m
}

func TestDindRootfs(t *testing.T) {
	m := newDebian(t)
	out, ok := m.run("dind-rootfs.sh", m.path("rootfs.tar"))
	assert.True(t, ok, out)
	assert.Equal(t, "made\n", m.read("rootfs.tar"))
	assert.Equal(t, "deb http://mirror.invalid bookworm main\n", m.read("sources"))
	assert.Contains(t, m.read("apt"), "Origin: Debian")
	assert.NotContains(t, m.read("apt"), "install")
	assert.Contains(t, m.read("asked"), "docker.io")
	assert.NotContains(t, m.read("asked"), "Proxy")
}

func TestDindRootfsInstallsWhatItNeeds(t *testing.T) {
	m := newDebian(t)
	m.without("mmdebstrap")
	m.stub("apt-get", `echo "$@" >>"$DIR/apt"
case $1 in
indextargets) echo "deb http://mirror.invalid bookworm main" ;;
install) printf '#!/bin/sh\ncat >/dev/null\n' >"$DIR/bin/mmdebstrap"; chmod +x "$DIR/bin/mmdebstrap" ;;
esac`)
	out, ok := m.run("dind-rootfs.sh", m.path("rootfs.tar"))
	assert.True(t, ok, out)
	assert.Contains(t, m.read("apt"), "install -y --no-install-recommends mmdebstrap\n")
}

func TestDindRootfsTellsTheNewMachineOfTheProxy(t *testing.T) {
	m := newDebian(t)
	m.stub("apt-config", `echo 'Acquire::http::Proxy "http://proxy.invalid";'`)
	out, ok := m.run("dind-rootfs.sh", m.path("rootfs.tar"))
	assert.True(t, ok, out)
	assert.Contains(t, m.read("asked"), `--aptopt=Acquire::http::Proxy "http://proxy.invalid";`)
}

func TestDindRootfsSaysWhatIsWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*machine)
		args   []string
		says   string
	}{
		"no file":     {args: []string{}, says: "want one argument"},
		"no Debian":   {change: func(m *machine) { m.write("os-release", "ID=alpine\n") }, says: "this machine is alpine"},
		"no release":  {change: func(m *machine) { m.env = append(m.env, "KILLPOINT_OS_RELEASE=/none") }, says: "this machine is unknown"},
		"no packages": {change: func(m *machine) { m.stub("apt-get", ``) }, says: "apt-get update"},
		"not root":    {change: func(m *machine) { m.without("mmdebstrap"); m.stub("id", `echo 1000`) }, says: "mmdebstrap missing, and installing needs root"},
		"it failed":   {change: func(m *machine) { m.stub("mmdebstrap", `echo "E: no mirror" >&2; exit 25`) }, says: "E: no mirror"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDebian(t)
			args := tt.args
			if args == nil {
				args = []string{m.path("rootfs.tar")}
			}
			if tt.change != nil {
				tt.change(m)
			}
			out, ok := m.run("dind-rootfs.sh", args...)
			assert.False(t, ok)
			assert.Contains(t, out, tt.says)
		})
	}
}

func TestComposeUp(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*machine)
		install bool
		says    string
	}{
		"the plugin":            {change: func(m *machine) { m.stub("docker", `[ "$*" = "compose version" ]`) }},
		"the old one":           {change: func(m *machine) { m.stub("docker-compose", ``) }},
		"neither":               {install: true},
		"docker without plugin": {change: func(m *machine) { m.stub("docker", `exit 1`) }, install: true},
		"not root":              {change: func(m *machine) { m.stub("id", `echo 1000`) }, says: "docker-compose missing, and installing needs root"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if tt.change != nil {
				tt.change(m)
			}
			out, ok := m.run("compose-up.sh")
			assert.Equal(t, tt.says == "", ok, out)
			assert.Contains(t, out, tt.says)
			assert.Equal(t, tt.install, strings.Contains(m.read("apt"), "install -y --no-install-recommends docker-compose\n"))
		})
	}
}
