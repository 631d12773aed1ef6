package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// machine is one on which nothing is missing; each test breaks a piece.
type machine struct {
	programs   []string
	goVersion  string
	env        map[string]string
	root       bool
	free       uint64
	pidfd      error
	busyPorts  bool
	ephemeral  string
	sources    error
	cached     bool
	iptables   error
	daemon     *fakeDaemon
	noDaemon   error
	unreadable bool
}

func healthy() *machine {
	return &machine{
		programs: []string{"go", "make", "npm", "dockerd", "iptables"}, goVersion: "go1.26.1\n", root: true, free: 10 << 30,
		ephemeral: "32768\t60999\n", cached: true,
		daemon: &fakeDaemon{local: true, api: "1.41", images: []string{"killpoint/rig:1", "killpoint/fixture:1", "killpoint/engine:2.3.19-1"}},
	}
}

func (m *machine) LookPath(name string) (string, error) {
	if !slices.Contains(m.programs, name) {
		return "", fs.ErrNotExist
	}
	return "/usr/bin/" + name, nil
}

func (m *machine) Output(_ context.Context, name string, _ ...string) (string, error) {
	if name == "iptables" {
		return "", m.iptables
	}
	return m.goVersion, nil
}
func (m *machine) Getenv(name string) string { return m.env[name] }
func (m *machine) Root() bool                { return m.root }
func (m *machine) ReadFile(string) ([]byte, error) {
	if m.unreadable {
		return nil, fs.ErrNotExist
	}
	return []byte(m.ephemeral), nil
}
func (m *machine) Free(string) (uint64, error) { return m.free, nil }
func (m *machine) Pidfd() error                { return m.pidfd }
func (m *machine) PortFree(int) bool           { return !m.busyPorts }
func (m *machine) Sources(context.Context) (string, error) {
	return "/src", m.sources
}
func (m *machine) Cached(string) bool { return m.cached }
func (m *machine) Daemon(context.Context) (Daemon, error) {
	if m.noDaemon != nil {
		return nil, m.noDaemon
	}
	return m.daemon, nil
}

type fakeDaemon struct {
	local   bool
	api     string
	images  []string
	hostPID error
}

func (*fakeDaemon) Host() string  { return "unix:///var/run/docker.sock" }
func (d *fakeDaemon) Local() bool { return d.local }
func (d *fakeDaemon) Version(context.Context) (string, string, error) {
	return "20.10.24", d.api, nil
}
func (*fakeDaemon) Root(context.Context) (string, error)             { return "/var/lib/docker", nil }
func (d *fakeDaemon) Images(context.Context) ([]string, error)       { return d.images, nil }
func (d *fakeDaemon) StartHostPID(_ context.Context, _ string) error { return d.hostPID }

func examine(m *machine) []Finding {
	return Examine(context.Background(), m, []string{"2.3.19"})
}

func TestNothingIsMissing(t *testing.T) {
	findings := examine(healthy())
	assert.Equal(t, OK, Worst(findings))
	for _, f := range findings {
		assert.Equal(t, OK, f.Level, "%s: %s", f.Check, f.Says)
		assert.Empty(t, f.Mend, f.Check)
		assert.NotEmpty(t, f.Says, f.Check)
	}
}

