package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"golang.org/x/sync/errgroup"

	engineimage "github.com/killpoint/killpoint/engine-image"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/rivet"
)

// readyTimeout bounds the wait for a party to serve, and for the engine to
// know the runtime. All of it takes well under a second on an idle machine.
const readyTimeout = 60 * time.Second

// Cell is one engine and one runtime on a network, a data volume and host
// ports of their own. Make one with [Session.Run].
type Cell struct {
	Engine  *Container
	Runtime *Container

	session *Session
	cfg     CellConfig
	id      string
	engine  engineimage.Image
	network *testcontainers.DockerNetwork
	client  *http.Client // for polls: a connection each
	api     *rivet.Client
	front   *Container // nil without one
	// Host ports, by the port inside.
	enginePorts, runtimePorts, frontPorts map[int]*port
	protocol                              int
	runtimeLives                          atomic.Int64
	tap                                   *Tap

	mu      sync.Mutex
	all     []*Container
	added   []*added
	healthy map[int]bool // incarnations of the engine whose first good answer is recorded
	// renewals counts how often the cell was made new.
	renewals int

	closing sync.Mutex
	closed  bool
}

// Run makes a cell: network, volume, sandboxes, engine, runtime, namespace and
// runner configuration. When it returns, the engine knows the runtime and
// actors can be created. On error nothing of the cell is left, unless the
// error says so.
func (s *Session) Run(ctx context.Context, cfg CellConfig) (*Cell, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configuration of the cell: %w", err)
	}
	transport := rivet.GuardedTransport(s.host)
	transport.DisableKeepAlives = true
	c := &Cell{
		session: s,
		cfg:     cfg,
		id:      s.id + "-" + strconv.FormatInt(s.cells.Add(1), 10),
		client:  &http.Client{Transport: transport},
		healthy: make(map[int]bool),
	}
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	if err := c.buildInTurn(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("run cell %s: %w", cfg.Name, err), c.Close(closing))
	}
	return c, nil
}

// name is the name in Docker of one of the cell's resources.
func (c *Cell) name(what string) string {
	return "killpoint-" + c.id + "-" + c.cfg.Name + "-" + what
}

func (c *Cell) add(ctr *Container) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, ctr)
}

func (c *Cell) containers() []*Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

func (c *Cell) buildInTurn(ctx context.Context) error {
	if err := c.session.building.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for other cells to be made: %w", context.Cause(ctx))
	}
	defer c.session.building.Release(1)
	return c.build(ctx)
}

func (c *Cell) build(ctx context.Context) error {
	c.cfg.Recorder.Record(harness, history.KindClock, &history.Clock{BootID: c.session.bootID})
	var rig, stopSignal string
	err := inParallel(ctx,
		func(ctx context.Context) (err error) { c.engine, err = c.ensureEngine(ctx); return err },
		func(ctx context.Context) (err error) { rig, err = c.session.rig(ctx); return err },
		func(ctx context.Context) (err error) {
			stopSignal, err = c.stopSignalOf(ctx, c.cfg.Runtime)
			return err
		},
		c.createNetwork,
		c.createVolume,
	)
	if err != nil {
		return err
	}
	// First, so that whoever starts can be announced to its executioner.
	if c.cfg.Tap != nil {
		if err := c.buildTap(ctx, rig); err != nil {
			return err
		}
	}
	err = inParallel(ctx,
		func(ctx context.Context) error { return c.buildEngine(ctx, rig) },
		func(ctx context.Context) error { return c.buildRuntime(ctx, rig, stopSignal) },
		func(ctx context.Context) error { return c.buildFront(ctx, rig) },
	)
	if err != nil {
		return err
	}
	if c.front != nil {
		if err := c.Route(ctx, c.Runtime); err != nil {
			return err
		}
	}
	return c.introduce(ctx)
}

func inParallel(ctx context.Context, steps ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, step := range steps {
		g.Go(func() error { return step(ctx) })
	}
	return g.Wait()
}

func (c *Cell) ensureEngine(ctx context.Context) (engineimage.Image, error) {
	source, err := engineimage.ParseSource(c.cfg.Engine)
	if err != nil {
		return engineimage.Image{}, err
	}
	image, err := engineimage.Ensure(ctx, c.session.docker, source)
	return image, c.session.explain("make the engine's image available", err)
}

