// Package historytest makes histories for the tests of what reads them.
package historytest

import (
	"fmt"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
)

// Builder collects events; times are milliseconds from the trial's start.
type Builder struct {
	H  history.History
	op int
}

// At adds an event.
func (b *Builder) At(ms int, kind history.Kind, body any) *Builder {
	b.H.Events = append(b.H.Events, history.Event{
		Seq: uint64(len(b.H.Events) + 1), T: clock.Mono(time.Second).Add(time.Duration(ms) * time.Millisecond),
		Party: "test", Kind: kind, Body: body,
	})
	return b
}

// Restart adds an engine that is struck, dies, starts and is healthy.
func (b *Builder) Restart(fault, dead, start, healthy int) *Builder {
	b.At(fault, history.KindFault, &history.Fault{Kind: "kill", Target: "engine#1", Phase: history.FaultBegun})
	b.At(dead, history.KindExit, &history.Exit{Role: "engine", Name: "engine", Incarnation: 1, Signal: "SIGKILL", Code: 137, ToDeathNS: int64(dead-fault) * 1e6, Source: "pidfd", LogLines: 9})
	b.At(dead, history.KindFault, &history.Fault{Kind: "kill", Target: "engine#1", Phase: history.FaultLanded})
	b.At(start, history.KindContainer, &history.Container{Role: "engine", Incarnation: 2, What: history.ContainerStarting})
	return b.At(healthy, history.KindHealth, &history.Health{What: "ok"})
}

// Op adds an operation that begins and returns at the given times; a negative
// end leaves it open.
func (b *Builder) Op(begin, end int, inv history.Invoke, ret history.Return) *Builder {
	b.op++
	if inv.Op == "" {
		inv.Op = fmt.Sprintf("op%d", b.op)
	}
	ret.Op = inv.Op
	b.At(begin, history.KindInvoke, &inv)
	if end >= 0 {
		b.At(end, history.KindReturn, &ret)
	}
	return b
}

// Probe is the invoke of a sweep's probe; Recovery of one that follows it.
func Probe(actor string, delay time.Duration) history.Invoke {
	return history.Invoke{Actor: actor, Key: "key-" + actor, Name: "health", Probe: probe.ProbeName, DelayNS: int64(delay), TimeoutNS: 1e9}
}

// Recovery is the invoke of a probe after one without an answer.
func Recovery(actor string) history.Invoke {
	return history.Invoke{Actor: actor, Key: "key-" + actor, Name: "health", Probe: probe.RecoveryName}
}

// OK is a good answer of the actor.
func OK(actor string, generation int64) history.Return {
	return history.Return{Outcome: history.OK, Status: 200, AnsweredBy: actor, Generation: generation}
}

// TimedOut is the client's patience ending.
func TimedOut() history.Return {
	return history.Return{Outcome: history.Fail, Cause: history.CauseTimeout, Generation: -1}
}

// End completes the history and returns it.
func (b *Builder) End(ms int) *history.History {
	b.At(ms, history.KindEnd, &history.End{State: history.EndComplete})
	return &b.H
}
