package envoy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

// reasonEviction is the engine's reason for closing the connection of a runtime
// whose key another has taken. "#" and a ray id follow it.
const reasonEviction = "ws.eviction"

// connState is the runtime's connection, guarded by its lock.
type connState struct {
	running  bool // the goroutine that dials and reads runs
	asked    bool // a start came since the last connection ended
	evicted  bool // for good
	sessions uint64
	link     *link // nil: not connected
	gate     *gate
	lost     context.CancelFunc // ends the lost timer; nil: it does not run

	lostThreshold time.Duration // 0: not yet told
	stopThreshold time.Duration
	maxResponse   uint64
	pinged        time.Time
}

// What is assumed until Init tells: the values of an engine that is not
// configured otherwise.
const (
	assumedStopThreshold = 30 * time.Minute
	assumedMaxResponse   = 20 << 20
)

func (c *connState) init() {
	c.gate = newGate()
	c.stopThreshold, c.maxResponse = assumedStopThreshold, assumedMaxResponse
}

// ready says that Init came and the connection can be used.
func (c *connState) ready() bool { return c.link != nil && c.link.ready }

// gate is what requests wait at while there is no connection: ready is closed
// when there is one, down, with why, when none is to be expected.
type gate struct {
	ready, down chan struct{}
	opened      bool
	why         error
}

func newGate() *gate { return &gate{ready: make(chan struct{}), down: make(chan struct{})} }

// giveUp fails who waits for a connection, now and until hope returns.
func (c *connState) giveUp(why error) {
	if c.gate.why == nil && !c.gate.opened {
		c.gate.why = why
		close(c.gate.down)
	}
}

// hope has requests wait for a connection again.
func (c *connState) hope() {
	if c.gate.why != nil || c.gate.opened {
		c.gate = newGate()
	}
}

// open lets requests through.
func (c *connState) open() {
	c.hope()
	c.gate.opened = true
	close(c.gate.ready)
}

// link is one connection to the engine.
type link struct {
	session uint64
	attempt int
	ws      *websocket.Conn
	out     *outbox
	ready   bool          // Init came; guarded by the runtime's lock
	ended   chan struct{} // closed when it is gone
	cause   error         // why it was cut by the runtime, if it was
}

// cut ends the connection from this side, without a close frame.
func (l *link) cut(cause error) {
	if l.cause == nil {
		l.cause = cause
	}
	l.ws.Close() //nolint:errcheck // the reader sees the end
}

// CutConnection ends the connection from this side, without a close frame; the
// reconnect policy takes over. It reports whether there was one.
func (r *Runtime) CutConnection() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn.link == nil {
		return false
	}
	r.conn.link.cut(errCut)
	return true
}

// connect has the goroutine run that dials, reads and dials again. It does
// nothing where it runs already.
func (r *Runtime) connect() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.takes.Err() != nil:
		return context.Cause(r.takes)
	case r.conn.evicted:
		return errEvicted
	}
	r.conn.asked = true
	if !r.conn.running {
		r.conn.hope()
		r.conn.running = r.spawnLocked(r.connectLoop)
	}
	return nil
}

func (r *Runtime) connectLoop() {
	for r.mayConnect(r.connectUntilOver()) {
	}
}

// mayConnect says whether to begin anew after the end of all tries: where a
// start came while they were being given up.
func (r *Runtime) mayConnect(why error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn.asked && !r.conn.evicted && r.takes.Err() == nil {
		return true
	}
	r.conn.running = false
	r.conn.giveUp(why)
	return false
}

// connectUntilOver dials until that has no sense any more, and says why.
func (r *Runtime) connectUntilOver() error {
	retries := 0
	for attempt := 1; ; attempt++ {
		begun := time.Now()
		end := r.connectOnce(attempt)
		r.unask()
		if r.over(end) {
			return end
		}
		r.startLostTimer()
		lived := time.Since(begun)
		if lived >= stableAfter {
			retries = 0
		}
		retries++
		if err := r.backOff(retries, lived); err != nil {
			return err
		}
	}
}

