package check

import (
	"time"

	"github.com/killpoint/killpoint/history"
)

// GenerationsSpent: while no runtime answers, the engine makes one generation of
// an actor after the other for each request that waits, without a pause between
// them that grows, about nine a request.
var GenerationsSpent = KnownBug{
	Name: "generations-spent",
	Says: "each request to an actor whose runtime is down costs it some nine generations within a second or two, without a back-off",
	Ends: "the runtime's return; the next generation answers at once",
	Sees: []string{"generations-in-step"},
	Mark: func(h *history.History) map[string][]uint64 {
		struck := map[string][]uint64{}
		for _, j := range jumps(h) {
			if j.over(fewGenerations) && j.from.party != j.to.party {
				struck[j.actor] = append(struck[j.actor], j.from.seq, j.to.seq)
			}
		}
		return struck
	},
}

// fewGenerations is more than any restart of engine or runtime was seen to cost.
const fewGenerations = 3

// GenerationsInStep: from one generation of an actor that a runtime was given
// to the next, the number grew by no more than most.
func GenerationsInStep(most uint32) Invariant {
	return Invariant{Name: "generations-in-step", Check: func(h *history.History) Finding {
		all := jumps(h)
		if len(all) == 0 {
			return undecided("no actor began a second generation")
		}
		for _, j := range all {
			if j.over(most) {
				return failed([]uint64{j.from.seq, j.to.seq}, "actor %s: generation %d followed generation %d, %v later", j.actor, j.to.number, j.from.number, j.to.t.Sub(j.from.t).Round(time.Millisecond))
			}
		}
		return passed("%d generations followed the one before them", len(all))
	}}
}

// jump is two generations of an actor that began one after the other.
type jump struct {
	actor    string
	from, to begun
}

// begun is the start of a generation in a runtime.
type begun struct {
	mark
	number uint32
	party  string
}

func (j jump) over(most uint32) bool { return j.to.number > j.from.number+most }

func jumps(h *history.History) []jump {
	last := map[string]begun{}
	var out []jump
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Actor)
		if !ok || b.What != "start" {
			continue
		}
		now := begun{mark{e.T, e.Seq}, b.Generation, e.Party}
		if before, ok := last[b.Actor]; ok {
			out = append(out, jump{b.Actor, before, now})
		}
		last[b.Actor] = now
	}
	return out
}
