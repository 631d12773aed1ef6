package rivet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// HostError is a refusal to dial an address that is neither loopback nor
// explicitly allowed.
type HostError struct{ Host string }

func (e *HostError) Error() string {
	return fmt.Sprintf("refuse to dial %s: a trial talks to loopback addresses and its Docker host only", e.Host)
}

// GuardedDial is a DialContext that connects to loopback addresses and the
// hosts given, and refuses all others before a packet is sent. It resolves no
// name but "localhost", which it takes for 127.0.0.1.
func GuardedDial(hosts ...string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	// No Happy Eyeballs delay and a short keep-alive: the dialer is for one
	// known address on this machine.
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("read the address to dial: %w", err)
		}
		if host == "localhost" {
			host = "127.0.0.1"
		}
		ip := net.ParseIP(host)
		if (ip == nil || !ip.IsLoopback()) && !slices.Contains(hosts, host) {
			return nil, &HostError{Host: host}
		}
		return dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
	}
}

// GuardedTransport is an HTTP transport over [GuardedDial]. It uses no proxy,
// whatever the environment says.
func GuardedTransport(hosts ...string) *http.Transport {
	return &http.Transport{
		Proxy:               nil,
		DialContext:         GuardedDial(hosts...),
		MaxIdleConns:        64,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
	}
}
