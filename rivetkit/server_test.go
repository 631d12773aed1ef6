package rivetkit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testServer() *Server {
	return &Server{
		Actor: ActorRef{ID: "actor-1", Generation: 7, Key: "a,b"},
		Actions: map[string]Action{
			"echo":   func(_ context.Context, args []any) (any, error) { return args, nil },
			"params": func(ctx context.Context, _ []any) (any, error) { return Params(ctx), nil },
			"fail":   func(context.Context, []any) (any, error) { return nil, errors.New("disk on fire") },
			"refuse": func(context.Context, []any) (any, error) {
				return nil, &Error{Group: "user", Code: "no", Message: "no", Metadata: int64(1), Status: http.StatusConflict}
			},
			"wrong": func(context.Context, []any) (any, error) { return make(chan int), nil },
			"badly": func(context.Context, []any) (any, error) {
				return nil, &Error{Group: "user", Code: "no", Message: "no", Metadata: make(chan int)}
			},
			"block": func(ctx context.Context, _ []any) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
		},
	}
}

// gateway answers as the engine's would, without its path in front.
func gateway(t *testing.T, h http.Handler) *Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/gateway/"), "/")
		r.URL.Path = "/" + rest
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return &Client{Gateway: srv.URL, HTTP: srv.Client()}
}

func TestActionByHTTP(t *testing.T) {
	client := gateway(t, testServer())
	for _, enc := range encodings {
		client.Encoding = enc
		a, err := client.Action(t.Context(), Target{ID: "x"}, "echo", 1, "two", []byte{3})
		require.NoError(t, err)
		assert.Equal(t, []any{int64(1), "two", []byte{3}}, a.Output)
		assert.Equal(t, ActorRef{ID: "actor-1", Generation: 7, Key: "a,b"}, a.Actor)

		for name, want := range map[string]Error{
			"fail":   {Group: "actor", Code: "internal_error", Message: "disk on fire", Status: 500},
			"refuse": {Group: "user", Code: "no", Message: "no", Metadata: int64(1), Status: 409},
			"none":   {Group: "actor", Code: "action_not_found", Message: `action "none" was not found`, Status: 404},
			"badly":  {Group: "user", Code: "no", Message: "no (its metadata is left out: a value of type chan int has no form in RivetKit's encodings)", Status: 500},
		} {
			_, err := client.Action(t.Context(), Target{ID: "x"}, name)
			var e *Error
			require.ErrorAs(t, err, &e, name)
			want.Actor = &ActorRef{ID: "actor-1", Generation: 7, Key: "a,b"}
			assert.Equal(t, &want, e)
		}
		_, err = client.Action(t.Context(), Target{ID: "x"}, "wrong")
		assert.ErrorContains(t, err, "chan int has no form")
	}
}

func TestHTTPRefusals(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body, header string
		status                           int
		code                             string
	}{
		{"get", "GET", "/action/echo", "", "", 405, "actor.method_not_allowed"},
		{"path", "POST", "/action/echo/x", "{}", "", 404, "actor.not_found"},
		{"body", "POST", "/action/echo", "{", "", 400, "actor.invalid_request"},
		{"params", "POST", "/action/echo", "{}", "{", 400, "actor.invalid_request"},
		{"length", "POST", "/action/echo", strings.Repeat(" ", MaxMessage+1), "", 400, "message.incoming_too_long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("X-Rivet-Encoding", "unheard-of") // as RivetKit: taken for JSON
			r.Header.Set("X-Rivet-Conn-Params", c.header)
			w := httptest.NewRecorder()
			testServer().ServeHTTP(w, r)
			e, err := DecodeError(JSON, w.Body.Bytes())
			require.NoError(t, err)
			assert.Equal(t, c.status, w.Code)
			assert.Equal(t, c.code, e.Name())
		})
	}
}

// The gateway's own errors are JSON whatever the request's encoding was, and
// a runtime's may be plain text.
func TestClientReadsForeignErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		header map[string]string
		body   string
		want   Error
	}{
		{"guard", map[string]string{"Content-Type": "application/json"}, `{"group":"guard","code":"actor_ready_timeout","message":"m","metadata":null}`,
			Error{Group: "guard", Code: "actor_ready_timeout", Message: "m", Status: 503}},
		{"runtime", map[string]string{"X-Rivet-Error": "envoy.actor_not_found"}, "Actor not found",
			Error{Group: "envoy", Code: "actor_not_found", Message: "Actor not found", Status: 503}},
		{"proxy", nil, "oops\xff", Error{Group: "http", Code: "status_503", Message: "oops?", Status: 503}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := gateway(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = io.WriteString(w, c.body)
			}))
			client.Encoding = BARE
			_, err := client.Action(t.Context(), Target{ID: "x"}, "a")
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, &c.want, e)
		})
	}
}

func TestTargetPath(t *testing.T) {
	assert.Equal(t, "/gateway/a%2Fb/x", Target{ID: "a/b"}.path("/x"))
	assert.Equal(t, "/gateway/counter/x?rvt-key=a%2Cb&rvt-method=get&rvt-namespace=ns", Target{Name: "counter", Key: []string{"a", "b"}, Namespace: "ns"}.path("/x"))
	assert.Equal(t, "/gateway/counter/x?rvt-crash-policy=sleep&rvt-method=getOrCreate&rvt-namespace=ns&rvt-runner=p", Target{Name: "counter", Namespace: "ns", Pool: "p"}.path("/x"))
}

