package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Progress is how far something that lasts had come, for the history: the value
// of the return of a stream or of a WebSocket that was held open.
type Progress struct {
	// Got are the good parts that came, chunks or pongs, Of is how many the
	// whole has; 0 where it has no end of its own.
	Got int `json:"got"`
	Of  int `json:"of,omitempty"`
	// FirstNS and LastNS are when the first and the last of them came, counted
	// from the invoke; -1 where none did.
	FirstNS int64 `json:"first_ns"`
	LastNS  int64 `json:"last_ns"`
	// Clean: it ended in the way in which a whole answer ends.
	Clean bool `json:"clean,omitempty"`
}

// progress counts parts.
type progress struct {
	begun clock.Mono
	mu    sync.Mutex
	so    Progress
}

func newProgress(of int) *progress {
	return &progress{begun: clock.Now(), so: Progress{Of: of, FirstNS: -1, LastNS: -1}}
}

// begin counts the times from now on: from the operation's invoke, which was
// recorded an instant ago.
func (p *progress) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = clock.Now()
}

// add counts one more and tells how many there are.
func (p *progress) add() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.so.LastNS = int64(clock.Now().Sub(p.begun))
	if p.so.Got++; p.so.Got == 1 {
		p.so.FirstNS = p.so.LastNS
	}
	return p.so.Got
}

func (p *progress) value() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.so
}

// Socket is a WebSocket that a client holds open. It is one operation, which
// returns when the client knows how it ended, or that it goes on: its Status is
// the close code where the other side closed it, its Code the reason, its Value
// a [Progress] of the pongs.
type Socket struct {
	conn    *websocket.Conn
	writing sync.Mutex // held to write to it
	got     *progress

	opened chan error          // one, from hold
	pongs  chan pong           // at most one that nobody has taken
	told   chan history.Return // at most one: how the operation is to return
	over   chan struct{}       // it has returned
	done   chan struct{}       // the reader has left
}

// NoSocketError says why there is no WebSocket to hold.
type NoSocketError struct{ Return history.Return }

func (e *NoSocketError) Error() string {
	return fmt.Sprintf("open a WebSocket and have a pong on it: %s, status %d %s: %s", e.Return.Cause, e.Return.Status, e.Return.Code, e.Return.Detail)
}

// Open opens a WebSocket to the actor and holds it until Close.
// Postcondition without an error: a pong came on it within the request's
// timeout.
func (g *Gateway) Open(ctx context.Context, r Request) (*Socket, error) {
	r.ReadOnly = true
	s := &Socket{
		got: newProgress(0), opened: make(chan error, 1), pongs: make(chan pong, 1),
		told: make(chan history.Return, 1), over: make(chan struct{}), done: make(chan struct{}),
	}
	go func() {
		defer close(s.over)
		g.record(ctx, r, ViaWebSocket, func(ctx context.Context, r Request) history.Return { return s.hold(ctx, g, r) })
	}()
	if err := <-s.opened; err != nil {
		<-s.over
		return nil, err
	}
	return s, nil
}

// hold opens, and returns what became of it.
func (s *Socket) hold(ctx context.Context, g *Gateway, r Request) history.Return {
	s.got.begin()
	conn, ret := g.open(ctx, r)
	if conn == nil {
		s.opened <- &NoSocketError{ret}
		return withProgress(ret, s.got.value())
	}
	s.conn = conn
	s.got.add()
	broken := make(chan error, 1)
	go func() {
		defer close(s.done)
		broken <- s.read()
	}()
	s.opened <- nil
	select {
	case ret = <-s.told:
	case err := <-broken:
		// Its end is no context's: nobody's patience ended.
		ret = brokenExchange(context.Background(), context.Background(), err)
	}
	return withProgress(ret, s.got.value())
}

// open dials and exchanges the first ping.
func (g *Gateway) open(outer context.Context, r Request) (*websocket.Conn, history.Return) {
	ctx, cancel := context.WithTimeout(outer, r.Timeout)
	defer cancel()
	dialer := websocket.Dialer{NetDialContext: g.Dial, Subprotocols: Subprotocols}
	conn, resp, err := dialer.DialContext(ctx, g.websocketURL(r), g.authorization())
	if err != nil {
		return nil, refusedHandshake(outer, ctx, resp, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.UnderlyingConn().SetDeadline(time.Unix(1, 0)) })
	_, err = exchangePing(conn)
	if !stop() && err == nil {
		err = context.Cause(ctx) // the deadline is set, or about to be
	}
	if err != nil {
		_ = conn.Close() // what it says adds nothing to err
		return nil, brokenExchange(outer, ctx, err)
	}
	return conn, history.Return{}
}

// read takes pongs until the WebSocket ends.
func (s *Socket) read() error {
	for {
		_, b, err := s.conn.ReadMessage()
		if err != nil {
			return err
		}
		var p pong
		if err := json.Unmarshal(b, &p); err != nil || p.Type != "pong" {
			return &notAPong{b}
		}
		s.got.add()
		select {
		case s.pongs <- p:
		default: // nobody has asked
		}
	}
}

// Ended is closed when the operation has returned.
func (s *Socket) Ended() <-chan struct{} { return s.over }

// Ping sends a ping, whose pong counts when it comes. Where it fails, the
// operation returns soon.
func (s *Socket) Ping() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.conn.WriteJSON(map[string]string{"type": "ping"})
}

// Prove has the operation return with whether the WebSocket, as it was opened,
// still works: it sends a ping and waits for its pong until the deadline. It
// returns at once where the operation has.
func (s *Socket) Prove(ctx context.Context, deadline clock.Mono) {
	timer := time.NewTimer(deadline.Sub(clock.Now()))
	defer timer.Stop()
	// A pong that nobody asked for, as of a message that was delivered twice,
	// proves nothing of now.
	select {
	case <-s.pongs:
	default:
	}
	// Where it fails, the reader meets the same error, or silence.
	_ = s.Ping()
	select {
	case <-s.over:
	case p := <-s.pongs:
		s.tell(history.Return{Outcome: history.OK, AnsweredBy: p.Actor, Generation: p.Generation})
	case <-timer.C:
		s.tell(history.Return{Outcome: history.Fail, Cause: history.CauseTimeout, Generation: -1, Detail: "it is still open, and no pong came"})
	case <-ctx.Done():
		s.tell(history.Return{Outcome: history.Fail, Cause: history.CauseStopped, Generation: -1, Detail: context.Cause(ctx).Error()})
	}
}

// tell ends the operation, unless it was ended.
func (s *Socket) tell(ret history.Return) {
	select {
	case s.told <- ret:
	default:
	}
}

// Close ends it. An operation that has not returned was stopped by that. It
// returns with nothing of the WebSocket left at work.
func (s *Socket) Close() error {
	s.tell(history.Return{Outcome: history.Fail, Cause: history.CauseStopped, Generation: -1, Detail: "it was still open when the trial ended"})
	<-s.over
	err := s.conn.Close()
	<-s.done
	if err != nil {
		return fmt.Errorf("close the WebSocket that was held open: %w", err)
	}
	return nil
}
