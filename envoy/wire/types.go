package wire

import "fmt"

// Version is a version of the envoy protocol. It is agreed in the URL of the
// envoy connection and, for the body of POST /start, written in front of it.
type Version uint16

// The versions spoken here. V6 is understood by every release from 2.3.5 on,
// V8 from 2.3.17 on; streamed responses need V8.
const (
	V6 Version = 6
	V8 Version = 8
)

func (v Version) String() string { return fmt.Sprintf("v%d", uint16(v)) }

// ToRuntime is a message from the engine to the runtime: [Init], [Commands],
// [AckEvents], [KVResponse], [ToRuntimeTunnel], [Ping], [GetPagesResponse],
// [CommitResponse], [CommitStageBeginResponse], [CommitStageSegmentResponse],
// [CommitFinalizeResponse], [ExecResponse], [ExecuteResponse] or
// [ExecuteBatchResponse], each as a value, not a pointer.
type ToRuntime interface{ toRuntime() }

// ToEngine is a message from the runtime to the engine: [Metadata], [Events],
// [AckCommands], [Stopping], [Pong], [KVRequest], [ToEngineTunnel],
// [GetPagesRequest], [CommitRequest], [CommitStageBeginRequest],
// [CommitStageSegmentRequest], [CommitFinalizeRequest], [ExecRequest],
// [ExecuteRequest] or [ExecuteBatchRequest], each as a value, not a pointer.
type ToEngine interface{ toEngine() }

// Checkpoint places a command or an event in the stream of one generation of
// an actor. Commands and events are counted apart.
type Checkpoint struct {
	ActorID    string
	Generation uint32
	Index      int64
}

// Init is the engine's first message of a connection.
type Init struct {
	// LostThreshold is how long, in milliseconds, the runtime may be without
	// a connection before its actors count as lost.
	LostThreshold int64
	// StopThreshold is how long, in milliseconds, an actor may take to stop.
	StopThreshold int64
	// MaxResponse is the largest response body in bytes.
	MaxResponse uint64
}

// Commands is a batch of commands to actors.
type Commands []Command

// Command tells the runtime to start or to stop a generation.
type Command struct {
	Checkpoint Checkpoint
	Body       CommandBody
}

// CommandBody is [StartActor] or [StopActor].
type CommandBody interface{ command() }

// StartActor starts the generation named by the command's checkpoint.
type StartActor struct {
	Config      ActorConfig
	Hibernating []HibernatingRequest
	Preloaded   *PreloadedKV // nil: the engine preloaded nothing
}

// ActorConfig is what an actor was created with.
type ActorConfig struct {
	Name      string
	Key       *string
	CreatedAt int64  // Unix milliseconds
	Input     []byte // nil: none
}

// HibernatingRequest names a WebSocket that the gateway kept open while the
// actor slept.
type HibernatingRequest struct {
	Gateway [4]byte
	Request [4]byte
}

// PreloadedKV is the part of the actor's KV that came with its start. A key of
// GetKeys, or one that begins with a prefix of Prefixes, which is not among
// the Entries does not exist.
type PreloadedKV struct {
	Entries  []PreloadedEntry
	GetKeys  [][]byte
	Prefixes [][]byte
}

// PreloadedEntry is one pair of a [PreloadedKV].
type PreloadedEntry struct {
	Key, Value []byte
	Metadata   KVMetadata
}

// StopActor stops the generation named by the command's checkpoint.
type StopActor struct{ Reason StopReason }

// StopReason says why the engine stops a generation.
type StopReason uint8

// The reasons.
const (
	StopSleepIntent StopReason = iota // the actor asked to sleep
	StopStopIntent                    // the actor asked to be destroyed
	StopDestroy                       // it was destroyed from outside
	StopGoingAway                     // the runtime or the engine is draining
	StopLost                          // the engine thinks the generation lost
	stopReasons
)

func (r StopReason) String() string {
	return enumName("stop-reason", r, "sleep-intent", "stop-intent", "destroy", "going-away", "lost")
}

// AckEvents tells the runtime up to where its events are stored.
type AckEvents struct{ Checkpoints []Checkpoint }

// Ping asks for a [Pong] with the same time.
type Ping struct{ TS int64 }

// Pong answers a [Ping].
type Pong struct{ TS int64 }

// Metadata is the runtime's first message of a connection.
type Metadata struct {
	ActorNames []ActorName // nil: not said
	Metadata   *string     // JSON
}

