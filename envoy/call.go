package envoy

import (
	"context"
	"fmt"

	"github.com/killpoint/killpoint/envoy/wire"
)

// anySession is for requests that are not bound to a connection.
const anySession = 0

// answer ends a call.
type answer struct {
	msg wire.ToRuntime
	err error
}

// call sends a request to the engine and waits for its answer. While there is
// no connection it waits for one, unless session binds it to one that is gone.
// It returns the session on which it was sent, 0 if it was not.
func (g *generation) call(ctx context.Context, session uint64, build func(id uint32) wire.ToEngine) (wire.ToRuntime, uint64, error) {
	id := g.r.callID()
	f, err := g.r.encode(build(id))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	for {
		done, on, gate, err := g.admit(ctx, session, id, f)
		if err != nil {
			return nil, 0, err
		}
		if done != nil {
			msg, err := g.await(ctx, id, done)
			return msg, on, err
		}
		if err := g.waitReady(ctx, gate); err != nil {
			return nil, 0, err
		}
	}
}

// admit sends the request if that is possible now. Of done and gate one is set.
func (g *generation) admit(ctx context.Context, session uint64, id uint32, f frame) (done chan answer, on uint64, gate *gate, err error) {
	r := g.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if session != anySession && (!r.conn.ready() || r.conn.link.session != session) {
		return nil, 0, nil, ErrTxLost
	}
	for _, c := range []context.Context{ctx, g.ctx} {
		if c.Err() != nil {
			return nil, 0, nil, fmt.Errorf("%w: %w", ErrNotSent, context.Cause(c))
		}
	}
	if !r.conn.ready() {
		return nil, 0, r.conn.gate, nil
	}
	done = make(chan answer, 1)
	r.calls[id] = done
	r.pushLocked(f)
	return done, r.conn.link.session, nil, nil
}

// waitReady waits for a connection that can be used.
func (g *generation) waitReady(ctx context.Context, gate *gate) error {
	select {
	case <-gate.ready:
		return nil
	case <-gate.down:
		return fmt.Errorf("%w: there is no connection to the engine: %w", ErrNotSent, gate.why)
	case <-ctx.Done():
		return fmt.Errorf("%w: no connection to the engine came in time: %w", ErrNotSent, context.Cause(ctx))
	case <-g.ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(g.ctx))
	}
}

// await waits for the answer to a request that was sent.
func (g *generation) await(ctx context.Context, id uint32, done chan answer) (wire.ToRuntime, error) {
	select {
	case a := <-done:
		return a.msg, a.err
	case <-ctx.Done():
		return nil, g.abandon(id, ctx)
	case <-g.ctx.Done():
		return nil, g.abandon(id, g.ctx)
	}
}

func (g *generation) abandon(id uint32, ctx context.Context) error {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	delete(g.r.calls, id)
	return fmt.Errorf("wait for the engine's answer, the outcome being unknown: %w", context.Cause(ctx))
}

func (r *Runtime) callID() uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastID++
	return r.lastID
}

// answered ends the call with that number, if it still waits.
func (r *Runtime) answered(id uint32, msg wire.ToRuntime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if done, ok := r.calls[id]; ok {
		delete(r.calls, id)
		done <- answer{msg: msg}
	}
}

// failCalls ends all calls in flight.
func (r *Runtime) failCalls(err error) {
	for id, done := range r.calls {
		delete(r.calls, id)
		done <- answer{err: err}
	}
}
