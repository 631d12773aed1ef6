package envoy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

var errDraining = errors.New("the runtime is draining: it takes no more actors")

// Drain ends the runtime in order: it tells the engine that it is stopping,
// waits until the engine has stopped every actor with [wire.StopGoingAway] and
// their Stopped are sent, and closes the connection with 1000
// "envoy.shutdown". An actor that is told to stop takes no more requests,
// answers those in flight, and only then stops, once the engine has passed the
// answers on. The runtime takes no more starts and, as Rivet's client, does not
// reconnect any more: where there is no connection, or it is lost meanwhile, it
// stops the actors itself, and no request is waited for.
//
// When ctx ends first, the actors that are left are aborted and the error
// names them. The SSE streams of POST /start end as their generations do, and
// Drain waits for their last event to be written. Drain may be called once; Close
// is still due.
func (r *Runtime) Drain(ctx context.Context) error {
	l, err := r.beginDrain()
	if err != nil {
		return err
	}
	err = r.awaitStops(ctx, l)
	r.starts.wait(closeTimeout)
	r.hangUp(l)
	r.recordEnvoy(history.Envoy{What: "drained", Error: text(err)})
	return err
}

// beginDrain announces the end. The link is nil where there is none to drain.
func (r *Runtime) beginDrain() (*link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("drain the runtime: %w", ErrClosed)
	}
	if r.takes.Err() != nil {
		return nil, errors.New("drain the runtime: it drains already")
	}
	r.refuse(errDraining)
	if !r.conn.ready() {
		if l := r.conn.link; l != nil {
			l.cut(errDraining)
		}
		r.conn.giveUp(errDraining)
		return nil, nil
	}
	r.drains = r.conn.link
	r.sendLocked(wire.Stopping{})
	return r.conn.link, nil
}

// drainingOver is the connection over which the runtime drains, nil where it
// does not drain, or has none.
func (r *Runtime) drainingOver() *link {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drains
}

// awaitStops waits until no generation lives.
func (r *Runtime) awaitStops(ctx context.Context, l *link) error {
	gone := make(chan struct{})
	close(gone)
	if l != nil {
		gone = l.ended
	}
	for live := r.liveGenerations(); len(live) > 0; live = r.liveGenerations() {
		select {
		case <-live[0].ended:
		case <-gone:
			gone = nil
			r.stopAll(wire.StopGoingAway)
		case <-ctx.Done():
			return r.abortLive(ctx)
		}
	}
	return nil
}

// abortLive aborts what has not stopped in time, and gives the Stopped of
// each a last chance to be sent.
func (r *Runtime) abortLive(ctx context.Context) error {
	err := fmt.Errorf("drain the runtime: these actors have not stopped: %v: %w", r.liveNames(), context.Cause(ctx))
	live := r.liveGenerations()
	for _, g := range live {
		g.cancel(err)
	}
	last := time.After(r.cfg.times.handlers)
	for _, g := range live {
		select {
		case <-g.ended:
		case <-last:
			return err
		}
	}
	return err
}

// hangUp closes the connection once everything is written, within 2 s.
func (r *Runtime) hangUp(l *link) {
	if l == nil {
		return
	}
	l.out.push(frame{last: true})
	select {
	case <-l.ended:
	case <-time.After(2 * closeTimeout): // the engine does not read
		r.mu.Lock()
		l.cut(errDraining)
		r.mu.Unlock()
		<-l.ended
	}
}
