package tap

import (
	"context"
	"errors"
	"io"
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

func TestEnvoyConnectionPassesUnchanged(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	assert.Equal(t, connectPath, engine.req.URL.RequestURI())
	assert.Equal(t, "fake", engine.req.Header.Get("X-Runtime"))
	assert.Equal(t, []string{"rivet", "rivet_token.T"}, websocket.Subprotocols(engine.req))
	assert.Empty(t, engine.req.Header.Get("Sec-WebSocket-Extensions"), "compressed messages could not be read")
	assert.Equal(t, "rivet", runtime.ws.Subprotocol())
	assert.Equal(t, "fake", runtime.req.Header.Get("X-Engine"))

	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 3 << 20} {
		data := []byte(strings.Repeat("x", n))
		runtime.send(websocket.BinaryMessage, data)
		assert.Equal(t, data, engine.next("a message at the engine"), "of %d bytes", n)
		engine.send(websocket.TextMessage, data)
		assert.Equal(t, data, runtime.next("a message at the runtime"), "of %d bytes", n)
	}
	deadline := time.Now().Add(patience)
	require.NoError(t, engine.ws.WriteControl(websocket.PingMessage, []byte("are you there?"), deadline))
	assert.Equal(t, "are you there?", receive(t, runtime.ping, "the ping"))
	require.NoError(t, runtime.ws.WriteControl(websocket.PingMessage, []byte("and you?"), deadline))
	assert.Equal(t, "and you?", receive(t, engine.ping, "the ping"))
	r.frame("ws-ping delivered")
}

// A message in fragments is one frame; a ping between them is another.
func TestFragments(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	w, err := runtime.ws.NextWriter(websocket.BinaryMessage)
	require.NoError(t, err)
	whole := exec_(t, 1, "a", "SELECT '"+strings.Repeat("x", 20000)+"'")
	_, err = w.Write(whole[:10000]) // more than gorilla's buffer
	require.NoError(t, err)
	require.NoError(t, runtime.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)))
	receive(t, engine.ping, "the ping in the middle")
	_, err = w.Write(whole[10000:])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.Equal(t, whole, engine.next("the message"))
	assert.Equal(t, len(whole), r.frame("exec-request/select delivered").Bytes)
}

func TestClosesPassUnchanged(t *testing.T) {
	for name, close := range map[string]struct {
		by     string
		code   int
		reason string
		detail string
	}{
		"engine drains":    {"engine", 1011, "ws.going_away#abc123", "ws-close/1011 ws.going_away delivered"},
		"another took it":  {"engine", 1000, "ws.eviction#abc", "ws-close/1000 ws.eviction delivered"},
		"runtime shutdown": {"runtime", 1000, "envoy.shutdown", "ws-close/1000 envoy.shutdown delivered"},
		"nothing said":     {"runtime", 1005, "", "ws-close delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			runtime, engine := r.connect()
			from, to := engine, runtime
			if close.by == "runtime" {
				from, to = runtime, engine
			}
			msg := websocket.FormatCloseMessage(close.code, close.reason)
			require.NoError(t, from.ws.WriteControl(websocket.CloseMessage, msg, time.Now().Add(patience)))
			for _, p := range []*peer{to, from} { // gorilla echoes the code, not the reason
				var said *websocket.CloseError
				require.ErrorAs(t, receive(t, p.end, "the end"), &said)
				assert.Equal(t, close.code, said.Code)
				if p == to {
					assert.Equal(t, close.reason, said.Text)
				}
			}
			r.frame(close.detail)
		})
	}
}

func TestRefusalAfterTheUpgrade(t *testing.T) {
	r := newRig(t)
	r.engine.refuse = "guard.missing_header#ray"
	runtime, _ := r.connect()
	var said *websocket.CloseError
	require.ErrorAs(t, receive(t, runtime.end, "the end"), &said)
	assert.Equal(t, 1011, said.Code)
	assert.Equal(t, "guard.missing_header#ray", said.Text)
}

// What ends without a close frame ends so on the other side.
func TestKilledPeer(t *testing.T) {
	for _, dies := range []string{"engine", "runtime"} {
		t.Run(dies, func(t *testing.T) {
			r := newRig(t)
			runtime, engine := r.connect()
			from, to := engine, runtime
			if dies == "runtime" {
				from, to = runtime, engine
			}
			from.send(websocket.BinaryMessage, []byte("last words"))
			require.NoError(t, from.ws.NetConn().Close())
			assert.Equal(t, "last words", string(to.next("what was sent before")))
			var said *websocket.CloseError
			err := receive(t, to.end, "the end")
			assert.True(t, errors.As(err, &said) && said.Code == websocket.CloseAbnormalClosure, "%v", err)
		})
	}
}

