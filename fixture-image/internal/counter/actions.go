package counter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/rivetkit"
)

// defaultPayload is the size of an event's payload where the caller names
// none; maxPayload is the largest. In bytes.
const (
	defaultPayload = 4096
	maxPayload     = 1 << 20
)

// maxOp bounds an operation id, in bytes.
const maxOp = 256

func (a *Actor) actions() map[string]rivetkit.Action {
	return map[string]rivetkit.Action{
		"tick":                      a.tick,
		"commitDuringEngineRestart": a.commitDuringRestart,
		"getCount":                  func(ctx context.Context, _ []any) (any, error) { return a.store.count(ctx) },
		"ledger":                    func(ctx context.Context, _ []any) (any, error) { return a.store.ledger(ctx) },
		"setAlarm":                  a.setAlarm,
		"alarms":                    func(ctx context.Context, _ []any) (any, error) { return a.store.alarms(ctx) },
		"kvPut":                     a.kvPut,
		"kvGet":                     a.kvGet,
		"sleep":                     a.sleep,
		"whoami":                    func(context.Context, []any) (any, error) { return a.whoami(), nil },
	}
}

func (a *Actor) whoami() map[string]any {
	id := a.deps.id
	return map[string]any{"actor": id.Actor, "key": id.Key, "generation": id.Generation}
}

// tick(payloadBytes = 4096, op = random): adds one.
func (a *Actor) tick(ctx context.Context, args []any) (any, error) {
	return a.write(ctx, args, func(ctx context.Context) error { return a.reach(ctx, breakpoint.BeforeCommit) })
}

// commitDuringEngineRestart(payloadBytes = 4096, op = random): tick, but it
// always stops before its COMMIT, for a fault to strike there.
func (a *Actor) commitDuringRestart(ctx context.Context, args []any) (any, error) {
	return a.write(ctx, args, func(ctx context.Context) error {
		return a.cfg.Breakpoints.Hold(ctx, breakpoint.BeforeCommit, a.where(), a.cfg.CommitHold)
	})
}

func (a *Actor) write(ctx context.Context, args []any, hold func(context.Context) error) (any, error) {
	size, op, err := writeArgs(args)
	if err != nil {
		return nil, &rivetkit.Error{Group: "actor", Code: "invalid_request", Message: err.Error()}
	}
	var commit time.Time
	count, err := a.store.add(ctx, op, make([]byte, size), func(ctx context.Context) error {
		defer func() { commit = time.Now() }()
		return hold(ctx)
	})
	// The caller may be gone: what the actor knows is written down here.
	a.note("write", op, err)
	if err != nil {
		return nil, userError(op, err)
	}
	took := time.Since(commit)
	// What is committed is an answer, even if the caller left meanwhile.
	_ = a.reach(ctx, breakpoint.AfterCommit)
	return map[string]any{
		"op": op, "count": count, "generation": a.deps.id.Generation,
		"commit_ms": float64(took.Microseconds()) / 1000,
	}, nil
}

// userError tells a client by its code what it may conclude: that nothing was
// written, that it was written before, or nothing.
func userError(op string, err error) error {
	e := &rivetkit.Error{Group: "user", Code: "not_applied", Message: err.Error(), Metadata: map[string]any{"op": op}}
	var failed *writeError
	switch {
	case errors.Is(err, errRepeated):
		e.Code, e.Status = "operation_repeated", http.StatusConflict
	case errors.As(err, &failed) && failed.unknown:
		e.Code = "outcome_unknown"
	}
	return e
}

func writeArgs(args []any) (size int, op string, err error) {
	if size, err = sizeArg(args); err != nil {
		return 0, "", err
	}
	if len(args) < 2 || args[1] == nil {
		return size, rand.Text(), nil
	}
	op, ok := args[1].(string)
	if !ok || op == "" || len(op) > maxOp {
		return 0, "", fmt.Errorf("the operation id, the second argument, must be a text of 1 to %d bytes", maxOp)
	}
	return size, op, nil
}

func sizeArg(args []any) (int, error) {
	if len(args) == 0 || args[0] == nil {
		return defaultPayload, nil
	}
	n, err := numberArg("payloadBytes", args[0], maxPayload)
	return int(n), err
}

// numberArg is the first argument, from 0 to most.
func numberArg(name string, arg any, most float64) (n float64, err error) {
	switch v := arg.(type) {
	case int64:
		n = float64(v)
	case float64:
		n = v
	default:
		return 0, fmt.Errorf("%s, the first argument, must be a number, not a %T", name, arg)
	}
	if math.IsNaN(n) || n < 0 || n > most {
		return 0, fmt.Errorf("%s, the first argument, must be from 0 to %.0f", name, most)
	}
	return n, nil
}

// sleep(): has the actor ask for sleep once this is answered.
func (a *Actor) sleep(ctx context.Context, _ []any) (any, error) {
	ask := func() {
		a.note("sleep-asked", "action", nil)
		a.askToSleep()
	}
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.afterNext(ask)
	} else {
		context.AfterFunc(ctx, ask) // the runtime ends a request's once it is answered
	}
	return a.whoami(), nil
}
