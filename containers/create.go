package containers

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/go-connections/nat"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/reaper"
)

// The rig's image, run as a sandbox, and what it says when it has taken the
// default route away.
const (
	sandboxCommand = "sandbox"
	sandboxReady   = "sandbox ready"
)

// labels mark everything of the cell, for its own removal and the reaper's.
func (c *Cell) labels(role string) map[string]string {
	return map[string]string{
		ownLabel:            "true",
		cellLabel:           c.id,
		reaper.SessionLabel: c.session.id,
		reaper.RoleLabel:    role,
	}
}

// uncut is the context of a call that makes something: bounded, but not ended
// by ctx. A call that is cut off may yet succeed in the daemon, after Close has
// looked for what there is to remove.
func uncut(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
}

func (c *Cell) createVolume(ctx context.Context) error {
	ctx, cancel := uncut(ctx)
	defer cancel()
	_, err := c.session.docker.VolumeCreate(ctx, volume.CreateOptions{Name: c.name("data"), Labels: c.labels("data")})
	return c.session.explain("create the cell's data volume", err)
}

// create makes a container and does not start it. What it makes is labelled,
// so that Close finds it whether or not this returns an error.
func (c *Cell) create(ctx context.Context, role, what, image, stopSignal string, opts ...testcontainers.ContainerCustomizer) (*Container, error) {
	name := c.name(what)
	call, cancel := uncut(ctx)
	defer cancel()
	opts = append([]testcontainers.ContainerCustomizer{
		testcontainers.WithNoStart(),
		testcontainers.WithName(name),
		testcontainers.WithLabels(c.labels(role)),
		withQuiet(),
	}, opts...)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("create %s: %w", name, context.Cause(ctx))
	}
	made, err := testcontainers.Run(call, image, opts...)
	if err != nil {
		return nil, c.session.explain("create "+name, err)
	}
	ctr := &Container{
		session: c.session, rec: c.cfg.Recorder, role: role, name: name,
		id: made.GetContainerID(), image: image, stopSignal: stopSignal, keep: everyLine,
		count: c.counter(role),
	}
	c.add(ctr)
	ctr.record(int(ctr.count.Load())+1, history.ContainerCreated, 0)
	return ctr, nil
}

// counter numbers the incarnations of a new container. All runtimes of a cell
// count on from each other, since they do the same work beside each other.
func (c *Cell) counter(role string) *atomic.Int64 {
	if role == runtimeAlias {
		return &c.runtimeLives
	}
	return new(atomic.Int64)
}

// sandboxSpec says what a sandbox is for. Its zero values are those of a plain
// one.
type sandboxSpec struct {
	role, what, alias string
	command           []string
}

// createSandbox creates the container that holds a party's network namespace: its
// address, its alias on the cell's network and its published ports.
func (c *Cell) createSandbox(ctx context.Context, spec sandboxSpec, image string, ports map[int]*port) (*Container, error) {
	set(&spec.role, "sandbox")
	set(&spec.what, spec.alias+"-sandbox")
	if spec.command == nil {
		spec.command = []string{sandboxCommand}
	}
	bindings, exposed := nat.PortMap{}, []string{}
	for inside, p := range ports {
		key := nat.Port(strconv.Itoa(inside) + "/tcp")
		exposed = append(exposed, string(key))
		bindings[key] = []nat.PortBinding{{HostIP: c.session.bindIP(), HostPort: strconv.Itoa(p.number)}}
	}
	return c.create(ctx, spec.role, spec.what, image, "SIGTERM",
		testcontainers.WithCmd(spec.command...),
		testcontainers.WithEnv(c.session.sandboxEnv()),
		testcontainers.WithExposedPorts(exposed...),
		tcnetwork.WithNetwork([]string{spec.alias}, c.network),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.CapDrop = []string{"ALL"}
			h.CapAdd = []string{"NET_ADMIN"}
			h.PortBindings = bindings
			// Docker's own resolver asks this one for what it does not know. Nobody
			// listens there, so it answers for the cell's names only.
			h.DNS = []string{"127.0.0.1"}
			// A name that it does not know is never answered, so do not wait long.
			h.DNSOptions = []string{"timeout:1", "attempts:1"}
		}),
	)
}

