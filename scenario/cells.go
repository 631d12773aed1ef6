package scenario

import (
	"context"

	"github.com/killpoint/killpoint/containers"
)

// Cells gives trials their cells, and takes them back.
type Cells interface {
	// Get gives a cell as [containers.Session.Run] makes it.
	Get(ctx context.Context, cfg containers.CellConfig) (*containers.Cell, error)
	// Put takes it back. Until it returns the trial's history is open: it ends
	// with the exits of the cell's parties. sound is whether the trial went as
	// planned, so that the cell may serve again.
	Put(ctx context.Context, c *containers.Cell, sound bool) error
}

// ownCells makes one for each trial, and removes it.
type ownCells struct{ session *containers.Session }

func (o ownCells) Get(ctx context.Context, cfg containers.CellConfig) (*containers.Cell, error) {
	return o.session.Run(ctx, cfg)
}

func (ownCells) Put(ctx context.Context, c *containers.Cell, _ bool) error { return c.Close(ctx) }

func (t *trial) cells() Cells {
	if t.Cells != nil {
		return t.Cells
	}
	return ownCells{t.session}
}
