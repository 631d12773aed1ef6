package window

import (
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Pulse sets a probe beside the heartbeat of the actor that it asked.
type Pulse struct {
	Row
	// Beat is the actor's first good heartbeat since the engine's exit, from the
	// origin of the delays; Beaten is false where there was none. Such a beat
	// went through the engine's next incarnation.
	Beat   time.Duration
	Beaten bool
}

// Before reports whether the heartbeat was there when the probe was sent, so
// that whoever watched it could have waited for it.
func (p Pulse) Before() bool { return p.Beaten && p.Beat <= p.Delay }

// Lead is how long after the heartbeat the actor gave its first good answer,
// negative where the answer came first. It is known where the actor had to be
// waited for: another may have been ready at any time before it was asked.
func (p Pulse) Lead() (lead time.Duration, known bool) {
	if !p.Beaten || p.AnsweredAt < 0 || p.Class == Answered {
		return 0, false
	}
	return p.AnsweredAt - p.Beat, true
}

// Pulses are the probes of the sweep, each with its actor's heartbeat. There
// are none where no actor ever had one.
func Pulses(h *history.History, o *Outage) []Pulse {
	first, some := map[string]clock.Mono{}, false
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Heartbeat)
		if !ok {
			continue
		}
		some = true
		if _, seen := first[b.Actor]; !seen && e.T > o.ExitT && b.Error == "" {
			first[b.Actor] = e.T
		}
	}
	if !some {
		return nil
	}
	pulses := make([]Pulse, 0, len(o.Rows))
	for _, row := range o.Rows {
		p := Pulse{Row: row}
		if t, ok := first[row.Actor]; ok {
			p.Beat, p.Beaten = t.Sub(o.Healthy), true
		}
		pulses = append(pulses, p)
	}
	return pulses
}
