package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/killpoint/killpoint/internal/clock"
)

const (
	// pollInterval is how often a party is asked whether it serves yet: nothing
	// announces it, since a published port accepts connections long before the
	// party listens. The interval bounds what a measured window can be off by;
	// asking this often is safe because the sandbox, and so the address, is
	// always there.
	pollInterval = 5 * time.Millisecond
	// attemptTimeout bounds one question. One that is accepted and then lost must
	// not hide that the party serves.
	attemptTimeout = 500 * time.Millisecond
)

// answer is the first good answer to a poll.
type answer struct {
	t clock.Mono
	// uncertain: the party may have served this much earlier.
	uncertain time.Duration
	body      []byte
}

// pollUntilOK asks url until it answers 200, the party's incarnation ends, or
// ctx does. since is the earliest instant at which it could have answered.
func (c *Container) pollUntilOK(ctx context.Context, client *http.Client, url string, since clock.Mono) (answer, error) {
	l := c.current()
	if l == nil {
		return answer{}, fmt.Errorf("wait for %s: %w", c.name, ErrNotRunning)
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	seen := errors.New("no answer yet")
	for {
		asked := clock.Now()
		body, err := ask(ctx, client, url)
		if err == nil {
			now := clock.Now()
			return answer{t: now, uncertain: now.Sub(since), body: body}, nil
		}
		if ctx.Err() == nil { // else err is but the wait's own end
			seen = err
		}
		since = asked // it did not serve at some time after this
		select {
		case <-l.exited:
			return answer{}, fmt.Errorf("wait for %s to answer: %w", url, c.exitedError(l))
		case <-ctx.Done():
			return answer{}, fmt.Errorf("wait for %s to answer at %s: %w; last seen: %w; its last lines: %s",
				c.name, url, context.Cause(ctx), seen, tail(l.book.all(), tailLines))
		case <-tick.C:
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) (_ []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %.200s", resp.StatusCode, body)
	}
	return body, nil
}
