package check

import (
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// EngineStaysUp: an engine that was back did not leave again unasked. Without
// it a crash after the restart would look like actors that do not answer.
func EngineStaysUp() Invariant {
	return Invariant{Name: "engine-stays-up", Check: func(h *history.History) Finding {
		var healthy clock.Mono // of the incarnation that runs
		for _, e := range h.ByTime() {
			switch b := e.Body.(type) {
			case *history.Health:
				healthy = e.T
			case *history.Exit:
				if b.Role != "engine" {
					continue
				}
				if b.Signal == "" && b.Incarnation > 1 && healthy != 0 {
					return failed([]uint64{e.Seq}, "engine#%d left %v after it was well, and the harness had sent it no signal: exit code %d, out of memory: %v",
						b.Incarnation, e.T.Sub(healthy).Round(time.Millisecond), b.Code, b.OOM)
				}
				healthy = 0
			}
		}
		return passed("no engine that was back left unasked")
	}}
}

// EngineNeverLeaves: no engine left that was not asked to, from the first on. It is
// for trials in which nothing strikes the engine.
func EngineNeverLeaves() Invariant {
	return Invariant{Name: "engine-never-leaves", Check: func(h *history.History) Finding {
		for _, e := range h.ByTime() {
			b, ok := e.Body.(*history.Exit)
			if ok && b.Role == "engine" && b.Signal == "" {
				return failed([]uint64{e.Seq}, "engine#%d left unasked: exit code %d, out of memory: %v", b.Incarnation, b.Code, b.OOM)
			}
		}
		return passed("no engine left unasked")
	}}
}
