package tap

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/pidfd"
)

// asChild makes the test binary be a process that can be killed.
const asChild = "TAP_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(asChild); role != "" {
		child(role)
	}
	goleak.VerifyTestMain(m)
}

const patience = 10 * time.Second

const token = "the run's token"

// sink takes the tap's events.
type sink struct {
	mu      sync.Mutex
	rest    []byte
	events  []history.Event
	changed chan struct{}
}

func newSink() *sink { return &sink{changed: make(chan struct{})} }

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = append(s.rest, b...)
	for {
		line, rest, ok := bytes.Cut(s.rest, []byte("\n"))
		if !ok {
			break
		}
		if e, ok := history.ParseEvent(line); ok {
			s.events = append(s.events, e)
		} else {
			panic(fmt.Sprintf("no event: %s", line))
		}
		s.rest = rest
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return len(b), nil
}

// rig is a tap with an engine and a runtime on loopback.
type rig struct {
	t      *testing.T
	tap    *Tap
	out    *sink
	client *Client
	engine *fakeEngine
	// serverless is the runtime's side that the engine calls.
	serverless http.HandlerFunc
	runtime    *httptest.Server
	closed     bool
}

type option func(*rig, *Config)

// upstreamEngine has the tap stand before another engine than the fake one.
func upstreamEngine(addr string) option { return func(_ *rig, c *Config) { c.Engine = addr } }

func within(change func(*times)) option { return func(_ *rig, c *Config) { change(&c.times) } }

func newRig(t *testing.T, options ...option) *rig {
	t.Helper()
	r := &rig{t: t, out: newSink(), engine: newFakeEngine(t)}
	r.runtime = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serverless(w, req) }))
	t.Cleanup(r.runtime.Close)
	cfg := Config{
		Envoy: "127.0.0.1:0", Serverless: "127.0.0.1:0", Gateway: "127.0.0.1:0", Control: "127.0.0.1:0",
		Engine: host(r.engine.srv.URL), Runtime: host(r.runtime.URL), Token: token, Out: r.out, times: defaultTimes,
		// A child of the test is in no container: whose process it is needs no
		// proof.
		open: func(to Target) (process, error) { return pidfd.Hold(to.PID) },
	}
	for _, o := range options {
		o(r, &cfg)
	}
	var err error
	r.tap, err = Start(cfg)
	require.NoError(t, err)
	r.client = NewClient("http://"+r.tap.Addresses().Control, token)
	t.Cleanup(func() {
		r.client.Close()
		r.close()
		if t.Failed() {
			for _, e := range r.out.events {
				t.Logf("%d %s %+v", e.T, e.Kind, e.Body)
			}
		}
	})
	return r
}

func (r *rig) close() {
	if !r.closed {
		r.closed = true
		assert.NoError(r.t, r.tap.Close())
	}
}

func host(u string) string { return strings.TrimPrefix(u, "http://") }

// bounded is a context that ends with the test's patience.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// frames are the frame events so far that f selects, as "type/detail what".
func (r *rig) frames(f func(*history.Frame) bool) (out []string) {
	r.out.mu.Lock()
	defer r.out.mu.Unlock()
	for _, e := range r.out.events {
		if b, ok := e.Body.(*history.Frame); ok && (f == nil || f(b)) {
			out = append(out, short(b))
		}
	}
	return out
}

func short(f *history.Frame) string {
	name := f.Type
	if f.Detail != "" {
		name += "/" + f.Detail
	}
	return name + " " + f.What
}

// await waits for an event.
func await[T any](r *rig, what string, is func(T) bool) T {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.out.mu.Lock()
		changed := r.out.changed
		for _, e := range r.out.events {
			if b, ok := e.Body.(T); ok && is(b) {
				r.out.mu.Unlock()
				return b
			}
		}
		r.out.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			require.Fail(r.t, "waited in vain", "for %s", what)
		}
	}
}

// frame waits for an event of a frame, as "type/detail what".
func (r *rig) frame(want string) *history.Frame {
	r.t.Helper()
	return await(r, want, func(f *history.Frame) bool { return short(f) == want })
}

func (r *rig) arm(rule Rule) {
	r.t.Helper()
	require.NoError(r.t, r.client.Arm(bounded(r.t), rule))
}

func (r *rig) wait(id string, not State) Outcome {
	r.t.Helper()
	out, err := r.client.Wait(bounded(r.t), id, not)
	require.NoError(r.t, err)
	return out
}

// final waits for the rule's end.
func (r *rig) final(id string) Outcome {
	r.t.Helper()
	out := r.wait(id, Armed)
	if !out.State.Final() {
		out = r.wait(id, Reached)
	}
	return out
}

// fakeEngine takes envoy connections, and answers other requests.
type fakeEngine struct {
	t     *testing.T
	srv   *httptest.Server
	conns chan *peer
	other http.HandlerFunc
	// refuse is the reason of a close right after the upgrade, if any.
	refuse string
}

func newFakeEngine(t *testing.T) *fakeEngine {
	e := &fakeEngine{t: t, conns: make(chan *peer, 10)}
	e.srv = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(e.srv.Close)
	return e
}

func (e *fakeEngine) serve(w http.ResponseWriter, req *http.Request) {
	if !strings.HasSuffix(req.URL.Path, "/envoys/connect") {
		e.other(w, req)
		return
	}
	up := websocket.Upgrader{Subprotocols: []string{"rivet"}, CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := up.Upgrade(w, req, http.Header{"X-Engine": {"fake"}})
	if err != nil {
		return
	}
	if e.refuse != "" {
		ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1011, e.refuse), time.Now().Add(patience)) //nolint:errcheck // the test sees it
	}
	e.conns <- newPeer(e.t, ws, req)
}

