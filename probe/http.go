// Package probe asks actors for an answer through the engine's gateway and
// says exactly what came back: an answer, a refusal, an error, or silence.
package probe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/killpoint/killpoint/history"
)

// Headers by which the fixture says which actor and generation answered.
const (
	HeaderActor      = "X-Killpoint-Actor"
	HeaderGeneration = "X-Killpoint-Generation"
)

// Via is the way an operation takes through the gateway.
type Via string

// The ways.
const (
	ViaHTTP      Via = "http"
	ViaWebSocket Via = "websocket"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// Gateway sends operations to actors through the engine's public door.
type Gateway struct {
	// Base is the gateway's URL, such as http://127.0.0.1:20001.
	Base string
	// Token is the bearer token; empty sends none.
	Token string
	// Client should not keep connections: a connection of an earlier
	// incarnation would add its own failure to what is measured.
	Client *http.Client
	// Dial makes the connections of WebSockets; nil dials anything.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Recorder takes each operation's invoke and return.
	Recorder history.Recorder
	// ops numbers the operations.
	ops atomic.Uint64
}

// Request is one operation on an actor.
type Request struct {
	Actor, Key string
	// Name is the operation's name in the history, Probe the probe's where it
	// is one.
	Name, Probe string
	Method      string
	// Path is the path inside the actor, such as "/health".
	Path   string
	Header http.Header
	Body   []byte
	// Op is the operation's id; empty takes the next number. RetryOf is the
	// id of the first attempt where this is a later one.
	Op, RetryOf string
	// Client is who asks; empty is "client".
	Client string
	// Delay is the planned delay from the sweep's origin, for the history.
	Delay time.Duration
	// Timeout is the client's patience, from before the connection is made to
	// the last byte of the answer. 0 means none but ctx's.
	Timeout time.Duration
	// ReadOnly operations have no effect to be unsure of: without an answer
	// their outcome is fail, where another's is info.
	ReadOnly bool
	// NoEffect tells by the code of an actor's own error whether the operation
	// certainly had no effect; nil takes any 4xx of the actor's for that.
	NoEffect func(code string) bool
	// Decode turns a good answer's body into the value for the history; nil
	// keeps nothing.
	Decode func(body []byte) (any, error)
}

// NextOp gives an id that no other operation of this gateway has.
func (g *Gateway) NextOp() string { return "op" + strconv.FormatUint(g.ops.Add(1), 10) }

// Do sends the request once and records it. It never retries: what a retry
// would hide is what is being measured.
func (g *Gateway) Do(ctx context.Context, r Request) history.Return {
	return g.record(ctx, r, ViaHTTP, g.exchange)
}

// record puts an operation into the history, around what carries it out.
func (g *Gateway) record(ctx context.Context, r Request, via Via, do func(context.Context, Request) history.Return) history.Return {
	if r.Op == "" {
		r.Op = g.NextOp()
	}
	g.Recorder.Record("client", history.KindInvoke, &history.Invoke{
		Op: r.Op, RetryOf: r.RetryOf, Client: r.client(), Name: r.Name, Actor: r.Actor, Key: r.Key, Via: string(via),
		Probe: r.Probe, DelayNS: int64(r.Delay), TimeoutNS: int64(r.Timeout),
	})
	ret := do(ctx, r)
	ret.Op = r.Op
	g.Recorder.Record("client", history.KindReturn, &ret)
	return ret
}

func (r Request) client() string {
	if r.Client == "" {
		return "client"
	}
	return r.Client
}

func (g *Gateway) exchange(ctx context.Context, r Request) history.Return {
	outer := ctx
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	var begun trace
	req, err := g.request(httptrace.WithClientTrace(ctx, begun.hooks()), r)
	if err != nil {
		return history.Return{Outcome: history.Fail, Cause: history.CauseRefused, Generation: -1, Detail: err.Error()}
	}
	resp, err := g.Client.Do(req)
	if err != nil {
		return begun.failure(outer, err, r.ReadOnly)
	}
	defer resp.Body.Close() //nolint:errcheck // the answer is read in full below, or its failure is reported
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return begun.failure(outer, err, r.ReadOnly)
	}
	return answer(resp, body, r)
}

