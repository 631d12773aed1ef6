package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/internal/image"
	"github.com/killpoint/killpoint/internal/noise"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

// bounds of single steps. Each is far above what was measured, so that only
// something that is stuck meets it.
const (
	cellBound     = 90 * time.Second
	warmBound     = 60 * time.Second
	healthyBound  = 30 * time.Second
	holdBound     = 10 * time.Second
	readBackBound = 30 * time.Second
	cleanUpBound  = 60 * time.Second
)

// trial is one carrying-out of a scenario.
type trial struct {
	Scenario
	session *containers.Session
	w       *history.Writer

	cell    *containers.Cell
	counter *workload.Counter
	all     []probe.Target
	targets []probe.Target // of the sweep, one for each delay
	loaded  []probe.Target // of the load
	unload  func()         // stops the load
	writer  probe.Target   // of the commit in flight
	written chan struct{}  // closed when its caller has an answer
	healthy clock.Mono
}

type step struct {
	name string
	do   func(context.Context) error
}

func (t *trial) steps() []step {
	steps := []step{
		{"start a cell: engine " + t.Engine + ", runtime with reconnect policy " + t.Reconnect, t.startCell},
		{fmt.Sprintf("warm %d actors, one for each delay%s", t.actors(), t.loadText()), t.warm},
	}
	if t.Load != nil {
		steps = append(steps, step{"put a load on the others: " + t.Load.String(), t.startLoad})
	}
	if t.CommitInFlight {
		steps = append(steps, step{"hold a transaction before its COMMIT, on one more actor", t.holdCommit})
	}
	steps = append(steps,
		step{"strike the engine: " + t.Fault.String(), t.strike},
		step{"start the engine again", t.restart},
		step{"wait for its first good /health", t.waitHealthy},
		step{fmt.Sprintf("probe each actor once, with a client timeout of %v, then ask on until it answers or %v have passed", t.Sweep.Timeout, t.Sweep.Bound), t.sweep},
	)
	if t.Load != nil {
		steps = append(steps, step{"end the load", t.endLoad})
	}
	if t.CommitInFlight {
		steps = append(steps, step{"wait for what the caller of the transaction is told", t.awaitCommit})
	}
	return append(steps, step{"read the ledgers back", t.readBack})
}

func (t *trial) carryOut(ctx context.Context) (err error) {
	t.w.Record("harness", history.KindSettings, t.settings())
	steps := t.steps()
	plan := &history.Plan{}
	for _, s := range steps {
		plan.Steps = append(plan.Steps, s.name)
	}
	t.w.Record("harness", history.KindPlan, plan)

	quiet, err := noise.Watch(t.w)
	if err != nil {
		return err
	}
	defer quiet()
	// The caller's context may have ended already: what was made is removed
	// on one of its own.
	defer func() { err = errors.Join(err, t.cleanUp()) }()

	for i, s := range steps {
		t.w.Record("harness", history.KindStep, &history.Step{N: i + 1, State: history.StepBegun})
		if err := s.do(ctx); err != nil {
			t.w.Record("harness", history.KindStep, &history.Step{N: i + 1, State: history.StepFailed, Error: err.Error()})
			return fmt.Errorf("step %d of %d, %s: %w", i+1, len(steps), s.name, err)
		}
		t.w.Record("harness", history.KindStep, &history.Step{N: i + 1, State: history.StepDone})
	}
	return nil
}

func (t *trial) settings() *history.Settings {
	return &history.Settings{
		"scenario":       t.Name,
		"engine":         t.Engine,
		"fault":          t.Fault.String(),
		"reconnect":      t.Reconnect,
		"protocol":       t.protocol(),
		"heartbeat":      orDefault(t.Heartbeat, "none"),
		"load shedding":  orDefault(string(t.LoadShedding), string(containers.LoadSheddingOff)),
		"drain grace":    t.drainGrace().String(),
		"probe":          orDefault(string(t.Sweep.Via), string(probe.ViaHTTP)),
		"client timeout": t.Sweep.Timeout.String(),
		"bound":          t.Sweep.Bound.String(),
		"delays":         fmt.Sprint(t.Sweep.Delays),
		"load":           t.load(),
		"commit":         t.CommitInFlight,
	}
}

