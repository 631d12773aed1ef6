package probe_test

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
)

// upgraded serves WebSockets at the gateway's path of actor a.
func upgraded(t *testing.T, fn func(*websocket.Conn)) string {
	t.Helper()
	up := websocket.Upgrader{Subprotocols: []string{"rivet"}}
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/gateway/a/websocket/", r.URL.Path)
		assert.Equal(t, "Bearer dev", r.Header.Get("Authorization"))
		assert.Equal(t, []string{"rivet", "rivet_encoding.bare"}, websocket.Subprotocols(r))
		c, err := up.Upgrade(w, r, nil)
		if !assert.NoError(t, err) {
			return
		}
		defer c.Close() //nolint:errcheck // the test is over
		fn(c)
	})
}

func pinged(t *testing.T, base string, timeout time.Duration) history.Return {
	t.Helper()
	var ret history.Return
	h := recorded(t, base, func(g *probe.Gateway) {
		g.Token = "dev"
		ret = g.Ping(t.Context(), probe.Request{Actor: "a", Path: "/", Timeout: timeout})
	})
	require.Len(t, h.Events, 2)
	assert.Equal(t, "websocket", h.Events[0].Body.(*history.Invoke).Via)
	return ret
}

func TestPingAnswered(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		var ping map[string]string
		assert.NoError(t, c.ReadJSON(&ping))
		assert.Equal(t, "ping", ping["type"])
		assert.NoError(t, c.WriteJSON(map[string]any{"type": "pong", "actor": "a", "generation": 2}))
		_, _, _ = c.ReadMessage() // until the client leaves
	})
	ret := pinged(t, url, 5*time.Second)
	assert.Equal(t, history.OK, ret.Outcome)
	assert.Equal(t, "a", ret.AnsweredBy)
	assert.Equal(t, int64(2), ret.Generation)
}

// The handshake succeeds and then nothing comes: that is no answer.
func TestPingHeldAfterTheHandshakeTimesOut(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	})
	assert.Equal(t, history.CauseTimeout, pinged(t, url, 50*time.Millisecond).Cause)
}

func TestPingClosedByTheGatewaySaysItsCode(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1011, "guard.websocket_closed_before_open#ray1"))
		_, _, _ = c.ReadMessage()
	})
	ret := pinged(t, url, 5*time.Second)
	assert.Equal(t, history.CauseStatus, ret.Cause)
	assert.Equal(t, 1011, ret.Status)
	assert.Equal(t, "guard.websocket_closed_before_open", ret.Code)
}

func TestPingCutWithoutACloseIsAReset(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) { _ = c.UnderlyingConn().Close() })
	assert.Equal(t, history.CauseReset, pinged(t, url, 5*time.Second).Cause)
}

func TestPingAnsweredBySomethingElse(t *testing.T) {
	for _, answer := range []string{"hello", `{"type":"ping","actor":"a","generation":1}`} {
		url := upgraded(t, func(c *websocket.Conn) {
			_ = c.WriteMessage(websocket.TextMessage, []byte(answer))
			_, _, _ = c.ReadMessage()
		})
		ret := pinged(t, url, 5*time.Second)
		assert.Equal(t, history.Fail, ret.Outcome)
		assert.Equal(t, history.CauseUnreadable, ret.Cause)
		assert.Contains(t, ret.Detail, answer)
	}
}

// The gateway may hold the handshake itself.
func TestPingHeldBeforeTheHandshakeTimesOut(t *testing.T) {
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	assert.Equal(t, history.CauseTimeout, pinged(t, url, 50*time.Millisecond).Cause)
}

func TestPingRefused(t *testing.T) {
	ret := pinged(t, raw(t, func(net.Conn) {}), time.Second)
	assert.Equal(t, history.CauseRefused, ret.Cause)
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Rivet-Error", "guard.actor_wake_retries_exceeded")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	ret = pinged(t, url, time.Second)
	assert.Equal(t, history.CauseStatus, ret.Cause)
	assert.Equal(t, "guard.actor_wake_retries_exceeded", ret.Code)
}

// The handshake itself is held: that is silence, not a refusal.
func TestPingHeldInTheHandshakeTimesOut(t *testing.T) {
	release := make(chan struct{})
	url := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	for range 20 { // the deadline and the context race each other
		require.Equal(t, history.CauseTimeout, pinged(t, url, 10*time.Millisecond).Cause)
	}
}
