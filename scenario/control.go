package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/killpoint/killpoint/rivet"
)

// fixtureControl is the port of the fixture's control channel.
const fixtureControl = 8081

// controlBound is the patience with one call of the control channel.
const controlBound = 10 * time.Second

// ErrNoControl says that the runtime has no control channel: what needs a
// breakpoint cannot be carried out with it.
var ErrNoControl = errors.New("the runtime has no control channel, which breakpoints need: use the fixture")

// Arm has the fixture hold the next one that reaches the breakpoint, for at
// most deadline.
func (s *Stage) Arm(ctx context.Context, breakpoint string, deadline time.Duration) error {
	return s.ArmFor(ctx, breakpoint, "", deadline)
}

// ArmFor is Arm for one actor, or for whoever comes first where that is "".
func (s *Stage) ArmFor(ctx context.Context, breakpoint, actor string, deadline time.Duration) error {
	q := url.Values{"deadline": {deadline.String()}}
	if actor != "" {
		q.Set("actor", actor)
	}
	return s.control(ctx, breakpoint, "arm?"+q.Encode())
}

// Release lets everyone go whom the breakpoint holds.
func (s *Stage) Release(ctx context.Context, breakpoint string) error {
	return s.control(ctx, breakpoint, "release")
}

func (s *Stage) control(ctx context.Context, breakpoint, do string) (err error) {
	base := s.Cell.Control()
	if base == "" {
		return fmt.Errorf("%s breakpoint %s: %w", do, breakpoint, ErrNoControl)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s breakpoint %s on the runtime's control channel: %w", do, breakpoint, err)
		}
	}()
	ctx, cancel := bounded(ctx, controlBound, "the runtime's control channel")
	defer cancel()
	at := fmt.Sprintf("%s/breakpoints/%s/%s", base, url.PathEscape(breakpoint), do)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, nil)
	if err != nil {
		return err
	}
	transport := rivet.GuardedTransport(req.URL.Hostname())
	transport.DisableKeepAlives = true
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read in full below
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, strings.TrimSpace(string(body)))
	}
	return err
}
