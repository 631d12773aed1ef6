package envoy

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

// Config of a [Runtime]. Zero values are defaults where a field says so.
type Config struct {
	// Namespace and Pool are checked against what POST /start says. Empty:
	// taken from the first one.
	Namespace string
	Pool      string
	// Endpoint is the http or https URL of the engine. Empty: taken from the
	// x-rivet-endpoint header of the first POST /start.
	Endpoint string
	// Token is sent as the subprotocol rivet_token.TOKEN. Empty: the
	// x-rivet-token header of the first POST /start, or none.
	Token string
	// EnvoyKey names the runtime's process to the engine: 3 to 128
	// characters. Empty: random.
	EnvoyKey string
	// Version is the runtime's own version, by which the engine knows an
	// upgrade. 0 means 1.
	Version uint32
	// Protocol is the protocol's version. 0 means [wire.V6].
	Protocol wire.Version
	// ActorName lists the names of actors hosted, as announced to the engine.
	ActorName []string
	// New makes one generation of an actor. It is called for every start.
	New func(*Handle) Actor
	// Reconnect is the policy for a lost connection. nil: [RivetPolicy].
	Reconnect ReconnectPolicy
	// Recorder takes history.Envoy and history.Actor events under the name
	// Party; the runtime waits for it. nil: they are discarded.
	Recorder history.Recorder
	Party    string

	// The rest are behaviours in which releases of Rivet's own client differ.
	// They exist to reproduce known bugs.

	// ForgetStopped: events of a generation are forgotten with its Stopped,
	// whether the engine took it or not (RivetKit 2.3.11).
	ForgetStopped bool
	// DropAnswers: answers to tunnelled requests that cannot be sent are
	// dropped instead of being sent after the reconnect (RivetKit).
	DropAnswers bool
	// NoRetryHint: a request for an actor that is not here is answered with
	// envoy.actor_not_found (RivetKit), which the gateway passes on to the
	// client, rather than guard.actor_stopped_while_waiting, on which it tries
	// again.
	NoRetryHint bool
	// AckEvery is how often the commands taken are acknowledged. The engine
	// sends again after a reconnect what was not. 0: every five minutes, as
	// Rivet's client; [AckAtOnce]: each command when it is taken.
	AckEvery time.Duration
	// Lost is what becomes of actors when the connection stays away for longer
	// than the engine's lost threshold. Empty: [LostStop].
	Lost LostPolicy

	times timing // zero: defaults
}

// AckAtOnce is the [Config.AckEvery] of a runtime that acknowledges each command
// when it is taken.
const AckAtOnce time.Duration = -1

// LostPolicy says what becomes of actors, and of starts under way, when the
// connection stays away for longer than the lost threshold of the engine.
type LostPolicy string

// The policies.
const (
	// LostStop stops them; their Stopped, with an error, is sent after the next
	// Init.
	LostStop LostPolicy = "stop"
	// LostDrop stops them and forgets them at once: what the engine has not been
	// told by then it is never told (RivetKit 2.3.11; actor generations are
	// cleared with their events when envoy-client's lost timeout fires).
	LostDrop LostPolicy = "drop"
	// LostKeep lets them live on, however long the outage.
	LostKeep LostPolicy = "keep"
)

// ParseLostPolicy reads stop, drop or keep.
func ParseLostPolicy(s string) (LostPolicy, error) {
	switch p := LostPolicy(s); p {
	case LostStop, LostDrop, LostKeep:
		return p, nil
	}
	return "", fmt.Errorf("lost policy %.40q: use stop, drop or keep", s)
}

// timing are the durations that tests make shorter.
type timing struct {
	ack        time.Duration // between acknowledgements of commands
	ssePing    time.Duration // between pings of POST /start
	lost       time.Duration // lost threshold before the first Init
	lostStop   time.Duration // for Actor.Stop when the connection is lost
	handlers   time.Duration // for handlers to end once their generation has
	closeGrace time.Duration // for Close to join everything
}

// Rivet's client acknowledges every five minutes and takes 10 s for the lost
// threshold until it knows it; the rest are our own.
var defaultTiming = timing{
	ack:        5 * time.Minute,
	ssePing:    time.Second,
	lost:       10 * time.Second,
	lostStop:   5 * time.Second,
	handlers:   2 * time.Second,
	closeGrace: 10 * time.Second,
}

// check fills in defaults.
func (c *Config) check() error {
	if c.New == nil {
		return errors.New("configure the runtime: New is nil: say how to make an actor")
	}
	if c.Endpoint != "" {
		if _, err := websocketURL(c.Endpoint); err != nil {
			return fmt.Errorf("configure the runtime: %w", err)
		}
	}
	if c.EnvoyKey == "" {
		c.EnvoyKey = randomKey()
	}
	if n := len(c.EnvoyKey); n < 3 || n > 128 {
		return fmt.Errorf("configure the runtime: EnvoyKey has %d characters: use 3 to 128", n)
	}
	if c.Protocol == 0 {
		c.Protocol = wire.V6
	}
	if c.Protocol != wire.V6 && c.Protocol != wire.V8 {
		return fmt.Errorf("configure the runtime: protocol %v is not spoken here: use %v or %v", c.Protocol, wire.V6, wire.V8)
	}
	if c.AckEvery < 0 && c.AckEvery != AckAtOnce {
		return fmt.Errorf("configure the runtime: AckEvery is %v: use a duration above zero, 0 or AckAtOnce", c.AckEvery)
	}
	if c.Lost == "" {
		c.Lost = LostStop
	}
	if _, err := ParseLostPolicy(string(c.Lost)); err != nil {
		return fmt.Errorf("configure the runtime: %w", err)
	}
	c.defaults()
	return nil
}

func (c *Config) defaults() {
	if c.Version == 0 {
		c.Version = 1
	}
	if c.Reconnect == nil {
		c.Reconnect = RivetPolicy()
	}
	if c.Recorder == nil {
		c.Recorder = discard{}
	}
	if c.Party == "" {
		c.Party = "runtime"
	}
	if c.times == (timing{}) {
		c.times = defaultTiming
	}
	if c.AckEvery > 0 {
		c.times.ack = c.AckEvery
	}
}

func randomKey() string {
	b := make([]byte, 16)
	rand.Read(b) //nolint:errcheck // documented never to fail
	return hex.EncodeToString(b)
}

// websocketURL turns the engine's URL into that of its WebSockets.
func websocketURL(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("read the engine's endpoint: %w", err)
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("read the engine's endpoint %q: the scheme is %q: use http or https", endpoint, u.Scheme)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("read the engine's endpoint %q: it has no host", endpoint)
	}
	return u, nil
}
