package check

import (
	"strings"

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
	Name: "half-transaction",
	Says: "a stop that comes while a transaction is open drops what it did, and what follows of it is carried out statement by statement",
	Ends: "the refused COMMIT; what was carried out by itself stays",
	Sees: []string{"ledger-keeps-acked-writes", "linearizable", "applied-once"},
	Mark: halfTransactions,
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
	type generation struct {
		party, actor string
		number       uint32
	}
	stops, refused := map[generation]mark{}, map[generation][]mark{}
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
				refused[g] = append(refused[g], m)
			}
		}
	}
	struck := map[string][]uint64{}
	for g, writes := range refused {
		stop, ok := stops[g]
		for _, w := range writes {
			if ok && !anyBetween(ends[g.party], stop.t, w.t) {
				struck[g.actor] = append(struck[g.actor], stop.seq, w.seq)
			}
		}
	}
	return struck
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
