package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
)

func serving(f http.HandlerFunc) func(*testActor) { return func(a *testActor) { a.serve = f } }

func headerValue(hs []wire.Header, name string) string {
	for _, h := range hs {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

func TestRequest(t *testing.T) {
	g := newRig(t, Config{}, serving(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		w.Header().Set("X-Got", r.Header.Get("X-A"))
		w.Header().Add("X-Many", "1")
		w.Header().Add("X-Many", "2")
		w.WriteHeader(201)
		w.WriteHeader(500)
		fmt.Fprintf(w, "%s %s %s q=%s len=%d %s", r.Method, r.Host, r.URL.Path, r.URL.Query().Get("q"), r.ContentLength, body) //nolint:errcheck // asserted below
		w.(http.Flusher).Flush()
	}))
	c, _, _ := g.begin()
	c.request("a", "POST", "/x/y?q=1", []byte("body"))
	start := c.part(0).(wire.ResponseStart)
	assert.EqualValues(t, 201, start.Status)
	assert.Equal(t, "POST h /x/y q=1 len=4 body", string(start.Body))
	assert.False(t, start.Stream)
	assert.Equal(t, "b", headerValue(start.Headers, "x-got"))
	assert.Equal(t, "1, 2", headerValue(start.Headers, "x-many"))
	assert.Equal(t, fmt.Sprint(len(start.Body)), headerValue(start.Headers, "content-length"))
}

func TestRequestErrors(t *testing.T) {
	g := newRig(t, Config{}, serving(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			w.WriteHeader(204)
			panic("boom")
		case "/large":
			_, err := w.Write(make([]byte, 1<<20))
			assert.NoError(t, err)
			_, err = w.Write([]byte{0})
			assert.Error(t, err)
		case "/nothing":
		case "/204":
			w.WriteHeader(204)
		}
	}))
	c, _, _ := g.begin()
	for path, want := range map[string]struct {
		status uint16
		code   string
	}{
		"/panic":   {500, "core.internal_error"},
		"/large":   {500, "message.outgoing_too_long"},
		"relative": {400, "request.invalid"},
		"/nothing": {200, ""},
		"/204":     {204, ""},
	} {
		c.request("a", "GET", path, nil)
		start := c.part(0).(wire.ResponseStart)
		assert.Equal(t, want.status, start.Status, path)
		assert.Equal(t, want.code, headerValue(start.Headers, "x-rivet-error"), path)
		if group, code, is := strings.Cut(want.code, "."); is {
			assert.Contains(t, string(start.Body), fmt.Sprintf(`"group":%q`, group), path)
			assert.Contains(t, string(start.Body), fmt.Sprintf(`"code":%q`, code), path)
		}
	}
	assert.Contains(t, g.rec.await(t, "panic", 1).Error, "boom")
}

func TestRequestForActorThatIsNotHere(t *testing.T) {
	for _, hint := range []bool{true, false} {
		g := newRig(t, Config{NoRetryHint: !hint}, nil)
		c, _, _ := g.begin()
		c.request("else", "GET", "/", nil)
		start := c.part(0).(wire.ResponseStart)
		assert.EqualValues(t, 503, start.Status)
		want := "envoy.actor_not_found"
		if hint {
			want = "guard.actor_stopped_while_waiting"
		}
		assert.Equal(t, want, headerValue(start.Headers, "x-rivet-error"))
		c.tunnel(0, wire.WebSocketOpen{ActorID: "else", Path: "/", Headers: []wire.Header{}})
		assert.EqualValues(t, 1011, *c.part(0).(wire.WebSocketClosed).Code)
	}
}

func TestRequestWaitsForTheStart(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, Config{}, func(a *testActor) {
		a.start = func(context.Context) error { <-release; return nil }
		a.serve = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }
	})
	g.startByHTTP(startOf("a", 1, 1))
	c := g.e.acceptInit()
	c.request("a", "GET", "/", nil)
	c.sync()
	close(release)
	c.wantRunning("a", 1)
	assert.EqualValues(t, 202, c.part(0).(wire.ResponseStart).Status)
}

func TestRequestDuringStopIsSentElsewhere(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, Config{}, func(a *testActor) {
		a.stop = func(context.Context, wire.StopReason) error { <-release; return nil }
	})
	c, _, _ := g.begin()
	c.stop("a", 1, 2, wire.StopSleepIntent)
	g.rec.await(t, "sleep", 1)
	c.sync()
	c.request("a", "GET", "/", nil)
	assert.EqualValues(t, 503, c.part(0).(wire.ResponseStart).Status)
	close(release)
	c.wantStopped("a", 1, wire.StopOK)
}

