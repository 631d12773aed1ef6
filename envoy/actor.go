package envoy

import (
	"context"
	"net/http"
	"time"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

// Actor is one generation of an actor. All methods may be called concurrently
// once Start returned. A panic in one of them is recorded and answered like an
// error of its own.
type Actor interface {
	// Start runs before the engine is told that the generation runs. ctx is
	// the generation's life: it is cancelled, with the reason as its cause,
	// after Stop returned or when the generation is aborted. An error ends the
	// generation.
	Start(ctx context.Context) error
	// Stop runs on a stop command or when the connection is lost, before the
	// engine is told. ctx is bounded by the engine's stop threshold (30 min by
	// default), by 5 s where the connection is lost. It does not run when the
	// generation is aborted.
	Stop(ctx context.Context, reason wire.StopReason) error
	// ServeHTTP answers a tunnelled request. The body is streamed, w supports
	// [http.Flusher]. The response is streamed only with protocol 8 and a
	// gateway that takes it; else it is sent as a whole when ServeHTTP
	// returns. Once a streamed response has begun, the gateway cuts off what
	// has not been read of the request's body: read first.
	ServeHTTP(w http.ResponseWriter, r *http.Request)
	// ServeWebSocket serves a tunnelled WebSocket and returns when done, which
	// closes it with code 1000 if it is still open.
	ServeWebSocket(*WebSocket)
}

// Handle is what a generation knows of itself and may do to itself.
type Handle struct {
	ID, Name, Key string
	Generation    uint32
	CreatedAt     time.Time
	Input         []byte // nil: none

	g  *generation
	kv *KV
	db *DB
}

// KV is the actor's key-value store.
func (h *Handle) KV() *KV { return h.kv }

// DB is the actor's SQLite database.
func (h *Handle) DB() *DB { return h.db }

// Sleep asks the engine to put the actor to sleep, which it does with a stop
// command. It returns before that, with [ErrNotSent] where the generation has
// ended. Without a connection the wish is kept for the next one.
func (h *Handle) Sleep() error { return h.intent(wire.IntentSleep) }

// Destroy asks the engine to destroy the actor, as Sleep does.
func (h *Handle) Destroy() error { return h.intent(wire.IntentStop) }

func (h *Handle) intent(i wire.Intent) error {
	h.g.record("intent", i.String(), nil)
	return h.g.r.event(h.g, i)
}

// SetAlarm sets when the engine wakes the actor, to the millisecond; the zero
// time clears it. It returns as Sleep does.
func (h *Handle) SetAlarm(at time.Time) error {
	if at.IsZero() {
		return h.g.r.event(h.g, wire.SetAlarm{})
	}
	ms := at.UnixMilli()
	return h.g.r.event(h.g, wire.SetAlarm{At: &ms})
}

// Record adds an event to the runtime's history, under its party.
func (h *Handle) Record(kind history.Kind, body any) {
	h.g.r.cfg.Recorder.Record(h.g.r.cfg.Party, kind, body)
}
