package check

import (
	"fmt"
	"slices"

	"github.com/killpoint/killpoint/history"
)

// DeliveredTwice: the gateway sends a request again, whatever its method, when
// the actor that has it stops, is lost or takes longer than
// pegboard.gateway_response_start_timeout_ms (5 min) before it answers
// (guard-core: is_retryable_guard_http_error). That the request may have been
// carried out does not count.
var DeliveredTwice = KnownBug{
	Name: "delivered-twice",
	Says: "a write that was carried out, and whose answer did not come, is sent to the actor again although its client sent it once",
	Ends: "the actor itself, if it knows an operation by its id",
	Sees: []string{"delivered-once"},
	Mark: func(h *history.History) map[string][]uint64 {
		struck := map[string][]uint64{}
		for _, d := range deliveries(h) {
			if d.again() {
				struck[d.actor] = append(struck[d.actor], d.seqs()...)
			}
		}
		return struck
	},
}

// DeliveredOnce: no write reached its actor again after it was carried out,
// unless its client sent it again. The actors' own words for their writes tell,
// and what the client was told: that the first attempt was a repetition. Where
// there is neither it is inconclusive.
//
// It proves nothing of a write that reached an actor twice before it was
// carried out, which does no harm, nor of one that an actor took and did not
// get to.
func DeliveredOnce() Invariant {
	return Invariant{Name: "delivered-once", Check: func(h *history.History) Finding {
		all := deliveries(h)
		if len(all) == 0 {
			return undecided("no actor said anything of a write")
		}
		for _, d := range all {
			if d.again() {
				return failed(d.seqs(), "%s", d)
			}
		}
		return passed("%d writes reached their actors as often as they were sent", len(all))
	}}
}

// delivery is a write as its client sent it and as its actor had it.
type delivery struct {
	op, actor string
	sent      []uint64 // the invokes of all its attempts
	writes    []uint64 // what the actor said of it, in order
	first     int      // which of those first said that it succeeded; -1: none
	// repeated is the answer to the first attempt, if it was that the actor had
	// carried the write out before; 0: it was not.
	repeated uint64
}

// again: it came once more than it was sent, after it had been carried out.
func (d *delivery) again() bool {
	return d.repeated != 0 || len(d.writes) > len(d.sent) && d.first >= 0 && d.first < len(d.writes)-1
}

func (d *delivery) String() string {
	if d.repeated != 0 {
		return fmt.Sprintf("the first attempt at the write %s was answered by actor %s as a repetition", d.op, d.actor)
	}
	return fmt.Sprintf("the write %s, sent %d times, reached actor %s %d times, also after it was carried out", d.op, len(d.sent), d.actor, len(d.writes))
}

func (d *delivery) seqs() []uint64 {
	seqs := slices.Concat(d.sent, d.writes)
	if d.repeated != 0 {
		seqs = append(seqs, d.repeated)
	}
	return seqs
}

// deliveries are the writes that a client sent and an actor spoke of, in its
// log or in its answer, in the order in which they were sent.
func deliveries(h *history.History) []*delivery {
	byOp := map[string]*delivery{}
	var sent []*delivery
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			id := identity(b)
			if byOp[id] == nil {
				byOp[id] = &delivery{op: id, actor: b.Actor, first: -1}
				sent = append(sent, byOp[id])
			}
			byOp[id].sent = append(byOp[id].sent, e.Seq)
		case *history.Return:
			// Under the identity itself goes the first attempt only.
			if d := byOp[b.Op]; d != nil && b.Code == codeRepeated {
				d.repeated = e.Seq
			}
		case *history.Actor:
			if d := byOp[b.Reason]; d != nil && b.What == "write" && d.actor == b.Actor {
				if b.Error == "" && d.first < 0 {
					d.first = len(d.writes)
				}
				d.writes = append(d.writes, e.Seq)
			}
		}
	}
	return slices.DeleteFunc(sent, func(d *delivery) bool { return len(d.writes) == 0 && d.repeated == 0 })
}