// ActorName announces a name that actors may be created with.
type ActorName struct {
	Name     string
	Metadata string // JSON
}

// Events is a batch of news of actors.
type Events []Event

// Event is news of one generation.
type Event struct {
	Checkpoint Checkpoint
	Body       EventBody
}

// EventBody is [Intent], [StateUpdate] or [SetAlarm].
type EventBody interface{ event() }

// Intent is a generation's wish to end.
type Intent uint8

// The intents.
const (
	IntentSleep Intent = iota
	IntentStop         // to be destroyed
	intents
)

func (i Intent) String() string { return enumName("intent", i, "sleep", "stop") }

// StateUpdate says that a generation runs (Stopped nil) or has stopped.
type StateUpdate struct{ Stopped *Stopped }

// Stopped is the end of a generation.
type Stopped struct {
	Code    StopCode
	Message *string
}

// StopCode says how a generation ended.
type StopCode uint8

// The codes.
const (
	StopOK StopCode = iota
	StopError
	stopCodes
)

func (c StopCode) String() string { return enumName("stop-code", c, "ok", "error") }

// SetAlarm sets the time, in Unix milliseconds, at which the engine wakes the
// actor; nil clears it.
type SetAlarm struct{ At *int64 }

// AckCommands tells the engine up to where commands were taken.
type AckCommands struct{ Checkpoints []Checkpoint }

// Stopping announces that the runtime drains.
type Stopping struct{}

// MessageID names a message of a tunnelled request: the gateway, the request
// at that gateway, and the message's place among those sent in its direction.
type MessageID struct {
	Gateway [4]byte
	Request [4]byte
	Index   uint16
}

// ToRuntimeTunnel carries a part of a tunnelled request to the runtime.
type ToRuntimeTunnel struct {
	ID   MessageID
	Part ToRuntimePart
}

// ToRuntimePart is [RequestStart], [RequestChunk], [RequestAbort],
// [RequestBodyCancel] (V8), [ResponseBodyWindow] (V8), [WebSocketOpen],
// [WebSocketMessage] or [WebSocketClose].
type ToRuntimePart interface{ toRuntimePart() }

// ToEngineTunnel carries a part of an answer to the gateway.
type ToEngineTunnel struct {
	ID   MessageID
	Part ToEnginePart
}

// ToEnginePart is [ResponseStart], [ResponseChunk], [ResponseAbort],
// [RequestBodyWindow] (V8), [RequestBodyCancel] (V8), [WebSocketOpened],
// [WebSocketMessage], [WebSocketAck] or [WebSocketClosed].
type ToEnginePart interface{ toEnginePart() }

// Header is one HTTP header. Headers keep the order they had on the wire, so
// that a message that is read and written again is the same bytes.
type Header struct{ Name, Value string }

// RequestStart is the head of an HTTP request, with its body if that is not
// streamed.
type RequestStart struct {
	ActorID    string
	Generation *uint32 // V8 only
	Method     string
	Path       string
	Headers    []Header
	Body       []byte // nil: none
	Stream     bool   // the body follows in chunks
	// ResponseStream says that the gateway takes a streamed response. V8 only.
	ResponseStream bool
}

// RequestChunk is a piece of a streamed request body.
type RequestChunk struct {
	Body   []byte
	Finish bool
}

// RequestAbort says that the request is over before its answer: the client has
// gone, or the gateway gave up. Its fields are V8 only. With V6 and the default
// gateway none came within 6 s of a client leaving (2.3.5 and 2.3.19).
type RequestAbort struct {
	ActorID    *string
	Generation *uint32
	Reason     AbortReason
}

// AbortReason says why a request or a response was cut off. V8 only.
type AbortReason struct {
	Kind   AbortKind
	Detail *string
}

// AbortKind classifies an [AbortReason].
type AbortKind uint8

// The kinds.
const (
	AbortUnknown AbortKind = iota
	AbortCancelled
	AbortHandlerError
	AbortInternalError
	abortKinds
)

func (k AbortKind) String() string {
	return enumName("abort-kind", k, "unknown", "cancelled", "handler-error", "internal-error")
}

// RequestBodyCancel ends a streamed request body early: to the engine, the
// actor wants no more of it; to the runtime, no more of it will come. The
// response goes on. V8 only.
type RequestBodyCancel struct{}

// RequestBodyWindow tells the gateway how many bytes of a streamed request
// body the actor has consumed so far, which lets the gateway send on. V8 only.
type RequestBodyWindow struct{ Consumed uint64 }

