package scenario

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// Part is something that goes on in a trial beside the sweep, on actors of its
// own. The value says what; [Part.Begin] makes a course of it, so that one
// value can serve many trials.
type Part interface {
	// String is how plans and settings call it.
	String() string
	// Actors are the keys of the actors that are warmed for it, and how many
	// more it makes itself: the pool has room for both.
	Actors() (warm []string, more int)
	// Begin sets it going.
	// Postcondition without an error: the fault may strike.
	Begin(ctx context.Context, s *Stage) (Course, error)
	// Invariants that judge it.
	Invariants() []check.Invariant
}

// Course is a part that was begun. Each function may be nil.
type Course struct {
	// Down is called each time the engine has left, before it is started again.
	Down func(ctx context.Context) error
	// Recovered is called beside the sweep with the first good /health after the
	// last fault; where there is no fault, with the time at which it is called.
	Recovered func(ctx context.Context, healthy clock.Mono) error
	// Over is closed when the part does nothing more by itself, so that nobody
	// waits for a moment that can come no more. nil: it always may.
	Over <-chan struct{}
	// End is called once, after the sweep or where the trial failed. It has a
	// bound of its own, and returns with nothing of the part left at work.
	End func(ctx context.Context) error
}

// Stage is what a part has to work with.
type Stage struct {
	Cell    *containers.Cell
	Counter *workload.Counter
	History *history.Writer
	// Actors are the part's, in the order of its keys.
	Actors []probe.Target
	// Sweep is the scenario's, for its timeout and bound.
	Sweep probe.Sweep

	made *made
}

// made are the actors that parts made, which go on beside each other.
type made struct {
	mu  sync.Mutex
	all []probe.Target
}

// ReadBack has the ledger of an actor that the part made read at the end.
func (s *Stage) ReadBack(t probe.Target) {
	s.made.mu.Lock()
	defer s.made.mu.Unlock()
	s.made.all = append(s.made.all, t)
}

// AskAll asks each of the actors as the sweep's probe at a delay of 0 does, and
// goes on asking until it answers, so that it has a row beside the sweep's.
func (s *Stage) AskAll(ctx context.Context, healthy clock.Mono, actors []probe.Target, ask probe.Request) error {
	return s.beside(probe.ViaHTTP, 0, actors).Run(ctx, s.Counter.Gateway, healthy, actors, ask)
}

// beside is a sweep beside the scenario's, with its patience, which asks all the
// actors at one delay.
func (s *Stage) beside(via probe.Via, delay time.Duration, actors []probe.Target) probe.Sweep {
	return probe.Sweep{
		As: probe.BesideName, Via: via, Delays: slices.Repeat([]time.Duration{delay}, len(actors)),
		Timeout: s.Sweep.Timeout, Bound: s.Sweep.Bound,
	}
}

// UnderLoad has clients work on actors of their own from before the fault until
// after the sweep. The fault strikes in the moment in which a write returned, when
// some to each of the actors have.
func UnderLoad(l workload.Load) Part { return underLoad{l} }

type underLoad struct{ workload.Load }

func (u underLoad) String() string { return "load: " + u.Load.String() }

func (u underLoad) Actors() ([]string, int) {
	return workload.Keys("load", u.ActorCount()), 0
}

// loadFirst is how many writes of each actor come before the fault, loadBound
// how long they may take.
const (
	loadFirst = 5
	loadBound = 15 * time.Second
)

func (u underLoad) Begin(ctx context.Context, s *Stage) (Course, error) {
	left := map[string]int{} // writes to come, of each actor
	for _, t := range s.Actors {
		left[t.Actor] = loadFirst
	}
	ticks := map[string]string{} // the actor of each that is under way
	working := s.Expect(func(e history.Event) bool {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if _, ours := left[b.Actor]; ours && b.Name == workload.Tick {
				ticks[b.Op] = b.Actor
			}
		case *history.Return:
			actor, ours := ticks[b.Op]
			if !ours {
				return false
			}
			left[actor]--
			// However it ended: clients may be too impatient for any to succeed.
			return !slices.ContainsFunc(s.Actors, func(t probe.Target) bool { return left[t.Actor] > 0 })
		}
		return false
	})
	stop := s.Counter.Start(ctx, u.Load, s.Actors)
	course := Course{End: func(context.Context) error { stop(); return nil }}
	return course, working(ctx, loadBound, fmt.Sprintf("%d writes of each actor under load", loadFirst))
}

func (u underLoad) Invariants() []check.Invariant {
	return []check.Invariant{check.LoadWhenStruck(workload.Tick, workload.Keys("load", u.ActorCount())...)}
}

// CommitHeld has one actor open a transaction, write, and stop before its
// COMMIT; there the fault strikes, and the actor goes on half a second later. It
// is the last of the parts.
func CommitHeld() Part { return commitHeld{} }

type commitHeld struct{}

func (commitHeld) String() string { return "transaction held before its COMMIT" }

func (commitHeld) Actors() ([]string, int) { return []string{"commit"}, 0 }

func (commitHeld) Invariants() []check.Invariant {
	return []check.Invariant{check.CommitHeld(workload.CommitClient)}
}

// Begin returns when the actor says that it holds.
func (commitHeld) Begin(ctx context.Context, s *Stage) (Course, error) {
	writer := s.Actors[0]
	held := s.expectReached(writer.Actor, BeforeCommit)
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.Counter.Commit(ctx, writer)
	}()
	// What the caller of the transaction is told takes no longer than its own
	// patience.
	course := Course{End: func(context.Context) error { <-over; return nil }}
	if err := held(ctx, holdBound, "the transaction to be held before its COMMIT"); err != nil {
		return course, fmt.Errorf("%w; what became of it is in the history", err)
	}
	return course, nil
}
