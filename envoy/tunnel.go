package envoy

import (
	"context"
	"net/http"
	"sort"
	"strings"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

// unsentMax bounds the answers kept for the next connection, in bytes.
const unsentMax = 64 << 20

// streamID names a tunnelled request or WebSocket: gateway, then request.
type streamID [8]byte

func streamOf(id wire.MessageID) (s streamID) {
	copy(s[:4], id.Gateway[:])
	copy(s[4:], id.Request[:])
	return s
}

func (s streamID) message(index uint16) (id wire.MessageID) {
	copy(id.Gateway[:], s[:4])
	copy(id.Request[:], s[4:])
	id.Index = index
	return id
}

// stream is an open tunnelled request or WebSocket. Its methods do not wait.
type stream interface {
	// part takes a further message from the gateway.
	part(wire.ToRuntimePart)
}

// tunnelled takes a message from a gateway.
func (r *Runtime) tunnelled(m wire.ToRuntimeTunnel) {
	id := streamOf(m.ID)
	switch p := m.Part.(type) {
	case wire.RequestStart:
		r.openRequest(id, p)
	case wire.WebSocketOpen:
		r.openWebSocket(id, p)
	default:
		r.mu.Lock()
		s := r.streams[id]
		r.mu.Unlock()
		if s != nil {
			s.part(m.Part)
		}
	}
}

// admit opens a stream for the actor's serving generation and runs serve in a
// goroutine. It is false where there is none.
func (r *Runtime) admit(id streamID, actor string, named *uint32, open func(*generation) (stream, func())) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.serving(actor, named)
	if g == nil {
		return false
	}
	s, serve := open(g)
	g.handlers.add()
	ok := r.spawnLocked(func() {
		defer g.handlers.done()
		defer r.closeStream(id, s)
		serve()
	})
	if !ok {
		g.handlers.done()
		return false
	}
	r.streams[id] = s
	return true
}

func (r *Runtime) closeStream(id streamID, s stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams[id] == s {
		delete(r.streams, id)
	}
}

// waitServing waits until the generation serves. It is false where it ends
// before, or ctx does.
func (g *generation) waitServing(ctx context.Context) bool {
	select {
	case <-g.started:
		return true
	case <-g.ctx.Done():
	case <-ctx.Done():
	}
	return false
}

// sendPart sends a part of an answer, or keeps it for the next connection.
func (r *Runtime) sendPart(id streamID, index uint16, p wire.ToEnginePart) error {
	f, err := r.encode(wire.ToEngineTunnel{ID: id.message(index), Part: p})
	if err != nil {
		return err
	}
	r.mu.Lock()
	kept := true
	if r.conn.ready() {
		r.pushLocked(f)
	} else {
		kept = r.keepAnswers([]frame{f})
	}
	r.mu.Unlock()
	r.recordDropped(kept)
	return nil
}

// keepAnswers keeps what could not be sent for the next connection. It is
// false where something was dropped.
func (r *Runtime) keepAnswers(frames []frame) bool {
	for _, f := range frames {
		if r.cfg.DropAnswers || r.unsentBytes+len(f.data) > unsentMax {
			return false
		}
		r.unsent = append(r.unsent, f)
		r.unsentBytes += len(f.data)
	}
	return true
}

func (r *Runtime) recordDropped(kept bool) {
	if !kept {
		r.recordEnvoy(history.Envoy{What: "answer-dropped"})
	}
}

func (r *Runtime) sendKept() {
	for _, f := range r.unsent {
		r.pushLocked(f)
	}
	r.unsent, r.unsentBytes = nil, 0
}

// waitRoom waits until bulk data may be sent.
func (r *Runtime) waitRoom(ctx context.Context) error {
	r.mu.Lock()
	l := r.conn.link
	r.mu.Unlock()
	if l == nil {
		return ctx.Err()
	}
	select {
	case <-l.out.roomy():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// headerOf turns the gateway's headers into Go's.
func headerOf(hs []wire.Header) http.Header {
	out := make(http.Header, len(hs))
	for _, h := range hs {
		out.Add(h.Name, h.Value)
	}
	return out
}

// wireHeaders turns Go's headers into the gateway's, which has one value a
// name: several are joined with a comma.
func wireHeaders(h http.Header) []wire.Header {
	out := make([]wire.Header, 0, len(h))
	for name, values := range h {
		out = append(out, wire.Header{Name: strings.ToLower(name), Value: strings.Join(values, ", ")})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
