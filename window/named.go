package window

import (
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
)

// Named is a probe that is none of the sweep's: it has a name of its own, and
// nobody asked on after it.
type Named struct {
	// Probe is its name, Action what was asked for.
	Probe, Action string
	Sent, Took    time.Duration // from the origin; from then to its end
	Class         Class
}

// NamedProbes are those that were sent since /health was ok, in the order in
// which they were. One without an end is [CutOff], and took -1.
func NamedProbes(h *history.History, o *Outage) []Named {
	var out []Named
	at, sent := map[string]int{}, map[string]clock.Mono{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Probe == "" || b.Probe == probe.ProbeName || b.Probe == probe.BesideName || b.Probe == probe.RecoveryName || e.T < o.Healthy {
				continue
			}
			at[b.Op], sent[b.Op] = len(out), e.T
			out = append(out, Named{Probe: b.Probe, Action: b.Name, Sent: e.T.Sub(o.Healthy), Took: -1, Class: CutOff})
		case *history.Return:
			if i, ok := at[b.Op]; ok {
				out[i].Took = e.T.Sub(sent[b.Op])
				out[i].Class = Classify(b, out[i].Took)
			}
		}
	}
	return out
}
