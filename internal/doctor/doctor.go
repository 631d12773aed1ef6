// Package doctor finds what killpoint needs and this machine lacks, and the
// command that mends it. It changes nothing.
package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/killpoint/killpoint/containers"
)

// Level is how much a finding matters.
type Level string

// The levels. After a warning killpoint works, with less or more slowly.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is what one check found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
	// Mend is the command or the step that mends it, "" where nothing is to do.
	Mend string `json:"mend,omitempty"`
}

// Machine is what is asked about.
type Machine interface {
	// LookPath says where a program is.
	LookPath(name string) (string, error)
	// Output is what a program prints.
	Output(ctx context.Context, name string, args ...string) (string, error)
	// Getenv is a variable of the environment, "" for none.
	Getenv(name string) string
	// Root is whether this process is root's.
	Root() bool
	// ReadFile reads a file of the kernel's.
	ReadFile(path string) ([]byte, error)
	// Free is the room at a path, in bytes.
	Free(path string) (uint64, error)
	// Pidfd says why a process cannot be held by a pidfd.
	Pidfd() error
	// PortFree is whether a port of the loopback address can be listened on.
	PortFree(port int) bool
	// Sources says where killpoint's own sources are, of which the images are
	// built.
	Sources(ctx context.Context) (string, error)
	// Cached is whether a pinned engine was fetched before.
	Cached(version string) bool
	// Daemon connects to Docker.
	Daemon(ctx context.Context) (Daemon, error)
}

// Daemon is a Docker daemon that answers.
type Daemon interface {
	// Host is its address; Local is whether it is on this machine.
	Host() string
	Local() bool
	// Version is that of the daemon and of its API.
	Version(ctx context.Context) (daemon, api string, err error)
	// Root is the directory in which it keeps images.
	Root(ctx context.Context) (string, error)
	// Images are the names of all images that killpoint built.
	Images(ctx context.Context) ([]string, error)
	// StartHostPID starts a container in the host's PID namespace that may signal
	// its processes, and removes it.
	StartHostPID(ctx context.Context, image string) error
}

// names of the images that are built once.
const (
	rigImage     = "killpoint/rig"
	fixtureImage = "killpoint/fixture"
	engineImage  = "killpoint/engine"
)

// Examine makes all checks, for runs with these pinned engines.
func Examine(ctx context.Context, m Machine, engines []string) []Finding {
	all := []Finding{goFinding(ctx, m), sources(ctx, m), makeFinding(m)}
	daemon, docker := dockerFinding(ctx, m)
	all = append(all, docker)
	var images []string
	if daemon != nil {
		var built []Finding
		built, images = imageFindings(ctx, daemon)
		all = append(all, version(ctx, daemon), nat(ctx, m, daemon))
		all = append(all, built...)
	}
	all = append(all, npm(m, engines, images), root(m), pidfd(m))
	if daemon != nil {
		all = append(all, hostPID(ctx, daemon, images), disk(ctx, m, daemon))
	}
	return append(all, ports(m))
}

// Worst is the worst level among the findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Fail || f.Level == Warn && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

func good(check, format string, args ...any) Finding {
	return Finding{Check: check, Level: OK, Says: fmt.Sprintf(format, args...)}
}

func bad(level Level, check, mend, format string, args ...any) Finding {
	return Finding{Check: check, Level: level, Says: fmt.Sprintf(format, args...), Mend: mend}
}

// prebuilt: the images that killpoint builds itself are named in the environment,
// so that nothing is compiled.
func prebuilt(m Machine) bool {
	return m.Getenv("KILLPOINT_RIG_IMAGE") != "" && m.Getenv("KILLPOINT_FIXTURE_IMAGE") != ""
}

// neededGo is the least version of Go, as minor of 1.
const neededGo = 26

func goFinding(ctx context.Context, m Machine) Finding {
	const mend = "install Go 1.26 or later and put it on PATH"
	level := Fail
	if prebuilt(m) {
		level = Warn
	}
	if _, err := m.LookPath("go"); err != nil {
		return bad(level, "go", mend, "the go command is not on PATH: it compiles what goes into the containers")
	}
	out, err := m.Output(ctx, "go", "env", "GOVERSION")
	out = strings.TrimSpace(out)
	if err != nil {
		return bad(level, "go", mend, "the go command does not work: %v", err)
	}
	var minor int
	if n, _ := fmt.Sscanf(out, "go1.%d", &minor); n == 1 && minor < neededGo {
		return bad(level, "go", mend, "%s is older than 1.%d", out, neededGo)
	}
	return good("go", "%s", out)
}

