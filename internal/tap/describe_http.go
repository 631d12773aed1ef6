package tap

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
)

// account is what the call says. It names the exchange, by which the frames of
// its answer go, too.
func (x *exchange) account() account {
	path := x.req.URL.Path
	a := account{detail: x.req.Method + " " + path}
	switch {
	case x.l.wire == WireGateway:
		x.gatewayAccount(&a)
		return a
	case x.l.wire == WireServerless && strings.Contains(path, "/api/rivet/"):
		x.serverlessAccount(&a, path[strings.LastIndex(path, "/")+1:])
	case upgrades(x.req) && strings.HasSuffix(path, "/envoys/connect"):
		x.name, a.detail = "connect", ""
	case upgrades(x.req):
		x.name = "websocket"
	default:
		x.name = "http"
	}
	a.typ = x.name + "-call"
	return a
}

func (x *exchange) serverlessAccount(a *account, name string) {
	switch name {
	case "health", "metadata":
		x.name, a.detail = name, ""
	case "start":
		x.name = name
		*a = x.l.tap.known.start(x.data)
	default:
		x.name = "http"
	}
}

// gatewayAccount names the actor where the request does, and tells its detail
// as the actor will see it.
func (x *exchange) gatewayAccount(a *account) {
	u := x.req.URL
	if name, rest, ok := gatewayPath(u.Path); ok {
		a.detail = x.req.Method + " " + rest
		if q := u.Query(); q.Has("rvt-method") {
			a.key = q.Get("rvt-key")
		} else {
			a.concerns(name, 0)
		}
	} else if id := x.req.Header.Get("X-Rivet-Actor"); id != "" {
		a.concerns(id, 0)
	}
	x.l.tap.known.keyOf(a)
	x.name, a.typ = "client", "client-request"
	if upgrades(x.req) {
		x.name, a.typ = "client-websocket", "client-websocket-open"
	}
}

// gatewayPath splits the path of a gateway request into what it addresses and
// what the actor is asked.
func gatewayPath(path string) (name, rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, "/gateway/")
	if !ok {
		return "", "", false
	}
	name, rest, _ = strings.Cut(rest, "/")
	name, _, _ = strings.Cut(name, "@") // a token
	if decoded, err := url.PathUnescape(name); err == nil {
		name = decoded
	}
	return name, "/" + rest, true
}

// called is the account of a part of the answer.
func (x *exchange) called(part string) account {
	a := x.call
	a.typ, a.err = x.name+"-"+part, ""
	return a
}

// said is the account of a WebSocket message.
func (x *exchange) said(d *dialogue, to string, m message) account {
	prefix := ""
	if d == nil {
		prefix = x.name + "-"
	}
	switch m.op {
	case opClose:
		return x.control(prefix, "close", closeDetail(m.payload))
	case opPing:
		return x.control(prefix, "ping", "")
	case opPong:
		return x.control(prefix, "pong", "")
	}
	switch {
	case d == nil:
		return x.called("message")
	case m.op != opBinary:
		return undecoded(fmt.Errorf("a WebSocket message of type %d: want binary", m.op))
	case to == roleEngine:
		return d.toEngine(m.payload)
	}
	return d.toRuntime(m.payload)
}

// control is the account of a control message: "ws-close" on the envoy wire,
// since a tunnelled WebSocket has a "websocket-close" of its own.
func (x *exchange) control(prefix, what, detail string) account {
	if prefix == "" {
		return account{typ: "ws-" + what, detail: detail}
	}
	a := x.called(what)
	if detail != "" {
		a.detail = detail
	}
	return a
}

// closeDetail is the code and the reason of a close, without the ray id that
// the engine puts behind a "#".
func closeDetail(payload []byte) string {
	if len(payload) < 2 {
		return ""
	}
	reason, _, _ := strings.Cut(string(payload[2:]), "#")
	return strings.TrimSpace(fmt.Sprintf("%d %s", binary.BigEndian.Uint16(payload), strings.ToValidUTF8(reason, "?")))
}