func (c *Cell) buildEngine(ctx context.Context, rig string) (err error) {
	var sandbox *Container
	sandbox, c.enginePorts, err = c.startSandbox(ctx, sandboxSpec{alias: engineAlias}, rig, enginePort)
	if err != nil {
		return err
	}
	c.api, err = rivet.New(c.Gateway(), rivet.DefaultToken, rivet.WithHost(c.session.host))
	if err != nil {
		return err
	}
	c.Engine, err = c.createEngine(ctx, sandbox)
	if err != nil {
		return err
	}
	if err := c.Engine.Start(ctx); err != nil {
		return err
	}
	_, err = c.WaitHealthy(ctx)
	return err
}

func (c *Cell) buildRuntime(ctx context.Context, rig, stopSignal string) (err error) {
	var sandbox *Container
	spec := sandboxSpec{what: runtimeAlias + "-sandbox", alias: c.runtimeHost(1)}
	sandbox, c.runtimePorts, err = c.startSandbox(ctx, spec, rig, c.cfg.Runtime.inside()...)
	if err != nil {
		return err
	}
	c.Runtime, err = c.createRuntimeAs(ctx, runtimeAlias, c.cfg.Runtime, stopSignal, sandbox)
	if err != nil {
		return err
	}
	if err := c.Runtime.Start(ctx); err != nil {
		return err
	}
	return c.WaitRuntime(ctx)
}

// portAttempts is how often a sandbox is tried with other ports, when a
// program that knows nothing of our reservations took one of them between the
// reservation and the start.
const portAttempts = 3

// startSandbox makes a sandbox with a host port for each port inside, and
// returns when it has taken the default route away.
func (c *Cell) startSandbox(ctx context.Context, spec sandboxSpec, image string, inside ...int) (*Container, map[int]*port, error) {
	for attempt := 1; ; attempt++ {
		ports, err := c.takePorts(ctx, inside)
		if err != nil {
			return nil, nil, err
		}
		sandbox, err := c.createSandbox(ctx, spec, image, ports)
		if err == nil {
			err = sandbox.Start(ctx)
		}
		if err == nil {
			err = sandbox.awaitLine(ctx, sandboxReady)
		}
		if err == nil {
			return sandbox, ports, nil
		}
		// Asked before the release: the daemon says in words only that a port was taken.
		// One elsewhere cannot be asked for the ports that it is about to publish.
		lost := !c.session.local || !c.allFree(ctx, ports)
		err = errors.Join(err, releaseAll(ports))
		if sandbox == nil || !lost || attempt == portAttempts {
			return nil, nil, err
		}
		if removed := c.session.docker.ContainerRemove(ctx, sandbox.id, removal); removed != nil {
			return nil, nil, errors.Join(err, removed)
		}
	}
}

func (c *Cell) takePorts(ctx context.Context, inside []int) (map[int]*port, error) {
	ports := make(map[int]*port)
	for _, p := range inside {
		got, err := c.session.ports.take(ctx)
		if err != nil {
			return nil, errors.Join(err, releaseAll(ports))
		}
		ports[p] = got
	}
	return ports, nil
}

func (c *Cell) allFree(ctx context.Context, ports map[int]*port) bool {
	for _, p := range ports {
		if !c.session.ports.probe(ctx, p.number) {
			return false
		}
	}
	return true
}

func releaseAll(ports map[int]*port) error {
	var errs []error
	for _, p := range ports {
		errs = append(errs, p.release())
	}
	return errors.Join(errs...)
}

// introduce tells the engine of the runtime and waits until it knows it.
func (c *Cell) introduce(ctx context.Context) error {
	if _, err := c.api.CreateNamespace(ctx, namespace); err != nil {
		return fmt.Errorf("create the namespace: %w; the engine's last lines: %s", err, c.engineTail())
	}
	if err := c.configurePool(ctx); err != nil {
		return fmt.Errorf("write the runner configuration: %w; the engine's last lines: %s", err, c.engineTail())
	}
	if err := c.WaitReady(ctx); err != nil {
		return fmt.Errorf("%w; the engine's last lines: %s", err, c.engineTail())
	}
	return nil
}