func TestStopCancelsHandlersBeforeStopped(t *testing.T) {
	entered := make(chan struct{})
	g := newRig(t, Config{}, serving(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	c, _, _ := g.begin()
	c.request("a", "GET", "/", nil)
	receive(t, entered, "the request")
	c.stop("a", 1, 2, wire.StopDestroy)
	assert.Equal(t, "actor.stopping", headerValue(c.part(0).(wire.ResponseStart).Headers, "x-rivet-error"))
	c.wantStopped("a", 1, wire.StopOK)
}

func TestRequestBodyIsStreamed(t *testing.T) {
	pieces := make(chan string)
	g := newRig(t, Config{}, serving(func(_ http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if err != nil {
				pieces <- err.Error()
				return
			}
			pieces <- string(buf[:n])
		}
	}))
	c, _, _ := g.begin()
	c.tunnel(0, wire.RequestStart{ActorID: "a", Method: "POST", Path: "/", Body: []byte("one"), Stream: true, Headers: []wire.Header{}})
	assert.Equal(t, "one", receive(t, pieces, "a piece"))
	c.tunnel(1, wire.RequestChunk{Body: []byte("two")})
	assert.Equal(t, "two", receive(t, pieces, "a piece"))
	c.tunnel(2, wire.RequestChunk{Body: []byte("three"), Finish: true})
	assert.Equal(t, "three", receive(t, pieces, "a piece"))
	assert.Equal(t, "EOF", receive(t, pieces, "the end"))
	c.part(0)
}

func TestRequestAbortCancels(t *testing.T) {
	entered, left := make(chan struct{}), make(chan error, 2)
	g := newRig(t, Config{}, serving(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		_, err := r.Body.Read(make([]byte, 1))
		left <- err
		<-r.Context().Done()
		left <- context.Cause(r.Context())
	}))
	c, _, _ := g.begin()
	c.tunnel(0, wire.RequestStart{ActorID: "a", Method: "POST", Path: "/", Stream: true, Headers: []wire.Header{}})
	receive(t, entered, "the request")
	c.tunnel(1, wire.RequestAbort{})
	for range 2 {
		assert.Equal(t, errClientGone, receive(t, left, "the handler's error"))
	}
	c.sync() // no answer is sent
}

func TestRequestBodyOverflow(t *testing.T) {
	b := newRequestBody(t.Context(), nil, true)
	chunk := make([]byte, 1<<20)
	for range requestBodyMax>>20 + 1 {
		b.add(chunk, false)
	}
	_, err := b.Read(make([]byte, 10))
	assert.Equal(t, errBodyOverflow, err)
}

func TestAnswersOutliveTheConnection(t *testing.T) {
	for _, drop := range []bool{false, true} {
		entered, release := make(chan struct{}), make(chan struct{})
		g := newRig(t, Config{DropAnswers: drop}, serving(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-release
			w.WriteHeader(202)
		}))
		c, _, s := g.begin()
		c.request("a", "GET", "/", nil)
		receive(t, entered, "the request")
		c.cut()
		c = g.e.accept()
		close(release)
		if drop {
			g.rec.awaitEnvoy(t, "answer-dropped", 1)
		} else {
			// The answer is kept once its handler is through, which nothing tells.
			poll(t, patience, time.Millisecond, func() (bool, string) {
				g.r.mu.Lock()
				defer g.r.mu.Unlock()
				return len(g.r.unsent) == 1, "no answer kept"
			})
		}
		c.send(wire.Init{LostThreshold: 9999, StopThreshold: 1, MaxResponse: 1})
		assert.IsType(t, wire.Events{}, c.next())
		if !drop {
			assert.EqualValues(t, 202, c.part(0).(wire.ResponseStart).Status)
		}
		c.sync()
		s.res.Body.Close() //nolint:errcheck // the next round has its own
	}
}

func (c *fakeConn) requestV8(stream bool) {
	c.t.Helper()
	gen := uint32(1)
	c.tunnel(0, wire.RequestStart{ActorID: "a", Generation: &gen, Method: "GET", Path: "/", Headers: []wire.Header{}, ResponseStream: stream})
}

func TestResponseIsStreamed(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, Config{Protocol: wire.V8}, serving(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "one") //nolint:errcheck // asserted below
		w.(http.Flusher).Flush()
		<-release
		io.WriteString(w, "two") //nolint:errcheck // asserted below
	}))
	c, _, _ := g.begin()
	c.requestV8(true)
	start := c.part(0).(wire.ResponseStart)
	assert.True(t, start.Stream)
	assert.Nil(t, start.Body)
	assert.Empty(t, headerValue(start.Headers, "content-length"))
	assert.Equal(t, wire.ResponseChunk{Body: []byte("one")}, c.part(1))
	close(release)
	assert.Equal(t, wire.ResponseChunk{Body: []byte("two")}, c.part(2))
	assert.Equal(t, wire.ResponseChunk{Body: []byte{}, Finish: true}, c.part(3))
}

