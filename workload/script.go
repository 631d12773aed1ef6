package workload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/rivetkit"
)

// Names of further operations in a history.
const (
	Create  = "create"
	KVPut   = "kvPut"
	KVGet   = "kvGet"
	Ping    = "ping"
	Sleep   = "sleep"
	Destroy = "destroy"
)

// ViaAPI is the way of an operation that the engine's API is asked for.
const ViaAPI probe.Via = "api"

// Lives is the part of the engine's API that a script needs besides a
// [Creator]. A [rivet.Client] is one.
type Lives interface {
	GetActor(ctx context.Context, namespace, id string) (rivet.Actor, error)
	SleepActor(ctx context.Context, namespace, id string) error
	DeleteActor(ctx context.Context, namespace, id string) error
}

// Script has one client carry out operations, one after the other, as one that
// asks until it knows: an operation without a good answer is sent again, a write
// under the same identity, until there is one or its bound has passed. Each
// attempt is in the history, by its RetryOf with the first.
type Script struct {
	Counter *Counter
	Lives   Lives
	// Patience with one attempt, Bound for all attempts of an operation.
	Patience, Bound time.Duration
	// Begun is called as each operation begins, with its place from 0; nil is
	// not called.
	Begun func(n int)

	targets map[string]probe.Target // that were made, by key
}

// StuckError says that an operation had no good answer within its bound.
type StuckError struct {
	N     int // its place, from 0
	Op    Op
	Bound time.Duration
	Last  history.Return
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("operation %d, %s, had no good answer within %v; the last attempt ended %v", e.N+1, e.Op, e.Bound, e.Last)
}

// attemptPause lies between two attempts, so that a client that is refused at
// once does not take the machine for itself.
const attemptPause = 25 * time.Millisecond

// Run carries the operations out. It ends at the first that is stuck, with a
// [*StuckError], and with the context.
func (s *Script) Run(ctx context.Context, ops []Op) error {
	s.targets = map[string]probe.Target{}
	for n, o := range ops {
		if s.Begun != nil {
			s.Begun(n)
		}
		last, done, err := s.carryOut(ctx, o)
		if err != nil {
			return err
		}
		if !done {
			return &StuckError{N: n, Op: o, Bound: s.Bound, Last: last}
		}
	}
	return nil
}

// Targets are the actors that were made and not destroyed.
func (s *Script) Targets() []probe.Target {
	var all []probe.Target
	for _, t := range s.targets {
		all = append(all, t)
	}
	return all
}

func (s *Script) carryOut(ctx context.Context, o Op) (last history.Return, done bool, err error) {
	st, err := o.parse()
	if err != nil {
		return last, false, err
	}
	if st.do == OpWait {
		return last, true, clock.Until(ctx, clock.Now().Add(st.wait))
	}
	if _, there := s.targets[st.key]; !there && st.do != OpCreate {
		// Whoever shortens a script need not keep its creation.
		if last, done, err = s.carryOut(ctx, OpCreate+"@"+Op(st.key)); err != nil || !done {
			return last, done, err
		}
	}
	return s.until(ctx, s.attempt(st))
}

// attempt carries an operation out once, as op. first is the operation of the
// first attempt, "" for that itself.
type attempt func(ctx context.Context, op, first string) history.Return

func (s *Script) attempt(st step) attempt {
	t, gateway := s.targets[st.key], s.Counter.Gateway
	switch st.do {
	case OpCreate:
		return func(ctx context.Context, op, first string) history.Return { return s.create(ctx, st.key, op, first) }
	case OpSleep:
		return func(ctx context.Context, op, first string) history.Return { return s.sleep(ctx, t, op, first) }
	case OpDestroy:
		return func(ctx context.Context, op, first string) history.Return { return s.destroy(ctx, t, op, first) }
	case OpTick:
		return s.write(t, func(id string) probe.Request { return s.Counter.tickAs(t, id) })
	case OpKVPut:
		return s.write(t, func(id string) probe.Request {
			r := action(t, KVPut, kvKey, id)
			r.NoEffect = notApplied
			return r
		})
	case OpWebSocket:
		return s.asking(t, PingProbe(), gateway.Ping)
	case OpStream:
		r := probe.Request{Name: Stream, Method: http.MethodGet, Path: streamPath(st.chunks, streamInterval)}
		return s.asking(t, r, func(ctx context.Context, r probe.Request) history.Return {
			return gateway.Stream(ctx, r, st.chunks, nil)
		})
	}
	return s.asking(t, reading(t, st.do), gateway.Do)
}

// kvKey is the one key of a script's actor, streamInterval the pause between
// two chunks of a stream.
const (
	kvKey          = "k"
	streamInterval = 10 * time.Millisecond
)

// reading is the request of an operation that has no effect.
func reading(t probe.Target, o Op) probe.Request {
	r := HealthProbe()
	switch o {
	case OpGetCount:
		r = action(t, GetCount)
		r.Decode = decodeCount
	case OpKVGet:
		r = action(t, KVGet, kvKey)
		r.Decode = func(b []byte) (any, error) { return rivetkit.DecodeResponse(rivetkit.JSON, b) }
	case OpLedger:
		r = action(t, Ledger)
		r.Decode = decodeLedger
	}
	r.ReadOnly = true
	return r
}

func (s *Script) asking(t probe.Target, r probe.Request, do func(context.Context, probe.Request) history.Return) attempt {
	return func(ctx context.Context, op, first string) history.Return {
		r := r
		r.Actor, r.Key, r.Timeout, r.Op, r.RetryOf = t.Actor, t.Key, s.Patience, op, first
		return do(ctx, r)
	}
}

