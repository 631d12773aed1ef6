package scenario

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/workload"
)

// Script has one client carry operations out, one after the other, each until it
// is done. The fault's moment may lie anywhere in them. It makes its actors
// itself, and goes on with nothing beside it: neither a sweep nor another part.
//
// What is judged is what the client came to know: see [check.ScriptDone].
type Script struct {
	Ops []workload.Op
	// Patience with one attempt, Bound for all attempts of an operation.
	Patience, Bound time.Duration
}

var _ Part = Script{}

// String implements [Part].
func (p Script) String() string {
	words := make([]string, len(p.Ops))
	for i, o := range p.Ops {
		words[i] = string(o)
	}
	return "script: " + strings.Join(words, ", ")
}

// Actors implements [Part]. An actor that is placed anew may take a second slot
// while it leaves the first.
func (p Script) Actors() ([]string, int) {
	keys := map[string]bool{}
	for _, o := range p.Ops {
		keys[o.Key()] = true
	}
	return nil, 2*len(keys) + 2
}

// patience is how long the script may take in all.
func (p Script) patience() time.Duration {
	return time.Duration(len(p.Ops)) * (p.Bound + p.Patience)
}

func (p Script) fits(s Scenario, _ bool) error {
	if len(p.Ops) == 0 {
		return errors.New("it has no operations")
	}
	for _, o := range p.Ops {
		if err := o.Validate(); err != nil {
			return err
		}
	}
	if len(s.Parts) > 1 || len(s.Sweep.Delays) > 0 {
		return errors.New("a script goes on with nothing beside it: want no sweep and no other part")
	}
	return nil
}

// script is that of the scenario, if it has one.
func (s Scenario) script() (Script, bool) {
	if len(s.Parts) != 1 {
		return Script{}, false
	}
	p, ok := s.Parts[0].(Script)
	return p, ok
}

// Invariants implements [Part]. They are all that a scripted trial is held to,
// besides that its strikes landed.
func (p Script) Invariants() []check.Invariant {
	does := func(o workload.Op) bool {
		return slices.ContainsFunc(p.Ops, func(x workload.Op) bool { return x.Name() == o })
	}
	counter := check.Counter{Write: workload.Tick, Read: workload.GetCount, Ledger: workload.Ledger}
	all := []check.Invariant{check.ScriptDone(workload.Names(p.Ops)...), check.NoPanic(), check.SingleLiveGeneration()}
	if slices.ContainsFunc(p.Ops, workload.Op.AsksActor) {
		all = append(all, check.RightActor())
	}
	if does(workload.OpTick) {
		all = append(all, check.LedgerKeeps(workload.Tick, workload.Ledger), counter.Linearizable(linearPatience), counter.AppliedOnce())
	}
	if does(workload.OpKVPut) && does(workload.OpKVGet) {
		all = append(all, check.KVKeeps(workload.KVPut, workload.KVGet))
	}
	if does(workload.OpSleep) {
		all = append(all, check.StopsWriting(), check.OldGenerationSilent())
	}
	return all
}

// linearPatience bounds the search for an order of a script's few operations.
const linearPatience = 10 * time.Second

// settleBound is how long a script waits, after its last operation, for the
// runtime to have ended what was destroyed: until then frames are on their way.
const settleBound = 3 * time.Second

// Begin implements [Part].
func (p Script) Begin(ctx context.Context, s *Stage) (Course, error) {
	return p.begin(ctx, s, s.Cell.API())
}

func (p Script) begin(ctx context.Context, s *Stage, lives workload.Lives) (Course, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	run := &workload.Script{Counter: s.Counter, Lives: lives, Patience: p.Patience, Bound: p.Bound}
	left, over := watchEnds(s.History), make(chan struct{})
	var err error
	go func() {
		defer close(over)
		if err = run.Run(ctx, p.Ops); err == nil {
			left.await(ctx, settleBound)
		}
		var stuck *workload.StuckError
		if errors.As(err, &stuck) {
			err = nil // which is for the verdict to say
		}
		for _, t := range run.Targets() {
			s.ReadBack(t)
		}
	}()
	return Course{
		Over: over,
		Recovered: func(ctx context.Context, _ clock.Mono) error {
			ctx, stop := bounded(ctx, p.patience(), "the script to end")
			defer stop()
			select {
			case <-over:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		},
		End: func(context.Context) error { cancel(errors.New("the trial has ended")); <-over; return nil },
	}, nil
}

// ends knows which generations run of actors that were destroyed.
type ends struct {
	mu        sync.Mutex
	running   map[generation]bool
	asked     map[string]string // whose destruction an operation is
	destroyed map[string]bool
	none      chan struct{} // closed while there is none
}

type generation struct {
	actor string
	n     uint32
}

func watchEnds(w *history.Writer) *ends {
	x := &ends{running: map[generation]bool{}, asked: map[string]string{}, destroyed: map[string]bool{}, none: make(chan struct{})}
	close(x.none)
	w.Subscribe(x.see)
	return x
}

func (x *ends) see(e history.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch b := e.Body.(type) {
	case *history.Invoke:
		if b.Name == workload.Destroy {
			x.asked[b.Op] = b.Actor
		}
	case *history.Return:
		if a := x.asked[b.Op]; a != "" && b.Outcome == history.OK {
			x.destroyed[a] = true
		}
	case *history.Actor:
		switch b.What {
		case "start":
			x.running[generation{b.Actor, b.Generation}] = true
		case "stopped":
			delete(x.running, generation{b.Actor, b.Generation})
		}
	case *history.Exit:
		if b.Role == "runtime" {
			clear(x.running)
		}
	default:
		return
	}
	x.update()
}

// update opens or closes the channel; the lock is held.
func (x *ends) update() {
	some := false
	for g := range x.running {
		some = some || x.destroyed[g.actor]
	}
	switch {
	case some && closed(x.none):
		x.none = make(chan struct{})
	case !some && !closed(x.none):
		close(x.none)
	}
}

// await returns when there is none, for at most d.
func (x *ends) await(ctx context.Context, d time.Duration) {
	x.mu.Lock()
	none := x.none
	x.mu.Unlock()
	_ = clock.UntilOr(ctx, clock.Now().Add(d), none) // what outlives its actor is in the history
}
