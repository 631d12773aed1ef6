package history

import (
	"fmt"

	"github.com/killpoint/killpoint/internal/clock"
)

// Durations in bodies are nanoseconds, as integers, in fields that end in _ns.

// Settings are the effective settings of the trial, each under its own name.
type Settings map[string]any

// Plan lists the steps of the trial before the first one is taken.
type Plan struct {
	Steps []string `json:"steps"`
}

// Step marks progress through the plan. N counts from 1.
type Step struct {
	N     int       `json:"n"`
	State StepState `json:"state"`
	Error string    `json:"error,omitempty"`
}

// StepState says how far a step is.
type StepState string

// The states of a step.
const (
	StepBegun  StepState = "begun"
	StepDone   StepState = "done"
	StepFailed StepState = "failed"
)

// Case marks one of several cases that a trial carries out one after the other.
type Case struct {
	Name  string    `json:"name"`
	State StepState `json:"state"`
	Error string    `json:"error,omitempty"`
}

// Clock says how a party's clock relates to the history's: the same (equal
// BootID) or off by OffsetNS, known to within BoundNS.
type Clock struct {
	BootID   string `json:"boot_id"`
	OffsetNS int64  `json:"offset_ns"`
	BoundNS  int64  `json:"bound_ns"`
}

// Invoke is a client's action as it begins. Op is unique in the history.
type Invoke struct {
	Op     string `json:"op"`
	Client string `json:"client"`
	// Name is the action or call, Actor the actor's id, Key its key.
	Name  string `json:"name"`
	Actor string `json:"actor,omitempty"`
	Key   string `json:"key,omitempty"`
	// Via is the way taken: "http", "websocket".
	Via string `json:"via"`
	// Probe is set where the action is a probe; DelayNS is then the delay from
	// the sweep's origin (planned for a sweep's probe, actual for a recovery
	// probe), TimeoutNS the client's patience.
	Probe     string `json:"probe,omitempty"`
	DelayNS   int64  `json:"delay_ns,omitempty"`
	TimeoutNS int64  `json:"timeout_ns,omitempty"`
	// RetryOf is the first attempt of an action that is sent again under the
	// same identity, because its outcome was unknown.
	RetryOf string `json:"retry_of,omitempty"`
}

// Outcome is what is known of an operation's effect, as in Jepsen.
type Outcome string

// The outcomes of an operation.
const (
	OK   Outcome = "ok"   // it took effect and its answer arrived
	Fail Outcome = "fail" // it certainly had no effect
	Info Outcome = "info" // unknown: it may have had an effect, or may still have one
)

// Return is the end of an operation as its client saw it.
type Return struct {
	Op      string  `json:"op"`
	Outcome Outcome `json:"outcome"`
	// Status is the HTTP status or WebSocket close code, 0 where none came.
	// Code is the engine's or the actor's error code, as in
	// "guard.actor_ready_timeout".
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	// Cause classifies what came instead of an answer.
	Cause Cause `json:"cause,omitempty"`
	// Value is the answer; Generation the actor generation that gave it, -1
	// where it does not say.
	Value      any    `json:"value,omitempty"`
	AnsweredBy string `json:"answered_by,omitempty"`
	Generation int64  `json:"generation"`
	Detail     string `json:"detail,omitempty"`
}

// String is the end as errors tell it.
func (r Return) String() string {
	return fmt.Sprintf("%s, cause %q, status %d %s: %s", r.Outcome, r.Cause, r.Status, r.Code, r.Detail)
}

// Cause says why an operation has no good answer.
type Cause string

// The causes.
const (
	CauseNone    Cause = ""
	CauseTimeout Cause = "timeout" // the client's patience ended first
	CauseRefused Cause = "refused" // no connection, or closed before a byte of an answer
	CauseReset   Cause = "reset"   // the connection broke in the middle of an answer
	CauseStatus  Cause = "status"  // an answer that says error; see Status and Code
	// CauseUnreadable: a whole answer, but not one that can be understood.
	CauseUnreadable Cause = "unreadable"
	CauseStopped    Cause = "stopped" // the trial ended first
)

