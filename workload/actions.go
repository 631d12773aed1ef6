package workload

import (
	"net/http"
	"strings"
	"time"

	"github.com/killpoint/killpoint/probe"
)

// ActionProbe is one of the ways to ask an actor for an action after a restart.
type ActionProbe struct {
	// Probe is the hold that the client has on the actor: [probe.SameHandle],
	// [probe.FreshHandle], [probe.NewKey].
	Probe string
	// Action is [GetCount] or [Tick].
	Action string
}

// ActionProbes are the four of the original investigation.
//
// A tick counts as a user's activity: it puts the actor's sleep off, and it
// writes. It is among them because what a user's write meets after a restart is
// the question: a read may be answered where a transaction is not, and only a
// write can be lost or applied twice. Nothing that these probes measure depends
// on when their actors sleep, and each has an actor of its own. Scenarios that
// watch sleep use [HealthProbe] and [PingProbe], which put nothing off.
func ActionProbes() []ActionProbe {
	return []ActionProbe{
		{probe.SameHandle, GetCount},
		{probe.SameHandle, Tick},
		{probe.FreshHandle, GetCount},
		{probe.NewKey, Tick},
	}
}

// Key is the key of the probe's own actor, and the name of its client.
func (p ActionProbe) Key() string {
	return strings.ReplaceAll(p.Probe, "/", "-") + "-" + p.Action
}

// Warmed reports whether its actor is there before the fault.
func (p ActionProbe) Warmed() bool { return p.Probe != probe.NewKey }

// Handle is the hold of the probe's client on its actor.
func (c *Counter) Handle(p ActionProbe, client *http.Client) *probe.Handle {
	h := &probe.Handle{Gateway: c.Gateway, Client: client}
	switch p.Probe {
	case probe.FreshHandle:
		h.ByKey = &probe.ByKey{Name: ActorName, Namespace: c.Namespace}
	case probe.NewKey:
		h.ByKey = &probe.ByKey{Name: ActorName, Namespace: c.Namespace, Pool: c.Pool}
	}
	return h
}

// ActionRequest is the probe's request to its actor, of which nothing but the
// key need be known. Each tick has an operation id of its own.
func (c *Counter) ActionRequest(p ActionProbe, t probe.Target, timeout time.Duration) probe.Request {
	var r probe.Request
	if p.Action == Tick {
		r = c.tick(t)
	} else {
		r = action(t, p.Action)
		r.ReadOnly, r.Decode = true, decodeCount
	}
	r.Client, r.Probe, r.Timeout = p.Key(), p.Probe, timeout
	return r
}
