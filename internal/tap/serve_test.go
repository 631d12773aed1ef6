package tap

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

// serverlessFake is a healthy runtime.
func serverlessFake(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case "/api/rivet/health":
		io.WriteString(w, "ok") //nolint:errcheck // the test sees it
	default:
		http.NotFound(w, req)
	}
}

// get asks the runtime by way of the tap.
func (r *rig) get(path string) string {
	resp := r.call(http.MethodGet, r.tap.Addresses().Serverless, path, nil)
	if resp == nil {
		return ""
	}
	body, err := io.ReadAll(resp.Body)
	assert.NoError(r.t, err)
	return string(body)
}

func (r *rig) call(method, addr, path string, body []byte) *http.Response {
	req, err := http.NewRequestWithContext(bounded(r.t), method, "http://"+addr+path, bytes.NewReader(body))
	if !assert.NoError(r.t, err) {
		return nil
	}
	resp, err := r.client.http.Do(req)
	if !assert.NoError(r.t, err) {
		return nil
	}
	r.t.Cleanup(func() { resp.Body.Close() }) //nolint:errcheck // read only
	return resp
}

func startBody(t testing.TB, actor, key string) []byte {
	t.Helper()
	body, err := wire.EncodeStart(wire.V6, startOf(actor, key, 4))
	require.NoError(t, err)
	return body
}

// stream answers a start; the test says what goes out, and when.
type stream struct {
	got  chan []byte // the calls' bodies
	say  chan string
	gone chan struct{} // closed when the caller has hung up
}

func (r *rig) stream() *stream {
	s := &stream{got: make(chan []byte, 10), say: make(chan string), gone: make(chan struct{})}
	r.serverless = func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		s.got <- body
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case text, ok := <-s.say:
				if !ok {
					return
				}
				io.WriteString(w, text)               //nolint:errcheck // the test sees it
				http.NewResponseController(w).Flush() //nolint:errcheck // likewise
			case <-req.Context().Done():
				close(s.gone)
				return
			}
		}
	}
	return s
}

// start is the engine's call, once its answer has begun.
func (r *rig) start(s *stream) *bufio.Reader {
	r.t.Helper()
	answered := make(chan *http.Response, 1)
	body := startBody(r.t, "a1", "room-1")
	go func() { answered <- r.call(http.MethodPost, r.tap.Addresses().Serverless, "/api/rivet/start", body) }()
	assert.Equal(r.t, body, receive(r.t, s.got, "the start"))
	s.say <- "event: ping\ndata:\n\n"
	resp := receive(r.t, answered, "the answer")
	assert.Equal(r.t, "text/event-stream", resp.Header.Get("Content-Type"))
	in := bufio.NewReader(resp.Body)
	hear(r.t, in, "event: ping\ndata:\n\n")
	return in
}

// hear reads what is to come.
func hear(t *testing.T, in io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	got := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(in, b)
		got <- err
	}()
	require.NoError(t, receive(t, got, want))
	assert.Equal(t, want, string(b))
}

func TestStartStream(t *testing.T) {
	r := newRig(t)
	s := r.stream()
	in := r.start(s)
	s.say <- "event: st" // half of an event waits for the rest
	s.say <- "opping\r\ndata:\r\n\r\n: idle\n\n"
	hear(t, in, "event: stopping\r\ndata:\r\n\r\n: idle\n\n")
	close(s.say)
	rest, err := io.ReadAll(in)
	require.NoError(t, err, "a clean end is passed on as one")
	assert.Empty(t, rest)
	r.frame("stream-end delivered")
	r.close()
	assert.Equal(t, []string{"start-call", "start-answer", "stream-ping", "stream-stopping", "stream-comment", "stream-end"}, names(r, "delivered"))
	for _, f := range bodies[history.Frame](r) {
		assert.Equal(t, "a1", f.Actor, f.Type)
		assert.Equal(t, "room-1", f.Key, f.Type)
		assert.Equal(t, uint32(4), f.Generation, f.Type)
		assert.Equal(t, "serverless", f.Wire)
	}
}