// Container is a change in the life of a container. Incarnation counts its
// lives from 1.
type Container struct {
	Role        string         `json:"role"` // "engine", "runtime", "sandbox"
	Name        string         `json:"name"`
	ID          string         `json:"id,omitempty"`
	Incarnation int            `json:"incarnation"`
	What        ContainerState `json:"what"`
	Image       string         `json:"image,omitempty"`
	PID         int            `json:"pid,omitempty"` // of its PID 1, in the daemon's PID namespace
	// By is "daemon" where a restart policy started it, "" the rig. The times are
	// then the daemon's, of when it said so.
	By string `json:"by,omitempty"`
}

// ContainerState is what happened to a container. Its exit is [Exit].
type ContainerState string

// The states.
const (
	ContainerCreated   ContainerState = "created"
	ContainerStarting  ContainerState = "starting"
	ContainerStarted   ContainerState = "started"
	ContainerPaused    ContainerState = "paused"
	ContainerUnpaused  ContainerState = "unpaused"
	ContainerRemoved   ContainerState = "removed"
	ContainerFirstByte ContainerState = "first-byte" // the first byte of its log
)

// Exit is the exit record of one incarnation.
type Exit struct {
	Role        string `json:"role"`
	Name        string `json:"name"`
	Incarnation int    `json:"incarnation"`
	// Signal is the last signal sent ("" where it left by itself), By who
	// sent it, SignalT when. GraceEnded says that the grace of a stop ran out
	// and SIGKILL followed.
	Signal     string     `json:"signal,omitempty"`
	By         string     `json:"by,omitempty"`
	SignalT    clock.Mono `json:"signal_t,omitempty"`
	GraceEnded bool       `json:"grace_ended,omitempty"`
	Code       int        `json:"code"`
	OOM        bool       `json:"oom,omitempty"`
	// ToDeathNS is the time from SignalT to the death, -1 where there was no
	// signal. Source says how the death was seen: "pidfd" (within a
	// millisecond) or "docker" (late by up to 200 ms).
	ToDeathNS int64  `json:"to_death_ns"`
	Source    string `json:"source"`
	LogLines  int    `json:"log_lines"`
}

// Health is an answer of the engine's /health that changed the picture.
type Health struct {
	What    string `json:"what"` // "ok", the first good answer of an incarnation
	Version string `json:"version,omitempty"`
	// UncertainNS: the engine may have been well this much earlier, because
	// /health can only be polled.
	UncertainNS int64 `json:"uncertain_ns"`
}

// Fault is what the harness does to a container.
type Fault struct {
	Kind   string     `json:"kind"`   // "stop", "kill", "signal", "pause", "restart"
	Target string     `json:"target"` // "engine#1"
	Way    string     `json:"way"`    // "docker-api", "pidfd"
	Phase  FaultPhase `json:"phase"`
	Detail string     `json:"detail,omitempty"`
}

// FaultPhase orders the events of one fault.
type FaultPhase string

// The phases of a fault.
const (
	FaultBegun  FaultPhase = "begun"  // about to be asked for
	FaultLanded FaultPhase = "landed" // its effect was confirmed
	FaultFailed FaultPhase = "failed" // it could not be delivered
	FaultHealed FaultPhase = "healed" // undone
)

