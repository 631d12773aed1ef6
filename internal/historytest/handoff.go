package historytest

import (
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/workload"
)

// By makes the last event a party's.
func (b *Builder) By(party string) *Builder { return b.by(party) }

// Routed adds that new calls go to that runtime.
func (b *Builder) Routed(ms int, to string) *Builder {
	return b.At(ms, history.KindFront, &history.Front{What: "routed", To: to})
}

// On adds words of a generation, by the runtime that hosts it, each a millisecond
// after the one before.
func (b *Builder) On(ms int, party, actor string, generation uint32, words ...string) *Builder {
	for i, what := range words {
		b.At(ms+i, history.KindActor, &history.Actor{Actor: actor, Key: "key-" + actor, Generation: generation, What: what, Reason: "going-away"}).by(party)
	}
	return b
}

// StopOf adds the stop of a runtime: asked for, and gone with that code.
func (b *Builder) StopOf(begun, gone int, party string, incarnation, code int) *Builder {
	b.At(begun, history.KindFault, &history.Fault{Kind: "stop", Target: party, Phase: history.FaultBegun})
	return b.At(gone, history.KindExit, &history.Exit{Role: "runtime", Incarnation: incarnation, Signal: "SIGTERM", By: "harness", Code: code, ToDeathNS: int64(gone-begun) * 1e6})
}

// Flow is the invoke of a request of a flow: a write under that id.
func Flow(actor, op string) history.Invoke {
	return history.Invoke{Actor: actor, Key: "key-" + actor, Op: op, Name: "tick", Client: workload.FlowClient}
}
