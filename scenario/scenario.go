// Package scenario carries out trials. A scenario is a struct literal: what
// runs, what is struck, how it is probed, what must hold. Carrying it out
// writes a history; the verdict is computed from that alone.
package scenario

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/workload"
)

// Scenario is an engine restart under warmed actors: one actor for each delay
// of the sweep is warmed, the fault strikes the engine, the engine is started
// again, and from its first good /health on the sweep asks what its users see.
type Scenario struct {
	Name string
	// Engine is a version, an image reference or the path of a binary.
	Engine string
	// Fault strikes the engine.
	Fault fault.Fault
	// Reconnect is the policy of the runtime's client: "rivet", "fast" or
	// "fast:25ms", "none".
	Reconnect string
	// Protocol of the envoy connection; 0 is 6, which all engines speak.
	Protocol int
	// Heartbeat from inside the actors: "none" (also ""), "sqlite", "kv".
	Heartbeat string
	// LoadShedding of the engine; "" is off, so that a busy host is not
	// mistaken for a race.
	LoadShedding containers.LoadShedding
	// DrainGrace is the pool's drain grace period; 0 is 5 s. With it the
	// engine's own exit takes as long.
	DrainGrace time.Duration
	// Load works on actors of its own from before the fault until after the
	// sweep; nil is none.
	Load *workload.Load
	// CommitInFlight has one more actor open a transaction, write, and stop
	// before its COMMIT; there the fault strikes, and the actor goes on half a
	// second later.
	CommitInFlight bool
	// RuntimeEnv is added to the runtime's environment.
	RuntimeEnv map[string]string
	// RuntimeImage replaces the fixture; "" is the fixture.
	RuntimeImage string
	// Sweep asks; its Bound is also what AnswersWithin holds the actors to.
	Sweep probe.Sweep
	// Invariants besides those that every restart is held to.
	Invariants []check.Invariant
	// Again is the command that runs this scenario again, for failures.
	Again string
}

// Slug is the scenario's name as a folder's and a container's name may be.
func (s Scenario) Slug() string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		}
		return '-'
	}, s.Name)
}

// invariants are those of every restart, and the scenario's own.
func (s Scenario) invariants() []check.Invariant {
	all := append([]check.Invariant{
		check.FaultLanded(),
		check.AnswersWithin(s.Sweep.Bound),
		check.RightActor(),
		check.LedgerKeeps(workload.Tick, workload.Ledger),
		check.NoPanic(),
	}, s.Invariants...)
	if s.CommitInFlight {
		all = append(all, check.CommitHeld(workload.CommitClient))
	}
	return all
}

// Observe is called with every event of a trial as it is recorded; it must
// not block. It is for progress.
type Observe func(history.Event)

// Run carries out the scenario in dir, which must not hold a history yet, and
// judges the history. The error says that the harness could not do its work;
// what the engine did wrong is in the trial's verdict. A trial is returned
// whenever its history can be read, also with an error.
func (s Scenario) Run(ctx context.Context, session *containers.Session, run, dir string, observe Observe) (report.Trial, error) {
	w, err := history.Create(report.HistoryPath(dir), history.Header{Run: run, Trial: s.Name})
	if err != nil {
		return report.Unjudged(s.Name, dir, err), err
	}
	if observe != nil {
		w.Subscribe(observe)
	}
	t := &trial{Scenario: s, session: session, w: w}
	err = t.carryOut(ctx)
	w.Record("harness", history.KindEnd, end(ctx, err))
	err = errors.Join(err, w.Close())
	judged, jerr := report.Judge(dir, s.invariants()...)
	judged.Name, judged.Again = s.Name, s.Again // the history's name, unless it cannot be read
	return judged, errors.Join(err, jerr)
}
