// Package clock reads the kernel's monotonic clock, and waits by it.
//
// Every party of a trial on one host (harness, runtime, tap) stamps its events
// with the same kernel's CLOCK_MONOTONIC, so that their order needs no
// correction for skew. Go's time package keeps its monotonic reading private
// and relative to the process, which is why it cannot serve here.
package clock

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mono is an instant on the host's CLOCK_MONOTONIC, in nanoseconds since an
// arbitrary start that all processes of one boot share.
type Mono int64

// Now reads the clock.
func Now() Mono {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		// The kernel documents no failure for this clock; without it no event could be ordered.
		panic(fmt.Sprintf("clock: read CLOCK_MONOTONIC: %v", err))
	}
	return Mono(ts.Nano())
}

// Sub is the time from u to t.
func (t Mono) Sub(u Mono) time.Duration { return time.Duration(t - u) }

// Add is the instant d after t.
func (t Mono) Add(d time.Duration) Mono { return t + Mono(d) }

// Until returns at t, or before with the cause of ctx's end.
func Until(ctx context.Context, t Mono) error { return UntilOr(ctx, t, nil) }

// UntilOr is Until, which returns before t also when sooner is closed.
func UntilOr(ctx context.Context, t Mono, sooner <-chan struct{}) error {
	timer := time.NewTimer(t.Sub(Now()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-sooner:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// BootID names this boot of this kernel. Two parties with the same one share
// the clock; with different ones their offset has to be measured.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the kernel's boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
