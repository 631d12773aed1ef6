package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	readBackBound = 60 * time.Second
	cleanUpBound  = 60 * time.Second
)

// readPatience is that with one ledger. Whoever can answer has answered the
// sweep by then, and who cannot must not keep the others.
const readPatience = 5 * time.Second

// trial is one carrying-out of a scenario.
type trial struct {
	Scenario
	session *containers.Session
	w       *history.Writer

	cell    *containers.Cell
	counter *workload.Counter
	delays  []time.Duration // of the sweep, as asked
	targets []probe.Target  // of the sweep, one for each of them
	parts   []*part
	made    made // by parts, to read back
	healthy clock.Mono
	armed   armed // the next strike
}

// part is a part of the scenario under way.
type part struct {
	Part
	actors []probe.Target
	course Course
	ended  bool
}

type step struct {
	name string
	do   func(context.Context) error
}

func (t *trial) steps() []step {
	steps := []step{{"start a cell: engine " + t.Engine + ", runtime with reconnect policy " + t.Reconnect, t.startCell}}
	if text := t.warmText(); text != "" {
		steps = append(steps, step{text, t.warm})
	}
	strikes := t.strikes()
	if len(strikes) > 0 {
		steps = append(steps, t.armStep(strikes[0])...)
	}
	for _, p := range t.parts {
		steps = append(steps, step{"begin " + p.String(), func(ctx context.Context) error { return t.begin(ctx, p) }})
	}
	steps = append(steps, t.faults(strikes)...)
	steps = append(steps, step{t.sweepText(), t.sweep})
	for _, p := range t.parts {
		steps = append(steps, step{"end " + p.String(), p.end})
	}
	return append(steps, step{"read the ledgers back", t.readBack})
}

// warmText is "" where no actor is to be warmed.
func (t *trial) warmText() string {
	others := 0
	for _, p := range t.parts {
		warm, _ := p.Actors()
		others += len(warm)
	}
	text := fmt.Sprintf("warm %d actors, one for each probe", len(t.delays))
	switch {
	case len(t.delays) == 0 && others == 0:
		return ""
	case len(t.delays) == 0:
		return fmt.Sprintf("warm %d actors for the parts", others)
	case others == 0:
		return text
	}
	return text + fmt.Sprintf(", and %d for the parts", others)
}

func (t *trial) sweepText() string {
	if len(t.delays) == 0 {
		return "let the parts go on"
	}
	return fmt.Sprintf("probe each actor once, with a client timeout of %v, then ask on until it answers or %v have passed", t.Sweep.Timeout, t.Sweep.Bound)
}

// faults are all strikes, each with the return from it. One that has a moment is
// armed before the return from the one before, in which its moment may lie.
func (t *trial) faults(strikes []strike) []step {
	var steps []step
	for i, k := range strikes {
		if i > 0 && k.at.IsNow() {
			steps = append(steps, step{fmt.Sprintf("wait %v", k.after), func(ctx context.Context) error { return t.waitAfterHealthy(ctx, k.after) }})
		}
		steps = append(steps, step{k.String(), func(ctx context.Context) error { return t.strike(ctx, k) }})
		next := i+1 < len(strikes) && !strikes[i+1].at.IsNow()
		if next {
			steps = append(steps, t.armStep(strikes[i+1])...)
		}
		if k.kills() {
			steps = append(steps, step{"start " + k.who() + " again", func(ctx context.Context) error { return t.restart(ctx, k) }})
		}
		if !next {
			steps = append(steps, step{"wait for " + k.firstAnswer(), func(ctx context.Context) error { return t.recovered(ctx, k) }})
		}
	}
	return steps
}

// armStep is there where the strike has a moment to be armed for.
func (t *trial) armStep(k strike) []step {
	if k.at.IsNow() {
		return nil
	}
	return []step{{"arm " + k.at.String(), func(ctx context.Context) (err error) {
		t.armed, err = t.arm(ctx, k)
		return err
	}}}
}