func names(r *rig, what string) (out []string) {
	for _, f := range bodies[history.Frame](r) {
		if f.What == what {
			out = append(out, f.Type)
		}
	}
	return out
}

// The key that a start names is known on the other wire, too.
func TestKeyOfAnActorStartedByHTTP(t *testing.T) {
	r := newRig(t)
	r.start(r.stream())
	runtime, engine := r.connect()
	r.arm(Rule{ID: "d", Match: Match{Type: "exec-request", Key: "room-1"}, When: Before, Do: DoDrop})
	runtime.send(websocket.BinaryMessage, exec_(t, 1, "a2", "COMMIT"))
	runtime.send(websocket.BinaryMessage, exec_(t, 2, "a1", "COMMIT"))
	engine.next("the other actor's")
	assert.Equal(t, Drop, r.final("d").Held)
}

func TestEngineHangsUp(t *testing.T) {
	r := newRig(t)
	s := r.stream()
	conn, err := net.Dial("tcp", r.tap.Addresses().Serverless)
	require.NoError(t, err)
	body := startBody(t, "a1", "k")
	_, err = fmt.Fprintf(conn, "POST /api/rivet/start HTTP/1.1\r\nhost: runtime\r\ncontent-length: %d\r\n\r\n%s", len(body), body)
	require.NoError(t, err)
	receive(t, s.got, "the start") //nolint:errcheck // bytes
	require.NoError(t, conn.Close())
	receive(t, s.gone, "word of it at the runtime") //nolint:errcheck // a struct
}

func TestRuntimeBreaksOff(t *testing.T) {
	r := newRig(t)
	s := r.stream()
	in := r.start(s)
	r.runtime.CloseClientConnections()
	_, err := io.ReadAll(in)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "what broke off does not end well")
}

func TestEventOfAStreamIsDropped(t *testing.T) {
	r := newRig(t)
	s := r.stream()
	in := r.start(s)
	r.arm(Rule{ID: "d", Match: Match{Type: "stream-stopping"}, When: Before, Do: DoDrop})
	r.arm(Rule{ID: "twice", Match: Match{Type: "stream-ping", Actor: "a1", Nth: 1}, When: Before, Do: DoDuplicate})
	s.say <- "event: stopping\ndata:\n\nevent: ping\n\n"
	hear(t, in, "event: ping\n\nevent: ping\n\n")
	close(s.say)
	_, err := io.ReadAll(in)
	require.NoError(t, err)
	assert.Equal(t, Done, r.final("d").State)
}

func TestCallIsHeldAndDropped(t *testing.T) {
	r := newRig(t)
	calls := make(chan string, 10)
	r.serverless = func(w http.ResponseWriter, req *http.Request) { calls <- req.URL.Path }
	r.arm(Rule{ID: "h", Match: Match{Type: "metadata-call"}, When: Before, Do: DoHold})
	hung, err := net.Dial("tcp", r.tap.Addresses().Serverless)
	require.NoError(t, err)
	_, err = io.WriteString(hung, "GET /api/rivet/metadata HTTP/1.1\r\nhost: runtime\r\n\r\n")
	require.NoError(t, err)
	r.wait("h", Armed)
	r.get("/api/rivet/health")
	assert.Equal(t, "/api/rivet/health", receive(t, calls, "another call, over another connection"))
	_, err = r.client.Release(bounded(t), "h", Drop)
	require.NoError(t, err)
	s, err := r.client.State(bounded(t))
	require.NoError(t, err)
	assert.Equal(t, 2, s.Connections[WireServerless], "who waits in vain is not hung up on")
	assert.Empty(t, calls)
	require.NoError(t, hung.Close())
}

