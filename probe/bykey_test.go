package probe_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
)

func keeping(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestAHandleAddressesByIDOrByKey(t *testing.T) {
	query := url.Values{"rvt-namespace": {"n s"}, "rvt-key": {"k"}}
	for name, c := range map[string]struct {
		by   *probe.ByKey
		path string
		want url.Values
	}{
		"id":              {nil, "/gateway/act1/request/x", url.Values{}},
		"key":             {&probe.ByKey{Name: "counter", Namespace: "n s"}, "/gateway/counter/request/x", url.Values{"rvt-method": {"get"}}},
		"key, to be made": {&probe.ByKey{Name: "counter", Namespace: "n s", Pool: "p"}, "/gateway/counter/request/x", url.Values{"rvt-method": {"getOrCreate"}, "rvt-pool": {"p"}, "rvt-crash-policy": {"sleep"}}},
	} {
		if c.by != nil {
			for k, v := range query {
				c.want[k] = v
			}
		}
		base := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			assert.Equal(t, c.path, r.URL.Path, name)
			assert.Equal(t, c.want, r.URL.Query(), name)
			assert.Equal(t, "Bearer dev", r.Header.Get("Authorization"))
		})
		var ret history.Return
		h := recorded(t, base, func(g *probe.Gateway) {
			handle := &probe.Handle{Gateway: g, Client: keeping(t), ByKey: c.by}
			ret = handle.Do(t.Context(), probe.Request{Actor: "act1", Key: "k", Path: "/x"})
		})
		assert.Equal(t, history.OK, ret.Outcome, name)
		// Whatever address went over the wire, the record is of the actor.
		inv := h.Events[0].Body.(*history.Invoke)
		assert.Equal(t, "act1", inv.Actor, name)
		assert.Equal(t, "k", inv.Key, name)
	}
}

// A handle keeps its connection, and lives through its server's restart as a
// client library's does: it dials anew, without an error to its user.
func TestAHandleOutlivesItsConnection(t *testing.T) {
	first := httptest.NewServer(http.HandlerFunc(noticed))
	conns := &countedConns{left: make(chan struct{}, 1)}
	client := &http.Client{Transport: &http.Transport{DialContext: conns.dial}}
	defer client.CloseIdleConnections()
	recorded(t, first.URL, func(g *probe.Gateway) {
		handle := &probe.Handle{Gateway: g, Client: client}
		ask := func() history.Return {
			return handle.Do(t.Context(), probe.Request{Actor: "a", Method: http.MethodPost, Body: []byte("{}")})
		}
		require.Equal(t, history.OK, ask().Outcome)
		require.Equal(t, history.OK, ask().Outcome)
		assert.EqualValues(t, 1, conns.dialed.Load(), "one connection for both")
		first.Close()
		select {
		case <-conns.left:
		case <-time.After(10 * time.Second):
			t.Fatal("waited 10 s for the client to see that its connection was closed")
		}
		second := httptest.NewUnstartedServer(http.HandlerFunc(noticed))
		require.NoError(t, second.Listener.Close())
		var err error
		second.Listener, err = net.Listen("tcp", first.Listener.Addr().String())
		require.NoError(t, err)
		second.Start()
		defer second.Close()
		assert.Equal(t, history.OK, ask().Outcome)
		assert.EqualValues(t, 2, conns.dialed.Load())
	})
}

func noticed(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// countedConns counts the connections made, and says when one was given up.
type countedConns struct {
	dialed atomic.Int32
	left   chan struct{}
}

func (c *countedConns) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.dialed.Add(1)
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	return &countedConn{Conn: conn, of: c}, err
}

type countedConn struct {
	net.Conn
	of *countedConns
}

func (c *countedConn) Close() error {
	select {
	case c.of.left <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}

// asked are the invokes of a run of AskOn against a server that answers well
// from the nth time on.
func asked(t *testing.T, nth int32, bound time.Duration) ([]*history.Invoke, history.Return) {
	t.Helper()
	var n atomic.Int32
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) < nth {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var ret history.Return
	h := recorded(t, base, func(g *probe.Gateway) {
		handle := &probe.Handle{Gateway: g, Client: keeping(t)}
		ret = handle.AskOn(t.Context(), clock.Now(), bound, func() probe.Request {
			return probe.Request{Actor: "a", Op: g.NextOp(), Probe: probe.SameHandle, ReadOnly: true}
		})
	})
	var all []*history.Invoke
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Invoke); ok {
			all = append(all, b)
		}
	}
	return all, ret
}

func TestAskOnEndsWithTheFirstGoodAnswer(t *testing.T) {
	all, ret := asked(t, 3, time.Minute)
	assert.Equal(t, history.OK, ret.Outcome)
	require.Len(t, all, 3)
	assert.NotEqual(t, all[0].Op, all[1].Op)
	assert.GreaterOrEqual(t, time.Duration(all[2].DelayNS), 2*probe.RecoveryPause, "it pauses in between")
}

func TestAskOnEndsWithItsBound(t *testing.T) {
	all, ret := asked(t, 1000, 3*probe.RecoveryPause)
	assert.Equal(t, history.Fail, ret.Outcome)
	assert.Greater(t, len(all), 1)
	assert.LessOrEqual(t, len(all), 5)
}

func TestAskOnEndsWithTheTrial(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	h := recorded(t, base, func(g *probe.Gateway) {
		handle := &probe.Handle{Gateway: g, Client: keeping(t)}
		handle.AskOn(ctx, clock.Now(), time.Minute, func() probe.Request { return probe.Request{Actor: "a"} })
	})
	assert.Len(t, h.Events, 2, "asked once")
}
