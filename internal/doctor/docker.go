package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// dockerFinding is whether a daemon answers.
func dockerFinding(ctx context.Context, m Machine) (Daemon, Finding) {
	d, err := m.Daemon(ctx)
	switch {
	case err == nil:
		return d, good("docker", "a daemon answers at %s", d.Host())
	case errors.Is(err, fs.ErrPermission):
		return nil, bad(Fail, "docker", "usermod -aG docker YOUR-NAME (as root), then log in again; or run as root",
			"the Docker daemon's socket may not be used: %s", firstLine(err.Error()))
	case m.Getenv("DOCKER_HOST") != "":
		return nil, bad(Fail, "docker", "start the daemon there, or unset DOCKER_HOST", "no Docker daemon answers at DOCKER_HOST=%s", m.Getenv("DOCKER_HOST"))
	}
	if _, missing := m.LookPath("dockerd"); missing != nil {
		return nil, bad(Fail, "docker", "make setup (as root on Debian), or install and start Docker", "no Docker daemon answers, and dockerd is not installed")
	}
	return nil, bad(Fail, "docker", "make setup (as root on Debian), or systemctl start docker", "no Docker daemon answers, although dockerd is installed")
}

// testedAPI is the least version of Docker's API that killpoint was tested with,
// as minor of 1.
const testedAPI = 41

func version(ctx context.Context, d Daemon) Finding {
	daemon, api, err := d.Version(ctx)
	if err != nil {
		return bad(Fail, "docker version", "look after the daemon", "the daemon does not tell its version: %s", firstLine(err.Error()))
	}
	var minor int
	if n, _ := fmt.Sscanf(api, "1.%d", &minor); n == 1 && minor < testedAPI {
		return bad(Warn, "docker version", "use Docker 20.10 or later", "Docker %s speaks version %s of its API; killpoint was tested from 1.%d on", daemon, api, testedAPI)
	}
	return good("docker version", "%s, API %s", daemon, api)
}

// nat looks whether the kernel does what Docker's networks need. Only root may
// ask, and only of its own machine.
func nat(ctx context.Context, m Machine, d Daemon) Finding {
	const check = "iptables nat"
	switch {
	case !d.Local():
		return good(check, "not asked: the daemon is on another machine")
	case !m.Root():
		return good(check, "not asked: it needs root")
	}
	if _, err := m.LookPath("iptables"); err != nil {
		return bad(Warn, check, aptGet("iptables"), "iptables is missing, by which the daemon makes its networks")
	}
	if out, err := m.Output(ctx, "iptables", "-t", "nat", "-L", "-n"); err != nil {
		return bad(Fail, check, "update-alternatives --set iptables /usr/sbin/iptables-legacy (as root), or load the kernel's modules (iptable_nat, nf_tables)",
			"iptables has no nat table, which Docker's networks need: %s", firstLine(strings.TrimSpace(out)+"\n"+err.Error()))
	}
	return good(check, "there")
}

// imageFindings are the images that are built once and those of engines.
func imageFindings(ctx context.Context, d Daemon) ([]Finding, []string) {
	images, err := d.Images(ctx)
	if err != nil {
		return []Finding{bad(Fail, "images", "look after the daemon", "the daemon does not tell its images: %s", firstLine(err.Error()))}, nil
	}
	var missing []string
	for _, repo := range []string{rigImage, fixtureImage, engineImage} {
		if !tagged(images, repo, "") {
			missing = append(missing, repo)
		}
	}
	if len(missing) > 0 {
		return []Finding{bad(Warn, "images", "make images", "%s not built yet: the first run builds what is missing, which takes a minute or two", strings.Join(missing, ", "))}, images
	}
	return []Finding{good("images", "built (they are built again where their sources have changed)")}, images
}

// hostPID looks whether a container can have the host's PID namespace and
// CAP_KILL, which faults at a frame of the wire need.
func hostPID(ctx context.Context, d Daemon, images []string) Finding {
	const check = "host PID namespace"
	at := -1
	for i, name := range images {
		if strings.HasPrefix(name, rigImage+":") {
			at = i
			break
		}
	}
	if at < 0 {
		return bad(Warn, check, "make images, and ask again", "not asked: there is no image yet to ask with")
	}
	if err := d.StartHostPID(ctx, images[at]); err != nil {
		return bad(Warn, check, "let the daemon start containers with --pid host --cap-add KILL (no user namespaces, no policy against it)",
			"no container may see the host's processes and signal them, so that nothing can be struck at a frame of the wire: %s", firstLine(err.Error()))
	}
	return good(check, "a container can see the host's processes and signal them")
}

// Room on the daemon's disk: an image of an engine is 0.1 GB, and a cell writes
// little.
const (
	enoughRoom = 2 << 30
	leastRoom  = 512 << 20
)

func disk(ctx context.Context, m Machine, d Daemon) Finding {
	if !d.Local() {
		return good("disk", "not asked: the daemon is on another machine")
	}
	root, err := d.Root(ctx)
	if err != nil {
		return bad(Warn, "disk", "look after the daemon", "the daemon does not tell where it keeps its images: %s", firstLine(err.Error()))
	}
	free, err := m.Free(root)
	if err != nil {
		return good("disk", "not asked: %s", firstLine(err.Error()))
	}
	says := fmt.Sprintf("%.1f GB free in %s", float64(free)/(1<<30), root)
	switch {
	case free < leastRoom:
		return bad(Fail, "disk", "docker image prune (it removes images that nothing uses), make clean, or a larger disk", "%s: too little for the images", says)
	case free < enoughRoom:
		return bad(Warn, "disk", "docker image prune (it removes images that nothing uses), or make clean", "%s: little for the images", says)
	}
	return good("disk", "%s", says)
}
