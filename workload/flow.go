package workload

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
)

// FlowClient is the client of a flow's requests.
const FlowClient = "flow"

// Flow is a constant stream of requests: one every so often, to the actors in
// turn, whoever still waits for an answer. Clients that wait before they ask again
// would send least while answers are slowest, and so count few of those. Each
// actor is asked to tick and for its count by turns.
type Flow struct {
	// Actors that the flow has for itself; 0 is 1.
	Actors int
	// Every is the time between two requests of the flow; 0 is 20 ms.
	Every time.Duration
	// Timeout is the patience with each; 0 is 10 s.
	Timeout time.Duration
}

func (f Flow) withDefaults() Flow {
	f.Actors = max(f.Actors, 1)
	if f.Every == 0 {
		f.Every = 20 * time.Millisecond
	}
	if f.Timeout == 0 {
		f.Timeout = 10 * time.Second
	}
	return f
}

// String is the flow as settings show it.
func (f Flow) String() string {
	f = f.withDefaults()
	return fmt.Sprintf("a request every %v to one of %d actors, timeout %v", f.Every, f.Actors, f.Timeout)
}

// Keys are those of the actors that the flow needs.
func (f Flow) Keys() []string { return Keys("flow", f.withDefaults().Actors) }

// StartFlow has the requests sent until stop, which returns when the last has
// ended. It may be called more than once.
func (c *Counter) StartFlow(ctx context.Context, f Flow, targets []probe.Target) (stop func()) {
	f = f.withDefaults()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c.flow(ctx, f, targets, quit)
	}()
	return sync.OnceFunc(func() { close(quit); <-done })
}

func (c *Counter) flow(ctx context.Context, f Flow, targets []probe.Target, quit <-chan struct{}) {
	var open sync.WaitGroup
	defer open.Wait()
	due := clock.Now()
	for i := 0; ctx.Err() == nil; i++ {
		// By the plan, not by when the one before was sent: a late one is not made
		// up for by fewer.
		if err := clock.UntilOr(ctx, due, quit); err != nil {
			return
		}
		select {
		case <-quit:
			return
		default:
		}
		due = due.Add(f.Every)
		open.Go(func() { c.flowRequest(ctx, f, targets[i%len(targets)], i/len(targets)%2 == 0) })
	}
}

func (c *Counter) flowRequest(ctx context.Context, f Flow, t probe.Target, write bool) {
	r := c.tick(t)
	if !write {
		r = action(t, GetCount)
		r.ReadOnly, r.Decode = true, decodeCount
	}
	r.Client, r.Timeout = FlowClient, f.Timeout
	c.Gateway.Do(ctx, r)
}