// socket is the client's end of a connection in memory.
type socket struct {
	in, out chan []byte

	once   sync.Once
	closed chan struct{}
	code   uint16
	reason string
}

func newSocket() *socket {
	return &socket{in: make(chan []byte), out: make(chan []byte, 16), closed: make(chan struct{})}
}

func (s *socket) Read(ctx context.Context) ([]byte, bool, error) {
	select {
	case b := <-s.in:
		return b, true, nil
	case <-s.closed:
		return nil, false, io.EOF
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

func (s *socket) Write(_ context.Context, b []byte, _ bool) error { s.out <- b; return nil }

func (s *socket) Close(code uint16, reason string) error {
	s.once.Do(func() { s.code, s.reason = code, reason; close(s.closed) })
	return nil
}

func (s *socket) next(t *testing.T) []byte {
	t.Helper()
	select {
	case b := <-s.out:
		return b
	case <-time.After(5 * time.Second):
		t.Fatal("no message from the server within 5 s")
		return nil
	}
}

func (s *socket) send(t *testing.T, b []byte) {
	t.Helper()
	select {
	case s.in <- b:
	case <-time.After(5 * time.Second):
		t.Fatal("the server did not read within 5 s")
	}
}

// serve runs a connection; the returned function ends it and gives its error.
func serve(t *testing.T, s *socket, protocols string) func() error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		done <- testServer().ServeConn(t.Context(), s, http.Header{"Sec-Websocket-Protocol": {protocols}})
	}()
	return func() error {
		t.Helper()
		s.once.Do(func() { close(s.closed) })
		select {
		case err := <-done:
			return err
		case <-time.After(5 * time.Second):
			t.Fatal("the connection did not end within 5 s of its socket")
			return nil
		}
	}
}

func TestConnection(t *testing.T) {
	for _, c := range []struct {
		enc                    Encoding
		call, answer, noAction string
	}{
		{JSON, `{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","3"],"name":"params","args":[]}}}`,
			`{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","3"],"output":{"tok":"a b+"}}}}`,
			`{"body":{"tag":"ActionRequest","val":{"id":4,"name":"none","args":[]}}}`},
		{BARE, "\x04\x00\x00\x03\x06params\x01\x80", "\x04\x00\x02\x03\x0a\xa1\x63tok\x64a b+", "\x03\x00\x00\x04\x04none\x01\x80"},
	} {
		t.Run(string(c.enc), func(t *testing.T) {
			s := newSocket()
			end := serve(t, s, "rivet, rivet_encoding."+string(c.enc)+",rivet_conn_params.%7B%22tok%22%3A%22a%20b+%22%7D")
			first := string(s.next(t))
			assert.Contains(t, first, "actor-1")
			if c.enc == BARE {
				assert.Equal(t, "\x03\x00\x00", first[:3], "Init in version 3, which every client reads")
			}
			s.send(t, []byte(c.call))
			assert.Equal(t, c.answer, string(s.next(t)))
			s.send(t, []byte(c.noAction))
			answer := string(s.next(t))
			assert.Contains(t, answer, "action_not_found")
			if c.enc == BARE {
				assert.Equal(t, byte(3), answer[0], "answered in the version of the last message")
			}
			require.ErrorIs(t, end(), io.EOF)
		})
	}
}

func TestConnectionRefusals(t *testing.T) {
	s := newSocket()
	end := serve(t, s, "rivet,rivet_encoding.xml")
	<-s.closed
	err := end()
	assert.ErrorContains(t, err, "xml")
	assert.Equal(t, uint16(1003), s.code)

	s = newSocket()
	end = serve(t, s, "rivet,rivet_encoding.cbor")
	s.next(t)
	s.send(t, []byte("junk"))
	<-s.closed
	assert.Error(t, end())
	assert.Equal(t, "actor.invalid_request", s.reason)
}

// An action that blocks keeps neither its neighbours waiting nor the
// connection from ending.
func TestConnectionWithBlockedAction(t *testing.T) {
	s := newSocket()
	end := serve(t, s, "rivet")
	s.next(t)
	s.send(t, []byte(`{"body":{"tag":"ActionRequest","val":{"id":1,"name":"block","args":[]}}}`))
	s.send(t, []byte(`{"body":{"tag":"SubscriptionRequest","val":{"eventName":"e","subscribe":true}}}`))
	s.send(t, []byte(`{"body":{"tag":"ActionRequest","val":{"id":2,"name":"echo","args":[5]}}}`))
	assert.Equal(t, `{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","2"],"output":[5]}}}`, string(s.next(t)))
	require.ErrorIs(t, end(), io.EOF)
}

func TestIsConnect(t *testing.T) {
	assert.True(t, IsConnect("/connect"))
	assert.True(t, IsConnect("/connect?a=b"))
	assert.False(t, IsConnect("/connect/x"))
	assert.False(t, IsConnect("/websocket/connect"))
	assert.False(t, IsConnect("%zz"))
}