func (g *Gateway) request(ctx context.Context, r Request) (*http.Request, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	u := g.Base + "/gateway/" + url.PathEscape(r.Actor) + "/request" + r.Path
	req, err := http.NewRequestWithContext(ctx, method, u, strings.NewReader(string(r.Body)))
	if err != nil {
		return nil, fmt.Errorf("make the request for actor %s: %w", r.Actor, err)
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if g.Token != "" {
		req.Header.Set("Authorization", "Bearer "+g.Token)
	}
	return req, nil
}

// trace knows how far a request came, which decides what its failure means.
type trace struct {
	connected, answering atomic.Bool
}

func (t *trace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { t.connected.Store(true) },
		GotFirstResponseByte: func() { t.answering.Store(true) },
	}
}

// failure classifies a request without a whole answer. A connection that was
// accepted and then closed without a byte counts as refused for the person who
// waits (docker-proxy does that while its container is down), but its outcome
// stays open, because the request may have reached the actor.
func (t *trace) failure(outer context.Context, err error, readOnly bool) history.Return {
	ret := history.Return{Outcome: unsure(readOnly || !t.connected.Load()), Generation: -1, Detail: err.Error()}
	var timeout interface{ Timeout() bool }
	switch {
	case outer.Err() != nil:
		ret.Cause = history.CauseStopped
	case errors.As(err, &timeout) && timeout.Timeout():
		ret.Cause = history.CauseTimeout
	case t.answering.Load():
		ret.Cause = history.CauseReset
	default:
		ret.Cause = history.CauseRefused
	}
	return ret
}

func answer(resp *http.Response, body []byte, r Request) history.Return {
	ret := history.Return{
		Outcome: history.OK, Status: resp.StatusCode,
		AnsweredBy: answeredBy(resp.Header), Generation: generation(resp.Header),
	}
	if resp.StatusCode >= http.StatusBadRequest {
		ret.Cause, ret.Code = history.CauseStatus, errorCode(resp.Header, body)
		ret.Outcome = errorOutcome(resp, ret.Code, r)
		ret.Detail = excerpt(body)
		return ret
	}
	if r.Decode == nil {
		return ret
	}
	value, err := decode(r, body)
	if err != nil {
		ret.Outcome, ret.Cause, ret.Detail = unsure(r.ReadOnly), history.CauseUnreadable, fmt.Sprintf("%v: %s", err, excerpt(body))
		return ret
	}
	ret.Value = value
	return ret
}

func decode(r Request, body []byte) (any, error) {
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return r.Decode(body)
}

// unsure is the outcome of an operation whose effect is not known: none for
// one that has no effect.
func unsure(readOnly bool) history.Outcome {
	if readOnly {
		return history.Fail
	}
	return history.Info
}

// errorOutcome is what an error answer says of the effect: nothing can be
// concluded from one that the actor did not give.
func errorOutcome(resp *http.Response, code string, r Request) history.Outcome {
	none := resp.StatusCode < http.StatusInternalServerError
	if r.NoEffect != nil {
		none = r.NoEffect(code)
	}
	if none && resp.Header.Get(HeaderActor) != "" {
		return history.Fail
	}
	return unsure(r.ReadOnly)
}

// errorCode finds "group.code": in the engine's header or in the error shape
// that engine and RivetKit share.
func errorCode(h http.Header, body []byte) string {
	if code := h.Get("X-Rivet-Error"); code != "" {
		return code
	}
	var shape struct{ Group, Code string }
	if json.Unmarshal(body, &shape) == nil && shape.Code != "" {
		return shape.Group + "." + shape.Code
	}
	return ""
}

// RivetKit's own names for the headers, of runtimes that are not the fixture.
const (
	rivetActor      = "X-Rivet-Actor"
	rivetGeneration = "X-Rivet-Actor-Generation"
)

// answeredBy is the actor that says of itself that it answered.
func answeredBy(h http.Header) string { return cmp.Or(h.Get(HeaderActor), h.Get(rivetActor)) }

func generation(h http.Header) int64 {
	n, err := strconv.ParseInt(cmp.Or(h.Get(HeaderGeneration), h.Get(rivetGeneration)), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func excerpt(b []byte) string {
	const most = 300
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
