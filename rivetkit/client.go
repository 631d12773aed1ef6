package rivetkit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Client calls actions by HTTP through the engine's gateway. Its zero value
// with a Gateway works; it retries nothing, because a harness must see what a
// user would.
type Client struct {
	// Gateway is the engine's public address: "http://127.0.0.1:6420".
	Gateway string
	// Token is the engine's, sent where it is set.
	Token string
	// Encoding of requests; "" is JSON.
	Encoding Encoding
	// HTTP does the requests; nil is http.DefaultClient.
	HTTP *http.Client
}

// Target is the actor that is called: by ID, or by name and key in a
// namespace, where the gateway looks it up with every call.
type Target struct {
	ID string

	Name      string
	Key       []string
	Namespace string
	// Pool, where it is set, makes the gateway create an actor that is
	// missing, on this pool's runtimes.
	Pool string
}

// Answer is a good answer to a call.
type Answer struct {
	// Output is what the action returned.
	Output any
	// Actor is who answered, as far as the answer's headers say.
	Actor  ActorRef
	Header http.Header
}

// Action calls one. An answer that says error is an [*Error], from whoever
// gave it: the action, the runtime or the gateway. Anything else means that
// there was no answer, or none that can be read.
func (c *Client) Action(ctx context.Context, to Target, name string, args ...any) (*Answer, error) {
	res, enc, err := c.post(ctx, to, name, args)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("call %s: read the answer: %w", name, err)
	}
	if len(body) > MaxMessage {
		return nil, fmt.Errorf("call %s: the answer is longer than %d bytes", name, MaxMessage)
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("call %s: %w", name, errorOf(res, enc, body))
	}
	out, err := DecodeResponse(enc, body)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	return &Answer{Output: out, Actor: actorOf(res.Header), Header: res.Header}, nil
}

func (c *Client) post(ctx context.Context, to Target, name string, args []any) (*http.Response, Encoding, error) {
	enc := cmp.Or(c.Encoding, JSON)
	body, err := EncodeRequest(enc, V4, args)
	if err != nil {
		return nil, enc, err
	}
	u := c.Gateway + to.path("/action/"+url.PathEscape(name))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, bytes.NewReader(body))
	if err != nil {
		return nil, enc, err
	}
	req.Header.Set(headerEncoding, string(enc))
	req.Header.Set("Content-Type", enc.contentType())
	if c.Token != "" {
		req.Header.Set("X-Rivet-Token", c.Token)
	}
	res, err := cmp.Or(c.HTTP, http.DefaultClient).Do(req)
	return res, enc, err
}

// path is the gateway's address of rest on the actor.
func (t Target) path(rest string) string {
	if t.ID != "" {
		return "/gateway/" + url.PathEscape(t.ID) + rest
	}
	q := url.Values{"rvt-namespace": {t.Namespace}, "rvt-method": {"get"}}
	if len(t.Key) > 0 {
		q.Set("rvt-key", strings.Join(t.Key, ","))
	}
	if t.Pool != "" {
		q.Set("rvt-method", "getOrCreate")
		q.Set("rvt-runner", t.Pool)
		q.Set("rvt-crash-policy", "sleep")
	}
	return "/gateway/" + url.PathEscape(t.Name) + rest + "?" + q.Encode()
}

// errorOf reads an error answer. The gateway's own errors are always JSON;
// a runtime's may be bare text, named by a header.
func errorOf(res *http.Response, enc Encoding, body []byte) *Error {
	if strings.Contains(res.Header.Get("Content-Type"), "application/json") {
		enc = JSON
	}
	e, err := DecodeError(enc, body)
	if err != nil {
		e = &Error{Group: "http", Code: "status_" + strconv.Itoa(res.StatusCode), Message: text(body)}
		if group, code, ok := strings.Cut(res.Header.Get(headerError), "."); ok {
			e.Group, e.Code = group, code
		}
	}
	e.Status = res.StatusCode
	return e
}

// text is the beginning of a body, for people.
func text(b []byte) string {
	const most = 200
	if len(b) > most {
		b = b[:most]
	}
	return strings.ToValidUTF8(string(b), "?")
}

func actorOf(h http.Header) ActorRef {
	gen, _ := strconv.ParseUint(h.Get(headerGeneration), 10, 64) // 0 where it does not say
	return ActorRef{ID: h.Get(headerActor), Generation: gen, Key: h.Get(headerKey)}
}
