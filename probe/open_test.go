package probe_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
)

// pongs answers n pings and returns.
func pongs(t *testing.T, c *websocket.Conn, n int) {
	t.Helper()
	for range n {
		var ping map[string]string
		if !assert.NoError(t, c.ReadJSON(&ping)) {
			return
		}
		assert.NoError(t, c.WriteJSON(map[string]any{"type": "pong", "actor": "a", "generation": 2}))
	}
}

// held opens a WebSocket at base, does with it what fn does, closes it, and
// gives what the history says of it.
func held(t *testing.T, base string, fn func(*probe.Socket)) (history.Return, probe.Progress) {
	t.Helper()
	h := recorded(t, base, func(g *probe.Gateway) {
		s, err := g.Open(t.Context(), probe.Request{Name: "held", Actor: "a", Path: "/", Timeout: 5 * time.Second})
		require.NoError(t, err)
		fn(s)
		require.NoError(t, s.Close())
	})
	require.Len(t, h.Events, 2, "holding a WebSocket is one operation")
	assert.Equal(t, "websocket", h.Events[0].Body.(*history.Invoke).Via)
	ret := h.Events[1].Body.(*history.Return)
	return *ret, progressOf(t, ret)
}

func ended(t *testing.T, s *probe.Socket) {
	t.Helper()
	select {
	case <-s.Ended():
	case <-time.After(5 * time.Second):
		t.Error("waited 5 s for the operation to return")
	}
}

func TestAHeldSocketSaysHowItWasClosed(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		pongs(t, c, 1)
		_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1011, "ws.going_away#ray1"))
		_, _, _ = c.ReadMessage()
	})
	ret, got := held(t, url, func(s *probe.Socket) { ended(t, s) })
	assert.Equal(t, history.Fail, ret.Outcome)
	assert.Equal(t, history.CauseStatus, ret.Cause)
	assert.Equal(t, 1011, ret.Status)
	assert.Equal(t, "ws.going_away", ret.Code)
	assert.Equal(t, 1, got.Got)
	assert.Equal(t, got.FirstNS, got.LastNS)
	assert.Positive(t, got.FirstNS)
}

func TestAHeldSocketThatIsCut(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		pongs(t, c, 1)
		_ = c.UnderlyingConn().Close()
	})
	ret, _ := held(t, url, func(s *probe.Socket) {
		ended(t, s)
		s.Prove(t.Context(), clock.Now().Add(time.Hour)) // returns at once: it is known
	})
	assert.Equal(t, history.CauseReset, ret.Cause)
}

func TestProveByAPong(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		pongs(t, c, 2)
		_, _, _ = c.ReadMessage()
	})
	ret, got := held(t, url, func(s *probe.Socket) { s.Prove(t.Context(), clock.Now().Add(5*time.Second)) })
	assert.Equal(t, history.OK, ret.Outcome)
	assert.Equal(t, "a", ret.AnsweredBy)
	assert.Equal(t, int64(2), ret.Generation)
	assert.Equal(t, 2, got.Got)
	assert.Greater(t, got.LastNS, got.FirstNS)
}

// Open, and nobody there: what a client cannot find out by waiting.
func TestProveSilence(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		pongs(t, c, 1)
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	})
	ret, _ := held(t, url, func(s *probe.Socket) { s.Prove(t.Context(), clock.Now().Add(20*time.Millisecond)) })
	assert.Equal(t, history.CauseTimeout, ret.Cause)
	assert.Equal(t, history.Fail, ret.Outcome)

	ret, _ = held(t, url, func(s *probe.Socket) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("Ctrl-C"))
		s.Prove(ctx, clock.Now().Add(time.Hour))
	})
	assert.Equal(t, history.CauseStopped, ret.Cause)
	assert.Equal(t, "Ctrl-C", ret.Detail)

	ret, _ = held(t, url, func(*probe.Socket) {})
	assert.Equal(t, history.CauseStopped, ret.Cause, "closed by the client itself")
}

func TestAHeldSocketThatTalksNonsense(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		pongs(t, c, 1)
		_ = c.WriteMessage(websocket.TextMessage, []byte("hello"))
		_, _, _ = c.ReadMessage()
	})
	ret, _ := held(t, url, func(s *probe.Socket) { ended(t, s) })
	assert.Equal(t, history.CauseUnreadable, ret.Cause)
	assert.Contains(t, ret.Detail, "hello")
}

// The handshake alone is no open WebSocket.
func TestOpenNeedsAPong(t *testing.T) {
	url := upgraded(t, func(c *websocket.Conn) {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	})
	h := recorded(t, url, func(g *probe.Gateway) {
		_, err := g.Open(t.Context(), probe.Request{Actor: "a", Path: "/", Timeout: 20 * time.Millisecond})
		var none *probe.NoSocketError
		require.ErrorAs(t, err, &none)
		assert.Equal(t, history.CauseTimeout, none.Return.Cause)
	})
	require.Len(t, h.Events, 2)
	ret := h.Events[1].Body.(*history.Return)
	assert.Equal(t, history.CauseTimeout, ret.Cause)
	assert.Equal(t, probe.Progress{FirstNS: -1, LastNS: -1}, progressOf(t, ret))
}