func TestEngineIsDown(t *testing.T) {
	r := newRig(t, upstreamEngine("127.0.0.1:1"))
	_, resp, err := websocket.DefaultDialer.DialContext(bounded(t), "ws://"+r.tap.Addresses().Envoy+connectPath, nil)
	require.Error(t, err)
	assert.Nil(t, resp, "no answer is made up")
	lost := r.frame("connect-call lost")
	assert.Contains(t, lost.Error, "connection refused")
}

func TestOtherRequestsPass(t *testing.T) {
	r := newRig(t)
	r.engine.other = func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		w.Header().Set("X-Host", req.Host)
		w.WriteHeader(http.StatusTeapot)
		w.Write([]byte(req.Method + " " + req.URL.RequestURI() + " " + string(body))) //nolint:errcheck // the test sees it
	}
	for range 3 { // over one connection
		req, err := http.NewRequestWithContext(bounded(t), http.MethodPut, "http://"+r.tap.Addresses().Envoy+"/actors?namespace=x", strings.NewReader("hello"))
		require.NoError(t, err)
		resp, err := r.client.http.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusTeapot, resp.StatusCode)
		assert.Equal(t, "PUT /actors?namespace=x hello", string(body))
		assert.Equal(t, r.tap.Addresses().Envoy, resp.Header.Get("X-Host"), "the caller's word")
	}
	s, err := r.client.State(bounded(t))
	require.NoError(t, err)
	assert.Equal(t, map[Wire]int{WireEnvoy: 1}, s.Connections)
	assert.Equal(t, uint64(6), s.Frames)
	r.frame("http-call/PUT /actors delivered")
	r.frame("http-answer/418 delivered")
}

func TestFramesAreNumberedAndStamped(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	engine.send(websocket.BinaryMessage, toRuntime(t, startOf("a1", "room-1", 3)))
	runtime.next("the start")
	for i := range uint32(2) {
		runtime.send(websocket.BinaryMessage, exec_(t, i, "a1", "COMMIT"))
		engine.next("the request")
		engine.send(websocket.BinaryMessage, executed(t, i))
		runtime.next("the answer")
	}
	engine.send(websocket.BinaryMessage, []byte{0xff, 1, 2})
	assert.Equal(t, []byte{0xff, 1, 2}, runtime.next("what cannot be read"))
	r.close()

	var last history.Event
	var n uint64
	for _, e := range r.out.events {
		f, ok := e.Body.(*history.Frame)
		if !ok || f.What != "arrived" {
			continue
		}
		n++
		assert.Equal(t, n, f.N)
		assert.GreaterOrEqual(t, e.T, last.T)
		last = e
	}
	assert.Equal(t, uint64(8), n)
	assert.Equal(t, "undecoded", last.Body.(*history.Frame).Type)
	assert.Contains(t, last.Body.(*history.Frame).Error, "tag")

	want := history.Frame{N: 6, Wire: "envoy", Direction: "to-engine", Type: "exec-request", Detail: "commit",
		Actor: "a1", Key: "room-1", Generation: 1, Nth: 2, Bytes: len(exec_(t, 1, "a1", "COMMIT")), What: "delivered"}
	assert.Contains(t, bodies[history.Frame](r), want)
	want = history.Frame{N: 7, Wire: "envoy", Direction: "to-runtime", Type: "exec-response", Detail: "commit",
		Actor: "a1", Key: "room-1", Generation: 1, Nth: 2, Bytes: len(executed(t, 1)), What: "delivered"}
	assert.Contains(t, bodies[history.Frame](r), want)
	assert.Equal(t, history.KindClock, r.out.events[0].Kind)
	assert.Equal(t, history.KindTapListen, r.out.events[1].Kind)
}

func bodies[T any](r *rig) (out []T) {
	for _, e := range r.out.events {
		if b, ok := e.Body.(*T); ok {
			out = append(out, *b)
		}
	}
	return out
}

// A version that nobody knows is no reason not to pass frames.
func TestUnknownVersion(t *testing.T) {
	r := newRig(t)
	runtime := r.dial("/envoys/connect?protocol_version=99")
	engine := r.engine.accept()
	runtime.send(websocket.BinaryMessage, toEngine(t, wire.Stopping{}))
	assert.Equal(t, toEngine(t, wire.Stopping{}), engine.next("the message"))
	assert.Contains(t, r.frame("undecoded delivered").Error, "version")
}

func TestCloseEndsEverything(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	r.arm(Rule{ID: "hold", Match: Match{Type: "stopping"}, When: Before, Do: DoHold})
	runtime.send(websocket.BinaryMessage, toEngine(t, wire.Stopping{}))
	r.wait("hold", Armed)
	polled := make(chan bool, 1)
	go func() {
		out, err := r.client.Wait(context.Background(), "hold", Reached)
		polled <- err != nil || out.State == Failed
	}()
	r.close()
	assert.True(t, receive(t, polled, "the end of the long poll"), "a frame that nobody released was not done with")
	runtime.ended()
	engine.ended()
}
