package envoy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

// patience bounds every wait of these tests; it is never waited for when all
// is well.
const patience = 10 * time.Second

// fakeEngine accepts envoy connections and leaves all else to the test.
type fakeEngine struct {
	t     *testing.T
	srv   *httptest.Server
	conns chan *fakeConn
	// deaf holds up the reading of connections while it is not nil and open.
	deaf chan struct{}
}

func newFakeEngine(t *testing.T) *fakeEngine {
	e := &fakeEngine{t: t, conns: make(chan *fakeConn, 100)}
	up := websocket.Upgrader{Subprotocols: []string{"rivet"}}
	e.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &fakeConn{t: t, ws: ws, query: r.URL.Query(), offered: r.Header.Get("Sec-Websocket-Protocol"), in: make(chan wire.ToEngine, 10_000), closed: make(chan error, 1), deaf: e.deaf}
		e.conns <- c
		c.read()
	}))
	t.Cleanup(e.srv.Close)
	return e
}

// fakeConn is the engine's end of a connection.
type fakeConn struct {
	t       *testing.T
	ws      *websocket.Conn
	query   url.Values
	offered string
	in      chan wire.ToEngine
	closed  chan error
	deaf    chan struct{}
}

func (c *fakeConn) version() wire.Version {
	if c.query.Get("protocol_version") == "8" {
		return wire.V8
	}
	return wire.V6
}

func (c *fakeConn) read() {
	if c.deaf != nil {
		<-c.deaf
	}
	for {
		_, data, err := c.ws.ReadMessage()
		if err != nil {
			c.closed <- err
			c.ws.Close() //nolint:errcheck // it is over
			return
		}
		msg, err := wire.DecodeToEngine(c.version(), data)
		if !assert.NoError(c.t, err, "the runtime sent what cannot be read") {
			return
		}
		c.in <- msg
	}
}

// accept waits for the next connection and reads its metadata.
func (e *fakeEngine) accept() *fakeConn {
	e.t.Helper()
	c := receive(e.t, e.conns, "a connection")
	assert.IsType(e.t, wire.Metadata{}, c.next(), "the first message of a connection")
	return c
}

// acceptInit is accept, followed by an Init.
func (e *fakeEngine) acceptInit() *fakeConn {
	e.t.Helper()
	c := e.accept()
	c.send(wire.Init{LostThreshold: 15_000, StopThreshold: 60_000, MaxResponse: 1 << 20})
	return c
}

// noConnection asserts that nobody dials for a while.
func (e *fakeEngine) noConnection(d time.Duration) {
	e.t.Helper()
	select {
	case <-e.conns:
		assert.Fail(e.t, "the runtime dialled again")
	case <-time.After(d):
	}
}

func (c *fakeConn) send(msg wire.ToRuntime) {
	c.t.Helper()
	b, err := wire.EncodeToRuntime(c.version(), msg)
	require.NoError(c.t, err)
	require.NoError(c.t, c.ws.WriteMessage(websocket.BinaryMessage, b))
}

func (c *fakeConn) next() wire.ToEngine {
	c.t.Helper()
	return receive(c.t, c.in, "a message of the runtime")
}

// sync has everything sent so far been handled.
func (c *fakeConn) sync() {
	c.t.Helper()
	c.send(wire.Ping{TS: 99})
	assert.Equal(c.t, wire.Pong{TS: 99}, c.next())
}

// cut ends the connection as a killed engine does.
func (c *fakeConn) cut() {
	c.ws.UnderlyingConn().Close() //nolint:errcheck // it may be gone
	assert.Error(c.t, receive(c.t, c.closed, "the end of the connection"))
}

func (c *fakeConn) close(code int, reason string) {
	c.t.Helper()
	require.NoError(c.t, c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience)))
}

func (c *fakeConn) start(actor string, generation uint32, index int64) {
	c.t.Helper()
	c.send(wire.Commands{startOf(actor, generation, index)})
}

func (c *fakeConn) stop(actor string, generation uint32, index int64, reason wire.StopReason) {
	c.t.Helper()
	c.send(wire.Commands{{Checkpoint: wire.Checkpoint{ActorID: actor, Generation: generation, Index: index}, Body: wire.StopActor{Reason: reason}}})
}

