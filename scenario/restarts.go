package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/workload"
)

// DaemonRestarts has the runtime crash under a constant stream of requests, and the
// daemon start it again, by the scenario's RuntimeRestart.
type DaemonRestarts struct {
	// Signal makes it crash: SIGKILL, or one by which the fixture does. It is sent
	// to the process itself, for the daemon takes one of its own for a stop.
	Signal string
	Flow   workload.Flow
	// Before and After are how long the flow goes on before the crash and after the
	// last of the lives, of which there are to be so many.
	Before, After time.Duration
	Lives         int
}

var _ Part = DaemonRestarts{}

// String implements [Part].
func (p DaemonRestarts) String() string {
	return fmt.Sprintf("the runtime crashes by %s and is started by the daemon %d times, under %v", p.Signal, p.Lives, p.Flow)
}

// Actors implements [Part].
func (p DaemonRestarts) Actors() ([]string, int) { return p.Flow.Keys(), 0 }

// Invariants implements [Part].
func (DaemonRestarts) Invariants() []check.Invariant { return nil }

// restartBound is how long all restarts may take: with Docker's back-off seven of
// them wait for 12.7 s.
const restartBound = 60 * time.Second

// Begin implements [Part].
func (p DaemonRestarts) Begin(_ context.Context, s *Stage) (Course, error) {
	return Course{Recovered: func(ctx context.Context, _ clock.Mono) error {
		stop := s.Counter.StartFlow(ctx, p.Flow, s.Actors)
		defer stop()
		if err := clock.Until(ctx, clock.Now().Add(p.Before)); err != nil {
			return err
		}
		left := p.Lives
		started := s.Expect(func(e history.Event) bool {
			b, ok := e.Body.(*history.Container)
			if ok && b.Role == "runtime" && b.What == history.ContainerStarted && b.By != "" {
				left--
			}
			return left == 0
		})
		if err := s.Cell.Runtime.Signal(ctx, p.Signal, containers.WayPidfd); err != nil {
			return err
		}
		if err := started(ctx, restartBound, fmt.Sprintf("the daemon to start the runtime %d times", p.Lives)); err != nil {
			return err
		}
		if err := clock.Until(ctx, clock.Now().Add(p.After)); err != nil {
			return err
		}
		return s.allSeen(ctx)
	}}, nil
}

// allSeen fails where the daemon counts other restarts than the history has.
func (s *Stage) allSeen(ctx context.Context) error {
	seen, counted, err := s.Cell.Runtime.Restarts(ctx)
	if err == nil && seen != counted {
		err = fmt.Errorf("the daemon has restarted the runtime %d times, and %d were seen", counted, seen)
	}
	return err
}

var errNeedsRestart = errors.New("the daemon is to start the runtime again: the scenario needs a RuntimeRestart")

func (DaemonRestarts) fits(s Scenario, _ bool) error {
	if s.RuntimeRestart == containers.RestartNever {
		return errNeedsRestart
	}
	return nil
}
