// Package cache keeps what is dear to make and safe to lose: fetched engines
// and compiled binaries. It lives in the user's cache directory and is shared
// by all processes of that user, which is why there is a lock.
package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often a held lock is tried again. flock(2) knows no deadline,
// and a blocked call cannot be cancelled from Go, so polling is all there is.
const lockPoll = 50 * time.Millisecond

// Dir makes and returns the directory elem... of killpoint's cache, by default
// below ~/.cache/killpoint (XDG_CACHE_HOME moves it).
func Dir(elem ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory (set XDG_CACHE_HOME or HOME): %w", err)
	}
	dir := filepath.Join(append([]string{base, "killpoint"}, elem...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	return dir, nil
}

// Lock takes the lock file at path, making it where it is missing, and waits for
// another holder until ctx ends. The kernel drops the lock with its process, so
// no killed process leaves it behind. The file itself stays.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := flock(ctx, f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s (held by another process?): %w", path, err), f.Close())
	}
	return f.Close, nil
}

func flock(ctx context.Context, f *os.File) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
