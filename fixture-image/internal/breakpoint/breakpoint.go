// Package breakpoint holds the runtime at named places of an actor's life, so
// that a fault can strike exactly there.
//
// A breakpoint is armed for one hold: whoever reaches its place next is held
// until it is released or its deadline passes; later ones pass through. Each
// step is recorded as a history.Breakpoint.
package breakpoint

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/killpoint/killpoint/history"
)

// Name is a place in the runtime's code.
type Name string

// The places.
const (
	BetweenWrites Name = "between-writes" // of a counter's transaction: the event is inserted, the count is not up
	BeforeCommit  Name = "before-commit"  // of a counter's transaction: all is written, COMMIT is not sent
	AfterCommit   Name = "after-commit"   // the engine confirmed COMMIT, the caller has no answer
	OnStart       Name = "on-start"       // a generation begins, before its first SQL statement
	BeforeRunning Name = "before-running" // a generation is ready, the engine is not told
	OnStop        Name = "on-stop"        // a generation was told to stop and did nothing yet
	InDrain       Name = "in-drain"       // the process was signalled and told the engine nothing yet
	MidStream     Name = "mid-stream"     // GET /stream, between its first chunk and its second
)

// Names are all places.
var Names = []Name{BetweenWrites, BeforeCommit, AfterCommit, OnStart, BeforeRunning, OnStop, InDrain, MidStream}

// Steps of a breakpoint, as the history words them.
const (
	armed    = "armed"
	reached  = "reached"
	released = "released"
	expired  = "expired"
	// abandoned: what was held ended by itself, because its generation was
	// aborted or its caller went away.
	abandoned = "abandoned"
)

// DefaultDeadline bounds a hold that was armed without a deadline.
const DefaultDeadline = 30 * time.Second

// Parse reads the name of a place.
func Parse(s string) (Name, error) {
	if !slices.Contains(Names, Name(s)) {
		return "", fmt.Errorf("breakpoint %.40q: use %s", s, list())
	}
	return Name(s), nil
}

func list() string {
	all := make([]string, len(Names))
	for i, n := range Names {
		all[i] = string(n)
	}
	return strings.Join(all, ", ")
}

// Where says who is at a place. InDrain has no actor.
type Where struct {
	Actor      string
	Generation uint32
}

// Set is all breakpoints of a process.
type Set struct {
	record func(history.Breakpoint)

	mu    sync.Mutex
	arms  map[Name]arm
	holds map[Name]map[*hold]bool
}

type arm struct {
	actor    string // "": any
	deadline time.Duration
}

type hold struct {
	where   Where
	release chan struct{}
}

// NewSet makes a set with nothing armed. record gets every step, in order; it
// must not call the set.
func NewSet(record func(history.Breakpoint)) *Set {
	return &Set{record: record, arms: map[Name]arm{}, holds: map[Name]map[*hold]bool{}}
}

// Arm holds the next one that reaches n, of one actor or, with "", of any, for
// at most the deadline ([DefaultDeadline] for 0). It replaces an earlier arm
// that nobody reached.
func (s *Set) Arm(n Name, actor string, deadline time.Duration) {
	if deadline <= 0 {
		deadline = DefaultDeadline
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arms[n] = arm{actor, deadline}
	s.step(n, Where{Actor: actor}, armed)
}

// Release lets go whoever is held at n, and disarms n. It returns how many
// were held.
func (s *Set) Release(n Name) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, wasArmed := s.arms[n]
	delete(s.arms, n)
	held := s.holds[n]
	delete(s.holds, n)
	for h := range held {
		s.step(n, h.where, released)
		close(h.release)
	}
	if len(held) == 0 && wasArmed {
		s.step(n, Where{}, released)
	}
	return len(held)
}

// Reach is called at the place n. It returns at once unless n is armed. The
// error is the cause of ctx's end; a deadline that passes is none.
func (s *Set) Reach(ctx context.Context, n Name, w Where) error {
	return s.reach(ctx, n, w, 0)
}

// Hold is Reach, but holds for d where n is not armed.
func (s *Set) Hold(ctx context.Context, n Name, w Where, d time.Duration) error {
	return s.reach(ctx, n, w, d)
}

func (s *Set) reach(ctx context.Context, n Name, w Where, unarmed time.Duration) error {
	h, deadline := s.begin(n, w, unarmed)
	if h == nil {
		return nil
	}
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-h.release:
		return nil
	case <-timer.C:
		s.end(n, h, expired)
		return nil
	case <-ctx.Done():
		s.end(n, h, abandoned)
		return fmt.Errorf("held at breakpoint %s: %w", n, context.Cause(ctx))
	}
}

// begin uses up the arm of n, if there is one for w.
func (s *Set) begin(n Name, w Where, deadline time.Duration) (*hold, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.arms[n]; ok && (a.actor == "" || a.actor == w.Actor) {
		delete(s.arms, n)
		deadline = a.deadline
	}
	if deadline <= 0 {
		return nil, 0
	}
	h := &hold{where: w, release: make(chan struct{})}
	if s.holds[n] == nil {
		s.holds[n] = map[*hold]bool{}
	}
	s.holds[n][h] = true
	s.step(n, w, reached)
	return h, deadline
}

// end takes back a hold that Release did not end in the same moment.
func (s *Set) end(n Name, h *hold, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds[n][h] {
		delete(s.holds[n], h)
		s.step(n, h.where, what)
	}
}

// step records under the lock, so that steps are recorded in their order.
func (s *Set) step(n Name, w Where, what string) {
	s.record(history.Breakpoint{Name: string(n), Actor: w.Actor, Generation: w.Generation, What: what})
}

// State is one breakpoint at one moment.
type State struct {
	Name  Name `json:"name"`
	Armed bool `json:"armed"`
	// Held counts those that wait at it now.
	Held int `json:"held"`
}

// States are all breakpoints, in the order of Names.
func (s *Set) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]State, len(Names))
	for i, n := range Names {
		_, isArmed := s.arms[n]
		out[i] = State{Name: n, Armed: isArmed, Held: len(s.holds[n])}
	}
	return out
}
