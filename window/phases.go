package window

import (
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Phase is a part of an outage window, named after what is waited for.
type Phase string

// The phases, in the order in which they follow each other. Work that goes on
// at the same time counts to the earlier one.
const (
	// Earlier is from the first fault to the one that ended the last
	// incarnation, where several struck several.
	Earlier  Phase = "earlier restarts"
	Draining Phase = "engine draining" // until the engine's exit
	Down     Phase = "down"            // until its next start is asked for
	Booting  Phase = "booting"         // until its first good /health
	// Reconnecting ends when the runtime's connection, the last one made before
	// the first answer, is there.
	Reconnecting Phase = "runtime's reconnect"
	// Replay ends with the first stop command for the actor that answered
	// first, which the engine stored while the runtime was away; Placement with
	// the start of the generation that answered; Starting when it runs. An actor
	// whose generation goes on has none of them.
	Replay    Phase = "replay"
	Placement Phase = "re-placement"
	Starting  Phase = "actor start"
	// Answering is from there to the answer: the gateway's next try, mostly.
	Answering Phase = "first answer"
	// Unasked is from there to the probe that had the first answer: the actor
	// was ready, and nobody waited. It is the harness's own, and is at most the
	// pause between two probes where one is asked on.
	Unasked Phase = "nobody asked"
	// Unattributed is what lies between two instants that the history has, where
	// one between them is missing.
	Unattributed Phase = "unattributed"
)

// AllPhases are all of them, in the order in which they follow each other; what
// is unattributed is the last.
var AllPhases = []Phase{Earlier, Draining, Down, Booting, Reconnecting, Replay, Placement, Starting, Unasked, Answering, Unattributed}

// Part is how long a phase took.
type Part struct {
	Phase Phase
	Took  time.Duration
}

// Phases splits the outage of the history up. The parts are all phases, in
// their order, and add up to the window. There are none where no actor ever
// answered.
func Phases(h *history.History, o *Outage) []Part {
	if o.First == 0 {
		return nil
	}
	s := split{at: o.FaultT, end: o.First, took: map[Phase]time.Duration{}}
	s.until(Earlier, o.lastStrike())
	s.until(Draining, o.ExitT)
	s.until(Down, o.StartT)
	s.until(Booting, o.Healthy)
	s.comeback(readWay(h.ByTime(), o))
	return s.parts()
}

// lastStrike is the first fault on the incarnation that left last.
func (o *Outage) lastStrike() clock.Mono {
	for _, s := range o.Strikes {
		if s.ExitT == o.ExitT {
			return s.T
		}
	}
	return o.FaultT
}

// split walks from the fault to the first answer.
type split struct {
	at, end clock.Mono
	took    map[Phase]time.Duration
}

// until gives a phase the time up to t, if there is any left.
func (s *split) until(p Phase, t clock.Mono) {
	if t > s.at {
		s.took[p] += t.Sub(s.at)
		s.at = t
	}
}

// comeback takes the way from a healthy engine to the answer.
func (s *split) comeback(r way) {
	if r.connected == 0 {
		return // the rest cannot be told apart
	}
	s.until(Reconnecting, r.connected)
	s.until(Replay, r.stop)
	s.until(Placement, r.start)
	if lost := r.start == 0 && r.stop != 0 || r.start != 0 && r.running == 0; lost {
		return
	}
	s.until(Starting, r.running)
	s.until(Unasked, r.asked)
	s.until(Answering, s.end)
}

func (s *split) parts() []Part {
	s.until(Unattributed, s.end)
	var out []Part
	for _, p := range AllPhases {
		out = append(out, Part{p, s.took[p]})
	}
	return out
}

// way are the instants between the engine's exit and the first answer, 0
// where they are not there: of the runtime's connection, and of the actor that
// answered first.
type way struct {
	connected, stop, start, running, asked clock.Mono

	actor      string
	generation uint32
}

// readWay goes by what the runtime says of itself. Where it says nothing, as a
// runtime that is not the fixture, it goes by the frames that the tap saw.
func readWay(events []history.Event, o *Outage) way {
	said, seen := way{}, way{}
	said.ask(events, o)
	seen.actor = said.actor
	for _, e := range events {
		if e.T <= o.ExitT || e.T > o.First {
			continue
		}
		switch b := e.Body.(type) {
		case *history.Envoy:
			said.envoy(e.T, b.What)
		case *history.Actor:
			if b.Actor == said.actor {
				said.life(e.T, b.What, b.Generation)
			}
		case *history.Frame:
			seen.frame(e.T, b)
		}
	}
	return said.or(seen)
}

// or takes from seen what nobody said. Of an actor's generation either both its
// start and its running are taken, or none.
func (w way) or(seen way) way {
	if w.connected == 0 {
		w.connected = seen.connected
	}
	if w.stop == 0 {
		w.stop = seen.stop
	}
	if w.start == 0 {
		w.start, w.running = seen.start, seen.running
	}
	return w
}

func (w *way) envoy(t clock.Mono, what string) {
	if what == "connected" {
		w.connected = t
	}
}

func (w *way) life(t clock.Mono, what string, generation uint32) {
	switch what {
	case "sleep", "stop", "lost":
		if w.stop == 0 {
			w.stop = t
		}
	case "start":
		w.start, w.running, w.generation = t, 0, generation
	case "running":
		if generation == w.generation {
			w.running = t
		}
	}
}

// frame takes what the wire says: the engine's greeting when it was delivered,
// its commands when they were, and what the runtime answers when it came.
func (w *way) frame(t clock.Mono, f *history.Frame) {
	delivered, arrived := f.What == "delivered", f.What == "arrived"
	switch {
	case f.Wire == "envoy" && f.Type == "init" && delivered:
		w.connected = t
	case f.Type == "commands" && strings.HasPrefix(f.Detail, "stop-") && delivered && (f.Actor == w.actor || f.Actor == ""):
		w.life(t, "stop", f.Generation) // one frame may stop several, and then names none
	case f.Actor == "" || f.Actor != w.actor:
	case (f.Type == "commands" && f.Detail == "start" || f.Type == "start-call") && delivered:
		w.life(t, "start", f.Generation)
	case f.Type == "events" && f.Detail == "running" && arrived:
		w.life(t, "running", f.Generation)
	}
}

// ask finds the actor that gave the first good answer, and when it was asked
// for that.
func (w *way) ask(events []history.Event, o *Outage) {
	asked := map[string]history.Event{}
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Probe != "" {
				asked[b.Op] = e
			}
		case *history.Return:
			inv, ok := asked[b.Op].Body.(*history.Invoke)
			if ok && e.T == o.First && b.Outcome == history.OK {
				w.asked, w.actor = asked[b.Op].T, inv.Actor
				return
			}
		}
	}
}
