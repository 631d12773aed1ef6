// Package tap stands on the wire between an engine and its runtime: it decodes
// each frame, numbers and stamps it, and holds, drops, delays or doubles it, or
// strikes a process while it is held. This file is what both sides of its
// control port speak: the harness arms rules, the tap answers with outcomes.
package tap

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/internal/clock"
)

// Wire names a way that frames go.
type Wire string

// The wires.
const (
	WireEnvoy      Wire = "envoy"      // the runtime's WebSocket to the engine
	WireServerless Wire = "serverless" // the engine's HTTP calls to the runtime
	WireGateway    Wire = "gateway"    // clients' requests to the engine's gateway
)

// Match selects frames. Its empty fields match anything.
type Match struct {
	Wire      Wire   `json:"wire,omitempty"`
	Direction string `json:"direction,omitempty"` // "to-engine", "to-runtime", as in history.Frame
	Type      string `json:"type,omitempty"`      // as in history.Frame
	Detail    string `json:"detail,omitempty"`    // as in history.Frame
	Actor     string `json:"actor,omitempty"`     // the actor's id
	Key       string `json:"key,omitempty"`       // or its key
	// Frame is the number that the tap gave the frame. 0: any.
	Frame uint64 `json:"frame,omitempty"`
	// Nth counts the frames that match, from the arming of the rule on. 0 is 1.
	Nth int `json:"nth,omitempty"`
}

// When says on which side of its delivery a frame is held.
type When string

// The sides. After means that the frame was written to its receiver's socket;
// that the receiver took it only its answer proves.
const (
	Before When = "before"
	After  When = "after"
)

// Do is what is done with the frame that a rule selects.
type Do string

// What can be done.
const (
	// DoHold holds the frame until it is released or the deadline passes.
	// Frames behind it in its direction wait.
	DoHold Do = "hold"
	// DoStrike stops all wires, strikes, and then does with the frame what
	// Strike.Held says. A strike that kills severs the target's connections, so
	// that nothing it sent before its death arrives after it.
	DoStrike    Do = "strike"
	DoDrop      Do = "drop"
	DoDelay     Do = "delay"     // by Rule.Delay; frames behind it wait
	DoDuplicate Do = "duplicate" // deliver it twice
	DoCut       Do = "cut"       // end its connection without a close frame, the frame undelivered (Before) or delivered (After)
)

// Held says what becomes of a held frame.
type Held string

// What becomes of it. A frame to a dead receiver cannot be delivered.
const (
	Deliver Held = "deliver"
	Drop    Held = "drop"
)

// Strike is what the executioner does to a target.
type Strike struct {
	// Target is "engine" or "runtime", whose processes the harness announces;
	// Both strikes the other one in the same moment, too.
	Target string `json:"target"`
	Both   bool   `json:"both,omitempty"`
	// Signal as in "SIGKILL". SIGKILL is awaited and severs; others do neither.
	Signal string `json:"signal"`
	// Resume sends SIGCONT so long after a SIGSTOP. 0: never.
	Resume time.Duration `json:"resume_ns,omitempty"`
	// Grace sends SIGKILL so long after the signal, if it still lives. 0: never.
	Grace time.Duration `json:"grace_ns,omitempty"`
	Held  Held          `json:"held,omitempty"` // Deliver where empty
}

// Rule is done once, to the first frame that it selects.
type Rule struct {
	ID     string        `json:"id"`
	Match  Match         `json:"match"`
	When   When          `json:"when"`
	Do     Do            `json:"do"`
	Strike *Strike       `json:"strike,omitempty"`   // of DoStrike
	Delay  time.Duration `json:"delay_ns,omitempty"` // of DoDelay
	// Deadline ends a hold, 30 s where 0; the frame is delivered then.
	Deadline time.Duration `json:"deadline_ns,omitempty"`
}

// State is how far a rule is.
type State string

// The states. Done, Expired and Failed are final.
const (
	Armed   State = "armed"   // no frame was selected yet
	Reached State = "reached" // a frame is held
	Done    State = "done"
	Expired State = "expired" // the hold's deadline passed, the frame was delivered
	Failed  State = "failed"  // Error says why
)

// Final says that the outcome will not change.
func (s State) Final() bool { return s == Done || s == Expired || s == Failed }

// Outcome is what came of a rule or of a strike without one. Its instants are 0
// where they did not come.
type Outcome struct {
	ID    string `json:"id"`
	State State  `json:"state"`
	Error string `json:"error,omitempty"`
	// Matched counts the frames that matched so far, of which the Nth was
	// wanted; Frame is the number of the selected one.
	Matched int    `json:"matched"`
	Frame   uint64 `json:"frame,omitempty"`
	Held    Held   `json:"held,omitempty"` // what became of it

	ArrivedT  clock.Mono `json:"arrived_t,omitempty"`  // the frame was read
	SignalT   clock.Mono `json:"signal_t,omitempty"`   // just before the signal call
	SignaledT clock.Mono `json:"signaled_t,omitempty"` // just after it
	DiedT     clock.Mono `json:"died_t,omitempty"`     // the pidfd became readable
	// Severed counts the connections that were ended, Lost the frames that had
	// been read from them, or could have been, and were not delivered.
	Severed int `json:"severed,omitempty"`
	Lost    int `json:"lost,omitempty"`
}

// Target is a process that the executioner may strike.
type Target struct {
	// PID in the daemon's PID namespace. ContainerID proves that the process
	// is that container's.
	PID         int    `json:"pid"`
	ContainerID string `json:"container_id"`
	// Party is how events call it: "engine#2".
	Party string `json:"party"`
}

// Validate says what is wrong with a rule.
func (r Rule) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(r.ID == "", "a rule without an id")
	bad(!slices.Contains([]When{Before, After}, r.When), "when %q: want %q or %q", r.When, Before, After)
	bad(!slices.Contains([]Do{DoHold, DoStrike, DoDrop, DoDelay, DoDuplicate, DoCut}, r.Do), "do %q is unknown", r.Do)
	bad((r.Do == DoStrike) != (r.Strike != nil), "do %q: a strike belongs to %q, and only to it", r.Do, DoStrike)
	bad(r.Do == DoDelay && r.Delay <= 0, "a delay of %v: want one above zero", r.Delay)
	bad((r.Do == DoDrop || r.Do == DoDuplicate) && r.When == After, "do %q after the delivery: want it before", r.Do)
	bad(r.Match.Nth < 0, "nth %d is negative", r.Match.Nth)
	if r.Strike != nil {
		errs = append(errs, r.Strike.Validate())
	}
	return errors.Join(errs...)
}

// Validate says what is wrong with a strike.
func (s Strike) Validate() error {
	if s.Target != "engine" && s.Target != "runtime" {
		return fmt.Errorf("target %q: want engine or runtime", s.Target)
	}
	if unix.SignalNum(s.Signal) == 0 {
		return fmt.Errorf("signal %q: want a name as in SIGKILL", s.Signal)
	}
	if s.Held != "" && s.Held != Deliver && s.Held != Drop {
		return fmt.Errorf("held %q: want %q or %q", s.Held, Deliver, Drop)
	}
	return nil
}