func sources(ctx context.Context, m Machine) Finding {
	root, err := m.Sources(ctx)
	switch {
	case err == nil:
		return good("sources", "the images are built from %s", root)
	case prebuilt(m):
		return good("sources", "not needed: KILLPOINT_RIG_IMAGE and KILLPOINT_FIXTURE_IMAGE name the images")
	}
	return bad(Fail, "sources", "run it in a checkout of killpoint or in a module that requires it; or there eval \"$(make images)\", and run it where you like",
		"killpoint's own sources are not here, of which its images are built: %v", firstLine(err.Error()))
}

func makeFinding(m Machine) Finding {
	if _, err := m.LookPath("make"); err != nil {
		return bad(Warn, "make", aptGet("make"), "make is missing: make itest and make test need it, this command does not")
	}
	return good("make", "there")
}

func aptGet(packages string) string {
	return "apt-get update && apt-get install -y " + packages + " (as root on Debian)"
}

func npm(m Machine, engines, images []string) Finding {
	var missing []string
	for _, e := range engines {
		if !m.Cached(e) && !tagged(images, engineImage, e) {
			missing = append(missing, e)
		}
	}
	_, err := m.LookPath("npm")
	switch {
	case err == nil:
		return good("npm", "there, to fetch engines with")
	case len(missing) == 0:
		return good("npm", "missing and not needed: %s at hand", plural(engines))
	}
	return bad(Fail, "npm", aptGet("npm"), "npm is missing, and with it the engine's package is fetched: %s not at hand yet", plural(missing))
}

func plural(engines []string) string {
	if len(engines) == 1 {
		return "engine " + engines[0] + " is"
	}
	return "engines " + strings.Join(engines, ", ") + " are"
}

func root(m Machine) Finding {
	if m.Root() {
		return good("root", "this is root: make setup may install and start what is missing")
	}
	return good("root", "this is not root, and it need not be where Docker answers")
}

func pidfd(m Machine) Finding {
	if err := m.Pidfd(); err != nil {
		return bad(Warn, "pidfd", "use a kernel from 5.3 on, and let the sandbox allow pidfd_open",
			"this process may not hold others by a pidfd (%v): exits are seen some 100 ms late, through the daemon", err)
	}
	return good("pidfd", "exits are seen at their source")
}

const (
	// leastPorts is more than a run of many cells takes.
	leastPorts    = 100
	ephemeralFile = "/proc/sys/net/ipv4/ip_local_port_range"
)

// ports looks whether cells find some in their range, below those that the kernel
// gives to outgoing connections.
func ports(m Machine) Finding {
	first, last, err := containers.ParsePorts(m.Getenv(containers.PortsEnv))
	if err == nil && (first < 1 || last > 65535 || last < first) {
		err = fmt.Errorf("%s is %d-%d: there are no such ports", containers.PortsEnv, first, last)
	}
	if err != nil {
		return bad(Fail, "ports", "unset "+containers.PortsEnv+", or set it as in 20000-31999", "%v", err)
	}
	if freePorts(m, first, last) < min(leastPorts, last-first+1) {
		return bad(Fail, "ports", "end what listens there (ss -ltn), or choose others with "+containers.PortsEnv+"=FIRST-LAST",
			"hardly a port from %d to %d is free, and cells take theirs from there", first, last)
	}
	text, err := m.ReadFile(ephemeralFile)
	fields := strings.Fields(string(text))
	if err != nil || len(fields) != 2 {
		return good("ports", "free from %d to %d", first, last)
	}
	begin, err := strconv.Atoi(fields[0])
	end, eerr := strconv.Atoi(fields[1])
	if err == nil && eerr == nil && begin <= last && end >= first {
		return bad(Warn, "ports", "sysctl -w net.ipv4.ip_local_port_range='32768 60999' (as root), or choose others with "+containers.PortsEnv+"=FIRST-LAST",
			"the kernel gives ports from %d to %d to outgoing connections: now and then it takes one of a cell's, which come from %d to %d", begin, end, first, last)
	}
	return good("ports", "free from %d to %d, apart from those of outgoing connections", first, last)
}

// freePorts is about how many are free. Of a wide range it looks at some: to try all
// would take longer than all other checks.
func freePorts(m Machine, first, last int) int {
	const most = 300
	step := 1 + (last-first)/most
	free := 0
	for p := first; p <= last; p += step {
		if m.PortFree(p) {
			free += min(step, last-p+1)
		}
	}
	return free
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// tagged is whether there is an image of that repository whose tag begins with
// tag.
func tagged(images []string, repo, tag string) bool {
	for _, name := range images {
		if strings.HasPrefix(name, repo+":"+tag) {
			return true
		}
	}
	return false
}
