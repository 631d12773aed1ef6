package envoy

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/killpoint/killpoint/envoy/wire"
)

// generation runs one generation of an actor from its start to its Stopped.
type generation struct {
	*Handle
	r     *Runtime
	actor Actor // set before started is closed

	ctx    context.Context // its life
	cancel context.CancelCauseFunc
	// stop holds the first reason to stop; later ones are dropped.
	stop chan wire.StopReason
	// started is closed once it serves, ended once its Stopped is in the log.
	started, ended chan struct{}
	stopping       bool // it takes no more requests; guarded by r.mu
	dropped        bool // its events are not kept; guarded by r.mu
	handlers       handlerGroup
	requests       handlerGroup // those of the handlers that answer a request
}

func newGeneration(r *Runtime, cp wire.Checkpoint, c wire.ActorConfig) *generation {
	g := &generation{
		r:       r,
		stop:    make(chan wire.StopReason, 1),
		started: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	g.ctx, g.cancel = context.WithCancelCause(r.ctx)
	g.Handle = &Handle{
		ID: cp.ActorID, Name: c.Name, Generation: cp.Generation,
		CreatedAt: time.UnixMilli(c.CreatedAt), Input: c.Input,
		g: g, kv: &KV{g}, db: newDB(g),
	}
	if c.Key != nil {
		g.Key = *c.Key
	}
	return g
}

// requestStop asks the generation to stop. It does not wait.
func (g *generation) requestStop(reason wire.StopReason) {
	select {
	case g.stop <- reason:
	default:
	}
}

// run is the generation's goroutine.
func (g *generation) run(via string) {
	g.record("start", "by "+via, nil)
	err := g.start()
	if err == nil {
		g.record("running", "", nil)
		g.tell(wire.StateUpdate{})
		close(g.started)
		err = g.untilStopped()
	}
	g.r.quiesce(g)
	g.cancel(ErrStopped)
	g.handlers.wait(g.r.cfg.times.handlers)
	g.record("stopped", "", err)
	g.tell(wire.StateUpdate{Stopped: stoppedWith(err)})
	g.r.retire(g)
	close(g.ended)
}

func (g *generation) start() (err error) {
	defer g.recovered("start", &err)
	g.actor = g.r.cfg.New(g.Handle)
	if g.actor == nil {
		return errors.New("start the actor: Config.New returned nil")
	}
	return g.actor.Start(g.ctx)
}

// untilStopped waits for the reason to stop and lets the actor stop. The error
// is what Stopped tells the engine.
func (g *generation) untilStopped() error {
	select {
	case <-g.ctx.Done():
		err := context.Cause(g.ctx)
		g.record("abort", "", err)
		return err
	case reason := <-g.stop:
		g.r.quiesce(g)
		g.record(stopWord(reason), reason.String(), nil)
		if err := g.finishRequests(); err != nil {
			g.record("abort", "", err)
			return err
		}
		err := g.stopActor(reason)
		if reason == wire.StopLost {
			// Stopped without an error would have the engine destroy the actor.
			return errors.Join(errors.New("actor lost due to timeout"), err)
		}
		g.db.settle()
		return err
	}
}

// finishRequests lets the requests in flight be answered before the actor
// stops, where the runtime drains: nobody else can answer them then, and the
// actor lives for as long as the drain's grace. Without a connection there is
// no way for an answer, and no wait. The error is why the generation was aborted
// meanwhile.
func (g *generation) finishRequests() error {
	l := g.r.drainingOver()
	if l == nil {
		return nil
	}
	select {
	case <-g.requests.idle():
	case <-l.ended:
		return nil
	case <-g.ctx.Done():
		return context.Cause(g.ctx)
	}
	g.fence()
	return nil
}

// fence returns once the engine has passed on what was sent, as it answers in the
// order in which it is asked. A Stopped that follows an answer within the
// millisecond overtakes it (2.3.19, always): the gateway, which waits for either,
// then gives up the answer and sends the request to the next generation. Clients
// that store their state after the last request, as RivetKit does, have the fence
// without knowing.
func (g *generation) fence() {
	ctx, cancel := context.WithTimeout(g.ctx, fenceTimeout)
	defer cancel()
	g.kv.Get(ctx, []byte("killpoint/fence")) //nolint:errcheck // that there is an answer counts, whichever
}

// fenceTimeout bounds a fence: it takes some milliseconds where it works.
const fenceTimeout = time.Second

func (g *generation) stopActor(reason wire.StopReason) (err error) {
	defer g.recovered("stop", &err)
	ctx, cancel := context.WithTimeout(g.ctx, g.r.stopTimeout(reason))
	defer cancel()
	return g.actor.Stop(ctx, reason)
}

func (r *Runtime) stopTimeout(reason wire.StopReason) time.Duration {
	if reason == wire.StopLost {
		return r.cfg.times.lostStop
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn.stopThreshold
}

// stopWord is the history's word for a stop.
func stopWord(reason wire.StopReason) string {
	switch reason {
	case wire.StopSleepIntent:
		return "sleep"
	case wire.StopLost:
		return "lost"
	}
	return "stop"
}

func stoppedWith(err error) *wire.Stopped {
	if err == nil {
		return &wire.Stopped{Code: wire.StopOK}
	}
	msg := err.Error()
	return &wire.Stopped{Code: wire.StopError, Message: &msg}
}

// quiesce keeps further requests away from g.
func (r *Runtime) quiesce(g *generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g.stopping = true
}

// retire forgets a generation that has ended.
func (r *Runtime) retire(g *generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.actors[g.ID]; a.live[g.Generation] == g {
		delete(a.live, g.Generation)
	}
}

// tell logs an event of the generation's own end, which must not be refused.
func (g *generation) tell(body wire.EventBody) { g.r.pushEvent(g, body) }

func (g *generation) record(what, reason string, err error) {
	g.r.recordActor(g.ID, &g.Key, g.Generation, what, reason, err)
}

// PanicError is a panic in an actor's code.
type PanicError struct {
	In    string // "start", "stop", "request", "websocket"
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("the actor panicked in %s: %v", e.In, e.Value)
}

// recovered turns a panic of actor code into an error and records it with its
// stack. It is to be deferred.
func (g *generation) recovered(in string, err *error) {
	if v := recover(); v != nil {
		p := &PanicError{In: in, Value: v, Stack: debug.Stack()}
		g.recordPanic(p)
		*err = p
	}
}

func (g *generation) recordPanic(p *PanicError) {
	g.record("panic", p.In, fmt.Errorf("%w\n%s", p, p.Stack))
}

// handlerGroup counts the handlers of a generation that run. Unlike a
// WaitGroup it can be waited for with a bound.
type handlerGroup struct {
	mu      sync.Mutex
	n       int
	waiters chan struct{} // not nil while somebody waits
}

func (h *handlerGroup) add() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
}

func (h *handlerGroup) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n--; h.n == 0 && h.waiters != nil {
		close(h.waiters)
		h.waiters = nil
	}
}

// idle is closed once no handler runs.
func (h *handlerGroup) idle() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if h.waiters == nil {
		h.waiters = make(chan struct{})
	}
	return h.waiters
}

// wait waits until no handler runs, but not longer than d.
func (h *handlerGroup) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-h.idle():
	case <-timer.C:
	}
}