// ResponseBodyWindow tells the runtime how many bytes of a streamed response
// body the client has consumed so far, which lets the runtime send on. V8 only.
type ResponseBodyWindow struct{ Consumed uint64 }

// ResponseStart is the head of an HTTP response, with its body if that is not
// streamed.
type ResponseStart struct {
	Status  uint16
	Headers []Header
	Body    []byte // nil: none
	Stream  bool   // the body follows in chunks
}

// ResponseChunk is a piece of a streamed response body.
type ResponseChunk struct {
	Body   []byte
	Finish bool
}

// ResponseAbort cuts a response off. Its reason is V8 only.
type ResponseAbort struct{ Reason AbortReason }

// WebSocketOpen asks an actor to accept a WebSocket.
type WebSocketOpen struct {
	ActorID    string
	Generation *uint32 // V8 only
	Path       string
	Headers    []Header
}

// WebSocketOpened accepts a WebSocket.
type WebSocketOpened struct{ CanHibernate bool }

// WebSocketMessage is a message on a WebSocket, in either direction.
type WebSocketMessage struct {
	Data   []byte
	Binary bool
}

// WebSocketAck acknowledges the client's messages up to Index, which a
// gateway that holds a hibernating WebSocket waits for.
type WebSocketAck struct{ Index uint16 }

// WebSocketClose says that the client's side closed.
type WebSocketClose struct {
	Code   *uint16
	Reason *string
}

// WebSocketClosed says that the actor's side closed; with Hibernate the
// gateway keeps the client's connection open.
type WebSocketClosed struct {
	Code      *uint16
	Reason    *string
	Hibernate bool
}

func (Init) toRuntime()                       {}
func (Commands) toRuntime()                   {}
func (AckEvents) toRuntime()                  {}
func (KVResponse) toRuntime()                 {}
func (ToRuntimeTunnel) toRuntime()            {}
func (Ping) toRuntime()                       {}
func (GetPagesResponse) toRuntime()           {}
func (CommitResponse) toRuntime()             {}
func (CommitStageBeginResponse) toRuntime()   {}
func (CommitStageSegmentResponse) toRuntime() {}
func (CommitFinalizeResponse) toRuntime()     {}
func (ExecResponse) toRuntime()               {}
func (ExecuteResponse) toRuntime()            {}
func (ExecuteBatchResponse) toRuntime()       {}

func (Metadata) toEngine()                  {}
func (Events) toEngine()                    {}
func (AckCommands) toEngine()               {}
func (Stopping) toEngine()                  {}
func (Pong) toEngine()                      {}
func (KVRequest) toEngine()                 {}
func (ToEngineTunnel) toEngine()            {}
func (GetPagesRequest) toEngine()           {}
func (CommitRequest) toEngine()             {}
func (CommitStageBeginRequest) toEngine()   {}
func (CommitStageSegmentRequest) toEngine() {}
func (CommitFinalizeRequest) toEngine()     {}
func (ExecRequest) toEngine()               {}
func (ExecuteRequest) toEngine()            {}
func (ExecuteBatchRequest) toEngine()       {}

func (StartActor) command() {}
func (StopActor) command()  {}

func (Intent) event()      {}
func (StateUpdate) event() {}
func (SetAlarm) event()    {}

func (RequestStart) toRuntimePart()       {}
func (RequestChunk) toRuntimePart()       {}
func (RequestAbort) toRuntimePart()       {}
func (RequestBodyCancel) toRuntimePart()  {}
func (ResponseBodyWindow) toRuntimePart() {}
func (WebSocketOpen) toRuntimePart()      {}
func (WebSocketMessage) toRuntimePart()   {}
func (WebSocketClose) toRuntimePart()     {}

func (ResponseStart) toEnginePart()     {}
func (ResponseChunk) toEnginePart()     {}
func (ResponseAbort) toEnginePart()     {}
func (RequestBodyWindow) toEnginePart() {}
func (RequestBodyCancel) toEnginePart() {}
func (WebSocketOpened) toEnginePart()   {}
func (WebSocketMessage) toEnginePart()  {}
func (WebSocketAck) toEnginePart()      {}
func (WebSocketClosed) toEnginePart()   {}

// enumName names a value of an enumeration whose values count from 0.
func enumName[E ~uint8](kind string, e E, names ...string) string {
	if int(e) < len(names) {
		return names[e]
	}
	return fmt.Sprintf("%s(%d)", kind, uint8(e))
}