func startOf(actor string, generation uint32, index int64) wire.Command {
	key := "key-" + actor
	return wire.Command{
		Checkpoint: wire.Checkpoint{ActorID: actor, Generation: generation, Index: index},
		Body:       wire.StartActor{Config: wire.ActorConfig{Name: "test", Key: &key, CreatedAt: 1000}, Hibernating: []wire.HibernatingRequest{}},
	}
}

// event reads the next message, which must be one event.
func (c *fakeConn) event() wire.Event {
	c.t.Helper()
	msg := c.next()
	require.IsType(c.t, wire.Events{}, msg)
	require.Len(c.t, msg, 1)
	return msg.(wire.Events)[0]
}

func (c *fakeConn) wantRunning(actor string, generation uint32) {
	c.t.Helper()
	assert.Equal(c.t, running(actor, generation), c.event())
}

func running(actor string, generation uint32) wire.Event {
	return wire.Event{Checkpoint: wire.Checkpoint{ActorID: actor, Generation: generation}, Body: wire.StateUpdate{}}
}

func (c *fakeConn) wantStopped(actor string, generation uint32, code wire.StopCode) wire.Event {
	c.t.Helper()
	e := c.event()
	assert.Equal(c.t, actor, e.Checkpoint.ActorID)
	assert.Equal(c.t, generation, e.Checkpoint.Generation)
	body, ok := e.Body.(wire.StateUpdate)
	if assert.True(c.t, ok, "%+v", e) && assert.NotNil(c.t, body.Stopped) {
		assert.Equal(c.t, code, body.Stopped.Code)
	}
	return e
}

// passFence answers the question with which an actor that stops in a drain makes
// sure that its answers were passed on.
func (c *fakeConn) passFence(actor string) {
	c.t.Helper()
	msg := c.next()
	require.IsType(c.t, wire.KVRequest{}, msg)
	q := msg.(wire.KVRequest)
	assert.Equal(c.t, actor, q.ActorID)
	c.send(wire.KVResponse{RequestID: q.RequestID, Result: wire.KVGetResult{}})
}

// part reads the next message, which must be part of a tunnelled answer.
func (c *fakeConn) part(index uint16) wire.ToEnginePart {
	c.t.Helper()
	msg := c.next()
	require.IsType(c.t, wire.ToEngineTunnel{}, msg)
	tunnel := msg.(wire.ToEngineTunnel)
	assert.Equal(c.t, index, tunnel.ID.Index)
	return tunnel.Part
}

func (c *fakeConn) tunnel(index uint16, p wire.ToRuntimePart) {
	c.t.Helper()
	c.send(wire.ToRuntimeTunnel{ID: wire.MessageID{Gateway: [4]byte{1}, Request: [4]byte{2}, Index: index}, Part: p})
}

func (c *fakeConn) request(actor, method, path string, body []byte) {
	c.t.Helper()
	c.tunnel(0, wire.RequestStart{ActorID: actor, Method: method, Path: path, Body: body, Headers: []wire.Header{{Name: "host", Value: "h"}, {Name: "x-a", Value: "b"}}})
}

func receive[T any](t *testing.T, c <-chan T, what string) (none T) {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.Fail(t, "waited in vain", "for %s", what)
		return none
	}
}

// testActor is an actor made of functions; nil ones do nothing.
type testActor struct {
	h      *Handle
	start  func(ctx context.Context) error
	stop   func(ctx context.Context, reason wire.StopReason) error
	serve  http.HandlerFunc
	socket func(*WebSocket)
	life   context.Context
}

func (a *testActor) Start(ctx context.Context) error {
	a.life = ctx
	if a.start == nil {
		return nil
	}
	return a.start(ctx)
}

func (a *testActor) Stop(ctx context.Context, reason wire.StopReason) error {
	if a.stop == nil {
		return nil
	}
	return a.stop(ctx, reason)
}

func (a *testActor) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(w, r) }

func (a *testActor) ServeWebSocket(ws *WebSocket) { a.socket(ws) }

