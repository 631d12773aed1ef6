// Package history is the spine of killpoint: everything that happens in one
// trial, in order, append-only, written while it happens.
//
// A history is JSON Lines. Its first line is a [Header], each further line an
// [Event]. Nothing downstream of a history talks to a container: verdicts,
// windows and reports are computed from the file alone, so a stored history
// can be judged again later. docs/history.md documents the format.
package history

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/killpoint/killpoint/internal/clock"
)

// Format and Version identify the file. Version grows when an old reader
// would misread a new file; new kinds and new optional fields do not count.
const (
	Format  = "killpoint-history"
	Version = 1
)

// Header is the first line of a history.
type Header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Run and Trial name where this history belongs; Seed is what the trial's
	// random choices were drawn from.
	Run   string `json:"run"`
	Trial string `json:"trial"`
	Seed  uint64 `json:"seed"`
	// BootID names the kernel whose CLOCK_MONOTONIC stamps the events. Mono
	// and Wall (RFC 3339) are one instant on both clocks, for people only.
	BootID string     `json:"boot_id"`
	Mono   clock.Mono `json:"mono"`
	Wall   string     `json:"wall"`
}

// Event is one line of a history.
type Event struct {
	// Seq numbers the lines as they arrived at the writer, from 1, without a
	// gap. T orders them in time: parties that are written down late (the
	// runtime's, through its log) keep the stamp they gave themselves.
	Seq uint64 `json:"seq"`
	// T is when it happened, on the host's CLOCK_MONOTONIC, in nanoseconds.
	T clock.Mono `json:"t"`
	// Party is who says so: "harness", "client", "engine#2", "runtime#1".
	Party string `json:"party"`
	Kind  Kind   `json:"kind"`
	// Body is a pointer to the struct that belongs to Kind, or a
	// json.RawMessage where this version of killpoint does not know the kind.
	Body any `json:"body"`
}

// Kind names an event's type and with it its body.
type Kind string

// The kinds of this version, each with its body's type beside it in bodies.
const (
	KindSettings   Kind = "settings"
	KindPlan       Kind = "plan"
	KindStep       Kind = "step"
	KindClock      Kind = "clock"
	KindInvoke     Kind = "op.invoke"
	KindReturn     Kind = "op.return"
	KindContainer  Kind = "container"
	KindExit       Kind = "container.exit"
	KindHealth     Kind = "health"
	KindFault      Kind = "fault"
	KindEnvoy      Kind = "envoy"
	KindActor      Kind = "actor"
	KindHeartbeat  Kind = "heartbeat"
	KindBreakpoint Kind = "breakpoint"
	KindFrame      Kind = "frame"
	KindFront      Kind = "front"
	KindShutdown   Kind = "runtime.shutdown"
	KindTapListen  Kind = "tap.listening"
	KindTapTarget  Kind = "tap.target"
	KindTapRule    Kind = "tap.rule"
	KindTapStrike  Kind = "tap.strike"
	KindMoment     Kind = "moment"
	KindCase       Kind = "case"
	KindLog        Kind = "log"
	KindNoise      Kind = "noise"
	KindEnd        Kind = "end"
)

// bodies is the one table of kinds. A kind that is not here is read as raw.
var bodies = map[Kind]func() any{
	KindSettings:   func() any { return new(Settings) },
	KindPlan:       func() any { return new(Plan) },
	KindStep:       func() any { return new(Step) },
	KindClock:      func() any { return new(Clock) },
	KindInvoke:     func() any { return new(Invoke) },
	KindReturn:     func() any { return new(Return) },
	KindContainer:  func() any { return new(Container) },
	KindExit:       func() any { return new(Exit) },
	KindHealth:     func() any { return new(Health) },
	KindFault:      func() any { return new(Fault) },
	KindEnvoy:      func() any { return new(Envoy) },
	KindActor:      func() any { return new(Actor) },
	KindHeartbeat:  func() any { return new(Heartbeat) },
	KindBreakpoint: func() any { return new(Breakpoint) },
	KindFrame:      func() any { return new(Frame) },
	KindFront:      func() any { return new(Front) },
	KindShutdown:   func() any { return new(Shutdown) },
	KindTapListen:  func() any { return new(TapListening) },
	KindTapTarget:  func() any { return new(TapTarget) },
	KindTapRule:    func() any { return new(TapRule) },
	KindTapStrike:  func() any { return new(TapStrike) },
	KindMoment:     func() any { return new(Moment) },
	KindCase:       func() any { return new(Case) },
	KindLog:        func() any { return new(Log) },
	KindNoise:      func() any { return new(Noise) },
	KindEnd:        func() any { return new(End) },
}

// UnmarshalJSON decodes the body by its kind.
func (e *Event) UnmarshalJSON(b []byte) error {
	if raw, ok := writtenHere(b); ok && e.decode(raw) == nil {
		return nil
	}
	// Written by another, or broken: take it field by field, and say what is wrong.
	var raw rawEvent
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	return e.decode(raw)
}

// rawEvent is an event whose body is not decoded yet.
type rawEvent struct {
	Seq   uint64          `json:"seq"`
	T     clock.Mono      `json:"t"`
	Party string          `json:"party"`
	Kind  Kind            `json:"kind"`
	Body  json.RawMessage `json:"body"`
}

func (e *Event) decode(raw rawEvent) error {
	if raw.Kind == "" {
		return fmt.Errorf("no kind")
	}
	e.Seq, e.T, e.Party, e.Kind = raw.Seq, raw.T, raw.Party, raw.Kind
	make, known := bodies[raw.Kind]
	if !known {
		if !json.Valid(raw.Body) && len(raw.Body) > 0 {
			return fmt.Errorf("body of kind %q: no JSON", raw.Kind)
		}
		// A copy: what it was read from is read into again.
		e.Body = slices.Clone(raw.Body)
		return nil
	}
	body := make()
	if len(raw.Body) == 0 {
		return fmt.Errorf("kind %q without a body", raw.Kind)
	}
	if err := json.Unmarshal(raw.Body, body); err != nil {
		return fmt.Errorf("body of kind %q: %w", raw.Kind, err)
	}
	e.Body = body
	return nil
}
