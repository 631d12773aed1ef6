package check

import (
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// ScriptDone: a client that carries operations out one after the other, and asks
// until it knows that each is done, came to know it of all of them. names are the
// operations in their order; attempts that share an identity (RetryOf) are one.
//
// It is the script's own bound that ends one that is stuck. On a host that was
// too busy meanwhile that is inconclusive.
func ScriptDone(names ...string) Invariant {
	return Invariant{Name: "script-done", Check: func(h *history.History) Finding {
		asked := readScript(h)
		for i, name := range names {
			switch {
			case i >= len(asked):
				return undecided("operation %d, %s, was not begun", i+1, name)
			case asked[i].name != name:
				return undecided("operation %d is %s in the history, and %s in the script", i+1, asked[i].name, name)
			case asked[i].done:
			default:
				return asked[i].stuck(h, i+1)
			}
		}
		return passed("%d operations were done", len(names))
	}}
}

// scripted is an operation with all its attempts.
type scripted struct {
	name         string
	done         bool
	attempts     int
	begun, ended clock.Mono
	last         *history.Return // nil where none returned
	seqs         []uint64        // of the first invoke and the last return
}

func readScript(h *history.History) []*scripted {
	var all []*scripted
	of := map[string]*scripted{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			s := of[identity(b)]
			if s == nil {
				s = &scripted{name: b.Name, begun: e.T, ended: e.T, seqs: []uint64{e.Seq, e.Seq}}
				all = append(all, s)
			}
			of[b.Op] = s
			s.attempts++
		case *history.Return:
			if s := of[b.Op]; s != nil {
				s.last, s.ended, s.seqs[1] = b, e.T, e.Seq
				s.done = s.done || b.Outcome == history.OK || b.Code == codeRepeated
			}
		}
	}
	return all
}

func (s *scripted) stuck(h *history.History, n int) Finding {
	took := s.ended.Sub(s.begun).Round(time.Millisecond)
	switch noise := window.NoiseBetween(h, s.begun, s.ended); {
	case s.last == nil:
		return undecided("operation %d, %s, was cut off", n, s.name)
	case s.last.Cause == history.CauseStopped:
		return undecided("operation %d, %s, was ended with the trial", n, s.name)
	case !h.Complete(): // the script's bound ends the operation, and not the trial
		return undecided("operation %d, %s, was not done when the trial was cut short", n, s.name)
	case noise.TooNoisy():
		return undecided("operation %d, %s, was not done after %v, on a busy host (%v)", n, s.name, took, noise)
	}
	return failed(s.seqs, "operation %d, %s, was not done after %d attempts in %v: the last ended %v", n, s.name, s.attempts, took, s.last)
}
