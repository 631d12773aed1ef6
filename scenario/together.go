package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
)

// BothKilled kills engine and runtime by SIGKILL: the engine first and the runtime
// gap later, or the other way round where gap is negative, or, with a gap of 0, both
// within the same millisecond, as a node does that fails. The runtime is started
// again at once, by itself, and the engine as after any fault.
func BothKilled(gap time.Duration) fault.Fault { return bothKilled{gap} }

type bothKilled struct{ gap time.Duration }

// cellFault is a fault that needs more than its target.
type cellFault interface {
	strikeCell(ctx context.Context, c *containers.Cell) error
}

var errNeedsCell = errors.New("it strikes the runtime as well, and so must be a scenario's fault")

func (bothKilled) Strike(context.Context, fault.Target) (history.Exit, error) {
	return history.Exit{}, errNeedsCell
}

func (f bothKilled) String() string {
	switch {
	case f.gap > 0:
		return fmt.Sprintf("SIGKILL, and SIGKILL of the runtime %v later", f.gap)
	case f.gap < 0:
		return fmt.Sprintf("SIGKILL, %v after SIGKILL of the runtime", -f.gap)
	}
	return "SIGKILL, and SIGKILL of the runtime in the same millisecond"
}

func (f bothKilled) strikeCell(ctx context.Context, c *containers.Cell) error {
	targets := []*containers.Container{c.Engine, c.Runtime}
	if f.gap < 0 {
		targets[0], targets[1] = targets[1], targets[0]
	}
	if err := containers.KillTogether(ctx, max(f.gap, -f.gap), targets...); err != nil {
		return err
	}
	if err := c.Runtime.Start(ctx); err != nil {
		return err
	}
	return c.WaitRuntime(ctx)
}
