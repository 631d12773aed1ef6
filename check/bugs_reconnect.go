package check

import (
	"maps"

	"github.com/killpoint/killpoint/history"
)

// LostRuntimeKeepsActors: an engine that comes back after a SIGKILL goes on
// sending an actor's requests to the runtime that it ran on before. Where that
// does not reconnect, they are held until the engine's lost threshold has
// passed, although the runtime's own HTTP side would start the actor at once.
var LostRuntimeKeepsActors = KnownBug{
	Name:  "lost-runtime-keeps-actors",
	Says:  "a runtime that does not reconnect keeps its actors: requests to them are held, although the engine could start them anew over HTTP at once",
	Ends:  "the engine's lost threshold",
	Sees:  []string{"answers-within-bound"},
	Hides: unreachable,
	Mark:  lostForGood,
}

// lostForGood finds the actors that ran when their runtime gave its connection
// up, and of which nobody was told anything else from then on until they answered.
func lostForGood(h *history.History) map[string][]uint64 {
	struck, running := map[string][]uint64{}, map[string]map[string]uint64{} // by party
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Actor:
			if running[e.Party] == nil {
				running[e.Party] = map[string]uint64{}
			}
			switch b.What {
			case "running":
				running[e.Party][b.Actor] = e.Seq
			case "stopped":
				delete(running[e.Party], b.Actor)
			}
		case *history.Envoy:
			if b.What != "gave-up" {
				continue
			}
			for actor, seq := range running[e.Party] {
				struck[actor] = []uint64{seq, e.Seq}
			}
		}
	}
	maps.DeleteFunc(struck, func(actor string, seqs []uint64) bool { return toldOtherwise(h, actor, seqs[len(seqs)-1]) })
	return struck
}

// toldOtherwise reports whether somebody who asked the actor after the event had
// a decisive error before it answered.
func toldOtherwise(h *history.History, actor string, since uint64) bool {
	asked, after := map[string]bool{}, false
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			asked[b.Op] = after && b.Actor == actor
		case *history.Return:
			if asked[b.Op] && b.Outcome == history.OK {
				return false
			}
			if asked[b.Op] && decisive(b, false) {
				return true
			}
		}
		after = after || e.Seq == since
	}
	return false
}
