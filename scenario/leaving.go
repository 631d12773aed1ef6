package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
)

// Parts and faults for the engine's own exit: what is open when it is asked to
// leave.

// InFlight has one actor hold a write that it carried out, and answer it after a
// time: the fault strikes while its client waits. It is the last of the parts.
func InFlight(answered, patience time.Duration) Part { return requestOpen{answered, patience} }

type requestOpen struct{ answered, patience time.Duration }

func (p requestOpen) String() string {
	return fmt.Sprintf("a request in flight, answered after %v", p.answered)
}

func (requestOpen) Actors() ([]string, int) { return []string{"in-flight"}, 0 }

func (requestOpen) Invariants() []check.Invariant { return nil }

func (requestOpen) fits(_ Scenario, last bool) error { return strikesAtOnce(last) }

func (p requestOpen) Begin(ctx context.Context, s *Stage) (Course, error) {
	t := s.Actors[0]
	if err := s.ArmFor(ctx, AfterCommit, t.Actor, p.answered); err != nil {
		return Course{}, err
	}
	held := s.expectReached(t.Actor, AfterCommit)
	over := make(chan struct{})
	asking, stop := context.WithCancel(ctx)
	go func() {
		defer close(over)
		writer := *s.Counter
		writer.Timeout = p.patience
		writer.Tick(asking, t)
	}()
	course := Course{End: func(context.Context) error { stop(); <-over; return nil }}
	return course, held(ctx, holdBound, "the request to be in flight")
}

// ActiveWebSocket has a client hold a WebSocket to an actor open, and send a ping
// on it every so often.
func ActiveWebSocket(every time.Duration) Part { return activeWebSocket{every} }

type activeWebSocket struct{ every time.Duration }

func (p activeWebSocket) String() string {
	return fmt.Sprintf("a WebSocket held open, with a ping every %v", p.every)
}

func (activeWebSocket) Actors() ([]string, int) { return []string{"websocket"}, 0 }

func (activeWebSocket) Invariants() []check.Invariant { return nil }

func (p activeWebSocket) Begin(ctx context.Context, s *Stage) (Course, error) {
	held, err := s.Counter.HoldSocket(ctx, s.Actors[0])
	if err != nil {
		return Course{}, err
	}
	pinging, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(p.every)
		defer tick.Stop()
		for {
			select {
			case <-held.Ended():
				return
			case <-pinging.Done():
				return
			case <-tick.C:
				_ = held.Ping() // where it fails, the operation says how it ended
			}
		}
	}()
	return Course{End: func(context.Context) error {
		stop()
		<-done
		return held.Close()
	}}, nil
}

// AtStart kills the engine, starts it again, and strikes by the fault so long
// after the daemon says that it runs: mostly before it serves.
func AtStart(after time.Duration, f fault.Fault) fault.Fault { return atStart{after, f} }

type atStart struct {
	after time.Duration
	fault.Fault
}

// starter is a target that can be started.
type starter interface {
	Start(ctx context.Context) error
}

var errNoStart = errors.New("this target cannot be started")

func (f atStart) Strike(ctx context.Context, t fault.Target) (history.Exit, error) {
	s, ok := t.(starter)
	if !ok {
		return history.Exit{}, errNoStart
	}
	if exit, err := fault.Kill().Strike(ctx, t); err != nil {
		return exit, err
	}
	if err := s.Start(ctx); err != nil {
		return history.Exit{}, err
	}
	timer := time.NewTimer(f.after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return history.Exit{}, context.Cause(ctx)
	}
	return f.Fault.Strike(ctx, t)
}

func (f atStart) String() string {
	return fmt.Sprintf("SIGKILL, and %v after its next start %v", f.after, f.Fault)
}
