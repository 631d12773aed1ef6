package workload

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/probe"
)

// ReadCounts reads each actor's count, once. Before the ledgers: whatever a
// count contains must be in a ledger that is read later, which shows a write
// that was booked once and counted twice. In the other order a write of unknown
// outcome might explain it, by taking effect between the two.
func (c *Counter) ReadCounts(ctx context.Context, targets []probe.Target) {
	var g errgroup.Group
	g.SetLimit(warmers)
	for _, t := range targets {
		g.Go(func() error {
			r := action(t, GetCount)
			r.ReadOnly, r.Timeout, r.Decode = true, c.Timeout, decodeCount
			c.Gateway.Do(ctx, r)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // no function above returns one
}
