package check

import (
	"slices"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/leaving"
)

// ExitWant is how an engine is expected to leave.
type ExitWant struct {
	// Codes are its exit codes, of which it is one: 137 says that SIGKILL ended it.
	Codes []int
	// From and To bound the time from the first signal to its end.
	From, To time.Duration
	// Why says in a line why it is so.
	Why string
	// Told, where it is set, is what holds instead if the engine told every actor
	// that ran to stop before it was gone. Whether it gets to is a race within the
	// engine, so what is expected follows from what the history shows of it.
	Told *ExitWant
}

func (w ExitWant) of(x *leaving.Exit) ExitWant {
	if w.Told != nil && x.AllTold {
		return *w.Told
	}
	return w
}

// EngineExits: the engine, the last time that it was struck, left as it is wanted.
// On a busy host a time above the bound is inconclusive; a code is not, nor is an
// end that came too soon.
func EngineExits(want ExitWant) Invariant {
	return Invariant{Name: "engine-exits", Check: func(h *history.History) Finding {
		x, err := leaving.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		want := want.of(x)
		took := x.Took.Round(time.Millisecond)
		switch {
		case took < want.From:
			return failed(x.Seqs, "%s was gone %v after its first signal, with code %d, and not before %v: %s", x.Party, took, x.Code, want.From, want.Why)
		case took > want.To && x.Noise.TooNoisy():
			return undecided("%s was gone only %v after its first signal, bound %v, on a busy host (%v)", x.Party, took, want.To, x.Noise)
		case took > want.To:
			return failed(x.Seqs, "%s was gone only %v after its first signal, with code %d, bound %v: %s", x.Party, took, x.Code, want.To, want.Why)
		case !slices.Contains(want.Codes, x.Code):
			return failed(x.Seqs, "%s left with code %d after %v, not with %v: %s", x.Party, x.Code, took, want.Codes, want.Why)
		}
		return passed("%s left with code %d after %v: %s", x.Party, x.Code, took, want.Why)
	}}
}

// ClientsHeardNothing: no operation that was open when the engine was asked to
// leave got an answer of any kind before the engine's end. It holds because the
// engine cuts the answers' way back first: see [DrainAwaitsAnswer]. It is
// inconclusive where none was open.
func ClientsHeardNothing() Invariant {
	return Invariant{Name: "clients-heard-nothing", Check: func(h *history.History) Finding {
		x, err := leaving.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		for _, c := range x.Clients {
			if c.Ended != leaving.Never && c.Ended < x.Took && (c.Return.Outcome == history.OK || c.Return.Cause == history.CauseStatus) {
				return failed(c.Seqs, "%s %s was answered %v after the signal, %v before the engine's end", c.Name, c.Op, c.Ended.Round(time.Millisecond), (x.Took - c.Ended).Round(time.Millisecond))
			}
		}
		if len(x.Clients) == 0 {
			return undecided("no operation was open when the engine was asked to leave")
		}
		return passed("%d operations were open, and got no answer from the engine that left", len(x.Clients))
	}}
}