func (t *trial) load() string {
	if t.Load == nil {
		return "none"
	}
	return t.Load.String()
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

func (t *trial) protocol() int {
	if t.Protocol == 0 {
		return 6
	}
	return t.Protocol
}

func (t *trial) drainGrace() time.Duration {
	if t.DrainGrace == 0 {
		return 5 * time.Second
	}
	return t.DrainGrace
}

func (t *trial) startCell(ctx context.Context) error {
	ctx, cancel := bounded(ctx, cellBound, "a warmed cell")
	defer cancel()
	runtime := t.RuntimeImage
	if runtime == "" {
		var err error
		if runtime, err = image.Fixture(ctx, t.session.Docker()); err != nil {
			return err
		}
	}
	cell, err := t.session.Run(ctx, containers.CellConfig{
		Name:         t.Slug(),
		Engine:       t.Engine,
		EngineConfig: containers.EngineConfig{LoadShedding: t.LoadShedding, GatewayV3: t.protocol() >= 8},
		Runtime: containers.RuntimeConfig{
			Image: runtime,
			Env:   t.runtimeEnv(),
		},
		Pool:     containers.PoolConfig{MaxActors: t.actors(), DrainGrace: t.drainGrace()},
		Recorder: t.w,
	})
	if err != nil {
		return err
	}
	t.cell = cell
	settings := cell.Settings()
	t.w.Record("harness", history.KindSettings, &settings)
	return t.connect()
}

// connect makes the client of the gateway. It keeps no connection, because
// one of an earlier incarnation would add its own failure to a probe.
func (t *trial) connect() error {
	base, err := url.Parse(t.cell.Gateway())
	if err != nil {
		return fmt.Errorf("read the gateway's address: %w", err)
	}
	transport := rivet.GuardedTransport(base.Hostname())
	transport.DisableKeepAlives = true
	t.counter = &workload.Counter{
		API: t.cell.API(), Namespace: t.cell.Namespace(), Pool: t.cell.PoolName(), Timeout: 30 * time.Second,
		Gateway: &probe.Gateway{Base: t.cell.Gateway(), Token: rivet.DefaultToken, Client: &http.Client{Transport: transport}, Dial: transport.DialContext, Recorder: t.w},
	}
	return nil
}

func (t *trial) warm(ctx context.Context) (err error) {
	ctx, cancel := bounded(ctx, warmBound, "the actors to be warm")
	defer cancel()
	all, err := t.counter.Warm(ctx, t.actors())
	if err != nil {
		return err
	}
	t.all = all
	n := len(t.Sweep.Delays)
	t.targets, t.loaded = all[:n], all[n:]
	if t.CommitInFlight {
		t.writer, t.loaded = t.loaded[0], t.loaded[1:]
	}
	return nil
}

func (t *trial) startLoad(ctx context.Context) error {
	t.unload = t.counter.Start(ctx, *t.Load, t.loaded)
	return nil
}

func (t *trial) endLoad(context.Context) error {
	t.unload()
	return nil
}

// actors is how many the trial needs.
func (t *trial) actors() int {
	n := len(t.Sweep.Delays)
	if t.Load != nil {
		n += t.Load.ActorCount()
	}
	if t.CommitInFlight {
		n++
	}
	return n
}

func (t *trial) loadText() string {
	if t.Load == nil {
		return ""
	}
	return fmt.Sprintf(" and %d for the load", t.Load.ActorCount())
}

func (t *trial) runtimeEnv() map[string]string {
	env := map[string]string{
		"KILLPOINT_FIXTURE_PROTOCOL":  fmt.Sprint(t.protocol()),
		"KILLPOINT_FIXTURE_RECONNECT": t.Reconnect,
		"KILLPOINT_FIXTURE_HEARTBEAT": orDefault(t.Heartbeat, "none"),
	}
	maps.Copy(env, t.RuntimeEnv)
	return env
}

// holdCommit returns when the actor says that it holds.
func (t *trial) holdCommit(ctx context.Context) error {
	held := make(chan struct{})
	once := sync.OnceFunc(func() { close(held) })
	t.w.Subscribe(func(e history.Event) {
		if b, ok := e.Body.(*history.Breakpoint); ok && b.Actor == t.writer.Actor && b.What == "reached" {
			once()
		}
	})
	t.written = make(chan struct{})
	go func() {
		defer close(t.written)
		t.counter.Commit(ctx, t.writer)
	}()
	// Not ctx: the goroutine above goes on with that after the hold.
	hold, cancel := bounded(ctx, holdBound, "the transaction to be held before its COMMIT")
	defer cancel()
	select {
	case <-held:
		return nil
	case <-t.written:
		return errors.New("the transaction was over before it was held; its end is in the history")
	case <-hold.Done():
		return context.Cause(hold)
	}
}

// awaitCommit waits no longer than the client's own patience.
func (t *trial) awaitCommit(context.Context) error {
	<-t.written
	return nil
}

func (t *trial) strike(ctx context.Context) error {
	_, err := t.Fault.Strike(ctx, t.cell.Engine) // it has a bound of its own, which knows its grace
	return err
}

func (t *trial) restart(ctx context.Context) error {
	return t.cell.Engine.Start(ctx)
}

func (t *trial) waitHealthy(ctx context.Context) (err error) {
	ctx, cancel := bounded(ctx, healthyBound, "a healthy engine")
	defer cancel()
	t.healthy, err = t.cell.WaitHealthy(ctx)
	return err
}

func (t *trial) sweep(ctx context.Context) error {
	ask := workload.HealthProbe()
	if t.Sweep.Via == probe.ViaWebSocket {
		ask = workload.PingProbe()
	}
	return t.Sweep.Run(ctx, t.counter.Gateway, t.healthy, t.targets, ask)
}

func (t *trial) readBack(ctx context.Context) error {
	ctx, cancel := bounded(ctx, readBackBound, "the ledgers and counts")
	defer cancel()
	t.counter.ReadCounts(ctx, t.all) // first: see there
	t.counter.ReadLedgers(ctx, t.all)
	return nil
}

func (t *trial) cleanUp() error {
	if t.unload != nil {
		t.unload()
	}
	if t.written != nil {
		<-t.written // bounded by its client's patience
	}
	if t.cell == nil {
		return nil
	}
	ctx, cancel := bounded(context.Background(), cleanUpBound, "the cell to be removed")
	defer cancel()
	return t.cell.Close(ctx)
}

// bounded is a context that says, when it ends, what was waited for.
func bounded(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("waited %v for %s: %w", d, what, context.DeadlineExceeded))
}

// end is the last event. An interrupted trial's says at which step it was.
func end(ctx context.Context, err error) *history.End {
	state := history.EndComplete
	switch {
	case ctx.Err() != nil:
		state, err = history.EndInterrupted, cmp.Or(err, context.Cause(ctx))
	case err != nil:
		state = history.EndFailed
	}
	e := &history.End{State: state}
	if err != nil {
		e.Error = err.Error()
	}
	return e
}