// configurePool tells the engine where the runtime is and how to use it.
func (c *Cell) configurePool(ctx context.Context) error {
	p, host, port := c.cfg.Pool, runtimeAlias, c.cfg.Runtime.Port
	if c.tap != nil {
		host, port = tapAlias, tapServerless
	}
	return c.putRunnerConfig(ctx, rivet.RunnerConfig{
		URL:             fmt.Sprintf("http://%s:%d%s", host, port, runtimeBase),
		RequestLifespan: p.RequestLifespan,
		DrainGrace:      p.DrainGrace,
		MetadataPoll:    p.MetadataPoll,
		// The cap on actors is the product of the two; one slot a runner is what
		// the serverless runtimes use.
		MaxRunners:            p.MaxActors,
		SlotsPerRunner:        1,
		DrainOnVersionUpgrade: !p.KeepOnVersionUpgrade,
	})
}

func (c *Cell) engineTail() string { return tail(c.Engine.Logs(c.Engine.Incarnation()), tailLines) }

// putRunnerConfig writes the pool's configuration. An engine that has just
// booted answered that with 500 core.internal_error once in about 100 cells,
// so such an answer is recorded and asked again, for at most a minute.
func (c *Cell) putRunnerConfig(ctx context.Context, cfg rivet.RunnerConfig) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := c.api.PutRunnerConfig(ctx, namespace, c.cfg.Pool.Name, datacenter, cfg)
		var answer *rivet.Error
		if !errors.As(err, &answer) || answer.Status < http.StatusInternalServerError {
			return err
		}
		c.recordAnswer(err)
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// recordAnswer puts an error answer of the engine's API into the history.
func (c *Cell) recordAnswer(err error) {
	c.cfg.Recorder.Record(harness, history.KindLog, &history.Log{
		Role: "engine", Incarnation: c.Engine.Incarnation(), Stream: "api", Line: err.Error(),
	})
}

// reconfigurations bounds how often the pool's configuration is written anew
// for one actor.
const reconfigurations = 3

// GetOrCreateActor is [rivet.Client.GetOrCreateActor] for a cell that was just
// started. Such an engine may keep for an hour that the pool has no
// configuration in any datacenter: writing the configuration fills the cache
// that creating reads (upsert.rs in the engine's api-public), and once, on a
// busy machine, it was filled too early. Writing it again empties the cache;
// the answer is recorded.
func (c *Cell) GetOrCreateActor(ctx context.Context, namespace string, r rivet.ActorRequest) (rivet.Actor, bool, error) {
	for n := 0; ; n++ {
		a, created, err := c.api.GetOrCreateActor(ctx, namespace, r)
		var answer *rivet.Error
		if n == reconfigurations || !errors.As(err, &answer) || answer.FullCode() != "actor.no_runner_config_configured" {
			return a, created, err
		}
		c.recordAnswer(err)
		if perr := c.configurePool(ctx); perr != nil {
			return a, created, errors.Join(err, fmt.Errorf("write the runner configuration again: %w", perr))
		}
	}
}

// WaitReady waits, for at most a minute, until the engine knows the runtime's
// protocol, which it reads from the runtime's metadata. It asks every 5 ms
// because the engine announces this nowhere.
func (c *Cell) WaitReady(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	c.protocol, err = c.api.WaitRunnerConfig(ctx, namespace, c.cfg.Pool.Name, pollInterval)
	return err
}

