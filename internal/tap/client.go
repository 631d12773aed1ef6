package tap

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/killpoint/killpoint/rivet"
)

// Client asks a tap over its control port.
type Client struct {
	base, token string
	http        *http.Client
}

// NewClient is a client of the control port at base, as in
// "http://127.0.0.1:20001". It dials loopback addresses only, and the hosts
// given.
func NewClient(base, token string, hosts ...string) *Client {
	return &Client{strings.TrimSuffix(base, "/"), token, &http.Client{Transport: rivet.GuardedTransport(hosts...)}}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// RefusedError is the tap's word that it did not do what it was asked.
type RefusedError struct {
	Status int // of HTTP
	Text   string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the tap refused (%d): %s", e.Status, e.Text)
}

// Announce tells which process the role, "engine" or "runtime", is from now on.
// The error says what the executioner lacks.
func (c *Client) Announce(ctx context.Context, role string, to Target) error {
	return c.call(ctx, "announce "+role, http.MethodPut, "/targets/"+url.PathEscape(role), to, nil)
}

// Withdraw takes an announcement back.
func (c *Client) Withdraw(ctx context.Context, role string) error {
	return c.call(ctx, "withdraw "+role, http.MethodDelete, "/targets/"+url.PathEscape(role), nil, nil)
}

// Arm gives the tap a rule.
func (c *Client) Arm(ctx context.Context, r Rule) error {
	return c.call(ctx, fmt.Sprintf("arm rule %q", r.ID), http.MethodPut, rulePath(r.ID), r, nil)
}

func rulePath(id string) string { return "/rules/" + url.PathEscape(id) }

// pollFor is the length of one of Wait's calls.
const pollFor = 10 * time.Second

// Wait returns the rule's outcome when its state is another than not, or final.
// When ctx ends first it returns the last outcome that it saw with the error.
func (c *Client) Wait(ctx context.Context, id string, not State) (Outcome, error) {
	q := url.Values{"wait": {pollFor.String()}, "not": {string(not)}}
	var last Outcome
	for {
		var out Outcome
		err := c.call(ctx, fmt.Sprintf("wait for rule %q", id), http.MethodGet, rulePath(id)+"?"+q.Encode(), nil, &out)
		if err != nil {
			return last, err
		}
		if last = out; out.State != not || out.State.Final() {
			return out, nil
		}
	}
}

// Release lets the frame go that a rule holds, and returns when it has gone.
func (c *Client) Release(ctx context.Context, id string, word Held) (Outcome, error) {
	var out Outcome
	err := c.call(ctx, fmt.Sprintf("release rule %q", id), http.MethodPost, rulePath(id)+"/release?held="+url.QueryEscape(string(word)), nil, &out)
	return out, err
}

// Disarm takes a rule back, and tells how far it had come. A frame that it
// holds is delivered.
func (c *Client) Disarm(ctx context.Context, id string) (Outcome, error) {
	var out Outcome
	err := c.call(ctx, fmt.Sprintf("disarm rule %q", id), http.MethodDelete, rulePath(id), nil, &out)
	return out, err
}

// Strike strikes at once. A strike that failed is no error: its outcome says so.
func (c *Client) Strike(ctx context.Context, s Strike) (Outcome, error) {
	var out Outcome
	err := c.call(ctx, fmt.Sprintf("strike the %s with %s", s.Target, s.Signal), http.MethodPost, "/strike", s, &out)
	return out, err
}

// Cut ends the connections of a wire, "" for all, and counts them.
func (c *Client) Cut(ctx context.Context, w Wire) (int, error) {
	var out struct {
		Cut int `json:"cut"`
	}
	err := c.call(ctx, "cut connections", http.MethodPost, "/connections/cut?wire="+url.QueryEscape(string(w)), nil, &out)
	return out.Cut, err
}

// State says how the tap is now.
func (c *Client) State(ctx context.Context) (Status, error) {
	var out Status
	err := c.call(ctx, "ask for the state", http.MethodGet, "/state", nil, &out)
	return out, err
}

func (c *Client) call(ctx context.Context, what, method, path string, in, out any) error {
	if err := c.exchange(ctx, method, path, in, out); err != nil {
		return fmt.Errorf("%s at the tap: %w", what, err)
	}
	return nil
}

func (c *Client) exchange(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // the status says enough
		return &RefusedError{resp.StatusCode, strings.TrimSpace(string(text))}
	}
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