func TestResponseIsWholeWhereTheGatewayWantsIt(t *testing.T) {
	g := newRig(t, Config{Protocol: wire.V8}, serving(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "one") //nolint:errcheck // asserted below
		w.(http.Flusher).Flush()
		io.WriteString(w, "two") //nolint:errcheck // asserted below
	}))
	c, _, _ := g.begin()
	c.requestV8(false)
	assert.Equal(t, "onetwo", string(c.part(0).(wire.ResponseStart).Body))
}

func TestResponseKeepsToTheWindow(t *testing.T) {
	const size = 3 * windowSize
	wrote := make(chan error, 1)
	g := newRig(t, Config{Protocol: wire.V8}, serving(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, size))
		wrote <- err
	}))
	c, _, _ := g.begin()
	c.requestV8(true)
	require.True(t, c.part(0).(wire.ResponseStart).Stream)
	got, index := 0, uint16(1)
	upTo := func(limit int) {
		for got < limit {
			got += len(c.part(index).(wire.ResponseChunk).Body)
			index++
		}
		assert.Equal(t, limit, got)
	}
	upTo(windowSize)
	c.sync() // nothing beyond the window
	c.tunnel(1, wire.ResponseBodyWindow{Consumed: 1000})
	upTo(windowSize + 1000)
	c.sync()
	c.tunnel(2, wire.ResponseBodyWindow{Consumed: windowSize})
	upTo(2 * windowSize)
	c.tunnel(3, wire.ResponseBodyWindow{Consumed: 2 * windowSize})
	upTo(size)
	require.NoError(t, receive(t, wrote, "the write"))
	assert.Equal(t, wire.ResponseChunk{Body: []byte{}, Finish: true}, c.part(index))
}

func TestStreamedResponseThatBreaks(t *testing.T) {
	for name, broken := range map[string]any{"panic": "boom", "abort": http.ErrAbortHandler} {
		g := newRig(t, Config{Protocol: wire.V8}, serving(func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			panic(broken)
		}))
		c, _, _ := g.begin()
		c.requestV8(true)
		require.True(t, c.part(0).(wire.ResponseStart).Stream)
		assert.IsType(t, wire.ResponseAbort{}, c.part(1), name)
	}
}

func TestRequestBodyWindowCounts(t *testing.T) {
	g := newRig(t, Config{Protocol: wire.V8}, serving(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, 100_000))
		assert.NoError(t, err)
	}))
	c, _, _ := g.begin()
	c.tunnel(0, wire.RequestStart{ActorID: "a", Method: "POST", Path: "/", Stream: true, Headers: []wire.Header{}})
	c.tunnel(1, wire.RequestChunk{Body: make([]byte, 60_000)})
	assert.Equal(t, wire.RequestBodyWindow{Consumed: 60_000}, c.part(0))
	c.tunnel(2, wire.RequestChunk{Body: make([]byte, 60_000)})
	assert.Equal(t, wire.RequestBodyWindow{Consumed: 100_000}, c.part(1), "counted from the start of the body")
	assert.EqualValues(t, 200, c.part(2).(wire.ResponseStart).Status)
	assert.Equal(t, wire.RequestBodyCancel{}, c.part(3), "the rest is not wanted")
}

func (c *fakeConn) openSocket() {
	c.t.Helper()
	c.tunnel(0, wire.WebSocketOpen{ActorID: "a", Path: "/ws?x=1", Headers: []wire.Header{{Name: "x-a", Value: "b"}}})
}

func TestWebSocket(t *testing.T) {
	ended := make(chan error, 1)
	g := newRig(t, Config{}, func(a *testActor) {
		a.socket = func(ws *WebSocket) {
			assert.Equal(t, "/ws?x=1", ws.Path)
			assert.Equal(t, "b", ws.Header.Get("X-A"))
			for {
				data, binary, err := ws.Read(t.Context())
				if err != nil {
					ended <- errors.Join(err, ws.Write(t.Context(), nil, true))
					return
				}
				assert.NoError(t, ws.Write(t.Context(), append([]byte("re:"), data...), binary))
			}
		}
	})
	c, _, _ := g.begin()
	c.openSocket()
	assert.Equal(t, wire.WebSocketOpened{}, c.part(0))
	for i := range 3 {
		c.tunnel(uint16(i), wire.WebSocketMessage{Data: []byte{byte(i)}, Binary: i%2 == 0})
	}
	for i := range 3 {
		assert.Equal(t, wire.WebSocketMessage{Data: []byte{'r', 'e', ':', byte(i)}, Binary: i%2 == 0}, c.part(uint16(i+1)))
	}
	code, reason := uint16(4001), "bye"
	c.tunnel(9, wire.WebSocketClose{Code: &code, Reason: &reason})
	err := receive(t, ended, "the end")
	var closed *CloseError
	require.ErrorAs(t, err, &closed)
	assert.Equal(t, CloseError{4001, "bye"}, *closed)
	assert.ErrorIs(t, err, errSocketClosed)
	c.sync() // a socket that the client closed is not closed again
}

