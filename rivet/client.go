// Package rivet is a client of the Rivet engine's public API, as far as a
// trial needs it: namespaces, runner configurations, actors, health.
//
// Nothing in it retries. What the engine answered is what the caller sees,
// because in a trial a retried error is a lost observation.
package rivet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultToken is the bearer token of an engine without an auth section in
// its configuration; it accepts any.
const DefaultToken = "dev"

// maxBody bounds the answers that are read: the largest, a list of actors,
// takes some kilobytes.
const maxBody = 4 << 20

// defaultTimeout bounds a call whose context has no nearer deadline. The
// engine itself gives up on a route after 60 s.
const defaultTimeout = 60 * time.Second

// Client calls one engine. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// Option changes a [Client].
type Option func(*options)

type options struct {
	hosts   []string
	timeout time.Duration
}

// WithHost allows the client to dial one host besides the loopback addresses:
// that of a remote Docker daemon.
func WithHost(host string) Option {
	return func(o *options) { o.hosts = append(o.hosts, host) }
}

// WithTimeout bounds each call, 60 s by default. A nearer deadline in the
// call's context still counts.
func WithTimeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// New makes a client of the engine at baseURL, as in "http://127.0.0.1:6420".
// It dials nothing but loopback addresses and the hosts of [WithHost], so
// that no request of a trial can leave the machine by mistake.
func New(baseURL, token string, opts ...Option) (*Client, error) {
	o := options{timeout: defaultTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	base, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("read the engine's address: %w", err)
	}
	if base.Scheme != "http" || base.Host == "" {
		return nil, fmt.Errorf("read the engine's address %q: want http://HOST:PORT", baseURL)
	}
	return &Client{
		base:  base,
		token: token,
		http:  &http.Client{Transport: GuardedTransport(o.hosts...), Timeout: o.timeout},
	}, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// BaseURL is the address of the engine, without a slash at its end.
func (c *Client) BaseURL() string { return strings.TrimSuffix(c.base.String(), "/") }

// Error is an answer of the engine that says error. Group and Code are empty
// where the body was not in the engine's own error form; Message then holds
// the body's beginning.
type Error struct {
	Method, Path string
	Status       int
	Group        string
	Code         string
	Message      string
}

func (e *Error) Error() string {
	msg := fmt.Sprintf("%s %s: status %d", e.Method, e.Path, e.Status)
	if full := e.FullCode(); full != "" {
		msg += " " + full
	}
	if e.Message != "" {
		msg += ": " + e.Message
	}
	return msg
}

// FullCode is group and code as the engine's documentation writes them, as in
// "actor.not_found", or "" where the answer had none.
func (e *Error) FullCode() string {
	if e.Group == "" && e.Code == "" {
		return ""
	}
	return e.Group + "." + e.Code
}

// IsCode reports whether err is an answer of the engine with that full code.
func IsCode(err error, fullCode string) bool {
	var e *Error
	return errors.As(err, &e) && e.FullCode() == fullCode
}

// ParseError reads the error out of an answer whose status is not 2xx. It is
// for those who talk to the gateway themselves.
func ParseError(method, path string, status int, body []byte) *Error {
	e := &Error{Method: method, Path: path, Status: status}
	var shape struct {
		Group   string `json:"group"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &shape); err == nil && (shape.Group != "" || shape.Code != "") {
		e.Group, e.Code, e.Message = shape.Group, shape.Code, shape.Message
		return e
	}
	const shown = 200
	text := strings.TrimSpace(string(body))
	if len(text) > shown {
		text = text[:shown] + " ..."
	}
	e.Message = text
	return e
}

// call sends in as JSON, if it is not nil, and reads a 2xx answer into out,
// if that is not nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the body of %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err // a *url.Error: names method, address and cause
	}
	return decode(resp, method, path, out)
}

func decode(resp *http.Response, method, path string, out any) (err error) {
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if len(b) > maxBody {
		return fmt.Errorf("read the answer to %s %s: longer than %d bytes", method, path, maxBody)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return ParseError(method, path, resp.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", method, path, err)
	}
	return nil
}
