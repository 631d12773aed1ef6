// Package scenario carries out trials. A scenario is a struct literal: what
// runs, what is struck, how it is probed, what must hold. Carrying it out
// writes a history; the verdict is computed from that alone.
package scenario

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/workload"
)

// Scenario is an engine restart under warmed actors: one actor for each probe
// of the sweep is warmed, the fault strikes the engine, the engine is started
// again, and from its first good /health on the sweep asks what its users see.
type Scenario struct {
	Name string
	// Engine is a version, an image reference or the path of a binary.
	Engine string
	// EngineConfig of the cell. An empty LoadShedding is off, so that a busy
	// host is not mistaken for a race; GatewayV3 is set where Protocol needs it.
	EngineConfig containers.EngineConfig
	// Fault strikes the engine, Then once more each, when it was healthy again.
	// Where Fault is nil nothing happens to the engine, and what is to be seen
	// is the parts' doing: the trial has no outage, and needs no sweep.
	Fault fault.Fault
	Then  []Later
	// At is the moment of the fault, counted from before the parts begin. The zero
	// value is when all of them have begun.
	At moment.Moment
	// On is whom it strikes, the engine by default.
	On Target
	// Drop has the frame that is held at the moment dropped rather than delivered.
	Drop bool
	// Tap puts a tap between engine and runtime. It is there anyway where a
	// moment is a frame, or a fault strikes both.
	Tap *containers.TapConfig
	// Reconnect is the policy of the runtime's client: "rivet", "fast" or
	// "fast:25ms", "none".
	Reconnect string
	// Protocol of the envoy connection; 0 is 6, which all engines speak.
	Protocol int
	// Heartbeat from inside the actors: "none" (also ""), "sqlite", "kv".
	Heartbeat string
	// DrainGrace is the pool's drain grace period; 0 is 5 s. With it the
	// engine's own exit takes as long.
	DrainGrace time.Duration
	// Lifespan is that of the engine's requests to the runtime, after which it
	// drains their actors; 0 is 1 h.
	Lifespan time.Duration
	// Front stands before the runtimes, for parts in which one takes over from
	// another.
	Front containers.Front
	// Parts go on besides, each on actors of its own. They begin in their
	// order, before the fault.
	Parts []Part
	// RuntimeEnv is added to the runtime's environment.
	RuntimeEnv map[string]string
	// RuntimeImage replaces the fixture; "" is the fixture.
	RuntimeImage string
	// RuntimeInit puts Docker's init before the runtime, so that it is not PID 1;
	// RuntimeRestart is the daemon's restart policy for the runtime; "": it does
	// nothing by itself.
	RuntimeRestart containers.RestartPolicy
	// RuntimeMemory limits its container, in bytes: 0 for no limit.
	RuntimeInit   bool
	RuntimeMemory int64
	// Sweep asks; its Bound is also what AnswersWithin holds the actors to.
	Sweep probe.Sweep
	// Repeats is how many actors the sweep asks at each delay; 0 is 1.
	Repeats int
	// Seed shuffles which actor is asked at which delay.
	Seed uint64
	// Invariants besides those that every restart is held to.
	Invariants []check.Invariant
	// Known bugs that this restart may meet: a failure that bears the mark of
	// one, and is nothing else, is called known.
	Known []check.KnownBug
	// Cells gives the trial its cell and takes it back. nil makes one for it and
	// removes it.
	Cells Cells
	// Again is the command that runs this scenario again, for failures.
	Again string
}

// Later is a fault that follows another.
type Later struct {
	// After the first good /health that followed the fault before; where At is
	// a moment, that alone counts, from before the return from that fault.
	After time.Duration
	At    moment.Moment
	Fault fault.Fault
	On    Target
	Drop  bool
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

// invariants are those of every restart, its parts' and the scenario's own.
func (s Scenario) invariants() []check.Invariant {
	var all []check.Invariant
	script, scripted := s.script()
	switch {
	case scripted && s.endsEngine():
		all = append(all, check.FaultLanded(), check.EngineStaysUp())
	case scripted:
	case s.endsEngine():
		all = append(all, check.FaultLanded(), check.EngineStaysUp(), check.AnswersWithin(s.Sweep.Bound))
	case s.Fault != nil:
		all = append(all, check.AnswersAgain(s.Sweep.Bound))
	}
	if s.tapped() && s.Fault != nil {
		all = append(all, check.MomentHeld())
	}
	if scripted {
		return slices.Concat(all, script.Invariants(), s.Invariants)
	}
	all = append(all,
		check.RightActor(),
		check.LedgerKeeps(workload.Tick, workload.Ledger),
		check.NoPanic(),
	)
	for _, p := range s.Parts {
		all = append(all, p.Invariants()...)
	}
	return append(all, s.Invariants...)
}

// Judges are all invariants that the scenario is held to: for who judges a stored
// history of it.
func (s Scenario) Judges() []check.Invariant { return s.invariants() }

// Observe is called with every event of a trial as it is recorded; it must
// not block. It is for progress.
type Observe func(history.Event)

// Run carries out the scenario in dir, which must not hold a history yet, and
// judges the history. The error says that the harness could not do its work;
// what the engine did wrong is in the trial's verdict. A trial is returned
// whenever its history can be read, also with an error. A scenario that cannot be
// carried out as it is leaves no history.
func (s Scenario) Run(ctx context.Context, session *containers.Session, run, dir string, observe Observe) (report.Trial, error) {
	if err := s.valid(); err != nil {
		return report.Unjudged(s.Name, dir, err), err
	}
	w, err := history.Create(report.HistoryPath(dir), history.Header{Run: run, Trial: s.Name, Seed: s.Seed})
	if err != nil {
		return report.Unjudged(s.Name, dir, err), err
	}
	if observe != nil {
		w.Subscribe(observe)
	}
	t := &trial{Scenario: s, session: session, w: w, delays: s.shuffled()}
	for _, p := range s.Parts {
		t.parts = append(t.parts, &part{Part: p})
	}
	err = t.carryOut(ctx)
	w.Record("harness", history.KindEnd, end(ctx, err))
	err = errors.Join(err, w.Close())
	judged, jerr := report.Judge(dir, s.Known, s.invariants()...)
	judged.Name, judged.Again = s.Name, s.Again // the history's name, unless it cannot be read
	return judged, errors.Join(err, jerr)
}

// Held are the invariants that a trial of the scenario is held to, and the known
// bugs that it may meet, for whoever judges a stored history again.
func (s Scenario) Held() ([]check.KnownBug, []check.Invariant) { return s.Known, s.invariants() }