// write is an operation whose first id goes into the actor's data, also by later
// attempts.
func (s *Script) write(t probe.Target, request func(id string) probe.Request) attempt {
	return func(ctx context.Context, op, first string) history.Return {
		return s.asking(t, request(cmp.Or(first, op)), s.Counter.Gateway.Do)(ctx, op, first)
	}
}

// until attempts until an attempt is answered well or the bound has passed.
func (s *Script) until(ctx context.Context, once attempt) (ret history.Return, done bool, err error) {
	deadline := clock.Now().Add(s.Bound)
	first := ""
	for {
		op := s.Counter.Gateway.NextOp()
		ret = once(ctx, op, first)
		if first == "" {
			first = op
		}
		switch {
		case ctx.Err() != nil:
			return ret, false, context.Cause(ctx)
		case ret.Outcome == history.OK, ret.Code == codeRepeated:
			return ret, true, nil
		case clock.Now() >= deadline:
			return ret, false, nil
		}
		if err := clock.Until(ctx, clock.Now().Add(attemptPause)); err != nil {
			return ret, false, err
		}
	}
}

// codeRepeated is the answer to a write that an earlier attempt has done.
const codeRepeated = "user.operation_repeated"

func (s *Script) create(ctx context.Context, key, op, first string) history.Return {
	return s.ask(ctx, history.Invoke{Op: op, RetryOf: first, Name: Create, Key: key}, func(ctx context.Context) (string, error) {
		t, err := s.Counter.Create(ctx, key)
		if err == nil {
			s.targets[key] = t
		}
		return t.Actor, err
	})
}

// lifeInterval is how often the engine is asked what became of an actor, which
// it announces to nobody: at first, and where it takes long less and less often,
// up to lifeIntervalMost, so that those who wait side by side leave the machine to
// others.
const (
	lifeInterval     = 10 * time.Millisecond
	lifeIntervalMost = 200 * time.Millisecond
)

// sleep is done when the engine says that the actor sleeps. Asked again, an
// engine that has put it to sleep already says so at once.
func (s *Script) sleep(ctx context.Context, t probe.Target, op, first string) history.Return {
	return s.ask(ctx, history.Invoke{Op: op, RetryOf: first, Name: Sleep, Key: t.Key, Actor: t.Actor}, func(ctx context.Context) (string, error) {
		if err := s.Lives.SleepActor(ctx, s.Counter.Namespace, t.Actor); err != nil {
			return "", err
		}
		return "", s.awaitLife(ctx, t, func(a rivet.Actor, err error) bool {
			return err == nil && a.SleepTS != nil && a.ConnectableTS == nil
		})
	})
}

// destroy is done when the engine does not know the actor any more.
func (s *Script) destroy(ctx context.Context, t probe.Target, op, first string) history.Return {
	ret := s.ask(ctx, history.Invoke{Op: op, RetryOf: first, Name: Destroy, Key: t.Key, Actor: t.Actor}, func(ctx context.Context) (string, error) {
		err := s.Lives.DeleteActor(ctx, s.Counter.Namespace, t.Actor)
		if err != nil && !rivet.IsCode(err, "actor.not_found") {
			return "", err
		}
		return "", s.awaitLife(ctx, t, func(a rivet.Actor, err error) bool {
			return errors.Is(err, rivet.ErrNoActor) || err == nil && a.DestroyTS != nil
		})
	})
	if ret.Outcome == history.OK {
		delete(s.targets, t.Key)
	}
	return ret
}

// awaitLife polls until the engine says what is waited for. An error that is no
// answer ends it: the engine is away, and the attempt has failed.
func (s *Script) awaitLife(ctx context.Context, t probe.Target, is func(rivet.Actor, error) bool) error {
	pause := lifeInterval
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		a, err := s.Lives.GetActor(ctx, s.Counter.Namespace, t.Actor)
		switch {
		case is(a, err):
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the engine has not said so: %w; last seen: sleep %v, connectable %v, destroyed %v",
				context.Cause(ctx), a.SleepTS != nil, a.ConnectableTS != nil, a.DestroyTS != nil)
		case <-timer.C:
			pause = min(pause+pause/4, lifeIntervalMost)
			timer.Reset(pause)
		}
	}
}

// ask records an operation of the engine's API.
func (s *Script) ask(ctx context.Context, inv history.Invoke, do func(context.Context) (answeredBy string, err error)) history.Return {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	inv.Client, inv.Via, inv.TimeoutNS = "client", string(ViaAPI), int64(s.Patience)
	rec := s.Counter.Gateway.Recorder
	rec.Record("client", history.KindInvoke, &inv)
	by, err := do(ctx)
	ret := history.Return{Op: inv.Op, Outcome: history.OK, AnsweredBy: by, Generation: -1}
	var said *rivet.Error
	switch {
	case err == nil:
	case outer.Err() != nil:
		ret.Outcome, ret.Cause = history.Info, history.CauseStopped
	case errors.As(err, &said):
		// What the engine did before it said error, nobody knows.
		ret.Outcome, ret.Cause, ret.Status, ret.Code = history.Info, history.CauseStatus, said.Status, said.FullCode()
	case ctx.Err() != nil:
		ret.Outcome, ret.Cause = history.Info, history.CauseTimeout
	default:
		ret.Outcome, ret.Cause = history.Info, history.CauseRefused
	}
	if err != nil {
		ret.Detail = err.Error()
	}
	rec.Record("client", history.KindReturn, &ret)
	return ret
}
