package envoy

import (
	"fmt"
	"slices"

	"github.com/killpoint/killpoint/envoy/wire"
)

// eventLog keeps every event until the engine acknowledges it, which it does
// seldom, in the order in which they happened. Those of generations that are
// gone stay too: an engine that was killed before it stored a Stopped would
// wait for it. That grows by some 100 bytes an event for the life of the
// process.
type eventLog struct {
	next map[generationID]int64
	kept wire.Events
}

// add appends an event under the generation's next index, from 0.
func (l *eventLog) add(id generationID, body wire.EventBody) wire.Event {
	if l.next == nil {
		l.next = map[generationID]int64{}
	}
	e := wire.Event{
		Checkpoint: wire.Checkpoint{ActorID: id.actor, Generation: id.generation, Index: l.next[id]},
		Body:       body,
	}
	l.next[id]++
	l.kept = append(l.kept, e)
	return e
}

// acknowledge drops the events up to each checkpoint.
func (l *eventLog) acknowledge(cps []wire.Checkpoint) {
	for _, cp := range cps {
		l.kept = slices.DeleteFunc(l.kept, func(e wire.Event) bool {
			return e.Checkpoint.ActorID == cp.ActorID && e.Checkpoint.Generation == cp.Generation && e.Checkpoint.Index <= cp.Index
		})
	}
}

// forget drops the events of a generation.
func (l *eventLog) forget(id generationID) {
	l.kept = slices.DeleteFunc(l.kept, func(e wire.Event) bool {
		return e.Checkpoint.ActorID == id.actor && e.Checkpoint.Generation == id.generation
	})
}

// event logs and sends what a generation says of itself while it lives.
func (r *Runtime) event(g *generation, body wire.EventBody) error {
	if err := g.ctx.Err(); err != nil {
		return fmt.Errorf("tell the engine of actor %s, generation %d: %w: the generation has ended", g.ID, g.Generation, ErrNotSent)
	}
	r.pushEvent(g, body)
	return nil
}

// pushEvent logs an event and sends it if there is a connection; if not, the
// log is sent after the next Init. A Stopped that is in no log is recorded: an
// engine that did not get it, or did not store it, will not get it again.
func (r *Runtime) pushEvent(g *generation, body wire.EventBody) {
	update, isState := body.(wire.StateUpdate)
	stopped := isState && update.Stopped != nil
	kept, sent := r.logAndSend(g, body, stopped && r.cfg.ForgetStopped)
	switch {
	case !stopped || kept:
	case sent:
		g.record("forgotten", "sent once", nil)
	default:
		g.record("forgotten", "not sent", nil)
	}
}

// logAndSend reports whether the event is in the log, and whether it was handed
// to a connection, which may yet lose it.
func (r *Runtime) logAndSend(g *generation, body wire.EventBody, forget bool) (kept, sent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := generationID{g.ID, g.Generation}
	e := r.events.add(id, body)
	kept = !g.dropped && !forget
	if !kept {
		r.events.forget(id)
	}
	return kept, r.sendLocked(wire.Events{e})
}

// resendEvents sends the whole log again, as Init demands.
func (r *Runtime) resendEvents() {
	if len(r.events.kept) > 0 {
		r.sendLocked(slices.Clone(r.events.kept))
	}
}
