package probe

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Names of the probes that ask by an action, after the hold that their client
// has on its actor. The operation's name is the action. Of several with one
// name and one action the first is the probe, the others ask on.
const (
	// SameHandle: by the actor's id, by a client that was used before the fault
	// and whose connection the restart broke.
	SameHandle = "action/same-handle"
	// FreshHandle: by the key of an actor that was there before the fault, by a
	// client that never asked anything.
	FreshHandle = "action/fresh-handle"
	// NewKey: by a key that nobody used before, so that the actor must be made.
	NewKey = "action/new-key"
)

// Handle is one client's hold on one actor, as a client library's handle is: it
// may keep its connections, and may address the actor by its key.
type Handle struct {
	// Gateway sends and records; its own client is not used.
	Gateway *Gateway
	// Client is the handle's own.
	Client *http.Client
	// ByKey addresses the actor by the request's key; nil by its id.
	ByKey *ByKey
}

// ByKey has the gateway look an actor up with every request.
type ByKey struct {
	// Name of the actor, and the namespace's.
	Name, Namespace string
	// Pool has the gateway make an actor that is missing, there; with "" it
	// only looks.
	Pool string
}

// Do sends the request once and records it, as [Gateway.Do] does. Where the
// actor is not known yet, the request has its key alone, and so has the record.
//
// Of the connections that the client kept, net/http leaves those that it saw
// closed and dials anew, with no error to anybody. A write on one that was closed
// a moment ago fails as refused, with an unknown outcome: it is not sent twice.
func (h *Handle) Do(ctx context.Context, r Request) history.Return {
	own := &Gateway{Base: h.Gateway.Base, Token: h.Gateway.Token, Client: h.Client}
	return h.Gateway.record(ctx, r, ViaHTTP, func(ctx context.Context, r Request) history.Return {
		return own.exchange(ctx, h.addressed(r))
	})
}

// addressed is the request with the address that goes over the wire.
func (h *Handle) addressed(r Request) Request {
	if h.ByKey == nil {
		return r
	}
	q := url.Values{"rvt-namespace": {h.ByKey.Namespace}, "rvt-key": {r.Key}, "rvt-method": {"get"}}
	if h.ByKey.Pool != "" {
		q.Set("rvt-method", "getOrCreate")
		q.Set("rvt-pool", h.ByKey.Pool)
		q.Set("rvt-crash-policy", "sleep") // RivetKit's
	}
	r.Actor, r.Path = h.ByKey.Name, r.Path+"?"+q.Encode()
	return r
}

// AskOn sends what next gives, once, and goes on until there is a good answer
// or bound has passed since origin, each time with a request of its own. It
// returns what came back last.
func (h *Handle) AskOn(ctx context.Context, origin clock.Mono, bound time.Duration, next func() Request) history.Return {
	deadline := origin.Add(bound)
	for {
		asked := clock.Now()
		r := next()
		r.Delay = asked.Sub(origin)
		ret := h.Do(ctx, r)
		if ret.Outcome == history.OK || clock.Now() >= deadline || clock.Until(ctx, asked.Add(RecoveryPause)) != nil {
			return ret
		}
	}
}