// WaitHealthy asks the engine's /health every 5 ms, for at most a minute, until
// it says ok, and returns the instant of that answer. The first good answer of
// an incarnation is recorded. It fails at once when the engine exits, with its
// exit code and the end of its output in an [*ExitedError].
func (c *Cell) WaitHealthy(ctx context.Context) (clock.Mono, error) {
	l := c.Engine.current()
	if l == nil {
		return 0, fmt.Errorf("wait for %s: %w", c.Engine.name, ErrNotRunning)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	a, err := c.Engine.pollUntilOK(ctx, c.client, c.Gateway()+"/health", l.began)
	if err != nil {
		return 0, err
	}
	var h rivet.Health
	if err := json.Unmarshal(a.body, &h); err != nil {
		return 0, fmt.Errorf("read the engine's /health: %w", err)
	}
	if h.Status != "ok" {
		return 0, fmt.Errorf("the engine's /health answers 200 with status %q, not ok: this engine says it in a way that is not known here", h.Status)
	}
	c.mu.Lock()
	first := !c.healthy[l.n]
	c.healthy[l.n] = true
	c.mu.Unlock()
	if first {
		c.cfg.Recorder.RecordAt(a.t, harness, history.KindHealth, &history.Health{
			What: h.Status, Version: h.Version, UncertainNS: int64(a.uncertain),
		})
	}
	return a.t, nil
}

// WaitRuntime asks the runtime's /metadata every 5 ms, for at most a minute,
// until it answers.
func (c *Cell) WaitRuntime(ctx context.Context) error {
	return c.waitRuntime(ctx, c.Runtime, c.runtimePorts[c.cfg.Runtime.Port])
}

func (c *Cell) waitRuntime(ctx context.Context, r *Container, at *port) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	_, err := r.pollUntilOK(ctx, c.client, c.url(at)+runtimeBase+"/metadata", 0)
	return err
}

func (c *Cell) url(p *port) string {
	return "http://" + net.JoinHostPort(c.session.host, strconv.Itoa(p.number))
}

// Gateway is the engine's address on the host, "http://127.0.0.1:PORT". It
// stays the same over restarts.
func (c *Cell) Gateway() string { return c.url(c.enginePorts[enginePort]) }

// Front is the address that clients use: the gateway's, or that of the tap before
// it where there is one.
func (c *Cell) Front() string {
	if c.tap == nil || c.tap.ports[tapGateway] == nil {
		return c.Gateway()
	}
	return c.url(c.tap.ports[tapGateway])
}

// Control is the runtime's control address on the host, or "" where it has no
// control port.
func (c *Cell) Control() string {
	p, ok := c.runtimePorts[c.cfg.Runtime.ControlPort]
	if !ok {
		return ""
	}
	return c.url(p)
}

// RuntimeConfig is the configuration of the cell's first runtime, to make another
// one like it.
func (c *Cell) RuntimeConfig() RuntimeConfig {
	r := c.cfg.Runtime
	r.Env = maps.Clone(r.Env)
	if r.Env == nil {
		r.Env = map[string]string{}
	}
	return r
}

// API is a client of the cell's engine.
func (c *Cell) API() *rivet.Client { return c.api }

// Namespace is the namespace that Run has made.
func (c *Cell) Namespace() string { return namespace }

// PoolName is the pool whose actors the runtime hosts.
func (c *Cell) PoolName() string { return c.cfg.Pool.Name }

// Settings are the effective settings of the cell, for the history.
func (c *Cell) Settings() history.Settings {
	p, r := c.cfg.Pool, c.cfg.Runtime
	return history.Settings{
		"engine":                   c.cfg.Engine,
		"engine_image":             c.engine.Ref,
		"engine_version":           c.engine.Version,
		"engine_digest":            c.engine.Digest,
		"engine_load_shedding":     c.cfg.EngineConfig.LoadShedding,
		"engine_gateway_v3":        c.cfg.EngineConfig.GatewayV3,
		"engine_log":               c.cfg.EngineConfig.Log,
		"engine_guarded":           guarded(c.cfg.EngineConfig, c.engine.Version),
		"engine_extra":             c.cfg.EngineConfig.Extra,
		"front":                    c.cfg.Front,
		"tap":                      c.cfg.Tap != nil,
		"runtime_image":            r.Image,
		"runtime_env":              r.Env,
		"runtime_init":             r.Init,
		"runtime_memory":           r.Memory,
		"runtime_restart":          r.Restart,
		"runtime_stop_signal":      c.Runtime.stopSignal,
		"pool":                     p.Name,
		"pool_max_actors":          p.MaxActors,
		"pool_drain_grace_ns":      p.DrainGrace,
		"pool_request_lifespan_ns": p.RequestLifespan,
		"pool_metadata_poll_ns":    p.MetadataPoll,
		"pool_drain_on_upgrade":    !p.KeepOnVersionUpgrade,
		"envoy_protocol":           c.protocol,
	}
}
