package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/internal/image"
)

// askBound bounds each question to the machine.
const askBound = 20 * time.Second

// Here is this machine.
func Here() Machine { return here{} }

type here struct{}

func (here) LookPath(name string) (string, error) { return exec.LookPath(name) }

func (here) Output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

func (here) Getenv(name string) string            { return os.Getenv(name) }
func (here) Root() bool                           { return os.Geteuid() == 0 }
func (here) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (here) Free(path string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("ask for the room at %s: %w", path, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}

func (here) Pidfd() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (here) PortFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func (here) Sources(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	return image.ModuleRoot(ctx)
}

func (here) Cached(version string) bool {
	base, err := os.UserCacheDir()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(base, "killpoint", "engine", version, "rivet-engine"))
	return err == nil
}

func (here) Daemon(ctx context.Context) (Daemon, error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	if _, err := docker.Ping(ctx); err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	return daemon{docker}, nil
}

type daemon struct{ docker *client.Client }

func (d daemon) Host() string { return d.docker.DaemonHost() }
func (d daemon) Local() bool  { return strings.HasPrefix(d.docker.DaemonHost(), "unix://") }

func (d daemon) Version(ctx context.Context) (string, string, error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	v, err := d.docker.ServerVersion(ctx)
	return v.Version, v.APIVersion, err
}

func (d daemon) Root(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	info, err := d.docker.Info(ctx)
	return info.DockerRootDir, err
}

func (d daemon) Images(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	list, err := d.docker.ImageList(ctx, dockerimage.ListOptions{Filters: filters.NewArgs(filters.Arg("label", image.ContentLabel))})
	var names []string
	for _, i := range list {
		names = append(names, i.RepoTags...)
	}
	return names, err
}

// StartHostPID has the rig's helper print its routes, of which it has none: what
// is asked is whether it may begin.
func (d daemon) StartHostPID(ctx context.Context, image string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	made, err := d.docker.ContainerCreate(ctx,
		&container.Config{Image: image, Cmd: []string{"routes"}},
		&container.HostConfig{PidMode: "host", CapDrop: []string{"ALL"}, CapAdd: []string{"KILL"}, NetworkMode: "none"},
		nil, nil, "")
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askBound)
		defer cancel()
		err = errors.Join(err, d.docker.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true}))
	}()
	return d.docker.ContainerStart(ctx, made.ID, container.StartOptions{})
}
