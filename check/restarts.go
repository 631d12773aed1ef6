package check

import (
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/restarts"
	"github.com/killpoint/killpoint/window"
)

// RestartWant is how a runtime is expected to die and to be brought back.
type RestartWant struct {
	// Code and OOM are of its first life's end, Lives how many the daemon starts
	// after it.
	Code  int
	OOM   bool
	Lives int
}

// restartTakes is more than the daemon needs to start a container again, once it has
// waited.
const restartTakes = 3 * time.Second

// DaemonRestarts: the runtime died as wanted, the daemon started as many lives as
// wanted, each no sooner than its back-off has it and not much later, and each but the
// last ended. A life of which no end is known is missing, not alive: that is
// inconclusive, as is a late one on a busy host.
func DaemonRestarts(want RestartWant) Invariant {
	return Invariant{Name: "daemon-restarts", Check: func(h *history.History) Finding {
		r, err := restarts.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		first := r.Lives[0]
		seqs := r.Gaps[0].Seqs
		switch {
		case first.Code != want.Code || oom(first) != want.OOM:
			return failed(seqs, "the runtime's first life ended with code %d, out of memory %v; it was to be %d, %v", first.Code, oom(first), want.Code, want.OOM)
		case len(r.Lives)-1 < want.Lives && awaited(h, r):
			return undecided("the daemon had started %d lives, not %d, when the trial was cut short", len(r.Lives)-1, want.Lives)
		case len(r.Lives)-1 != want.Lives:
			return failed(seqs, "the daemon started %d lives, not %d", len(r.Lives)-1, want.Lives)
		}
		for i, g := range r.Gaps {
			switch late := g.Took > g.Least+restartTakes; {
			case g.Took < g.Least:
				return failed(g.Seqs, "the daemon started life %d only %v after the one before, which is sooner than its back-off of %v", i+2, g.Took, g.Least)
			case late && window.NoiseBetween(h, g.From, g.From.Add(g.Took)).TooNoisy():
				return undecided("the daemon started life %d as late as %v after the one before, on a busy host", i+2, g.Took)
			case late:
				return failed(g.Seqs, "the daemon started life %d as late as %v after the one before: its back-off is %v, and a start takes no %v", i+2, g.Took, g.Least, restartTakes)
			}
		}
		for _, l := range r.Lives[:len(r.Lives)-1] {
			if l.Ended == 0 {
				return undecided("life %d has no end in the history", l.N)
			}
		}
		return passed("the daemon started %d lives, each after its back-off", want.Lives)
	}}
}

// awaited: the trial was cut short while the runtime lived, or before the daemon had to
// have started its next life.
func awaited(h *history.History, r *restarts.Restarts) bool {
	last, gap := r.Lives[len(r.Lives)-1], r.Gaps[len(r.Gaps)-1]
	if last.Ended == 0 {
		return !h.Complete()
	}
	return endedBefore(h, last.Ended.Add(min(2*gap.Least, restarts.Most)+restartTakes))
}

// oom: the kernel's OOM killer ended it. Docker does not always say so on a busy
// machine; a SIGKILL that nobody sent, to a runtime that was asked to leave, is the
// kernel's.
func oom(l restarts.Life) bool {
	return l.OOM || l.Code == killedCode && l.Signal != "" && l.Signal != "SIGKILL"
}

// ServedAgain: an actor of the flow gave a good answer within the bound from when
// a runtime that stayed served. A late one on a busy host is inconclusive.
func ServedAgain(within time.Duration) Invariant {
	return Invariant{Name: "served-again", Check: func(h *history.History) Finding {
		r, err := restarts.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		took := r.Recovery()
		switch {
		case r.Back == 0:
			return undecided("no runtime stayed that served")
		case took == restarts.Never && endedBefore(h, r.Back.Add(within)):
			return undecided("nobody had been answered again when the trial was cut short")
		case took == restarts.Never:
			return failed(r.Gaps[len(r.Gaps)-1].Seqs, "nobody was answered again, although a runtime served")
		case took > within && window.NoiseBetween(h, r.Back, r.Answered).TooNoisy():
			return undecided("the first good answer came %v after a runtime served, bound %v, on a busy host", took.Round(time.Millisecond), within)
		case took > within:
			return failed(r.Gaps[len(r.Gaps)-1].Seqs, "the first good answer came %v after a runtime served, bound %v", took.Round(time.Millisecond), within)
		}
		return passed("the first good answer came %v after a runtime served", took.Round(time.Millisecond))
	}}
}
