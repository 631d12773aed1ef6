package envoy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Runtime hosts actors for an engine. It opens its connection when the first
// POST /start arrives.
//
// Its state is guarded by one lock, which is never held while anything waits:
// messages go to a queue, generations and streams are woken through channels.
type Runtime struct {
	cfg Config

	ctx    context.Context // the runtime's life
	cancel context.CancelCauseFunc
	takes  context.Context // ends when it drains or is closed
	refuse context.CancelCauseFunc
	wg     sync.WaitGroup // everything that runs

	mu     sync.Mutex
	closed bool // nothing new may run
	id     identity
	conn   connState
	actors map[string]*actorState
	calls  map[uint32]chan answer
	lastID uint32
	// streams are the tunnelled requests and WebSockets that are open.
	streams map[streamID]stream
	// unsent are answers that wait for the next connection.
	unsent      []frame
	unsentBytes int
	events      eventLog
	acks        map[generationID]int64 // commands not yet acknowledged
	drains      *link                  // nil unless it drains over one

	starts handlerGroup // the SSE streams of POST /start that are open
}

// identity is what the runtime connects as and to.
type identity struct{ endpoint, namespace, pool, token string }

// generationID names one generation of an actor.
type generationID struct {
	actor      string
	generation uint32
}

// actorState is what is known of an actor, whether it is here or not.
type actorState struct {
	// seen is the last index of each generation's commands.
	seen map[uint32]int64
	// live are the generations that have not ended.
	live   map[uint32]*generation
	newest uint32
}

// New makes a Runtime. Nothing runs until the engine calls its Handler.
func New(cfg Config) (*Runtime, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &Runtime{
		cfg: cfg, ctx: ctx, cancel: cancel,
		id:      identity{cfg.Endpoint, cfg.Namespace, cfg.Pool, cfg.Token},
		actors:  map[string]*actorState{},
		calls:   map[uint32]chan answer{},
		streams: map[streamID]stream{},
		acks:    map[generationID]int64{},
	}
	r.takes, r.refuse = context.WithCancelCause(ctx)
	r.conn.init()
	return r, nil
}

// Close cuts the connection and aborts every generation, without Stop, and
// waits for all that runs to end. After 10 s it gives up on actor code that
// does not heed its context and says which; calling it again waits again.
func (r *Runtime) Close() error {
	r.mu.Lock()
	r.closed = true
	r.conn.giveUp(ErrClosed)
	r.mu.Unlock()
	r.cancel(ErrClosed)
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(r.cfg.times.closeGrace):
		return fmt.Errorf("close the runtime: after %v code of these actors still runs: %v", r.cfg.times.closeGrace, r.liveNames())
	}
}

// spawnLocked runs f in a goroutine that Close joins. It is false after Close.
func (r *Runtime) spawnLocked(f func()) bool {
	if r.closed {
		return false
	}
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		f()
	}()
	return true
}

func (r *Runtime) namespace() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id.namespace
}

// liveGenerations are those that have not ended.
func (r *Runtime) liveGenerations() []*generation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*generation
	for _, a := range r.actors {
		for _, g := range a.live {
			out = append(out, g)
		}
	}
	return out
}

func (r *Runtime) liveNames() []string {
	var out []string
	for _, g := range r.liveGenerations() {
		out = append(out, fmt.Sprintf("%s#%d", g.ID, g.Generation))
	}
	return out
}

// serving is the generation that a tunnelled request is for: the one named,
// or the newest. It is nil where none is here or it is being stopped.
func (r *Runtime) serving(actor string, named *uint32) *generation {
	a := r.actors[actor]
	if a == nil {
		return nil
	}
	n := a.newest
	if named != nil {
		n = *named
	}
	g := a.live[n]
	if g == nil || g.stopping {
		return nil
	}
	return g
}

// commands carries out what the engine orders. via says which way it came.
func (r *Runtime) commands(cs wire.Commands, via string) {
	for _, c := range cs {
		switch body := c.Body.(type) {
		case wire.StartActor:
			r.startCommand(c.Checkpoint, body, via)
		case wire.StopActor:
			r.stopCommand(c.Checkpoint, body.Reason)
		}
	}
}

// fresh takes note of a command and says whether it is new: the engine sends
// again what was not acknowledged, and a start comes by HTTP and by WebSocket.
func (r *Runtime) fresh(cp wire.Checkpoint) bool {
	a := r.actors[cp.ActorID]
	if a == nil {
		a = &actorState{seen: map[uint32]int64{}, live: map[uint32]*generation{}}
		r.actors[cp.ActorID] = a
	}
	last, known := a.seen[cp.Generation]
	if known && cp.Index <= last {
		return false
	}
	a.seen[cp.Generation] = cp.Index
	r.acks[generationID{cp.ActorID, cp.Generation}] = cp.Index
	return true
}

func (r *Runtime) startCommand(cp wire.Checkpoint, start wire.StartActor, via string) {
	if ignored := r.tryStart(cp, start, via); ignored != "" {
		r.recordActor(cp.ActorID, start.Config.Key, cp.Generation, ignored, "start by "+via, nil)
	}
}

// tryStart starts a generation, or says in a word why it does not.
func (r *Runtime) tryStart(cp wire.Checkpoint, start wire.StartActor, via string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fresh(cp) {
		return "replayed"
	}
	a := r.actors[cp.ActorID]
	if cp.Generation < a.newest {
		return "outdated"
	}
	a.newest = cp.Generation
	for _, old := range a.live {
		old.cancel(ErrSuperseded)
	}
	g := newGeneration(r, cp, start.Config)
	if !r.spawnLocked(func() { g.run(via) }) {
		return "closed"
	}
	a.live[cp.Generation] = g
	return ""
}

func (r *Runtime) stopCommand(cp wire.Checkpoint, reason wire.StopReason) {
	r.mu.Lock()
	fresh := r.fresh(cp)
	g := r.actors[cp.ActorID].live[cp.Generation]
	r.mu.Unlock()
	switch {
	case !fresh:
		r.recordActor(cp.ActorID, nil, cp.Generation, "replayed", "stop "+reason.String(), nil)
	case g == nil:
		r.recordActor(cp.ActorID, nil, cp.Generation, "unknown", "stop "+reason.String(), nil)
	default:
		g.requestStop(reason)
	}
}

// generation finds one that lives.
func (r *Runtime) generation(id generationID) *generation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.actors[id.actor]; a != nil {
		return a.live[id.generation]
	}
	return nil
}

// stopAll stops every generation for a reason of the runtime's own.
func (r *Runtime) stopAll(reason wire.StopReason) {
	for _, g := range r.liveGenerations() {
		g.requestStop(reason)
	}
}

func (r *Runtime) recordEnvoy(e history.Envoy) {
	r.cfg.Recorder.Record(r.cfg.Party, history.KindEnvoy, e)
}

func (r *Runtime) recordActor(id string, key *string, generation uint32, what, reason string, err error) {
	body := history.Actor{Actor: id, Generation: generation, What: what, Reason: reason, Error: text(err)}
	if key != nil {
		body.Key = *key
	}
	r.cfg.Recorder.Record(r.cfg.Party, history.KindActor, body)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// discard is the recorder of a runtime without one.
type discard struct{}

func (discard) Record(string, history.Kind, any) {}

func (discard) RecordAt(clock.Mono, string, history.Kind, any) {}
