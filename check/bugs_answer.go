package check

import (
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/window"
)

// AnswerDropped: the gateway does not notice that a runtime's connection was
// lost under a request, if the runtime comes back soon: it goes on waiting for
// an answer that the runtime could not send. RivetKit's client drops such
// answers; one that keeps them and sends them after its reconnect mends it. What
// ends it for a patient client is read in the source, and was not waited for.
var AnswerDropped = KnownBug{
	Name: "answer-dropped",
	Says: "a client whose answer fell into a short loss of the runtime's connection waits for it in vain, while the actor answers others",
	Ends: "the client's patience, or 5 min (pegboard.gateway_response_start_timeout_ms)",
	Sees: []string{"answers-are-not-lost"},
	Mark: droppedAnswers,
}

// AnswersAreNotLost: no operation was under way for longer than the bound while
// its actor answered another that was begun after it. An actor that is away
// answers nobody, and is not this invariant's matter. On a host that was too busy
// meanwhile, one of up to twice the bound is inconclusive.
func AnswersAreNotLost(bound time.Duration) Invariant {
	return Invariant{Name: "answers-are-not-lost", Check: func(h *history.History) Finding {
		ops := operations(h)
		if len(ops) == 0 {
			return undecided("nobody asked for anything")
		}
		busy := Finding{}
		for _, o := range ops {
			if took := o.ended.t.Sub(o.began.t); !o.told && took > bound {
				noise := window.NoiseBetween(h, o.began.t, o.ended.t)
				switch other := o.overtaken(ops); {
				case other == nil:
				case noise.TooNoisy() && took <= 2*bound:
					busy = undecided("%s of actor %s had no answer for %v, on a busy host (%v)", o.inv.Op, o.inv.Actor, took.Round(time.Millisecond), noise)
				default:
					return failed([]uint64{o.began.seq, other.ended.seq}, "%s of actor %s had no answer for %v, while the actor answered a later %s after %v",
						o.inv.Op, o.inv.Actor, took.Round(time.Millisecond), other.inv.Op, other.ended.t.Sub(other.began.t).Round(time.Millisecond))
				}
			}
		}
		if busy.State != "" {
			return busy
		}
		return passed("no answer of %d was lost for longer than %v", len(ops), bound)
	}}
}

// operation is one from its invoke to its return, or to the end of the history.
type operation struct {
	inv          *history.Invoke
	began, ended mark
	told         bool // something, by whomever
	served       bool // by the actor
}

func operations(h *history.History) []*operation {
	_, last := h.Span()
	byOp := map[string]*operation{}
	var out []*operation
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			o := &operation{inv: b, began: mark{e.T, e.Seq}, ended: mark{last, e.Seq}}
			byOp[b.Op], out = o, append(out, o)
		case *history.Return:
			if o := byOp[b.Op]; o != nil {
				o.ended = mark{e.T, e.Seq}
				o.told, o.served = b.Status != 0 || b.Outcome == history.OK, b.AnsweredBy == o.inv.Actor
			}
		}
	}
	return out
}

// overtaken is an operation that the same actor answered and that was begun
// and over while o was under way.
func (o *operation) overtaken(all []*operation) *operation {
	for _, p := range all {
		if p != o && p.inv.Actor == o.inv.Actor && p.served && p.began.t > o.began.t && p.ended.t < o.ended.t {
			return p
		}
	}
	return nil
}

// droppedAnswers finds the actors with an operation that was overtaken and
// under which a runtime dropped an answer that it could not send.
func droppedAnswers(h *history.History) map[string][]uint64 {
	struck := map[string][]uint64{}
	ops := operations(h)
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Envoy); !ok || b.What != "answer-dropped" {
			continue
		}
		for _, o := range ops {
			if !o.told && o.began.t < e.T && e.T < o.ended.t && o.overtaken(ops) != nil {
				struck[o.inv.Actor] = append(struck[o.inv.Actor], o.began.seq, e.Seq)
			}
		}
	}
	return struck
}
