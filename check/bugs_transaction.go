package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// HalfTransaction: the engine drops its SQLite handle of an actor before it
// hands the runtime any stop for that actor, whatever is under way on it, and
// the next statement of the same generation opens a new one
// (pegboard-envoy: actor_lifecycle::stop_actor, remote_sqlite_executor_cell).
// What a transaction did before is rolled back, what follows is carried out
// statement by statement, and only its COMMIT is refused. A stop that is
// replayed after a restart meets a transaction often, because requests that
// were held are let go in the same moment.
var HalfTransaction = KnownBug{
	Name:   "half-transaction",
	Says:   "a stop that comes while a transaction is open drops what it did, and what follows of it is carried out statement by statement",
	Ends:   "the refused COMMIT; what was carried out by itself stays",
	Sees:   []string{"ledger-keeps-acked-writes", "linearizable", "applied-once"},
	Mark:   halfTransactions,
	Allows: func(h *history.History) *history.History { return halved(h, halves(h)) },
}

// noTransaction is how SQLite refuses a COMMIT ("cannot commit - ") or a
// ROLLBACK ("cannot rollback - ") outside of a transaction. The engine puts no
// code to it, so its text is all there is.
const noTransaction = " - no transaction is active"

// halfTransactions finds the actors of which a generation had a transaction
// refused as if it had never begun, and was told to stop on the connection over
// which it heard so. The stop may be read after the refusal, for the engine
// sends it after it dropped the handle. On a connection that ended in between,
// the runtime itself would have refused the rest of the transaction.
func halfTransactions(h *history.History) map[string][]uint64 {
	struck := map[string][]uint64{}
	for _, f := range halves(h) {
		struck[f.actor] = append(struck[f.actor], f.stop.seq, f.refused.seq)
	}
	return struck
}

// half is a transaction of which a half may have been carried out.
type half struct {
	actor, op     string // op is the write's identity
	stop, refused mark
}

// soon is the longest between a stop and the refusal of a transaction that it
// met.
const soon = 5 * time.Second

func halves(h *history.History) []half {
	type generation struct {
		party, actor string
		number       uint32
	}
	stops, refused := map[generation]mark{}, map[generation][]half{}
	ends := map[string][]clock.Mono{} // of a runtime's connections
	for _, e := range h.ByTime() {
		m := mark{e.T, e.Seq}
		switch b := e.Body.(type) {
		case *history.Envoy:
			if b.What == "closed" {
				ends[e.Party] = append(ends[e.Party], e.T)
			}
		case *history.Actor:
			g := generation{e.Party, b.Actor, b.Generation}
			switch {
			case b.What == "stop" || b.What == "sleep":
				stops[g] = m
			case b.What == "write" && strings.Contains(b.Error, noTransaction):
				refused[g] = append(refused[g], half{actor: b.Actor, op: b.Reason, refused: m})
			}
		}
	}
	var out []half
	for g, writes := range refused {
		stop, ok := stops[g]
		for _, w := range writes {
			w.stop = stop
			if ok && max(w.refused.t.Sub(stop.t), stop.t.Sub(w.refused.t)) <= soon && !anyBetween(ends[g.party], stop.t, w.refused.t) {
				out = append(out, w)
			}
		}
	}
	slices.SortFunc(out, func(a, b half) int { return cmp.Compare(a.refused.seq, b.refused.seq) })
	return out
}

// codeHalf stands in a history for what the caller was told of such a write: it
// may be in the ledger, and it may be counted, once, and neither says anything of
// the other.
const codeHalf = "known.half_transaction"

// halved is the history with codeHalf for the answers to those writes: of each,
// to the last attempt before it was refused. Where the gateway sent that attempt
// on again, and it was good in the end, the half is an attempt beside it.
func halved(h *history.History, all []half) *history.History {
	answers := map[string]*history.Return{} // by attempt
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Return); ok {
			answers[b.Op] = b
		}
	}
	out := *h
	out.Events = slices.Clone(h.Events)
	for _, f := range all {
		at, asked := f.attempt(out.Events)
		switch answer := answers[asked.Op]; {
		case at < 0:
		case answer == nil || answer.Outcome == history.OK:
			beside := *asked
			beside.Op, beside.RetryOf = fmt.Sprintf("%s/half-%d", asked.Op, f.refused.seq), identity(asked)
			sent := out.Events[at]
			told := sent
			sent.Body, told.Body = &beside, &history.Return{Op: beside.Op, Outcome: history.Info, Code: codeHalf}
			out.Events = slices.Insert(out.Events, at+1, sent, told)
		default:
			for i, e := range out.Events {
				if e.Body == any(answer) {
					told := *answer
					told.Outcome, told.Code = history.Info, codeHalf
					out.Events[i].Body = &told
				}
			}
		}
	}
	return &out
}

// attempt is the last one at the write before it was refused, and where it is
// among the events; -1 where there is none.
func (f half) attempt(events []history.Event) (at int, asked *history.Invoke) {
	at, asked = -1, &history.Invoke{}
	for i, e := range events {
		b, ok := e.Body.(*history.Invoke)
		if ok && b.Actor == f.actor && identity(b) == f.op && e.T <= f.refused.t && (at < 0 || e.T > events[at].T) {
			at, asked = i, b
		}
	}
	return at, asked
}

// anyBetween reports whether one of the instants is between a and b, in
// either order.
func anyBetween(instants []clock.Mono, a, b clock.Mono) bool {
	for _, t := range instants {
		if min(a, b) < t && t < max(a, b) {
			return true
		}
	}
	return false
}
