package envoy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// ReconnectPolicy says when to dial again after a connection was lost or could
// not be made.
type ReconnectPolicy interface {
	// Delay is the wait before retry n, or ok=false to give up. n counts
	// from 1 and starts anew after a connection that lived for 60 s or more;
	// lived is how long the last one did, the dialling included.
	Delay(n int, lived time.Duration) (d time.Duration, ok bool)
	// String is the policy as [ParsePolicy] reads it.
	String() string
}

// stableAfter is the life of a connection after which retries count anew, as
// in Rivet's client.
const stableAfter = 60 * time.Second

// defaultFast is the wait of the policy "fast".
const defaultFast = 25 * time.Millisecond

// ParsePolicy reads "rivet", "fast" (every 25 ms), "fast:DURATION" or "none".
func ParsePolicy(s string) (ReconnectPolicy, error) {
	name, arg, hasArg := strings.Cut(s, ":")
	switch {
	case name == "rivet" && !hasArg:
		return RivetPolicy(), nil
	case name == "none" && !hasArg:
		return NoReconnect(), nil
	case name == "fast" && !hasArg:
		return FastPolicy(defaultFast), nil
	case name == "fast":
		d, err := time.ParseDuration(arg)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("read the reconnect policy %q: %q is no duration above zero: use one as in fast:25ms", s, arg)
		}
		return FastPolicy(d), nil
	}
	return nil, fmt.Errorf("read the reconnect policy %q: use rivet, fast, fast:DURATION or none", s)
}

// RivetPolicy is that of Rivet's own client (calculate_backoff of
// envoy-client): 1, 2, 4, 8, 16, then 30 s, each times 1 to 1.25 at random, in
// whole milliseconds.
func RivetPolicy() ReconnectPolicy { return rivetPolicy{rand.Float64} }

type rivetPolicy struct{ random func() float64 }

func (p rivetPolicy) Delay(n int, _ time.Duration) (time.Duration, bool) {
	base := 30 * time.Second
	if n = max(n, 1); n <= 5 {
		base = time.Second << (n - 1)
	}
	d := time.Duration(float64(base) * (1 + 0.25*p.random()))
	return d.Truncate(time.Millisecond), true
}

func (rivetPolicy) String() string { return "rivet" }

// FastPolicy waits d before every retry; 25 ms where d is not above zero.
func FastPolicy(d time.Duration) ReconnectPolicy {
	if d <= 0 {
		d = defaultFast
	}
	return fastPolicy(d)
}

type fastPolicy time.Duration

func (p fastPolicy) Delay(int, time.Duration) (time.Duration, bool) { return time.Duration(p), true }

func (p fastPolicy) String() string {
	if time.Duration(p) == defaultFast {
		return "fast"
	}
	return "fast:" + time.Duration(p).String()
}

// NoReconnect gives up at once. The runtime dials again only when the next
// POST /start arrives.
func NoReconnect() ReconnectPolicy { return noReconnect{} }

type noReconnect struct{}

func (noReconnect) Delay(int, time.Duration) (time.Duration, bool) { return 0, false }

func (noReconnect) String() string { return "none" }