// Envoy is a change in the runtime's connection to the engine.
type Envoy struct {
	What    string `json:"what"` // "dialing", "connected", "init", "closed", "backoff", ...; docs/history.md lists all
	Attempt int    `json:"attempt,omitempty"`
	WaitNS  int64  `json:"wait_ns,omitempty"`
	Code    int    `json:"code,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Actor is a change in the life of one generation of an actor, as the
// runtime saw it.
type Actor struct {
	Actor      string `json:"actor"`
	Key        string `json:"key,omitempty"`
	Generation uint32 `json:"generation"`
	What       string `json:"what"` // "start", "running", "stopped", "panic", ...; docs/history.md lists all
	Reason     string `json:"reason,omitempty"`
	Error      string `json:"error,omitempty"`
}

// Heartbeat is one beat from inside an actor.
type Heartbeat struct {
	Actor      string `json:"actor"`
	Generation uint32 `json:"generation"`
	Beat       int64  `json:"beat"`
	TookNS     int64  `json:"took_ns"`
	Error      string `json:"error,omitempty"`
}

// Breakpoint is a named place in the runtime.
type Breakpoint struct {
	Name       string `json:"name"`
	Actor      string `json:"actor,omitempty"`
	Generation uint32 `json:"generation,omitempty"`
	What       string `json:"what"` // "armed", "reached", "released", "expired", "abandoned"
}

// Moment is an instant that a strike waits for. Its instants are 0 where they did
// not come.
type Moment struct {
	Moment string `json:"moment"` // its text form
	What   string `json:"what"`   // "armed", "reached", "struck", "missed"
	// Target is whom the strike is for: "engine", "runtime", "both".
	Target string `json:"target"`
	Way    string `json:"way,omitempty"` // of the strike, as in Fault
	// Matched counts the frames of the moment's kind that came, Frame is the
	// number of the one that was held.
	Matched int    `json:"matched,omitempty"`
	Frame   uint64 `json:"frame,omitempty"`
	Held    string `json:"held,omitempty"` // what became of it: "deliver", "drop"
	// ReachedT is the moment itself, SignalT and SignaledT are before and after the
	// signal call, DiedT is when the death was seen.
	ReachedT  clock.Mono `json:"reached_t,omitempty"`
	SignalT   clock.Mono `json:"signal_t,omitempty"`
	SignaledT clock.Mono `json:"signaled_t,omitempty"`
	DiedT     clock.Mono `json:"died_t,omitempty"`
	// Severed counts the connections that were ended with the death, Lost the
	// frames on them that were not delivered.
	Severed int    `json:"severed,omitempty"`
	Lost    int    `json:"lost,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// Frame is a message on the wire, as the tap saw it. Each frame has one event
// for each What.
type Frame struct {
	// N numbers the frames of a tap from 1, in the order of their arrival.
	N         uint64 `json:"n"`
	Wire      string `json:"wire,omitempty"` // "envoy", "serverless", "gateway"
	Direction string `json:"direction"`      // "to-engine", "to-runtime", "to-client"
	// Type is the message's, "undecoded" where it could not be read. Detail
	// tells messages of a type apart: the SQL statement's first word, a state, a
	// reason, an HTTP request's method and path.
	Type   string `json:"type"`
	Detail string `json:"detail,omitempty"`
	// Actor is whom it concerns, where it says so or answers what did.
	Actor      string `json:"actor,omitempty"`
	Key        string `json:"key,omitempty"`
	Generation uint32 `json:"generation,omitempty"`
	// Nth counts the frames of the same wire, direction, type, detail and actor.
	Nth   int    `json:"nth,omitempty"`
	Bytes int    `json:"bytes"`
	What  string `json:"what"`            // "arrived", "held", "delivered", "dropped", ...; docs/history.md lists all
	Error string `json:"error,omitempty"` // why it is undecoded or could not be delivered
}

// Front is what the load balancer before the runtimes does.
type Front struct {
	// What: "routed" (new calls go To from now on), "call" (one was passed on, and
	// answered), "connection" (one was, which carries calls that it does not see).
	What string `json:"what"`
	// To is the runtime, as the front was told to call it: "runtime#2".
	To     string `json:"to,omitempty"`
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	Status int    `json:"status,omitempty"`
	// TookNS is the time to the head of the answer.
	TookNS int64  `json:"took_ns,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Shutdown is the runtime on its way out, as it saw itself.
type Shutdown struct {
	What ShutdownStep `json:"what"`
	// Signal is the signal's name: "SIGTERM".
	Signal string `json:"signal,omitempty"`
	// Exit is how the process was told to go, PID what it is in its own namespace:
	// 1 where no init stands before it. Both with ShutdownSignal only.
	Exit string `json:"exit,omitempty"`
	PID  int    `json:"pid,omitempty"`
	// TookNS is the length of the drain.
	TookNS int64  `json:"took_ns,omitempty"`
	Code   int    `json:"code,omitempty"`
	Error  string `json:"error,omitempty"`
}

// ShutdownStep is a step of a runtime's way out.
type ShutdownStep string

// The steps.
const (
	ShutdownSignal     ShutdownStep = "signal"     // the first signal came
	ShutdownAbsorbed   ShutdownStep = "absorbed"   // a further one came, and changes nothing
	ShutdownIgnored    ShutdownStep = "ignored"    // a signal came, and nothing follows from it
	ShutdownCutShort   ShutdownStep = "cut-short"  // a further one came, and ends the drain at once
	ShutdownDrained    ShutdownStep = "drained"    // the drain has ended
	ShutdownReraised   ShutdownStep = "re-raised"  // the signal is sent to the process itself once more
	ShutdownSwallowed  ShutdownStep = "swallowed"  // the process outlived that
	ShutdownStays      ShutdownStep = "stays"      // nothing more comes of it: only SIGKILL ends the process
	ShutdownAllocating ShutdownStep = "allocating" // memory is taken until there is none
	ShutdownPanic      ShutdownStep = "panic"      // the process panics
	ShutdownExit       ShutdownStep = "exit"       // it exits with Code
)

// TapListening says that the tap takes connections from now on, at these
// addresses inside its container. Gateway is empty where it has no such wire.
type TapListening struct {
	Envoy      string `json:"envoy"`
	Serverless string `json:"serverless"`
	Gateway    string `json:"gateway,omitempty"`
	Control    string `json:"control"`
}

// TapTarget is what the executioner learns of a process that it may strike.
type TapTarget struct {
	Target string `json:"target"` // "engine", "runtime"
	Party  string `json:"party"`  // "engine#2"
	PID    int    `json:"pid"`    // in the daemon's PID namespace
	What   string `json:"what"`   // "announced", "refused", "withdrawn", "died"
	Error  string `json:"error,omitempty"`
}

// TapRule is a change of one rule at the tap.
type TapRule struct {
	Rule  string `json:"rule"`
	Do    string `json:"do"`
	When  string `json:"when"`
	What  string `json:"what"`            // "armed", "reached", "done", ...; docs/history.md lists all
	Frame uint64 `json:"frame,omitempty"` // the number of the frame that it selected
	Held  string `json:"held,omitempty"`  // what became of that
	Error string `json:"error,omitempty"`
}

// TapStrike is what the executioner did.
type TapStrike struct {
	Rule   string `json:"rule"`            // its id, or "strike-1" and so on of one without a rule
	Frame  uint64 `json:"frame,omitempty"` // the frame it waited for
	Target string `json:"target"`          // "engine#1"; where severed, all of them: "engine#1+runtime#1"
	Signal string `json:"signal"`
	What   string `json:"what"` // "signaled", "died", "severed", "failed"
	// TookNS is the length of the signal call, or the time from it to the death.
	TookNS int64 `json:"took_ns,omitempty"`
	// Severed counts the connections that were ended, Lost the frames on them
	// that were not delivered.
	Severed int    `json:"severed,omitempty"`
	Lost    int    `json:"lost,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Log is one line of a container's output that is not an event itself.
type Log struct {
	Role        string `json:"role"`
	Incarnation int    `json:"incarnation"`
	Stream      string `json:"stream"` // "stdout", "stderr"; "api" for an error answer of the engine's API
	Line        string `json:"line"`
}

// Noise is what the host did to the trial: how late a timer of the harness
// fired at worst, and how much of the CPU was busy or stolen, over SpanNS.
type Noise struct {
	SpanNS       int64   `json:"span_ns"`
	SchedDelayNS int64   `json:"sched_delay_ns"`
	Busy         float64 `json:"busy"`  // 0 to 1, of all cores
	Steal        float64 `json:"steal"` // 0 to 1, of all cores
}

// End is the last event. A history without one was cut off.
type End struct {
	State EndState `json:"state"`
	Error string   `json:"error,omitempty"`
}

// EndState says how a trial came to its end.
type EndState string

// The ways to end.
const (
	EndComplete    EndState = "complete"
	EndFailed      EndState = "failed" // the harness could not carry out its plan
	EndInterrupted EndState = "interrupted"
)
