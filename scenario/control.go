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

// ErrNoControl says that the runtime has no control channel, over which its
// breakpoints are set and its connection is cut.
var ErrNoControl = errors.New("the runtime has no control channel: use the fixture")

// Place is where the fixture holds what reaches it: one of its breakpoints.
type Place string

// The places, which docs/history.md describes.
const (
	OnStart       Place = "on-start"       // a generation begins
	BeforeRunning Place = "before-running" // a generation is ready, the engine is not told
	BetweenWrites Place = "between-writes" // of a counter's transaction
	BeforeCommit  Place = "before-commit"  // all of a transaction is written, COMMIT is not sent
	AfterCommit   Place = "after-commit"   // COMMIT is confirmed, the caller has no answer
	OnStop        Place = "on-stop"        // a generation was told to stop and did nothing yet
	InDrain       Place = "in-drain"       // the process was signalled and told the engine nothing yet
	MidStream     Place = "mid-stream"     // between the first chunk of a stream and its second
)

// Places are all of them.
var Places = []Place{OnStart, BeforeRunning, BetweenWrites, BeforeCommit, AfterCommit, OnStop, InDrain, MidStream}

// Arm has the fixture hold the next one that reaches the place, for at most
// deadline.
func (s *Stage) Arm(ctx context.Context, at Place, deadline time.Duration) error {
	return s.ArmFor(ctx, at, "", deadline)
}

// ArmFor is Arm for one actor, or for whoever comes first where that is "".
func (s *Stage) ArmFor(ctx context.Context, at Place, actor string, deadline time.Duration) error {
	q := url.Values{"deadline": {deadline.String()}}
	if actor != "" {
		q.Set("actor", actor)
	}
	_, err := s.control(ctx, "arm breakpoint "+string(at), breakpointPath(at)+"/arm?"+q.Encode())
	return err
}

// Release lets everyone go who is held at the place.
func (s *Stage) Release(ctx context.Context, at Place) error {
	_, err := s.control(ctx, "release breakpoint "+string(at), breakpointPath(at)+"/release")
	return err
}

func breakpointPath(at Place) string { return "/breakpoints/" + url.PathEscape(string(at)) }

// cutConnection ends the runtime's connection to the engine.
func (s *Stage) cutConnection(ctx context.Context) error {
	const what = "cut the runtime's connection"
	said, err := s.control(ctx, what, "/connection/cut")
	if err == nil && said != `{"cut":true}` {
		err = fmt.Errorf("%s: the control channel answered %.100q", what, said)
	}
	return err
}

// control has the fixture do what the path says, and returns its answer; what is
// how errors call it.
func (s *Stage) control(ctx context.Context, what, path string) (string, error) {
	base := s.Cell.Control()
	if base == "" {
		return "", fmt.Errorf("%s: %w", what, ErrNoControl)
	}
	ctx, cancel := bounded(ctx, controlBound, "the runtime's control channel")
	defer cancel()
	said, err := post(ctx, base+path)
	if err != nil {
		return "", fmt.Errorf("%s by the runtime's control channel: %w", what, err)
	}
	return said, nil
}

// post returns the answer's text. An answer that says error is one.
func post(ctx context.Context, at string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, nil)
	if err != nil {
		return "", err
	}
	transport := rivet.GuardedTransport(req.URL.Hostname())
	transport.DisableKeepAlives = true
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read in full below
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	said := strings.TrimSpace(string(body))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, said)
	}
	return said, err
}
