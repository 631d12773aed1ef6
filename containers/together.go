package containers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// KillTogether sends SIGKILL to the current incarnation of each container, by
// [WayPidfd], each gap after the one before, and waits for their ends. Without a
// gap the signals are sent within a small part of a millisecond; the exit records
// say when. On error some may have been killed.
func KillTogether(ctx context.Context, gap time.Duration, targets ...*Container) error {
	lives, faults := make([]*life, len(targets)), make([]fault, len(targets))
	for i, c := range targets {
		l, err := c.living()
		if err != nil {
			return fmt.Errorf("kill %s: %w", c.name, err)
		}
		// Written down before the first signal: the file must not come between two.
		lives[i], faults[i] = l, c.fault("kill", WayPidfd, "SIGKILL")
		faults[i].record(history.FaultBegun, "")
	}
	for i, l := range lives {
		if i > 0 && gap > 0 {
			if err := clock.Until(ctx, clock.Now().Add(gap)); err != nil {
				return fmt.Errorf("wait %v before the kill of %s: %w", gap, targets[i].name, err)
			}
		}
		if err := l.send(ctx, "SIGKILL", WayPidfd); err != nil {
			faults[i].record(history.FaultFailed, err.Error())
			return targets[i].session.explain("kill "+targets[i].name, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no exit within %v after the signal", callTimeout))
	defer cancel()
	var errs []error
	for i, l := range lives {
		if _, err := l.wait(ctx); err != nil {
			faults[i].record(history.FaultFailed, err.Error())
			errs = append(errs, targets[i].session.explain("kill "+targets[i].name, err))
			continue
		}
		faults[i].landed(l.diedAt())
	}
	return errors.Join(errs...)
}
