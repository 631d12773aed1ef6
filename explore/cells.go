package explore

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/scenario"
)

// Cells keeps the cells of trials that went as planned, and makes them new for
// further ones of the same configuration, which takes a quarter of the time of
// making and removing one. It is safe for concurrent use.
type Cells struct {
	session *containers.Session

	mu   sync.Mutex
	cfgs map[*containers.Cell]containers.CellConfig
	idle []*containers.Cell
}

var _ scenario.Cells = (*Cells)(nil)

// NewCells makes an empty stock of cells. Close it when its trials are over.
func NewCells(s *containers.Session) *Cells {
	return &Cells{session: s, cfgs: map[*containers.Cell]containers.CellConfig{}}
}

// Get implements [scenario.Cells].
func (c *Cells) Get(ctx context.Context, cfg containers.CellConfig) (*containers.Cell, error) {
	cfg.Name = "explore" // of all of the trials
	if cell := c.take(cfg); cell != nil {
		if err := cell.Renew(ctx, cfg.Recorder); err != nil {
			return nil, errors.Join(err, c.discard(ctx, cell))
		}
		return cell, nil
	}
	cell, err := c.session.Run(ctx, cfg)
	if err == nil {
		cfg.Recorder = nil
		c.mu.Lock()
		c.cfgs[cell] = cfg
		c.mu.Unlock()
	}
	return cell, err
}

// take is an idle cell of the configuration, or nil.
func (c *Cells) take(cfg containers.CellConfig) *containers.Cell {
	cfg.Recorder = nil
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, cell := range c.idle {
		if reflect.DeepEqual(c.cfgs[cell], cfg) {
			c.idle = slices.Delete(c.idle, i, i+1)
			return cell
		}
	}
	return nil
}

// Put implements [scenario.Cells]. Only a cell of a trial that went as planned is
// kept: of another nobody knows what it is in.
func (c *Cells) Put(ctx context.Context, cell *containers.Cell, sound bool) error {
	if !sound {
		return c.discard(ctx, cell)
	}
	if err := cell.Halt(ctx); err != nil {
		return errors.Join(err, c.discard(ctx, cell))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, cell)
	return nil
}

func (c *Cells) discard(ctx context.Context, cell *containers.Cell) error {
	c.mu.Lock()
	delete(c.cfgs, cell)
	c.mu.Unlock()
	return cell.Close(context.WithoutCancel(ctx)) // which has a bound of its own
}

// closeBound is how long the removal of all cells may take.
const closeBound = 2 * time.Minute

// Close removes the cells that are kept.
func (c *Cells) Close() error {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeBound)
	defer cancel()
	errs := make([]error, len(idle))
	var wg sync.WaitGroup
	for i, cell := range idle {
		wg.Go(func() { errs[i] = c.discard(ctx, cell) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
