package counter

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/rivetkit"
)

// ServeWebSocket serves a connection of RivetKit's at /connect. Everywhere
// else it answers {"type":"ping"} with a pong that says who is there, and
// echoes the rest.
func (a *Actor) ServeWebSocket(ws *envoy.WebSocket) {
	defer a.idle.begin()()
	a.note("websocket", ws.Path, nil)
	if rivetkit.IsConnect(ws.Path) {
		// How it ended is the client's to see, and the wire's to record.
		c := &connection{Socket: ws}
		_ = a.server.ServeConn(context.WithValue(a.life, connectionKey{}, c), c, ws.Header)
		return
	}
	a.echo(ws)
}

// connection is one of RivetKit's. Its actions have it in their context, under
// connectionKey.
type connection struct {
	rivetkit.Socket

	mu    sync.Mutex
	after []func()
}

type connectionKey struct{}

// afterNext has f called after the next message that is sent: an action's
// answer, unless another action's overtakes it.
func (c *connection) afterNext(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = append(c.after, f)
}

// Write implements rivetkit.Socket.
func (c *connection) Write(ctx context.Context, data []byte, binary bool) error {
	err := c.Socket.Write(ctx, data, binary)
	c.mu.Lock()
	due := c.after
	c.after = nil
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
	return err
}

// echo serves until the socket ends.
func (a *Actor) echo(ws rivetkit.Socket) {
	for {
		data, binary, err := ws.Read(a.life)
		if err != nil {
			return
		}
		if err := ws.Write(a.life, a.reply(data, binary), binary); err != nil {
			return
		}
	}
}

func (a *Actor) reply(data []byte, binary bool) []byte {
	var m struct {
		Type   string          `json:"type"`
		SentAt json.RawMessage `json:"sentAt,omitempty"`
	}
	if binary || json.Unmarshal(data, &m) != nil || m.Type != "ping" {
		return data
	}
	pong, err := json.Marshal(struct {
		Type string `json:"type"`
		Identity
		SentAt json.RawMessage `json:"sentAt,omitempty"` // the client's, as it came
	}{"pong", a.deps.id, m.SentAt})
	if err != nil {
		return data
	}
	return pong
}