// strike waits for the moment and strikes. Where that lies in a recovery, the
// engine is asked for its health meanwhile, for which the moment may wait.
func (t *trial) strike(ctx context.Context, k strike) (err error) {
	if k.at.IsNow() {
		if t.armed, err = t.arm(ctx, k); err != nil {
			return err
		}
	}
	asking, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if !k.at.IsNow() {
		// Whether it ever answers is not this strike's matter.
		wg.Go(func() { _, _ = t.cell.WaitHealthy(asking) })
	}
	err = t.armed(ctx)
	cancel()
	wg.Wait()
	if err != nil || !k.kills() {
		return err
	}
	return t.down(ctx)
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
	defer func() { err = errors.Join(err, t.cleanUp(err == nil)) }()

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
		"fault":          t.faultText(),
		"reconnect":      t.Reconnect,
		"protocol":       t.protocol(),
		"heartbeat":      orDefault(t.Heartbeat, "none"),
		"load shedding":  orDefault(string(t.EngineConfig.LoadShedding), string(containers.LoadSheddingOff)),
		"drain grace":    t.drainGrace().String(),
		"probe":          orDefault(string(t.Sweep.Via), string(probe.ViaHTTP)),
		"client timeout": t.Sweep.Timeout.String(),
		"bound":          t.Sweep.Bound.String(),
		"delays":         fmt.Sprint(t.Sweep.Delays),
		"repeats":        max(t.Repeats, 1),
		"seed":           t.Seed,
		"parts":          t.partsText(),
		"runtime":        t.RuntimeEnv,
	}
}

// faultText is all faults in a line.
func (t *trial) faultText() string {
	if t.Fault == nil {
		return "none on the engine"
	}
	var text strings.Builder
	for i, k := range t.strikes() {
		if i > 0 {
			text.WriteString(", and ")
		}
		if k.after > 0 {
			fmt.Fprintf(&text, "%v after the first good /health ", k.after)
		}
		if k.on != Engine {
			fmt.Fprintf(&text, "on the %s ", k.on)
		}
		text.WriteString(k.fault.String())
		if !k.at.IsNow() {
			fmt.Fprintf(&text, " at %v", k.at)
		}
	}
	return text.String()
}