// The engine starts an actor, and is killed as the runtime's answer is at the
// tap: the runtime's side ends without more.
func TestRuntimeIsStruckInTheMiddleOfAStream(t *testing.T) {
	r := newRig(t)
	s := r.stream()
	in := r.start(s)
	r.announce("runtime", spawn(t, "sleeper")) // the stream is not its own: what it sent counts as sent
	r.arm(Rule{ID: "k", Match: Match{Type: "stream-ping"}, When: Before, Do: DoStrike, Strike: kill("runtime", Deliver)})
	s.say <- strings.Repeat("event: ping\n\n", 10)
	out := r.final("k")
	assert.Equal(t, Done, out.State, out.Error)
	assert.Equal(t, 9, out.Lost)
	got, err := io.ReadAll(in)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, "event: ping\n\n", string(got), "the held one, and none behind it")
	receive(t, s.gone, "the end at the other side") //nolint:errcheck // a struct
}

// An idle connection of the dead ends, too: who would use it again is told.
func TestIdleConnectionIsSevered(t *testing.T) {
	r := newRig(t)
	r.serverless = serverlessFake
	conn, err := net.Dial("tcp", r.tap.Addresses().Serverless)
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // read only
	_, err = io.WriteString(conn, "GET /api/rivet/health HTTP/1.1\r\nhost: runtime\r\n\r\n")
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	r.announce("runtime", spawn(t, "sleeper"))
	out, err := r.client.Strike(bounded(t), *kill("runtime", ""))
	require.NoError(t, err)
	assert.Equal(t, 1, out.Severed)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = in.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}

// The same when the runtime goes without a strike.
func TestIdleConnectionEndsWithTheRuntime(t *testing.T) {
	r := newRig(t)
	r.serverless = serverlessFake
	assert.Equal(t, "ok", r.get("/api/rivet/health"))
	r.runtime.CloseClientConnections()
	timeout := time.After(patience)
	for {
		s, err := r.client.State(bounded(t))
		require.NoError(t, err)
		if len(s.Connections) == 0 {
			break
		}
		select {
		case <-timeout:
			require.Fail(t, "the connection is still there")
		case <-time.After(time.Millisecond): // no event tells of an idle connection's end
		}
	}
	assert.Equal(t, "ok", r.get("/api/rivet/health"), "a new one works")
}

// HTTP in all its shapes comes out as it went in.
func TestBodiesPassUnchanged(t *testing.T) {
	big := strings.Repeat("0123456789", 200_000)
	r := newRig(t)
	r.serverless = func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		assert.NoError(t, err)
		w.Header().Set("X-Got", fmt.Sprint(len(body), req.TransferEncoding, req.Trailer))
		flush := func() { http.NewResponseController(w).Flush() } //nolint:errcheck // the test sees it
		switch req.URL.Path {
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/known":
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			io.WriteString(w, big) //nolint:errcheck // the test sees it
		case "/chunked":
			w.Header().Set("Trailer", "X-Sum")
			for i := 0; i < len(big); i += 100_000 {
				io.WriteString(w, big[i:i+100_000]) //nolint:errcheck // likewise
				flush()
			}
			w.Header().Set("X-Sum", "42")
		case "/early":
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "late") //nolint:errcheck // likewise
		case "/close":
			w.Header().Set("Connection", "close")
			io.WriteString(w, "bye") //nolint:errcheck // likewise
		}
	}
	addr := r.tap.Addresses().Serverless
	for _, x := range []struct {
		method, path, body, want string
		chunked                  bool
	}{
		{"GET", "/empty", "", "", false},
		{"HEAD", "/known", "", "", false},
		{"GET", "/known", "", big, false},
		{"POST", "/chunked", "body", big, false},
		{"POST", "/chunked", "body", big, true},
		{"GET", "/early", "", "late", false},
		{"GET", "/close", "", "bye", false},
		{"GET", "/nothing", "", "", false},
	} {
		var body io.Reader = strings.NewReader(x.body)
		if x.chunked {
			body = io.MultiReader(body)
		}
		req, err := http.NewRequestWithContext(bounded(t), x.method, "http://"+addr+x.path, body)
		require.NoError(t, err)
		if x.body != "" {
			req.Header.Set("Expect", "100-continue")
		}
		resp, err := r.client.http.Do(req)
		require.NoError(t, err, x.path)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err, x.path)
		require.NoError(t, resp.Body.Close())
		assert.True(t, x.want == string(got), "%s %s: %d bytes", x.method, x.path, len(got))
		if x.path == "/chunked" {
			assert.Equal(t, "42", resp.Trailer.Get("X-Sum"))
		}
		if x.chunked {
			assert.Equal(t, "4 [chunked] map[]", resp.Header.Get("X-Got"))
		}
	}
}

