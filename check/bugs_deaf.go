package check

import (
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// DeafConnection: now and then on 2.3.5, when a stop meets an SQL request, the
// engine answers neither that request nor sends anything more over the runtime's
// connection, which stays open. Most likely the task that feeds the connection
// waits for good for the lock under which it drops the actor's SQLite handle.
var DeafConnection = KnownBug{
	Name:  "deaf-connection",
	Says:  "after a stop that met an SQL request, no request and no command reaches the runtime any more, although its connection is open",
	Ends:  "a new connection of the runtime, or a new engine",
	Sees:  []string{"answers-within-bound"},
	Hides: unreachable,
	Mark:  deafActors,
}

// unanswered is how the fixture's writes name a request to the engine that was
// not answered before the generation's end.
const unanswered = "wait for the engine's answer"

// silence is how long nothing has to come over a connection to call it deaf. It
// is longer than the engine's ping timeout, and than any hold that was seen to
// end by itself after a restart but for the leases of a killed engine.
const silence = 20 * time.Second

// deafActors finds the actors of a runtime of which one, told to stop, had an
// SQL request unanswered on a connection that stayed open, and over which
// nothing came from then on, for at least as long as silence.
func deafActors(h *history.History) map[string][]uint64 {
	_, end := h.Span()
	runtimes := map[string]*ears{}
	for _, e := range h.ByTime() {
		r := runtimes[e.Party]
		if r == nil {
			r = &ears{actors: map[string]bool{}, stopped: map[string]mark{}}
			runtimes[e.Party] = r
		}
		switch b := e.Body.(type) {
		case *history.Envoy:
			r.envoy(b)
		case *history.Actor:
			r.actor(e, b)
		}
	}
	struck := map[string][]uint64{}
	for _, r := range runtimes {
		if r.deaf.seq == 0 || end.Sub(r.heard) < silence {
			continue
		}
		for actor := range r.actors {
			struck[actor] = []uint64{r.stop.seq, r.deaf.seq}
		}
	}
	return struck
}

// ears are what a runtime hears over the connection that it has.
type ears struct {
	actors  map[string]bool
	stopped map[string]mark // by actor: it was told to stop over this connection
	heard   clock.Mono      // when something last came
	// stop is that of the actor whose request was not answered, deaf when it
	// said so; 0 where all were.
	stop, deaf mark
}

func (r *ears) envoy(b *history.Envoy) {
	if b.What == "closed" || b.What == "init" {
		clear(r.stopped)
		r.stop, r.deaf = mark{}, mark{}
	}
}

func (r *ears) actor(e history.Event, b *history.Actor) {
	switch b.What {
	case "start":
		r.actors[b.Actor] = true // by HTTP: nothing that came over the connection
	case "stop", "sleep":
		r.stopped[b.Actor] = mark{e.T, e.Seq}
		r.hear(e.T)
	case "request", "websocket", "lost", "replayed", "outdated", "unknown", "not-here":
		r.hear(e.T)
	case "write":
		if stop, ok := r.stopped[b.Actor]; ok && strings.Contains(b.Error, unanswered) {
			r.stop, r.deaf = stop, mark{e.T, e.Seq}
		}
	}
}

// hear notes that something came: the connection is not deaf.
func (r *ears) hear(t clock.Mono) {
	r.heard, r.stop, r.deaf = t, mark{}, mark{}
}