func (t *trial) partsText() string {
	var names []string
	for _, p := range t.parts {
		names = append(names, p.String())
	}
	return orDefault(strings.Join(names, "; "), "none")
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
	ctx, cancel := bounded(ctx, cellBound, "the cell to be ready")
	defer cancel()
	runtime, control := t.RuntimeImage, 0
	if runtime == "" {
		var err error
		control = fixtureControl
		if runtime, err = image.Fixture(ctx, t.session.Docker()); err != nil {
			return err
		}
	}
	cell, err := t.cells().Get(ctx, containers.CellConfig{
		Name:         t.Slug(),
		Engine:       t.Engine,
		EngineConfig: t.engineConfig(),
		Runtime: containers.RuntimeConfig{
			Image:       runtime,
			ControlPort: control,
			Env:         t.runtimeEnv(),
			Init:        t.RuntimeInit,
			Memory:      t.RuntimeMemory,
			Restart:     t.RuntimeRestart,
		},
		Front:    t.Front,
		Pool:     containers.PoolConfig{MaxActors: t.actors(), DrainGrace: t.drainGrace(), RequestLifespan: t.Lifespan},
		Tap:      t.tap(),
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

func (t *trial) tap() *containers.TapConfig {
	if t.Tap == nil && t.tapped() {
		return &containers.TapConfig{}
	}
	return t.Tap
}

// connect makes the client of the gateway. It keeps no connection, because
// one of an earlier incarnation would add its own failure to a probe.
func (t *trial) connect() error {
	base, err := url.Parse(t.cell.Front())
	if err != nil {
		return fmt.Errorf("read the gateway's address: %w", err)
	}
	transport := rivet.GuardedTransport(base.Hostname())
	transport.DisableKeepAlives = true
	t.counter = &workload.Counter{
		API: t.cell, Namespace: t.cell.Namespace(), Pool: t.cell.PoolName(), Timeout: 30 * time.Second,
		Gateway: &probe.Gateway{Base: t.cell.Front(), Token: rivet.DefaultToken, Client: &http.Client{Transport: transport}, Dial: transport.DialContext, Recorder: t.w},
	}
	return nil
}

func (t *trial) engineConfig() containers.EngineConfig {
	c := t.EngineConfig
	c.GatewayV3 = c.GatewayV3 || t.protocol() >= 8
	return c
}

// warm makes the actors of the sweep and of the parts at once.
func (t *trial) warm(ctx context.Context) error {
	ctx, cancel := bounded(ctx, warmBound, "the actors to be warm")
	defer cancel()
	keys := workload.Keys("counter", len(t.delays))
	for _, p := range t.parts {
		warm, _ := p.Actors()
		keys = append(keys, warm...)
	}
	all, err := t.counter.Warm(ctx, keys...)
	if err != nil {
		return err
	}
	t.targets, all = all[:len(t.delays)], all[len(t.delays):]
	for _, p := range t.parts {
		warm, _ := p.Actors()
		p.actors, all = all[:len(warm)], all[len(warm):]
	}
	return nil
}

// begin keeps the course also where it failed: it may have left something at
// work.
func (t *trial) begin(ctx context.Context, p *part) (err error) {
	p.course, err = p.Begin(ctx, t.stage(p.actors))
	return err
}

func (t *trial) stage(actors []probe.Target) *Stage {
	return &Stage{Cell: t.cell, Counter: t.counter, History: t.w, Actors: actors, Sweep: t.Sweep, made: &t.made}
}

func (p *part) end(ctx context.Context) error {
	if p.ended || p.course.End == nil {
		return nil
	}
	p.ended = true
	return p.course.End(ctx)
}

// actors is for how many the pool has room.
func (t *trial) actors() int {
	n := len(t.delays)
	for _, p := range t.parts {
		warm, more := p.Actors()
		n += len(warm) + more
	}
	return n
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

// down lets the parts see that the engine is gone.
func (t *trial) down(ctx context.Context) error {
	for _, p := range t.parts {
		if p.course.Down == nil {
			continue
		}
		if err := p.course.Down(ctx); err != nil {
			return fmt.Errorf("%v, while the engine is down: %w", p.Part, err)
		}
	}
	return nil
}

// waitAfterHealthy counts from the answer of /health, not from when it was
// read: the engine leaves d after it was well.
func (t *trial) waitAfterHealthy(ctx context.Context, d time.Duration) error {
	return clock.Until(ctx, t.healthy.Add(d))
}

// sweep asks, and lets the parts see that the engine is back.
func (t *trial) sweep(ctx context.Context) error {
	if t.Fault == nil {
		t.healthy = clock.Now() // it was never away
	}
	ask := workload.HealthProbe()
	if t.Sweep.Via == probe.ViaWebSocket {
		ask = workload.PingProbe()
	}
	sweep := t.Sweep
	sweep.Delays = t.delays
	errs := make([]error, 1+len(t.parts)) // the sweep's, and each part's
	var wg sync.WaitGroup
	if len(t.delays) > 0 {
		wg.Go(func() { errs[0] = sweep.Run(ctx, t.counter.Gateway, t.healthy, t.targets, ask) })
	}
	for i, p := range t.parts {
		wg.Go(func() { errs[1+i] = p.recovered(ctx, t.healthy) })
	}
	wg.Wait()
	return joined(ctx, errs)
}

func (p *part) recovered(ctx context.Context, healthy clock.Mono) error {
	if p.course.Recovered == nil {
		return nil
	}
	if err := p.course.Recovered(ctx, healthy); err != nil {
		return fmt.Errorf("%v: %w", p.Part, err)
	}
	return nil
}

// joined are the errors of what went on side by side. Where the context has ended
// several of them say so, and it is told once.
func joined(ctx context.Context, errs []error) error {
	cause := context.Cause(ctx)
	stopped := func(err error) bool { return cause != nil && errors.Is(err, cause) }
	if slices.ContainsFunc(errs, stopped) {
		errs = append(slices.DeleteFunc(errs, stopped), cause)
	}
	return errors.Join(errs...)
}

// readBack fails only where it was interrupted. What cannot be read within the
// bound is missing in the history, where the verdict finds that.
func (t *trial) readBack(caller context.Context) error {
	ctx, cancel := bounded(caller, readBackBound, "the ledgers and counts")
	defer cancel()
	all := slices.Concat(t.targets, t.made.all)
	for _, p := range t.parts {
		all = append(all, p.actors...)
	}
	c := *t.counter
	c.Timeout = readPatience
	c.ReadCounts(ctx, all) // first: see there
	c.ReadLedgers(ctx, all)
	return context.Cause(caller)
}

// cleanUp leaves the cell as what it is: sound, where the trial went as planned,
// or not to be used again. It gives each its own bound: a part that does not end must not keep the
// cell from being removed.
func (t *trial) cleanUp(sound bool) error {
	var errs []error
	for _, p := range t.parts {
		ctx, cancel := bounded(context.Background(), cleanUpBound, "the end of "+p.String())
		errs = append(errs, p.end(ctx))
		cancel()
	}
	if t.cell != nil {
		ctx, cancel := bounded(context.Background(), cleanUpBound, "the cell to be removed")
		defer cancel()
		errs = append(errs, t.cells().Put(ctx, t.cell, sound))
	}
	return errors.Join(errs...)
}

// shuffled are the delays of the sweep, each as often as it is repeated, in the
// order of the seed: the actors were warmed one after the other, and which of
// them is asked when must not go by that.
func (s Scenario) shuffled() []time.Duration {
	var delays []time.Duration
	for range max(s.Repeats, 1) {
		delays = append(delays, s.Sweep.Delays...)
	}
	r := rand.New(rand.NewPCG(s.Seed, 0))
	r.Shuffle(len(delays), func(i, j int) { delays[i], delays[j] = delays[j], delays[i] })
	return delays
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
