package workload

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivetkit"
)

// GetCount is the name of the read in a history.
const GetCount = "getCount"

// Load is what clients do to the actors while a trial goes on: each ticks and
// reads the count in turn, one action at a time.
type Load struct {
	// Actors that the load has for itself: a probe of a sweep must find an
	// actor that nobody else talks to. 0 is 1.
	Actors int
	// Clients of each actor; 0 is 1.
	Clients int
	// Pause between two actions of a client; 0 is 20 ms, so that the load
	// never fills the machine.
	Pause time.Duration
	// Timeout is the clients' patience; 0 is 1 s.
	Timeout time.Duration
	// Retry sends a tick whose outcome is unknown once more, under the same
	// operation id, as an at-least-once client does. Without it the outcome
	// stays open, as in Jepsen.
	Retry bool
}

const (
	defaultPause   = 20 * time.Millisecond
	defaultTimeout = time.Second
	// mostActions bounds a client that nobody stops.
	mostActions = 10_000
)

func (l Load) withDefaults() Load {
	l.Actors, l.Clients = max(l.Actors, 1), max(l.Clients, 1)
	if l.Pause == 0 {
		l.Pause = defaultPause
	}
	if l.Timeout == 0 {
		l.Timeout = defaultTimeout
	}
	return l
}

// String is the load as settings show it.
func (l Load) String() string {
	l = l.withDefaults()
	return fmt.Sprintf("%d actors with %d clients each, a pause of %v, timeout %v, retry %v", l.Actors, l.Clients, l.Pause, l.Timeout, l.Retry)
}

// ActorCount is how many actors the load needs.
func (l Load) ActorCount() int { return l.withDefaults().Actors }

// Start sets the clients to work. stop has each finish the action it is at,
// and returns when all have; it may be called more than once.
func (c *Counter) Start(ctx context.Context, l Load, targets []probe.Target) (stop func()) {
	l = l.withDefaults()
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for _, t := range targets {
		for n := range l.Clients {
			wg.Go(func() { c.client(ctx, quit, l, t, n) })
		}
	}
	return sync.OnceFunc(func() { close(quit); wg.Wait() })
}

func (c *Counter) client(ctx context.Context, quit <-chan struct{}, l Load, t probe.Target, n int) {
	name := fmt.Sprintf("%s/%d", t.Key, n)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for i := range mostActions {
		select {
		case <-ctx.Done():
			return
		case <-quit:
			return
		case <-pause.C:
		}
		if i%2 == 0 {
			c.loadTick(ctx, l, t, name)
		} else {
			c.loadRead(ctx, l, t, name)
		}
		pause.Reset(l.Pause)
	}
}

func (c *Counter) loadTick(ctx context.Context, l Load, t probe.Target, client string) {
	r := c.tick(t)
	r.Client, r.Timeout = client, l.Timeout
	ret := c.Gateway.Do(ctx, r)
	if !l.Retry || ret.Outcome != history.Info {
		return
	}
	// The body, and in it the operation's id, stays; in the history the
	// second attempt is an action of its own.
	r.RetryOf, r.Op = r.Op, c.Gateway.NextOp()
	c.Gateway.Do(ctx, r)
}

func (c *Counter) loadRead(ctx context.Context, l Load, t probe.Target, client string) {
	r := action(t, GetCount)
	r.Client, r.Timeout, r.ReadOnly, r.Decode = client, l.Timeout, true, decodeCount
	c.Gateway.Do(ctx, r)
}

// tick is the request of one write, under an operation id of its own.
func (c *Counter) tick(t probe.Target) probe.Request {
	op := c.Gateway.NextOp()
	r := c.tickAs(t, op)
	r.Op = op
	return r
}

// tickAs is the request of a write under an operation id.
func (c *Counter) tickAs(t probe.Target, id string) probe.Request {
	const payloadBytes = 16
	r := action(t, Tick, payloadBytes, id)
	r.Timeout, r.NoEffect, r.Decode = c.Timeout, notApplied, decodeTick
	return r
}

// notApplied are the answers by which the fixture vouches that a write had no
// effect. That its operation id is in the ledger already is none of them: the
// gateway may have delivered this one request before.
func notApplied(code string) bool {
	return code == "user.not_applied" || code == "actor.invalid_request"
}

// decodeTick keeps the count after a write.
func decodeTick(b []byte) (any, error) {
	out, err := rivetkit.DecodeResponse(rivetkit.JSON, b)
	if err != nil {
		return nil, err
	}
	fields, ok := out.(map[string]any)
	if !ok || fields["count"] == nil {
		return nil, fmt.Errorf("tick answers %v, not an object with a count", out)
	}
	return fields["count"], nil
}

func decodeCount(b []byte) (any, error) {
	return rivetkit.DecodeResponse(rivetkit.JSON, b)
}
