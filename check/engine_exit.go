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
	// Else, where it is set, is right too: which of the two holds is told by the exit
	// code, of which they have none in common.
	Else *ExitWant
}

func (w ExitWant) of(x *leaving.Exit) ExitWant {
	switch {
	case w.Told != nil && x.AllTold:
		return *w.Told
	case w.Else != nil && slices.Contains(w.Else.Codes, x.Code):
		return *w.Else
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

// endCuts is how long before an engine's death its clients may see their connections
// go: a dying process closes them before it can be waited for.
const endCuts = 300 * time.Millisecond

// ClientsHeardNothing: no operation that was open when the engine was asked to
// leave got an answer, an error or a reset before the engine's end; its client's own
// patience may have ended. It holds because the
// engine cuts the answers' way back first: see [DrainAwaitsAnswer]. It is
// inconclusive where none was open.
func ClientsHeardNothing() Invariant {
	return Invariant{Name: "clients-heard-nothing", Check: func(h *history.History) Finding {
		x, err := leaving.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		for _, c := range x.Clients {
			if c.Ended == leaving.Never || c.Return.Cause == history.CauseTimeout {
				continue
			}
			cut := c.Return.Outcome != history.OK && c.Return.Cause != history.CauseStatus
			if c.Ended < x.Took && !cut || c.Ended < x.Took-endCuts {
				return failed(c.Seqs, "%s %s ended with %s %v after the signal, %v before the engine's end", c.Name, c.Op, endedWith(c.Return), c.Ended.Round(time.Millisecond), (x.Took - c.Ended).Round(time.Millisecond))
			}
		}
		if len(x.Clients) == 0 {
			return undecided("no operation was open when the engine was asked to leave")
		}
		return passed("%d operations were open, and got no answer from the engine that left", len(x.Clients))
	}}
}

func endedWith(r history.Return) string {
	if r.Outcome == history.OK {
		return "an answer"
	}
	return string(r.Cause)
}

// stopsFollow is how soon the next engine hands over the stops of the one before.
const stopsFollow = time.Second

// GenerationsAfterExit: with the next engine every actor of which a generation ran
// has a new one, or its stop, or, where kept, goes on in the same. An engine that is
// asked to leave hands its actors' stops over to the next one; one that is killed has
// no time to.
func GenerationsAfterExit(kept bool) Invariant {
	return Invariant{Name: "generations-after-exit", Check: func(h *history.History) Finding {
		x, err := leaving.Read(h)
		switch {
		case err != nil:
			return undecided("%v", err)
		case x.Kept+x.Moved == 0:
			return undecided("no actor is known to have run before and after the exit of %s", x.Party)
		case kept && x.Moved > 0:
			return failed(x.Seqs, "%d of %d actors have a new generation with the next engine, although %s was killed", x.Moved, x.Kept+x.Moved, x.Party)
		case !kept && x.Staying > 0 && x.Watched < stopsFollow:
			return undecided("the same generation of %d of %d actors went on with the next engine, for the %v that they were watched", x.Staying, x.Kept+x.Moved, x.Watched.Round(time.Millisecond))
		case !kept && x.Staying > 0:
			return failed(x.Seqs, "the same generation of %d of %d actors goes on with the next engine, although %s was asked to leave", x.Staying, x.Kept+x.Moved, x.Party)
		}
		return passed("%d actors have the same generation after the exit of %s, %d a new one", x.Kept, x.Party, x.Moved)
	}}
}
