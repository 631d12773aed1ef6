package window

import (
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
	// Unattributed is what lies between two instants that the history has,
	// where one between them is missing, and what nobody waited in: the time
	// until the probe was sent that had the first answer.
	Unattributed Phase = "unattributed"
)

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
	// Before it was sent, nobody waited for this answer.
	s.until(Unattributed, r.asked)
	s.until(Answering, s.end)
}

func (s *split) parts() []Part {
	s.until(Unattributed, s.end)
	var out []Part
	for _, p := range []Phase{Earlier, Draining, Down, Booting, Reconnecting, Replay, Placement, Starting, Answering, Unattributed} {
		out = append(out, Part{p, s.took[p]})
	}
	return out
}

// way are the instants between the engine's exit and the first answer, 0
// where they are not there: of the runtime's connection, and of the actor that
// answered first.
type way struct {
	connected, stop, start, running, asked clock.Mono
}

func readWay(events []history.Event, o *Outage) way {
	var l way
	actor := l.ask(events, o)
	generation := uint32(0)
	for _, e := range events {
		if e.T <= o.ExitT || e.T > o.First {
			continue
		}
		switch b := e.Body.(type) {
		case *history.Envoy:
			if b.What == "connected" {
				l.connected = e.T
			}
		case *history.Actor:
			if b.Actor != actor {
				continue
			}
			switch b.What {
			case "sleep", "stop", "lost":
				if l.stop == 0 {
					l.stop = e.T
				}
			case "start":
				l.start, l.running, generation = e.T, 0, b.Generation
			case "running":
				if b.Generation == generation {
					l.running = e.T
				}
			}
		}
	}
	return l
}

// ask finds the actor that gave the first good answer, and when it was asked
// for that.
func (l *way) ask(events []history.Event, o *Outage) (actor string) {
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
				l.asked = asked[b.Op].T
				return inv.Actor
			}
		}
	}
	return ""
}
