package envoy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// dialTimeout bounds the handshake.
const dialTimeout = 30 * time.Second

// dial makes the connection. It ends with the runtime, or when it drains.
func (r *Runtime) dial() (*websocket.Conn, error) {
	r.mu.Lock()
	id := r.id
	r.mu.Unlock()
	u, err := r.connectURL(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.takes, dialTimeout)
	defer cancel()
	d := websocket.Dialer{
		NetDialContext: (&net.Dialer{}).DialContext,
		Subprotocols:   []string{"rivet"},
	}
	if id.token != "" {
		d.Subprotocols = append(d.Subprotocols, "rivet_token."+id.token)
	}
	ws, res, err := d.DialContext(ctx, u.String(), nil)
	if err != nil {
		return nil, dialError(u, res, err)
	}
	return ws, nil
}

func dialError(u *url.URL, res *http.Response, err error) error {
	if res == nil {
		return fmt.Errorf("dial the engine at %s: %w", u.Host, err)
	}
	// gorilla leaves the first kilobyte of the answer in the body.
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1024))
	return fmt.Errorf("dial the engine at %s: %w: HTTP %s: %s", u.Host, err, res.Status, body)
}

func (r *Runtime) connectURL(id identity) (*url.URL, error) {
	u, err := websocketURL(id.endpoint)
	if err != nil {
		return nil, err
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/envoys/connect"
	u.RawQuery = url.Values{
		"protocol_version": {strconv.Itoa(int(r.cfg.Protocol))},
		"namespace":        {id.namespace},
		"envoy_key":        {r.cfg.EnvoyKey},
		"version":          {strconv.FormatUint(uint64(r.cfg.Version), 10)},
		"pool_name":        {id.pool},
	}.Encode()
	return u, nil
}