func TestWebSocketEnds(t *testing.T) {
	for name, want := range map[string]struct {
		serve  func(*WebSocket)
		code   uint16
		reason string
	}{
		"return": {func(*WebSocket) {}, 1000, ""},
		"close":  {func(ws *WebSocket) { ws.Close(4000, "mine") }, 4000, "mine"}, //nolint:errcheck // asserted below
		"panic":  {func(*WebSocket) { panic("boom") }, 1011, "core.internal_error"},
		"stop":   {func(ws *WebSocket) { ws.Read(context.Background()) }, 1000, "actor.stopped"}, //nolint:errcheck // asserted below
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, Config{}, func(a *testActor) { a.socket = want.serve })
			c, _, _ := g.begin()
			c.openSocket()
			assert.Equal(t, wire.WebSocketOpened{}, c.part(0))
			if name == "stop" {
				c.stop("a", 1, 2, wire.StopSleepIntent)
			}
			closed := c.part(1).(wire.WebSocketClosed)
			assert.Equal(t, want.code, *closed.Code)
			assert.Equal(t, want.reason, *closed.Reason)
		})
	}
}

func TestWebSocketThatIsNotRead(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, Config{}, func(a *testActor) {
		a.socket = func(ws *WebSocket) {
			<-release
			n := 0
			for {
				if _, _, err := ws.Read(context.Background()); err != nil {
					assert.Equal(t, errInboxFull, err)
					break
				}
				n++
			}
			assert.Equal(t, socketMessagesMax, n)
		}
	})
	c, _, _ := g.begin()
	c.openSocket()
	assert.Equal(t, wire.WebSocketOpened{}, c.part(0))
	for range socketMessagesMax + 1 {
		c.tunnel(0, wire.WebSocketMessage{Data: []byte("x")})
	}
	closed := c.part(1).(wire.WebSocketClosed)
	assert.EqualValues(t, 1011, *closed.Code)
	c.sync() // the connection was read all the while
	close(release)
}

func TestOutbox(t *testing.T) {
	o := newOutbox(outboxMax)
	require.True(t, o.push(frame{data: []byte("a")}))
	select {
	case <-o.roomy():
	default:
		assert.Fail(t, "there is room")
	}
	require.True(t, o.push(frame{data: make([]byte, outboxRoom), answer: true}))
	full := o.roomy()
	select {
	case <-full:
		assert.Fail(t, "there is no room")
	default:
	}
	f, ok := o.head(t.Context())
	require.True(t, ok)
	assert.Equal(t, "a", string(f.data))
	o.pop()
	select {
	case <-full:
	default:
		assert.Fail(t, "there is room again")
	}
	require.True(t, o.push(frame{data: []byte("b"), answer: true}))
	assert.Len(t, answersOf(o.close()), 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok = newOutbox(1).head(ctx)
	assert.False(t, ok)
}

func TestOutboxThatIsFull(t *testing.T) {
	o := newOutbox(10)
	assert.True(t, o.push(frame{data: make([]byte, 6)}))
	assert.True(t, o.push(frame{data: make([]byte, 6)}))
	assert.False(t, o.push(frame{data: []byte{0}}))
}

func TestEngineThatDoesNotRead(t *testing.T) {
	e := newFakeEngine(t)
	e.deaf = make(chan struct{})
	written := make(chan int, 1)
	g := newRigWith(t, e, Config{}, func(a *testActor) {
		a.socket = func(ws *WebSocket) {
			n := 0
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				err := ws.Write(ctx, make([]byte, 1<<20), true)
				cancel()
				if err != nil {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					break
				}
				n++
			}
			written <- n
		}
	})
	g.startByHTTP(startOf("a", 1, 1))
	c := receive(t, e.conns, "a connection")
	c.send(wire.Init{LostThreshold: 9999, StopThreshold: 1, MaxResponse: 1})
	g.rec.awaitEnvoy(t, "init", 1)
	c.openSocket()
	n := receive(t, written, "the writer to be held up")
	c.start("b", 1, 1)
	g.rec.await(t, "running", 1)
	receive(t, g.actors, "an actor")
	receive(t, g.actors, "another actor") // the connection is read all the while

	close(e.deaf)
	got := 0
	for got < n {
		if m, ok := c.next().(wire.ToEngineTunnel); ok {
			if _, ok := m.Part.(wire.WebSocketMessage); ok {
				got++
			}
		}
	}
}
