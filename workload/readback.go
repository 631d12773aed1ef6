package workload

import (
	"context"
	"sync"

	"github.com/killpoint/killpoint/probe"
)

// ReadLedgers reads each actor's ledger back, once. An actor that does not
// answer leaves that in the history, where the verdict will find it.
func (c *Counter) ReadLedgers(ctx context.Context, targets []probe.Target) {
	c.readEach(ctx, targets, Ledger, decodeLedger)
}

// ReadCounts reads each actor's count, once. Before the ledgers: whatever a
// count contains must be in a ledger that is read later, which shows a write
// that was booked once and counted twice. In the other order a write of unknown
// outcome might explain it, by taking effect between the two.
func (c *Counter) ReadCounts(ctx context.Context, targets []probe.Target) {
	c.readEach(ctx, targets, GetCount, decodeCount)
}

// readEach calls one read on every actor, a few at a time.
func (c *Counter) readEach(ctx context.Context, targets []probe.Target, name string, decode func([]byte) (any, error)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, warmers)
	for _, t := range targets {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			r := action(t, name)
			r.ReadOnly, r.Timeout, r.Decode = true, c.Timeout, decode
			c.Gateway.Do(ctx, r)
		})
	}
	wg.Wait()
}