func (r *Runtime) unask() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn.asked = false
}

// over says that the connection's end is the last.
func (r *Runtime) over(end error) bool {
	if errors.Is(end, errEvicted) {
		r.recordEnvoy(history.Envoy{What: "evicted"})
		r.evict()
		return true
	}
	return r.takes.Err() != nil
}

// evict aborts all generations: they belong to the other process now.
func (r *Runtime) evict() {
	r.mu.Lock()
	r.conn.evicted = true
	r.mu.Unlock()
	for _, g := range r.liveGenerations() {
		g.cancel(errEvicted)
	}
}

// backOff waits as the policy says. An error says that no retry comes.
func (r *Runtime) backOff(retry int, lived time.Duration) error {
	wait, ok := r.cfg.Reconnect.Delay(retry, lived)
	if !ok {
		r.recordEnvoy(history.Envoy{What: "gave-up", Attempt: retry})
		return fmt.Errorf("the reconnect policy %q gave up", r.cfg.Reconnect)
	}
	r.recordEnvoy(history.Envoy{What: "backoff", Attempt: retry, WaitNS: wait.Nanoseconds()})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.takes.Done():
		return context.Cause(r.takes)
	}
}

// connectOnce dials and serves one connection, and says how it ended.
func (r *Runtime) connectOnce(attempt int) error {
	r.recordEnvoy(history.Envoy{What: "dialing", Attempt: attempt})
	ws, err := r.dial()
	if err != nil {
		r.recordEnvoy(history.Envoy{What: "closed", Attempt: attempt, Error: err.Error()})
		return err
	}
	r.recordEnvoy(history.Envoy{What: "connected", Attempt: attempt})
	l := r.attach(ws, attempt)
	end := r.serve(l)
	r.detach(l, end)
	r.recordEnvoy(closedEvent(attempt, end))
	if isEviction(end) {
		return errEvicted
	}
	return end
}

func closedEvent(attempt int, end error) history.Envoy {
	e := history.Envoy{What: "closed", Attempt: attempt, Error: end.Error()}
	var closed *websocket.CloseError
	// 1006 is gorilla's word for an end without a close frame.
	if errors.As(end, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		e.Code, e.Reason = closed.Code, closed.Text
	}
	return e
}

func isEviction(end error) bool {
	var closed *websocket.CloseError
	if !errors.As(end, &closed) {
		return false
	}
	reason, _, _ := strings.Cut(closed.Text, "#")
	return reason == reasonEviction
}

// startLostTimer begins to count the time without a connection, if that is
// not counted already and matters.
func (r *Runtime) startLostTimer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn.lost != nil || r.cfg.Lost == LostKeep {
		return
	}
	threshold := r.conn.lostThreshold
	if threshold == 0 {
		threshold = r.cfg.times.lost
	}
	ctx, cancel := context.WithCancel(r.ctx)
	if !r.spawnLocked(func() { r.loseAfter(ctx, threshold) }) {
		cancel()
		return
	}
	r.conn.lost = cancel
}

func (r *Runtime) stopLostTimer() {
	if r.conn.lost != nil {
		r.conn.lost()
		r.conn.lost = nil
	}
}

// dropLive has the engine hear nothing more, after the next Init, of the
// generations that live now. They take no more requests.
func (r *Runtime) dropLive() {
	for _, a := range r.actors {
		for _, g := range a.live {
			g.stopping, g.dropped = true, true
			r.events.forget(generationID{g.ID, g.Generation})
		}
	}
}

// loseAfter stops every actor if there is no connection for so long.
func (r *Runtime) loseAfter(ctx context.Context, threshold time.Duration) {
	timer := time.NewTimer(threshold)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	r.mu.Lock()
	if ctx.Err() != nil { // a connection came in the same instant
		r.mu.Unlock()
		return
	}
	r.stopLostTimer()
	r.conn.giveUp(fmt.Errorf("there was no connection for %v, the lost threshold", threshold))
	if r.cfg.Lost == LostDrop {
		r.dropLive()
	}
	r.mu.Unlock()
	r.stopAll(wire.StopLost)
}
