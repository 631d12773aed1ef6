// Package bug makes the fixture wrong on purpose, in one way at a time, to
// prove that an invariant can fail.
//
// A bug is planted from outside: it wraps what an actor stands on (its
// database, its heartbeat), the actor itself, or the events of the process. The
// code it spoils does not know about it.
package bug

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/fixture-image/internal/counter"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Name is a planted bug's.
type Name string

// The bugs. None is the healthy fixture.
const (
	None Name = ""
	// AckBeforeCommit answers a write at once and sends its COMMIT later.
	AckBeforeCommit Name = "ack-before-commit"
	// ApplyRetryTwice does not see that an operation is in the ledger already.
	ApplyRetryTwice Name = "apply-retry-twice"
	// SwallowCommitError answers a write whose COMMIT failed as if it had not.
	SwallowCommitError Name = "swallow-commit-error"
	// WriteAfterStop goes on writing when it has reported that it stopped.
	WriteAfterStop Name = "write-after-stop"
	// TwoLiveGenerations keeps a generation alive that was told to stop.
	TwoLiveGenerations Name = "two-live-generations"
	// HealthWhileDead answers /health, and nothing else, after the first lost
	// connection.
	HealthWhileDead Name = "health-while-dead"
	// HeartbeatNeverResumes does not beat again after the first lost
	// connection.
	HeartbeatNeverResumes Name = "heartbeat-never-resumes"
	// AnswerWrongKey has every third request answered by another actor.
	AnswerWrongKey Name = "answer-wrong-key"
)

// Names are all bugs, without None.
var Names = []Name{
	AckBeforeCommit, ApplyRetryTwice, SwallowCommitError, WriteAfterStop,
	TwoLiveGenerations, HealthWhileDead, HeartbeatNeverResumes, AnswerWrongKey,
}

// Parse reads a bug's name; empty is None.
func Parse(s string) (Name, error) {
	known := make([]string, len(Names))
	for i, n := range Names {
		if s == string(n) {
			return n, nil
		}
		known[i] = string(n)
	}
	if s == "" {
		return None, nil
	}
	return None, fmt.Errorf("bug %.40q: use %s, or nothing for none", s, strings.Join(known, ", "))
}

// hooks are where a bug changes the fixture. A nil one leaves it as it is.
type hooks struct {
	database func(*Plant, counter.Identity, counter.Database) counter.Database
	beat     func(*Plant, counter.Identity, counter.Beat) counter.Beat
	actor    func(*Plant, counter.Identity, envoy.Actor) envoy.Actor
}

var bugs = map[Name]hooks{
	None:                  {},
	AckBeforeCommit:       {database: ackBeforeCommit},
	ApplyRetryTwice:       {database: applyRetryTwice},
	SwallowCommitError:    {database: swallowCommitError},
	WriteAfterStop:        {database: followNewest, actor: writeAfterStop},
	TwoLiveGenerations:    {database: followNewest, actor: neverStop},
	HealthWhileDead:       {database: dieWithConnection},
	HeartbeatNeverResumes: {beat: beatUntilLost},
	AnswerWrongKey:        {actor: answerWrongKey},
}

// Struck is the body of a "runtime.bug" event: the bug did its harm. Who wants
// to know whether it was caught must know that first.
type Struck struct {
	Bug        Name   `json:"bug"`
	Actor      string `json:"actor"`
	Generation uint32 `json:"generation"`
	What       string `json:"what"`
}

// KindStruck is its kind.
const KindStruck history.Kind = "runtime.bug"

// Plant is the bug of a process.
type Plant struct {
	name Name
	hooks
	record func(history.Kind, any)

	life   context.Context
	end    context.CancelFunc
	joined sync.WaitGroup

	mu     sync.Mutex
	newest map[string]counter.Database // of each actor, that of its newest generation
	actors map[string]envoy.Actor      // the running ones, by actor id

	greeted, lost atomic.Bool // a connection was made, and lost since
	nth           atomic.Uint64
}

// New makes the plant of a process. record takes its events.
func New(n Name, record func(history.Kind, any)) *Plant {
	p := &Plant{name: n, hooks: bugs[n], record: record, newest: map[string]counter.Database{}, actors: map[string]envoy.Actor{}}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Close ends what the bug left running, and waits for it.
func (p *Plant) Close() {
	p.end()
	p.joined.Wait()
}

// Seams are the plant's for an actor.
func (p *Plant) Seams() counter.Seams {
	var s counter.Seams
	if p.database != nil {
		s.Database = func(id counter.Identity, db counter.Database) counter.Database { return p.database(p, id, db) }
	}
	if p.beat != nil {
		s.Beat = func(id counter.Identity, b counter.Beat) counter.Beat { return p.beat(p, id, b) }
	}
	return s
}

// Actors wraps the making of actors.
func (p *Plant) Actors(next func(*envoy.Handle) envoy.Actor) func(*envoy.Handle) envoy.Actor {
	if p.actor == nil {
		return next
	}
	return func(h *envoy.Handle) envoy.Actor {
		return p.actor(p, counter.Identity{Actor: h.ID, Key: h.Key, Generation: h.Generation}, next(h))
	}
}

// Recorder watches the events of the process on their way to next: that is how
// the plant knows when the connection was lost.
func (p *Plant) Recorder(next history.Recorder) history.Recorder { return watcher{p, next} }

type watcher struct {
	p    *Plant
	next history.Recorder
}

func (w watcher) Record(party string, kind history.Kind, body any) {
	w.RecordAt(clock.Now(), party, kind, body)
}

func (w watcher) RecordAt(t clock.Mono, party string, kind history.Kind, body any) {
	if e, ok := body.(history.Envoy); ok {
		switch e.What {
		case "init":
			w.p.greeted.Store(true)
		case "closed":
			w.p.lost.Store(w.p.greeted.Load())
		}
	}
	w.next.RecordAt(t, party, kind, body)
}

func (p *Plant) struck(id counter.Identity, what string) {
	p.record(KindStruck, Struck{p.name, id.Actor, id.Generation, what})
}

// every reports each nth call.
func (p *Plant) every(n uint64) bool { return p.nth.Add(1)%n == 0 }

// pause waits for d, or is false where the process ended first. It is part of
// what the bugs do, not a wait for an event.
func (p *Plant) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.life.Done():
		return false
	}
}