// Each thing that can be missing is named, with what mends it.
func TestWhatIsMissing(t *testing.T) {
	without := func(program string) func(*machine) {
		return func(m *machine) {
			m.programs = slices.DeleteFunc(m.programs, func(p string) bool { return p == program })
		}
	}
	named := map[string]string{"KILLPOINT_RIG_IMAGE": "r", "KILLPOINT_FIXTURE_IMAGE": "f"}
	for name, c := range map[string]struct {
		breaks func(*machine)
		check  string
		level  Level
		says   string
		mend   string
	}{
		"no go":                 {without("go"), "go", Fail, "not on PATH", "install Go 1.26"},
		"no go, images named":   {func(m *machine) { without("go")(m); m.env = named }, "go", Warn, "not on PATH", "install Go"},
		"old go":                {func(m *machine) { m.goVersion = "go1.22.3" }, "go", Fail, "go1.22.3 is older than 1.26", "install Go"},
		"no sources":            {func(m *machine) { m.sources = errors.New("none") }, "sources", Fail, "sources are not here", "make images"},
		"no make":               {without("make"), "make", Warn, "make is missing", "apt-get install -y make"},
		"no npm":                {func(m *machine) { without("npm")(m); m.cached = false; m.daemon.images = nil }, "npm", Fail, "engine 2.3.19 is not at hand", "npm"},
		"no daemon":             {func(m *machine) { m.noDaemon = errors.New("no") }, "docker", Fail, "although dockerd is installed", "make setup"},
		"no docker":             {func(m *machine) { m.noDaemon = errors.New("no"); without("dockerd")(m) }, "docker", Fail, "not installed", "make setup"},
		"not in docker's group": {func(m *machine) { m.noDaemon = fmt.Errorf("dial: %w", fs.ErrPermission) }, "docker", Fail, "may not be used", "usermod -aG docker"},
		"no daemon there": {func(m *machine) {
			m.noDaemon = errors.New("no")
			m.env = map[string]string{"DOCKER_HOST": "tcp://10.0.0.1:2375"}
		}, "docker", Fail, "DOCKER_HOST=tcp://10.0.0.1:2375", "unset DOCKER_HOST"},
		"old docker":      {func(m *machine) { m.daemon.api = "1.40" }, "docker version", Warn, "1.40", "20.10"},
		"no iptables":     {without("iptables"), "iptables nat", Warn, "iptables is missing", "apt-get"},
		"no nat":          {func(m *machine) { m.iptables = errors.New("exit status 3") }, "iptables nat", Fail, "no nat table", "iptables-legacy"},
		"no images":       {func(m *machine) { m.daemon.images = m.daemon.images[:1] }, "images", Warn, "killpoint/fixture, killpoint/engine not built yet", "make images"},
		"no pidfd":        {func(m *machine) { m.pidfd = errors.New("not implemented") }, "pidfd", Warn, "100 ms late", "5.3"},
		"no host PIDs":    {func(m *machine) { m.daemon.hostPID = errors.New("forbidden") }, "host PID namespace", Warn, "forbidden", "--pid host"},
		"host PIDs, when": {func(m *machine) { m.daemon.images = nil }, "host PID namespace", Warn, "not asked", "make images"},
		"no room":         {func(m *machine) { m.free = 100 << 20 }, "disk", Fail, "0.1 GB free in /var/lib/docker", "docker image prune"},
		"little room":     {func(m *machine) { m.free = 1 << 30 }, "disk", Warn, "1.0 GB", "docker image prune"},
		"no ports":        {func(m *machine) { m.busyPorts = true }, "ports", Fail, "hardly a port", "KILLPOINT_PORTS"},
		"no such ports":   {func(m *machine) { m.env = map[string]string{"KILLPOINT_PORTS": "70000-71000"} }, "ports", Fail, "no such ports", "unset KILLPOINT_PORTS"},
		"ports by words":  {func(m *machine) { m.env = map[string]string{"KILLPOINT_PORTS": "many"} }, "ports", Fail, `KILLPOINT_PORTS is "many"`, "20000-31999"},
		"ports of the kernel's": {func(m *machine) { m.env = map[string]string{"KILLPOINT_PORTS": "40000-40100"} }, "ports", Warn,
			"which come from 40000 to 40100", "ip_local_port_range"},
		"ephemeral ports": {func(m *machine) { m.ephemeral = "1024 65535" }, "ports", Warn, "from 1024 to 65535", "ip_local_port_range"},
	} {
		t.Run(name, func(t *testing.T) {
			m := healthy()
			c.breaks(m)
			findings := examine(m)
			i := slices.IndexFunc(findings, func(f Finding) bool { return f.Check == c.check })
			require.GreaterOrEqual(t, i, 0, "it was not looked at")
			f := findings[i]
			assert.Equal(t, c.level, f.Level)
			assert.Contains(t, f.Says, c.says)
			assert.Contains(t, f.Mend, c.mend)
			assert.NotContains(t, f.Says+f.Mend, "\n")
			if c.level == Fail {
				assert.Equal(t, Fail, Worst(findings))
			}
		})
	}
}

// What cannot be asked is not called missing.
func TestWhatIsNotAsked(t *testing.T) {
	m := healthy()
	m.root, m.unreadable, m.daemon.local = false, true, false
	m.programs = []string{"go", "make"} // the engine is at hand
	findings := examine(m)
	assert.Equal(t, OK, Worst(findings), "%v", findings)
	var says []string
	for _, f := range findings {
		says = append(says, f.Says)
	}
	assert.Contains(t, strings.Join(says, "\n"), "on another machine")
}

// A range that is asked for is the one that is looked at, however narrow.
func TestPortsThatAreAskedFor(t *testing.T) {
	m := healthy()
	m.env = map[string]string{"KILLPOINT_PORTS": "10000-10049"}
	assert.Equal(t, Finding{"ports", OK, "free from 10000 to 10049, apart from those of outgoing connections", ""}, ports(m))
	m.ephemeral = "1024\t9999"
	assert.Equal(t, OK, ports(m).Level)
	m.busyPorts = true
	assert.Equal(t, Fail, ports(m).Level)
}

// This machine can be asked; what it lacks is its own matter.
func TestHere(t *testing.T) {
	findings := Examine(context.Background(), Here(), []string{"2.3.19"})
	checks := map[string]bool{}
	for _, f := range findings {
		assert.False(t, checks[f.Check], "%s twice", f.Check)
		checks[f.Check] = true
	}
	for _, want := range []string{"go", "sources", "make", "docker", "npm", "root", "pidfd", "ports"} {
		assert.True(t, checks[want], want)
	}
}
