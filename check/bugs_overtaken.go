package check

import (
	"slices"

	"github.com/killpoint/killpoint/history"
)

// AnswerOvertaken: the gateway waits for an answer or for word that its actor has
// stopped, and takes whichever it comes upon first, although the runtime sent the
// answer before. It gives the answer up then and sends the request to the next
// generation. A runtime that asks the engine a question between the two, and waits
// for the reply, makes it rare. sees are the invariants that want the answer.
func AnswerOvertaken(sees ...string) KnownBug {
	return KnownBug{
		Name:   "answer-overtaken",
		Says:   "word that the actor has stopped overtakes its last answer, which the gateway gives up: the request goes to the next generation",
		Ends:   "the actor itself, if it knows an operation by its id",
		Sees:   sees,
		Mark:   overtakenAnswers,
		Allows: answersArrive,
	}
}

func overtakenAnswers(h *history.History) map[string][]uint64 {
	struck := map[string][]uint64{}
	for _, o := range overtakings(h) {
		struck[o.actor] = append(struck[o.actor], o.write, o.stopped, o.told)
	}
	return struck
}

// answersArrive is the history as if the answers had been first.
func answersArrive(h *history.History) *history.History {
	first := map[uint64]overtaking{}
	for _, o := range overtakings(h) {
		first[o.told] = o
	}
	out := *h
	out.Events = slices.Clone(h.Events)
	for i, e := range out.Events {
		o, ok := first[e.Seq]
		if !ok {
			continue
		}
		out.Events[i].Body = &history.Return{Op: o.op, Outcome: history.OK, Status: 200, AnsweredBy: o.actor, Generation: int64(o.number)}
	}
	return &out
}

// overtaking is a write that a generation carried out before it stopped in order,
// and of which its client was told by a later one that it was done.
type overtaking struct {
	party, actor, op     string
	number               uint32 // of the generation
	write, stopped, told uint64
}

// overtakings leaves out what could not have been answered: where the runtime's
// connection ended between the write and the stop, or the generation was aborted.
// A runtime that dies without a word has told of no stop.
func overtakings(h *history.History) []overtaking {
	open := map[string]*overtaking{}
	var found []overtaking
	drop := func(which func(*overtaking) bool) {
		for op, o := range open {
			if o.stopped == 0 && which(o) {
				delete(open, op)
			}
		}
	}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Envoy:
			if b.What == "closed" {
				drop(func(o *overtaking) bool { return o.party == e.Party })
			}
		case *history.Actor:
			of := func(o *overtaking) bool {
				return o.party == e.Party && o.actor == b.Actor && o.number == b.Generation
			}
			switch {
			case b.What == "write" && b.Error == "" && open[b.Reason] == nil:
				open[b.Reason] = &overtaking{party: e.Party, actor: b.Actor, op: b.Reason, number: b.Generation, write: e.Seq}
			case b.What == "abort":
				drop(of)
			case b.What == "stopped":
				for _, o := range open {
					if o.stopped == 0 && of(o) {
						o.stopped = e.Seq
					}
				}
			}
		case *history.Return:
			if o := open[b.Op]; o != nil && o.stopped != 0 && b.Code == codeRepeated && b.Generation > int64(o.number) {
				o.told = e.Seq
				found = append(found, *o)
			}
			delete(open, b.Op)
		}
	}
	return found
}