func TestBadRequestsAreNotAnswered(t *testing.T) {
	r := newRig(t)
	for _, bad := range []string{"hello\r\n\r\n", "GET / HTTP/1.1\r\nhost", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"} {
		conn, err := net.Dial("tcp", r.tap.Addresses().Serverless)
		require.NoError(t, err)
		_, err = io.WriteString(conn, bad)
		require.NoError(t, err)
		conn.(*net.TCPConn).CloseWrite() //nolint:errcheck // it may have been reset
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		got, _ := io.ReadAll(conn) // a reset is as good as an end
		assert.Empty(t, got, "%q", bad)
		conn.Close() //nolint:errcheck // it was reset
	}
}

func TestGateway(t *testing.T) {
	r := newRig(t)
	r.engine.other = func(w http.ResponseWriter, req *http.Request) {
		if websocket.IsWebSocketUpgrade(req) {
			ws, err := (&websocket.Upgrader{Subprotocols: []string{"rivet"}}).Upgrade(w, req, nil)
			if err == nil {
				r.engine.conns <- newPeer(t, ws, req)
			}
			return
		}
		io.WriteString(w, req.URL.RequestURI()) //nolint:errcheck // the test sees it
		http.NewResponseController(w).Flush()   //nolint:errcheck // likewise
	}
	addr := r.tap.Addresses().Gateway
	resp := r.call(http.MethodPost, addr, "/gateway/a1/request/action/tick?x=1", []byte("{}"))
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "/gateway/a1/request/action/tick?x=1", string(body))
	r.frame("client-end/POST /request/action/tick delivered")
	r.call(http.MethodGet, addr, "/gateway/counter/health?rvt-method=get&rvt-key=room-1", nil)
	r.frame("client-request/GET /health delivered")

	d := websocket.Dialer{Subprotocols: []string{"rivet"}}
	ws, _, err := d.DialContext(bounded(t), "ws://"+addr+"/gateway/a1/websocket/connect", nil)
	require.NoError(t, err)
	client, engine := newPeer(t, ws, nil), r.engine.accept()
	client.send(websocket.TextMessage, []byte("hello"))
	assert.Equal(t, "hello", string(engine.next("the message")))
	require.NoError(t, engine.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "actor.stopped"), time.Now().Add(patience)))
	client.ended()
	r.frame("client-websocket-close/1000 actor.stopped delivered")
	r.close()
	got := bodies[history.Frame](r)
	type key struct{ typ, detail, actor, key, to string }
	seen := map[key]bool{}
	for _, f := range got {
		seen[key{f.Type, f.Detail, f.Actor, f.Key, f.Direction}] = true
	}
	for _, want := range []key{
		{"client-request", "POST /request/action/tick", "a1", "", "to-engine"},
		{"client-answer", "200", "a1", "", "to-client"},
		{"client-chunk", "POST /request/action/tick", "a1", "", "to-client"},
		{"client-request", "GET /health", "", "room-1", "to-engine"},
		{"client-websocket-open", "GET /websocket/connect", "a1", "", "to-engine"},
		{"client-websocket-answer", "101", "a1", "", "to-client"},
		{"client-websocket-message", "GET /websocket/connect", "a1", "", "to-engine"},
	} {
		assert.True(t, seen[want], "%+v", want)
	}
}
