// Package workload drives the fixture's counter actors: it makes and warms
// them, writes to them, and reads their ledgers back.
package workload

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/rivetkit"
)

// ActorName is the name of the fixture's actor.
const ActorName = "counter"

// Names of the operations in a history.
const (
	Tick   = "tick"
	Ledger = "ledger"
	Health = "health"
)

// Creator makes actors: a [rivet.Client], or a cell, which knows how an engine
// that was just started may refuse.
type Creator interface {
	GetOrCreateActor(ctx context.Context, namespace string, r rivet.ActorRequest) (a rivet.Actor, created bool, err error)
}

// Counter drives counter actors in one namespace.
type Counter struct {
	API       Creator
	Gateway   *probe.Gateway
	Namespace string
	Pool      string
	// Timeout bounds each operation of the workload itself; probes have their
	// own.
	Timeout time.Duration
}

// warmers is how many actors are warmed at a time: on two cores more of them
// only wait for each other.
const warmers = 4

// Warm makes an actor for each key and has it tick once, so that all of them
// run and have something to lose. It fails if one does not: there is nothing to
// test with an actor that was not well before the fault.
func (c *Counter) Warm(ctx context.Context, keys ...string) ([]probe.Target, error) {
	targets := make([]probe.Target, len(keys))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(warmers)
	for i, key := range keys {
		g.Go(func() error {
			target, err := c.warm(ctx, key)
			targets[i] = target
			return err
		})
	}
	return targets, g.Wait()
}

// Keys are n keys that begin with prefix.
func Keys(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s-%02d", prefix, i)
	}
	return keys
}

// Create makes an actor, or finds it. It does not wait for it to run.
func (c *Counter) Create(ctx context.Context, key string) (probe.Target, error) {
	actor, _, err := c.API.GetOrCreateActor(ctx, c.Namespace, rivet.ActorRequest{Name: ActorName, Key: key, Pool: c.Pool})
	if err != nil {
		return probe.Target{}, fmt.Errorf("create actor %s: %w", key, err)
	}
	return probe.Target{Actor: actor.ID, Key: key}, nil
}

// Warming asks an actor a few times, each with a patience far above what a cold
// start takes. Once in some ten thousand starts (2.3.19) the engine held the
// request that woke an actor for 30 s, although the actor ran at once. Each
// attempt is a write of its own in the history.
const (
	warmAttempts = 3
	warmPatience = 8 * time.Second
)

func (c *Counter) warm(ctx context.Context, key string) (probe.Target, error) {
	target, err := c.Create(ctx, key)
	if err != nil {
		return target, err
	}
	var ret history.Return
	for range warmAttempts {
		r := c.tick(target)
		r.Timeout = min(r.Timeout, warmPatience)
		if ret = c.Gateway.Do(ctx, r); ret.Outcome == history.OK {
			return target, nil
		}
		if ret.Cause != history.CauseTimeout {
			break
		}
	}
	return target, fmt.Errorf("warm actor %s (%s): its first tick ended %v", key, target.Actor, ret)
}

// Tick writes once. The operation's id goes with it into the actor's ledger.
func (c *Counter) Tick(ctx context.Context, t probe.Target) history.Return {
	return c.Gateway.Do(ctx, c.tick(t))
}

// TickAs is Tick by a client of a name, as a trial follows it by.
func (c *Counter) TickAs(ctx context.Context, client string, t probe.Target) history.Return {
	r := c.tick(t)
	r.Client = client
	return c.Gateway.Do(ctx, r)
}

// CommitClient is the client of a write in whose COMMIT a fault strikes.
const CommitClient = "commit"

// Commit writes once, by the action that always stops before its COMMIT, for a
// fault to strike there.
func (c *Counter) Commit(ctx context.Context, t probe.Target) history.Return {
	r := c.tick(t)
	r.Path, r.Client = "/action/commitDuringEngineRestart", CommitClient
	return c.Gateway.Do(ctx, r)
}

// HealthProbe asks an actor for its health: no database, no write, nothing
// that counts as a user's action. A probe that wrote would reset the actor's
// sleep deadline and so change what it measures.
func HealthProbe() probe.Request {
	return probe.Request{Name: Health, Method: http.MethodGet, Path: "/health", ReadOnly: true}
}

// PingProbe asks an actor for a pong over a WebSocket, likewise.
func PingProbe() probe.Request {
	return probe.Request{Name: "ping", Path: "/"}
}

// action is a call in RivetKit's client protocol.
func action(t probe.Target, name string, args ...any) probe.Request {
	if args == nil {
		args = []any{}
	}
	body, err := rivetkit.EncodeRequest(rivetkit.JSON, rivetkit.V4, args)
	if err != nil {
		// The arguments are this package's own numbers and strings.
		panic(fmt.Sprintf("workload: encode %s: %v", name, err))
	}
	return probe.Request{
		Actor: t.Actor, Key: t.Key, Name: name,
		Method: http.MethodPost, Path: "/action/" + name, Body: body,
		Header: http.Header{"Content-Type": {"application/json"}, "X-Rivet-Encoding": {string(rivetkit.JSON)}},
		Decode: func(b []byte) (any, error) { return rivetkit.DecodeResponse(rivetkit.JSON, b) },
	}
}

// decodeLedger keeps the operation ids of a ledger, in its order.
func decodeLedger(b []byte) (any, error) {
	out, err := rivetkit.DecodeResponse(rivetkit.JSON, b)
	if err != nil {
		return nil, err
	}
	rows, ok := out.([]any)
	if !ok {
		return nil, fmt.Errorf("ledger is a %T, not a list", out)
	}
	ids := make([]any, 0, len(rows))
	for _, row := range rows {
		entry, _ := row.(map[string]any)
		id, ok := entry["op"].(string)
		if !ok {
			return nil, fmt.Errorf("ledger entry without an operation id: %v", row)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
