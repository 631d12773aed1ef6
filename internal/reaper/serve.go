package reaper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
)

const (
	// sweepTimeout bounds one sweep, retries included.
	sweepTimeout = 60 * time.Second
	// settle is how long nothing must turn up after a session that ended without
	// a farewell: the daemon may still be at work on its last request.
	settle = 2 * time.Second
	// sweepPoll is how often the daemon is asked what is left. It has events for
	// removals, but none for "there is no more".
	sweepPoll = 250 * time.Millisecond
)

// Serve is the container's side: it says that it is ready when the daemon
// answers, waits until the session says farewell or is gone, and removes what
// bears its label, and at last its own container. In is the session's side of the
// connection; one that has ended is a lost session.
func Serve(ctx context.Context, docker client.APIClient, session string, in io.Reader, out io.Writer) error {
	if session == "" {
		return errors.New("the session has no name")
	}
	// Listing is what the sweep starts with; a daemon that refuses it is found out now.
	if _, err := list(ctx, docker, session); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, readyLine); err != nil {
		return err
	}
	quiet := settle
	if saidFarewell(in) {
		quiet = 0
	}
	sweepCtx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	err := sweep(sweepCtx, docker, session, quiet, out)
	// Said before the removal, which ends this process.
	last := doneLine
	if err != nil {
		last = err.Error()
	}
	_, sayErr := fmt.Fprintln(out, last)
	return errors.Join(err, sayErr, removeReaper(ctx, docker, session))
}

// saidFarewell waits for the farewell or for the end of the session, whichever
// comes first.
func saidFarewell(in io.Reader) bool {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if lines.Text() == farewell {
			return true
		}
	}
	return false
}

// sweep removes until nothing has turned up for the time quiet.
func sweep(ctx context.Context, docker client.APIClient, session string, quiet time.Duration, out io.Writer) error {
	tick := time.NewTicker(sweepPoll)
	defer tick.Stop()
	var lastErr error
	emptySince := time.Time{}
	for {
		left, err := list(ctx, docker, session)
		switch {
		case err != nil:
			lastErr, emptySince = err, time.Time{}
		case len(left) > 0:
			emptySince = time.Time{}
			if lastErr = removeAll(ctx, docker, left, out); lastErr == nil {
				continue
			}
		case emptySince.IsZero():
			emptySince = time.Now()
		}
		if !emptySince.IsZero() && time.Since(emptySince) >= quiet {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("session %s is not all removed: %w", session, errors.Join(context.Cause(ctx), lastErr))
		case <-tick.C:
		}
	}
}

func labelled(session string) filters.Args {
	return filters.NewArgs(filters.Arg("label", SessionLabel+"="+session))
}