// rig is a runtime with a fake engine.
type rig struct {
	t      *testing.T
	e      *fakeEngine
	r      *Runtime
	rec    *recording
	front  *httptest.Server // serves the runtime's Handler
	actors chan *testActor  // as they are made
}

// newRig makes one; prepare may change each actor before it starts.
func newRig(t *testing.T, cfg Config, prepare func(*testActor)) *rig {
	return newRigWith(t, newFakeEngine(t), cfg, prepare)
}

func newRigWith(t *testing.T, e *fakeEngine, cfg Config, prepare func(*testActor)) *rig {
	g := &rig{t: t, e: e, rec: newRecording(), actors: make(chan *testActor, 100)}
	cfg.Recorder = g.rec
	if cfg.Reconnect == nil {
		cfg.Reconnect = FastPolicy(time.Millisecond)
	}
	if cfg.times == (timing{}) {
		cfg.times = defaultTiming
		cfg.times.ssePing = 20 * time.Millisecond
	}
	cfg.ActorName = []string{"test"}
	cfg.New = func(h *Handle) Actor {
		a := &testActor{h: h}
		if prepare != nil {
			prepare(a)
		}
		g.actors <- a
		return a
	}
	var err error
	g.r, err = New(cfg)
	require.NoError(t, err)
	g.front = httptest.NewServer(g.r.Handler())
	t.Cleanup(func() {
		assert.NoError(t, g.r.Close())
		g.front.CloseClientConnections()
		g.front.Close()
		if t.Failed() {
			t.Logf("history:\n%s", g.rec)
		}
	})
	return g
}

// startByHTTP sends a start as the engine's outbound side does.
func (g *rig) startByHTTP(cmd wire.Command) *sse {
	g.t.Helper()
	body, err := wire.EncodeStart(wire.V6, wire.Commands{cmd})
	require.NoError(g.t, err)
	req, err := http.NewRequest(http.MethodPost, g.front.URL+BasePath+"/start", bytes.NewReader(body))
	require.NoError(g.t, err)
	req.Header.Set("X-Rivet-Endpoint", g.e.srv.URL)
	req.Header.Set("X-Rivet-Namespace-Name", "ns")
	req.Header.Set("X-Rivet-Pool-Name", "pool")
	req.Header.Set("X-Rivet-Token", "secret")
	res, err := http.DefaultClient.Do(req)
	require.NoError(g.t, err)
	s := &sse{t: g.t, res: res, events: make(chan string, 1000)}
	s.wg.Go(s.read)
	g.t.Cleanup(func() {
		res.Body.Close() //nolint:errcheck // ends the reader
		s.wg.Wait()
	})
	return s
}

// begin starts actor "a", generation 1, and returns it with its connection.
func (g *rig) begin() (*fakeConn, *testActor, *sse) {
	g.t.Helper()
	stream := g.startByHTTP(startOf("a", 1, 1))
	c := g.e.acceptInit()
	c.wantRunning("a", 1)
	return c, receive(g.t, g.actors, "the actor"), stream
}

// sse reads the answer to a start.
type sse struct {
	t      *testing.T
	res    *http.Response
	events chan string
	wg     sync.WaitGroup
}

func (s *sse) read() {
	defer close(s.events)
	lines := bufio.NewScanner(s.res.Body)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			s.events <- name
		}
	}
}

// wantStopping reads pings until the stream says stopping and ends.
func (s *sse) wantStopping() {
	s.t.Helper()
	for {
		name := receive(s.t, s.events, "an event of the start's stream")
		if name == "ping" {
			continue
		}
		assert.Equal(s.t, "stopping", name)
		assert.Empty(s.t, receive(s.t, s.events, "the end of the stream"))
		return
	}
}

// whats are the actor events recorded, as "what#generation".
func (g *rig) whats() (out []string) {
	g.rec.mu.Lock()
	defer g.rec.mu.Unlock()
	for _, e := range g.rec.events {
		if a, ok := e.Body.(history.Actor); ok {
			out = append(out, fmt.Sprintf("%s#%d", a.What, a.Generation))
		}
	}
	return out
}
