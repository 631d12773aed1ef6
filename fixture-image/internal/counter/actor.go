// Package counter is the fixture's actor: a counter with a ledger of its
// operations, as in the investigation that killpoint grew out of. It says who
// it is with every answer, and writes down what it does.
package counter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/rivetkit"
)

// Name is the actor's name.
const Name = "counter"

// Config is the same for all actors of a process.
type Config struct {
	Heartbeat Heartbeat
	// SleepAfter is the time without a request after which an actor asks to
	// sleep; 0: never.
	SleepAfter time.Duration
	// CommitHold is how long commitDuringEngineRestart waits before COMMIT
	// where the breakpoint before-commit was not armed.
	CommitHold  time.Duration
	Breakpoints *breakpoint.Set
	Seams       Seams
}

// Seams wrap what an actor stands on, for package bug. Nil ones wrap nothing.
type Seams struct {
	Database func(Identity, Database) Database
	Beat     func(Identity, Beat) Beat
}

// Identity is one generation of an actor, as it names itself in answers.
type Identity struct {
	Actor      string `json:"actor"`
	Key        string `json:"key"`
	Generation uint32 `json:"generation"`
}

// deps is what an actor gets from its runtime.
type deps struct {
	id     Identity
	db     Database
	kv     KV
	sleep  func() error
	wake   func(time.Time) error // when the engine is to start the actor
	record func(history.Kind, any)
}

// New makes one generation of an actor.
func New(cfg Config, h *envoy.Handle) *Actor {
	return newActor(cfg, deps{
		id: Identity{Actor: h.ID, Key: h.Key, Generation: h.Generation},
		db: database{h.DB()}, kv: h.KV(), sleep: h.Sleep, wake: h.SetAlarm, record: h.Record,
	})
}

// Actor implements [envoy.Actor].
type Actor struct {
	cfg      Config
	deps     deps
	store    *store
	server   *rivetkit.Server
	idle     *idle
	alarms   *alarms
	interval time.Duration

	life context.Context // of the generation, from Start on
	// What the actor does by itself: heartbeats and alarms. endOwn is nil
	// before Start has begun it.
	endOwn context.CancelCauseFunc
	own    sync.WaitGroup
	unhook func() bool
}

var _ envoy.Actor = (*Actor)(nil)

func newActor(cfg Config, d deps) *Actor {
	if wrap := cfg.Seams.Database; wrap != nil {
		d.db = wrap(d.id, d.db)
	}
	a := &Actor{cfg: cfg, deps: d, interval: defaultInterval, life: context.Background()}
	a.store = &store{db: d.db, generation: d.id.Generation, between: func(ctx context.Context) error {
		return a.reach(ctx, breakpoint.BetweenWrites)
	}}
	a.alarms = &alarms{store: a.store, tell: d.wake, note: a.note, changed: make(chan struct{}, 1)}
	a.idle = &idle{after: cfg.SleepAfter, sleep: a.askToSleep}
	a.server = &rivetkit.Server{
		Actor:   rivetkit.ActorRef{ID: d.id.Actor, Generation: uint64(d.id.Generation), Key: d.id.Key},
		Actions: a.actions(),
	}
	return a
}

var errStopped = errors.New("the actor stops")

// Start creates the tables and begins what the actor does by itself.
func (a *Actor) Start(ctx context.Context) error {
	a.life = ctx
	if err := a.reach(ctx, breakpoint.OnStart); err != nil {
		return err
	}
	pending, err := a.store.open(ctx)
	if err != nil {
		return err
	}
	a.alarms.load(pending)
	if err := a.reach(ctx, breakpoint.BeforeRunning); err != nil {
		return err
	}
	a.note("wake", "", nil)
	a.startOwn(ctx)
	a.idle.start()
	a.unhook = context.AfterFunc(ctx, a.onAbort)
	return nil
}

func (a *Actor) startOwn(life context.Context) {
	var ctx context.Context
	ctx, a.endOwn = context.WithCancelCause(life)
	a.own.Go(func() { a.alarms.run(ctx, life) })
	beat := a.beat()
	if beat == nil {
		return
	}
	if wrap := a.cfg.Seams.Beat; wrap != nil {
		beat = wrap(a.deps.id, beat)
	}
	a.own.Go(func() { pump(ctx, a.interval, beat, a.noteBeat) })
}

func (a *Actor) beat() Beat {
	switch a.cfg.Heartbeat {
	case HeartbeatSQLite:
		return a.store.beat
	case HeartbeatKV:
		return func(ctx context.Context) (int64, error) { return beatKV(ctx, a.deps.kv) }
	}
	return nil
}

// Stop ends what the actor does by itself. A beat under way is cut short, an
// alarm that is being fired is not.
func (a *Actor) Stop(ctx context.Context, reason wire.StopReason) error {
	a.idle.stop()
	if a.unhook != nil {
		a.unhook()
	}
	held := a.reach(ctx, breakpoint.OnStop)
	if a.endOwn != nil {
		a.endOwn(errStopped)
	}
	a.own.Wait()
	a.note("stop-hook", reason.String(), held)
	return held
}

// onAbort runs where the generation ends without a Stop.
func (a *Actor) onAbort() {
	a.idle.stop()
	a.own.Wait()
	a.note("abort-hook", "", context.Cause(a.life))
}

func (a *Actor) askToSleep() {
	if err := a.deps.sleep(); err != nil {
		a.note("sleep-refused", "", fmt.Errorf("ask the engine for sleep: %w", err))
	}
}

func (a *Actor) reach(ctx context.Context, n breakpoint.Name) error {
	return a.cfg.Breakpoints.Reach(ctx, n, a.where())
}

func (a *Actor) where() breakpoint.Where {
	return breakpoint.Where{Actor: a.deps.id.Actor, Generation: a.deps.id.Generation}
}

// note records a step in the actor's life, as the actor itself saw it: the
// runtime records start, running, sleep, stop, abort and stopped.
func (a *Actor) note(what, reason string, err error) {
	id := a.deps.id
	e := history.Actor{Actor: id.Actor, Key: id.Key, Generation: id.Generation, What: what, Reason: reason}
	if err != nil {
		e.Error = err.Error()
	}
	a.deps.record(history.KindActor, e)
}

func (a *Actor) noteBeat(h history.Heartbeat) {
	h.Actor, h.Generation = a.deps.id.Actor, a.deps.id.Generation
	a.deps.record(history.KindHeartbeat, h)
}
