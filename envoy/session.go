package envoy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

// reasonShutdown is the reason for closing the connection of a runtime that
// has drained.
const reasonShutdown = "envoy.shutdown"

// closeTimeout bounds the writing of a close frame and the wait for the
// engine's own.
const closeTimeout = time.Second

// attach makes ws the runtime's connection.
func (r *Runtime) attach(ws *websocket.Conn, attempt int) *link {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn.sessions++
	l := &link{session: r.conn.sessions, attempt: attempt, ws: ws, out: newOutbox(outboxMax), ended: make(chan struct{})}
	r.conn.link = l
	return l
}

// detach ends everything that belonged to the connection.
func (r *Runtime) detach(l *link, end error) {
	l.ws.Close() //nolint:errcheck // it has ended already
	r.mu.Lock()
	r.conn.link = nil
	if r.conn.gate.opened {
		r.conn.gate = newGate()
	}
	r.failCalls(fmt.Errorf("%w: %w", ErrConnectionLost, end))
	kept := r.keepAnswers(answersOf(l.out.close()))
	close(l.ended)
	r.mu.Unlock()
	r.recordDropped(kept)
}

// serve reads the connection until it ends. The error says how.
func (r *Runtime) serve(l *link) error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	stopWatch := context.AfterFunc(r.ctx, func() { l.ws.Close() }) //nolint:errcheck // the reader sees the end
	defer stopWatch()
	var helpers sync.WaitGroup
	helpers.Go(func() { r.write(ctx, l) })
	if r.cfg.AckEvery != AckAtOnce {
		helpers.Go(func() { r.ackEvery(ctx, r.cfg.times.ack) })
	}
	err := r.read(l)
	cancel()
	l.ws.Close() //nolint:errcheck // frees the writer
	helpers.Wait()
	return err
}

func (r *Runtime) read(l *link) error {
	if err := r.greet(l); err != nil {
		return err
	}
	for {
		kind, data, err := l.ws.ReadMessage()
		if err != nil {
			return r.readError(l, err)
		}
		if kind != websocket.BinaryMessage {
			continue
		}
		msg, err := wire.DecodeToRuntime(r.cfg.Protocol, data)
		if err != nil {
			return fmt.Errorf("read a message of the engine: %w", err)
		}
		r.handle(l, msg)
	}
}

func (r *Runtime) readError(l *link, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return fmt.Errorf("read from the engine: %w", err)
}

// greet sends the first message of a connection.
func (r *Runtime) greet(l *link) error {
	meta := wire.Metadata{ActorNames: []wire.ActorName{}}
	for _, name := range r.cfg.ActorName {
		meta.ActorNames = append(meta.ActorNames, wire.ActorName{Name: name, Metadata: "{}"})
	}
	f, err := r.encode(meta)
	if err != nil {
		return err
	}
	l.out.push(f)
	return nil
}

// write writes what is in the outbox until ctx or the connection ends.
func (r *Runtime) write(ctx context.Context, l *link) {
	for {
		f, ok := l.out.head(ctx)
		if !ok {
			return
		}
		if f.last {
			closeFrame := websocket.FormatCloseMessage(websocket.CloseNormalClosure, reasonShutdown)
			l.ws.WriteControl(websocket.CloseMessage, closeFrame, time.Now().Add(closeTimeout)) //nolint:errcheck // the reader sees the end
			l.ws.SetReadDeadline(time.Now().Add(closeTimeout))                                  //nolint:errcheck // likewise
			return
		}
		if err := l.ws.WriteMessage(websocket.BinaryMessage, f.data); err != nil {
			l.ws.Close() //nolint:errcheck // the reader sees the end
			return
		}
		l.out.pop()
	}
}

// handle takes one message of the engine. It never waits.
func (r *Runtime) handle(l *link, msg wire.ToRuntime) {
	switch m := msg.(type) {
	case wire.Init:
		r.initialised(l, m)
	case wire.Commands:
		r.commands(m, "websocket")
		r.ackAtOnce()
	case wire.AckEvents:
		r.mu.Lock()
		r.events.acknowledge(m.Checkpoints)
		r.mu.Unlock()
	case wire.Ping:
		r.pong(l, m)
	case wire.KVResponse:
		r.answered(m.RequestID, m)
	case wire.ExecResponse:
		r.answered(m.RequestID, m)
	case wire.ExecuteResponse:
		r.answered(m.RequestID, m)
	case wire.ExecuteBatchResponse:
		r.answered(m.RequestID, m)
	case wire.ToRuntimeTunnel:
		r.tunnelled(m)
	}
}

func (r *Runtime) pong(l *link, m wire.Ping) {
	f, err := r.encode(wire.Pong(m))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn.pinged = time.Now()
	if err == nil && !l.out.push(f) {
		l.cut(errOverflow)
	}
}

// initialised makes the connection usable: first the events go out again,
// then the answers that waited, then who waits is let through.
func (r *Runtime) initialised(l *link, m wire.Init) {
	r.mu.Lock()
	r.conn.learn(m)
	r.stopLostTimer()
	l.ready = true
	r.resendEvents()
	r.sendKept()
	r.conn.open()
	r.mu.Unlock()
	r.ackAtOnce() // starts that came by HTTP meanwhile
	r.recordEnvoy(history.Envoy{What: "init", Attempt: l.attempt})
}

// learn takes over the engine's limits.
func (c *connState) learn(m wire.Init) {
	if m.LostThreshold > 0 {
		c.lostThreshold = time.Duration(m.LostThreshold) * time.Millisecond
	}
	if m.StopThreshold > 0 {
		c.stopThreshold = time.Duration(m.StopThreshold) * time.Millisecond
	}
	if m.MaxResponse > 0 {
		c.maxResponse = m.MaxResponse
	}
}

// sendLocked sends a message if there is a connection.
func (r *Runtime) sendLocked(msg wire.ToEngine) bool {
	if !r.conn.ready() {
		return false
	}
	f, err := r.encode(msg)
	if err != nil {
		r.conn.link.cut(fmt.Errorf("write a message to the engine: %w", err))
		return false
	}
	r.pushLocked(f)
	return true
}

// pushLocked queues a frame for the connection, which there must be.
func (r *Runtime) pushLocked(f frame) {
	if !r.conn.link.out.push(f) {
		r.conn.link.cut(errOverflow)
	}
}

// ackEvery acknowledges commands at an interval until ctx ends.
func (r *Runtime) ackEvery(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.ackCommands()
		case <-ctx.Done():
			return
		}
	}
}

// ackAtOnce acknowledges what was taken, where that is not left to the interval.
func (r *Runtime) ackAtOnce() {
	if r.cfg.AckEvery == AckAtOnce {
		r.ackCommands()
	}
}

// ackCommands acknowledges the commands taken since the last time.
func (r *Runtime) ackCommands() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.acks) == 0 || !r.conn.ready() {
		return
	}
	ack := wire.AckCommands{}
	for id, index := range r.acks {
		ack.Checkpoints = append(ack.Checkpoints, wire.Checkpoint{ActorID: id.actor, Generation: id.generation, Index: index})
	}
	if r.sendLocked(ack) {
		clear(r.acks)
	}
}