// inSandbox puts a party into its sandbox's network namespace. NET_RAW goes,
// because raw frames need no route.
func inSandbox(sandbox *Container, more func(*container.HostConfig)) testcontainers.ContainerCustomizer {
	return testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
		h.NetworkMode = container.NetworkMode("container:" + sandbox.id)
		h.CapDrop = []string{"NET_RAW"}
		if more != nil {
			more(h)
		}
	})
}

func (c *Cell) createEngine(ctx context.Context, sandbox *Container) (*Container, error) {
	config, err := engineJSON(c.cfg.EngineConfig, c.engine.Version, c.cfg.Tap != nil)
	if err != nil {
		return nil, err
	}
	ctr, err := c.create(ctx, "engine", "engine", c.engine.Ref, "SIGTERM",
		testcontainers.WithCmd("start", "--config", configPath),
		testcontainers.WithEnv(engineEnv(c.cfg.EngineConfig)),
		testcontainers.WithFiles(testcontainers.ContainerFile{
			Reader: bytes.NewReader(config), ContainerFilePath: configPath, FileMode: 0o644,
		}),
		testcontainers.WithMounts(testcontainers.VolumeMount(c.name("data"), dataPath)),
		inSandbox(sandbox, nil),
	)
	if err != nil {
		return nil, err
	}
	ctr.keep, ctr.tap = engineTrouble, c.tap
	return ctr, nil
}

func (c *Cell) createRuntimeAs(ctx context.Context, what string, r RuntimeConfig, stopSignal string, sandbox *Container) (*Container, error) {
	policy, err := r.Restart.docker()
	if err != nil {
		return nil, err
	}
	ctr, err := c.create(ctx, "runtime", what, r.Image, stopSignal,
		testcontainers.WithCmd(r.Cmd...),
		testcontainers.WithEnv(r.Env),
		testcontainers.WithConfigModifier(func(cfg *container.Config) { cfg.StopSignal = stopSignal }),
		inSandbox(sandbox, func(h *container.HostConfig) {
			h.Init = &r.Init
			// Swap included: what exceeds the limit is to be killed, not to be slow.
			h.Memory, h.MemorySwap = r.Memory, r.Memory
			h.RestartPolicy = policy
		}),
	)
	if err != nil {
		return nil, err
	}
	ctr.tap, ctr.policy = c.tap, r.Restart
	return ctr, nil
}

// stopSignalOf also proves that the runtime's image is there. It is looked for
// first because testcontainers would try to pull a missing one.
func (c *Cell) stopSignalOf(ctx context.Context, r RuntimeConfig) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	image := r.Image
	info, err := c.session.docker.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return "", fmt.Errorf("runtime image %s is not in the Docker daemon: build it, or docker pull it first: %w", image, err)
	}
	if err != nil {
		return "", c.session.explain("inspect runtime image "+image, err)
	}
	if r.StopSignal != "" {
		return r.StopSignal, nil
	}
	if info.Config != nil && info.Config.StopSignal != "" {
		return info.Config.StopSignal, nil
	}
	return "SIGTERM", nil
}

// sandboxEnv tells a sandbox whom it may answer besides its own link.
func (s *Session) sandboxEnv() map[string]string {
	if s.caller == "" {
		return nil
	}
	return map[string]string{"KILLPOINT_CALLER": s.caller}
}

// bindIP is the host address that published ports are bound to. A remote
// daemon's loopback would be of no use to us.
func (s *Session) bindIP() string {
	if s.local {
		return "127.0.0.1"
	}
	return "0.0.0.0"
}

// quiet has testcontainers write nothing of its own.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func withQuiet() testcontainers.CustomizeRequestOption {
	return func(req *testcontainers.GenericContainerRequest) error {
		req.Logger = quiet{}
		return nil
	}
}
