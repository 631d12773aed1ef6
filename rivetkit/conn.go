package rivetkit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
)

// Socket is the server's end of a WebSocket, as far as a connection needs it.
type Socket interface {
	Read(ctx context.Context) (data []byte, binary bool, err error)
	Write(ctx context.Context, data []byte, binary bool) error
	Close(code uint16, reason string) error
}

// Close codes that RivetKit uses.
const (
	closeUnsupported = 1003
	closeInternal    = 1011
)

// maxInFlight bounds the actions that one connection runs at once: more wait
// unread in the socket.
const maxInFlight = 64

// IsConnect reports whether a WebSocket opened at path, which may carry a
// query, is a connection of this protocol.
func IsConnect(path string) bool {
	u, err := url.ParseRequestURI(path)
	return err == nil && u.Path == "/connect"
}

// ServeConn serves a connection until the socket fails or ctx ends, and waits
// for the actions it began. header is that of the WebSocket's request. Event
// subscriptions are accepted; this server sends no events.
func (s *Server) ServeConn(ctx context.Context, sock Socket, header http.Header) error {
	enc, err := ParseEncoding(protocol(header, "rivet_encoding."))
	if err != nil {
		return errors.Join(err, sock.Close(closeUnsupported, "actor.unsupported_websocket_encoding"))
	}
	params, err := connParams(header)
	if err != nil {
		return errors.Join(err, sock.Close(closeInternal, "actor.invalid_request"))
	}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, paramsKey{}, params))
	defer cancel()
	// Versions 3 and 4 agree on all that is sent before the client has said
	// which one it speaks, and every client reads 3.
	c := &conn{server: s, sock: sock, enc: enc, ver: V3, slots: make(chan struct{}, maxInFlight)}
	defer c.running.Wait()
	defer cancel()
	return c.serve(ctx)
}

type conn struct {
	server  *Server
	sock    Socket
	enc     Encoding
	slots   chan struct{}
	running sync.WaitGroup

	mu  sync.Mutex // one writer at a time; guards ver
	ver Version
}

func (c *conn) serve(ctx context.Context) error {
	if err := c.send(ctx, toClient{init: &initMessage{c.server.Actor.ID, connID()}}); err != nil {
		return err
	}
	for {
		data, _, err := c.sock.Read(ctx)
		if err != nil {
			return err
		}
		if len(data) > MaxMessage {
			err := fmt.Errorf("a message of %d bytes, more than %d", len(data), MaxMessage)
			return errors.Join(err, c.sock.Close(closeInternal, "message.incoming_too_long"))
		}
		if err := c.message(ctx, data); err != nil {
			return err
		}
	}
}

func (c *conn) message(ctx context.Context, data []byte) error {
	m, ver, err := decodeToServer(c.enc, data)
	if err != nil {
		return errors.Join(err, c.sock.Close(closeInternal, "actor.invalid_request"))
	}
	c.mu.Lock()
	c.ver = ver
	c.mu.Unlock()
	if m.action == nil {
		return nil
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.running.Go(func() {
		defer func() { <-c.slots }()
		c.act(ctx, m.action)
	})
	return nil
}

// act runs an action and sends its answer. A send that fails ends nothing
// here: the reader sees the broken socket too, and reports it.
func (c *conn) act(ctx context.Context, r *actionRequest) {
	out, err := c.server.act(ctx, r.name, r.args)
	if err == nil {
		err = c.send(ctx, toClient{response: &actionResponse{r.id, out}})
		if encErr := (*encodeError)(nil); !errors.As(err, &encErr) {
			return
		}
	}
	c.send(ctx, toClient{failure: &failure{c.server.asError(err), &r.id}}) //nolint:errcheck // see above
}

// encodeError tells an answer that cannot be written down from a socket that
// cannot take it.
type encodeError struct{ err error }

func (e *encodeError) Error() string { return "encode the message: " + e.err.Error() }
func (e *encodeError) Unwrap() error { return e.err }

func (c *conn) send(ctx context.Context, m toClient) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := encodeToClient(c.enc, c.ver, m)
	if err != nil {
		return &encodeError{err}
	}
	return c.sock.Write(ctx, b, c.enc != JSON)
}

func connID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // documented never to fail
	return hex.EncodeToString(b[:])
}
