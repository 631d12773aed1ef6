package envoy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/killpoint/killpoint/envoy/wire"
)

// Limits of what waits to be read by the actor on one WebSocket.
const (
	socketMessagesMax = 4096
	socketBytesMax    = 32 << 20
)

// Close codes of RFC 6455.
const (
	closeNormal   = 1000
	closeInternal = 1011
)

// WebSocket is a tunnelled WebSocket, accepted already. Its methods may be
// called concurrently. It stays open when the envoy connection is lost: what
// is written meanwhile is sent after the reconnect, and nothing tells the
// actor that the client has gone with its engine.
type WebSocket struct {
	Path   string
	Header http.Header

	r      *Runtime
	g      *generation
	id     streamID
	ctx    context.Context
	cancel context.CancelCauseFunc
	inbox  inbox

	mu     sync.Mutex // orders messages to the client
	index  uint16
	closed bool // by either side
}

// errSocketClosed is what writing to a closed WebSocket returns.
var errSocketClosed = errors.New("the WebSocket is closed")

// errInboxFull is why a WebSocket is closed whose actor does not read.
var errInboxFull = errors.New("the actor does not read: too many messages wait")

// openWebSocket starts a WebSocket, or refuses it.
func (r *Runtime) openWebSocket(id streamID, p wire.WebSocketOpen) {
	ok := r.admit(id, p.ActorID, p.Generation, func(g *generation) (stream, func()) {
		ws := newWebSocket(r, g, id, p)
		return ws, ws.serve
	})
	if !ok {
		r.refuseWebSocket(id, p)
	}
}

func (r *Runtime) refuseWebSocket(id streamID, p wire.WebSocketOpen) {
	reason := "Actor not found"
	r.recordActor(p.ActorID, nil, valueOr(p.Generation, 0), "not-here", "websocket", nil)
	r.sendPart(id, 0, socketClosed(closeInternal, reason)) //nolint:errcheck // it can be encoded
}

func socketClosed(code uint16, reason string) wire.WebSocketClosed {
	return wire.WebSocketClosed{Code: &code, Reason: &reason}
}

func newWebSocket(r *Runtime, g *generation, id streamID, p wire.WebSocketOpen) *WebSocket {
	ws := &WebSocket{Path: p.Path, Header: headerOf(p.Headers), r: r, g: g, id: id}
	ws.ctx, ws.cancel = context.WithCancelCause(g.ctx)
	ws.inbox.wake = make(chan struct{}, 1)
	return ws
}

// part implements stream.
func (ws *WebSocket) part(p wire.ToRuntimePart) {
	switch p := p.(type) {
	case wire.WebSocketMessage:
		if !ws.inbox.add(p) {
			ws.inbox.end(errInboxFull)
			ws.Close(closeInternal, "envoy.websocket_queue_full") //nolint:errcheck // it may be closed already
		}
	case wire.WebSocketClose:
		ws.markClosed()
		ws.inbox.end(&CloseError{Code: valueOr(p.Code, closeNormal), Reason: valueOr(p.Reason, "")})
	}
}

func (ws *WebSocket) markClosed() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
}

// serve runs the actor's handler.
func (ws *WebSocket) serve() {
	defer ws.cancel(errSocketClosed)
	if !ws.g.waitServing(ws.ctx) {
		ws.Close(closeInternal, "Actor not found") //nolint:errcheck // it may be closed already
		return
	}
	ws.send(wire.WebSocketOpened{}) //nolint:errcheck // the next message meets the same error
	if !ws.call() {
		ws.Close(closeInternal, "core.internal_error") //nolint:errcheck // it may be closed already
		return
	}
	reason := ""
	if ws.g.ctx.Err() != nil {
		reason = "actor.stopped"
	}
	ws.Close(closeNormal, reason) //nolint:errcheck // it may be closed already
}

// call runs the handler. It is false where it panicked.
func (ws *WebSocket) call() (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			ws.g.recordPanic(&PanicError{In: "websocket", Value: v, Stack: debug.Stack()})
			ok = false
		}
	}()
	ws.g.actor.ServeWebSocket(ws)
	return true
}

// Read waits for the next message. The error is a [*CloseError] once the
// client closed and all its messages were read; the cause of the generation's
// end ([context.Cause]) once that has ended.
func (ws *WebSocket) Read(ctx context.Context) (data []byte, binary bool, err error) {
	for {
		m, ok, err := ws.inbox.take()
		if ok || err != nil {
			return m.Data, m.Binary, err
		}
		select {
		case <-ws.inbox.wake:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		case <-ws.ctx.Done():
			return nil, false, context.Cause(ws.ctx)
		}
	}
}

// Write sends a message. It waits while too much waits to be sent to the
// engine; that it returned does not mean that the client has the message.
func (ws *WebSocket) Write(ctx context.Context, data []byte, binary bool) error {
	if err := ws.r.waitRoom(ctx); err != nil {
		return fmt.Errorf("write to the WebSocket: %w", err)
	}
	return ws.send(wire.WebSocketMessage{Data: data, Binary: binary})
}

// Close closes the WebSocket. Closing it twice is an error.
func (ws *WebSocket) Close(code uint16, reason string) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	err := ws.sendLocked(socketClosed(code, reason))
	ws.closed = true
	return err
}

func (ws *WebSocket) send(p wire.ToEnginePart) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.sendLocked(p)
}

func (ws *WebSocket) sendLocked(p wire.ToEnginePart) error {
	if ws.closed {
		return errSocketClosed
	}
	err := ws.r.sendPart(ws.id, ws.index, p)
	ws.index++
	return err
}

// inbox holds what the client sent and the actor has not read.
type inbox struct {
	mu    sync.Mutex
	queue []wire.WebSocketMessage
	bytes int
	err   error // what follows the queue; nil: more may come
	wake  chan struct{}
}

// add appends a message. It is false where the inbox is full.
func (b *inbox) add(m wire.WebSocketMessage) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return true
	}
	if len(b.queue) >= socketMessagesMax || b.bytes+len(m.Data) > socketBytesMax && len(b.queue) > 0 {
		return false
	}
	b.queue = append(b.queue, m)
	b.bytes += len(m.Data)
	b.wakeReader()
	return true
}

func (b *inbox) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
		b.wakeReader()
	}
}

func (b *inbox) wakeReader() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *inbox) take() (wire.WebSocketMessage, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return wire.WebSocketMessage{}, false, b.err
	}
	m := b.queue[0]
	b.queue = b.queue[1:]
	b.bytes -= len(m.Data)
	if len(b.queue) > 0 {
		b.wakeReader() // several may wait
	}
	return m, true, nil
}
