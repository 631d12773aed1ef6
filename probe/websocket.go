package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/killpoint/killpoint/history"
)

// Subprotocols that a WebSocket to an actor offers. The gateway closes one that
// offers none with 1011 guard.missing_header.
var Subprotocols = []string{"rivet", "rivet_encoding.bare"}

// Ping opens a WebSocket to the actor, sends {"type":"ping"} and waits for the
// pong that says who gave it. It is one operation, recorded as Do's are; its
// Status is the close code where the gateway closed the WebSocket, its Code the
// reason. The handshake alone proves nothing: the gateway accepts it before it
// has found the actor.
func (g *Gateway) Ping(ctx context.Context, r Request) history.Return {
	r.ReadOnly = true
	return g.record(ctx, r, ViaWebSocket, g.ping)
}

func (g *Gateway) ping(ctx context.Context, r Request) history.Return {
	outer := ctx
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	dialer := websocket.Dialer{NetDialContext: g.Dial, Subprotocols: Subprotocols}
	conn, resp, err := dialer.DialContext(ctx, g.websocketURL(r), g.authorization())
	if err != nil {
		return refusedHandshake(outer, ctx, resp, err)
	}
	defer conn.Close() //nolint:errcheck // the exchange is over, or has failed already
	// gorilla's reads know no context: its end is turned into a deadline.
	stop := context.AfterFunc(ctx, func() { _ = conn.UnderlyingConn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	pong, err := exchangePing(conn)
	if err != nil {
		return brokenExchange(outer, ctx, err)
	}
	return history.Return{Outcome: history.OK, AnsweredBy: pong.Actor, Generation: pong.Generation}
}

func (g *Gateway) websocketURL(r Request) string {
	base := "ws" + strings.TrimPrefix(g.Base, "http")
	return base + "/gateway/" + url.PathEscape(r.Actor) + "/websocket" + r.Path
}

func (g *Gateway) authorization() http.Header {
	if g.Token == "" {
		return nil
	}
	return http.Header{"Authorization": {"Bearer " + g.Token}}
}

// pong is the fixture's answer to a ping.
type pong struct {
	Type       string `json:"type"`
	Actor      string `json:"actor"`
	Generation int64  `json:"generation"`
}

func exchangePing(conn *websocket.Conn) (pong, error) {
	var p pong
	if err := conn.WriteJSON(map[string]string{"type": "ping"}); err != nil {
		return p, err
	}
	conn.SetReadLimit(maxAnswer)
	_, b, err := conn.ReadMessage()
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil || p.Type != "pong" {
		return p, &notAPong{b}
	}
	return p, nil
}

type notAPong struct{ body []byte }

func (e *notAPong) Error() string { return "answered the ping with " + excerpt(e.body) }

// refusedHandshake says why there is no WebSocket at all.
func refusedHandshake(outer, ctx context.Context, resp *http.Response, err error) history.Return {
	ret := history.Return{Outcome: history.Fail, Generation: -1, Detail: err.Error()}
	switch {
	case outer.Err() != nil:
		ret.Cause = history.CauseStopped
	case timedOut(ctx, err):
		ret.Cause = history.CauseTimeout
	case resp != nil:
		ret.Cause, ret.Status, ret.Code = history.CauseStatus, resp.StatusCode, errorCode(resp.Header, nil)
	default:
		ret.Cause = history.CauseRefused
	}
	return ret
}

// brokenExchange says why an open WebSocket gave no pong.
func brokenExchange(outer, ctx context.Context, err error) history.Return {
	ret := history.Return{Outcome: history.Fail, Generation: -1, Detail: err.Error()}
	var closed *websocket.CloseError
	var wrong *notAPong
	switch {
	case outer.Err() != nil:
		ret.Cause = history.CauseStopped
	case timedOut(ctx, err):
		ret.Cause = history.CauseTimeout
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		// The reason is "group.code#ray"; the ray is of this one request.
		code, _, _ := strings.Cut(closed.Text, "#")
		ret.Cause, ret.Status, ret.Code = history.CauseStatus, closed.Code, code
	case errors.As(err, &wrong):
		ret.Cause = history.CauseUnreadable
	default:
		ret.Cause, ret.Detail = history.CauseReset, fmt.Sprintf("the WebSocket broke: %v", err)
	}
	return ret
}

// timedOut reports whether the client's patience ended. The dialer turns it
// into a deadline of the connection, which can pass an instant before the
// context itself says so.
func timedOut(ctx context.Context, err error) bool {
	var timeout net.Error
	return ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout()
}