// accept waits for a connection.
func (e *fakeEngine) accept() *peer {
	e.t.Helper()
	return receive(e.t, e.conns, "a connection at the engine")
}

// peer is one end of a WebSocket.
type peer struct {
	t    *testing.T
	ws   *websocket.Conn
	req  *http.Request
	in   chan []byte
	end  chan error // one, how it ended
	ping chan string
}

func newPeer(t *testing.T, ws *websocket.Conn, req *http.Request) *peer {
	p := &peer{t: t, ws: ws, req: req, in: make(chan []byte, 100000), end: make(chan error, 1), ping: make(chan string, 100)}
	ws.SetPingHandler(func(data string) error { p.ping <- data; return nil })
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				close(p.in)
				p.end <- err
				return
			}
			p.in <- data
		}
	}()
	t.Cleanup(func() {
		ws.Close() //nolint:errcheck // it may have ended
		<-done
	})
	return p
}

func (p *peer) send(kind int, data []byte) {
	p.t.Helper()
	require.NoError(p.t, p.ws.WriteMessage(kind, data))
}

func (p *peer) next(what string) []byte {
	p.t.Helper()
	return receive(p.t, p.in, what)
}

// nothing says that no message is there, after others have been seen to pass.
func (p *peer) nothing(why string) {
	p.t.Helper()
	select {
	case data, ok := <-p.in:
		if ok {
			assert.Fail(p.t, why, "got %x", data)
		}
	default:
	}
}

// ended waits for the end of the connection, whatever it is like.
func (p *peer) ended() {
	p.t.Helper()
	assert.Error(p.t, receive(p.t, p.end, "the end of the connection"))
}

// rest are the messages up to the end of the connection.
func (p *peer) rest() (all [][]byte) {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case data, ok := <-p.in:
			if !ok {
				return all
			}
			all = append(all, data)
		case <-timeout:
			require.Fail(p.t, "the connection did not end")
		}
	}
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

const connectPath = "/envoys/connect?protocol_version=6&namespace=ns&envoy_key=key&version=1&pool_name=pool"

// connect is the runtime's way to the engine, by way of the tap.
func (r *rig) connect() (runtime, engine *peer) {
	r.t.Helper()
	runtime = r.dial(connectPath)
	return runtime, r.engine.accept()
}

func (r *rig) dial(path string) *peer {
	r.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"rivet", "rivet_token.T"}, EnableCompression: true}
	ws, resp, err := d.DialContext(bounded(r.t), "ws://"+r.tap.Addresses().Envoy+path, http.Header{"X-Runtime": {"fake"}})
	require.NoError(r.t, err)
	return newPeer(r.t, ws, &http.Request{Header: resp.Header, URL: &url.URL{}})
}

// The frames of the tests.

func toEngine(t testing.TB, msg wire.ToEngine) []byte {
	t.Helper()
	b, err := wire.EncodeToEngine(wire.V6, msg)
	require.NoError(t, err)
	return b
}

func toRuntime(t testing.TB, msg wire.ToRuntime) []byte {
	t.Helper()
	b, err := wire.EncodeToRuntime(wire.V6, msg)
	require.NoError(t, err)
	return b
}

func exec_(t testing.TB, id uint32, actor, sql string) []byte {
	return toEngine(t, wire.ExecRequest{RequestID: id, Namespace: "ns", ActorID: actor, Generation: 1, SQL: sql})
}

func executed(t testing.TB, id uint32) []byte {
	return toRuntime(t, wire.ExecResponse{RequestID: id, OK: &wire.QueryResult{}})
}

func startOf(actor, key string, generation uint32) wire.Commands {
	return wire.Commands{{
		Checkpoint: wire.Checkpoint{ActorID: actor, Generation: generation, Index: 1},
		Body:       wire.StartActor{Config: wire.ActorConfig{Name: "counter", Key: &key}, Hibernating: []wire.HibernatingRequest{}},
	}}
}

// victim is a process to strike: the test binary in a role of its own.
type victim struct {
	cmd  *exec.Cmd
	said *bufio.Scanner
	addr string
}

// spawn starts a child and waits until it says where it is.
func spawn(t testing.TB, role string, args ...string) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command(os.Args[0], args...)}
	v.cmd.Env = append(os.Environ(), asChild+"="+role)
	v.cmd.Stderr = os.Stderr
	out, err := v.cmd.StdoutPipe()
	require.NoError(t, err)
	in, err := v.cmd.StdinPipe() // its end is the child's
	require.NoError(t, err)
	require.NoError(t, v.cmd.Start())
	t.Cleanup(func() {
		in.Close()               //nolint:errcheck // it may be dead
		_ = v.cmd.Process.Kill() // likewise
		_ = v.cmd.Wait()
	})
	v.said = bufio.NewScanner(out)
	v.addr = v.line(t)
	return v
}

func (v *victim) line(t testing.TB) string {
	t.Helper()
	require.True(t, v.said.Scan(), "the child ended")
	return v.said.Text()
}

// announce makes it a target.
func (r *rig) announce(role string, v *victim) {
	r.t.Helper()
	require.NoError(r.t, r.client.Announce(bounded(r.t), role, Target{PID: v.cmd.Process.Pid, Party: role + "#1"}))
}

// dead waits for the child's end, by the signal.
func (v *victim) dead(t testing.TB) string {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- v.cmd.Wait() }()
	select {
	case err := <-done:
		if err == nil {
			return "exit status 0"
		}
		return err.Error()
	case <-time.After(patience):
		require.Fail(t, "the child lives")
		return ""
	}
}
