package historytest

import "github.com/killpoint/killpoint/history"

// Runtime is the party that the actors' events come from.
const Runtime = "runtime#1"

// by makes the last event a party's.
func (b *Builder) by(party string) *Builder {
	b.H.Events[len(b.H.Events)-1].Party = party
	return b
}

// Actor adds a word of a generation, as its runtime says it.
func (b *Builder) Actor(ms int, actor string, generation uint32, what string) *Builder {
	return b.At(ms, history.KindActor, &history.Actor{Actor: actor, Generation: generation, What: what}).by(Runtime)
}

// Life adds a generation from its start to its running, with the actor's own
// word between them.
func (b *Builder) Life(start, running int, actor string, generation uint32) *Builder {
	return b.Actor(start, actor, generation, "start").
		Actor(running, actor, generation, "wake").Actor(running, actor, generation, "running")
}

// Stopped adds the end of a generation: the command, the actor's own word, the
// runtime's.
func (b *Builder) Stopped(told, stopped int, actor string, generation uint32) *Builder {
	return b.Actor(told, actor, generation, "stop").
		Actor(stopped, actor, generation, "stop-hook").Actor(stopped, actor, generation, "stopped")
}

// Write adds what a generation says of a write: that it succeeded, or its
// error.
func (b *Builder) Write(ms int, actor string, generation uint32, op, err string) *Builder {
	return b.At(ms, history.KindActor, &history.Actor{Actor: actor, Generation: generation, What: "write", Reason: op, Error: err}).by(Runtime)
}

// Beat adds a heartbeat; err is empty for a good one.
func (b *Builder) Beat(ms int, actor string, generation uint32, err string) *Builder {
	return b.At(ms, history.KindHeartbeat, &history.Heartbeat{Actor: actor, Generation: generation, Beat: int64(ms), Error: err}).by(Runtime)
}

// Tick is the invoke of a write to an actor's counter, under that operation
// id.
func Tick(actor, op string) history.Invoke {
	return history.Invoke{Actor: actor, Op: op, Name: "tick"}
}

// Again is a further attempt at a write.
func Again(actor, op, first string) history.Invoke {
	return history.Invoke{Actor: actor, Op: op, Name: "tick", RetryOf: first}
}

// Read is the invoke of a read of an actor's counter, Ledger of its ledger.
func Read(actor string) history.Invoke { return history.Invoke{Actor: actor, Name: "getCount"} }

// Ledger is the invoke that reads an actor's ledger back.
func Ledger(actor string) history.Invoke { return history.Invoke{Actor: actor, Name: "ledger"} }

// Count is a good answer with a count.
func Count(n int) history.Return {
	return history.Return{Outcome: history.OK, Status: 200, Value: float64(n), Generation: -1}
}

// Book is a good answer with the operation ids of a ledger.
func Book(ops ...any) history.Return {
	return history.Return{Outcome: history.OK, Status: 200, Value: ops, Generation: -1}
}

// Unknown is the end of an operation that may have taken effect.
func Unknown() history.Return {
	return history.Return{Outcome: history.Info, Cause: history.CauseTimeout, Generation: -1}
}

// Repeated is the actor's answer to an operation that is in its ledger.
func Repeated(actor string) history.Return {
	return history.Return{Outcome: history.Fail, Status: 409, Code: "user.operation_repeated", AnsweredBy: actor, Generation: 1}
}

// NotApplied is the actor's answer that a write certainly had no effect.
func NotApplied(actor string) history.Return {
	return history.Return{Outcome: history.Fail, Status: 500, Code: "user.not_applied", AnsweredBy: actor, Generation: 1}
}
