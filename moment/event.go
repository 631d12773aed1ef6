package moment

import (
	"github.com/killpoint/killpoint/history"
)

// Event names something that a history tells of.
type Event string

// The events.
const (
	EngineStarted    Event = "engine-started"    // the daemon says that it runs
	EngineFirstByte  Event = "engine-first-byte" // of its log
	EngineHealthy    Event = "engine-healthy"    // its first good /health
	EngineExited     Event = "engine-exited"
	RuntimeStarted   Event = "runtime-started"
	RuntimeListening Event = "runtime-listening" // it takes calls
	RuntimeExited    Event = "runtime-exited"
	EnvoyConnected   Event = "envoy-connected" // the runtime has a connection to the engine
	EnvoyClosed      Event = "envoy-closed"
	ActorStarts      Event = "actor-starts" // a generation begins
	ActorRuns        Event = "actor-runs"
	ActorStops       Event = "actor-stops"    // a generation has ended
	ProbeAnswered    Event = "probe-answered" // a good answer to a probe
	OpAnswered       Event = "op-answered"    // a good answer to any operation
)

// Events are all of them.
var Events = []Event{
	EngineStarted, EngineFirstByte, EngineHealthy, EngineExited, RuntimeStarted, RuntimeListening, RuntimeExited,
	EnvoyConnected, EnvoyClosed, ActorStarts, ActorRuns, ActorStops, ProbeAnswered, OpAnswered,
}

// Watch returns what says of each event, in order, whether the moment's own
// event is there with it: it must be called with all events from the moment's
// arming on, and returns true once. Of a moment that is no event it never does.
func (m Moment) Watch() func(history.Event) bool {
	left := max(m.nth, 1)
	invoked := map[string]*history.Invoke{}
	return func(e history.Event) bool {
		if b, ok := e.Body.(*history.Invoke); ok {
			invoked[b.Op] = b
		}
		if m.kind != event || !m.is(e, invoked) {
			return false
		}
		left--
		return left == 0
	}
}

func (m Moment) is(e history.Event, invoked map[string]*history.Invoke) bool {
	switch Event(m.name) {
	case EngineStarted:
		return isContainer(e, "engine", history.ContainerStarted)
	case EngineFirstByte:
		return isContainer(e, "engine", history.ContainerFirstByte)
	case RuntimeStarted:
		return isContainer(e, "runtime", history.ContainerStarted)
	case EngineExited:
		return isExit(e, "engine")
	case RuntimeExited:
		return isExit(e, "runtime")
	case EngineHealthy:
		return e.Kind == history.KindHealth
	case RuntimeListening:
		return e.Kind == "runtime.listening"
	case EnvoyConnected:
		return isEnvoy(e, "connected")
	case EnvoyClosed:
		return isEnvoy(e, "closed")
	case ActorStarts:
		return m.isActor(e, "start")
	case ActorRuns:
		return m.isActor(e, "running")
	case ActorStops:
		return m.isActor(e, "stopped")
	case ProbeAnswered, OpAnswered:
		return m.isAnswer(e, invoked)
	}
	return false
}

func isContainer(e history.Event, role string, what history.ContainerState) bool {
	b, ok := e.Body.(*history.Container)
	return ok && b.Role == role && b.What == what
}

func isExit(e history.Event, role string) bool {
	b, ok := e.Body.(*history.Exit)
	return ok && b.Role == role
}

func isEnvoy(e history.Event, what string) bool {
	b, ok := e.Body.(*history.Envoy)
	return ok && b.What == what
}

func (m Moment) isActor(e history.Event, what string) bool {
	b, ok := e.Body.(*history.Actor)
	return ok && b.What == what && (m.key == "" || b.Key == m.key)
}

func (m Moment) isAnswer(e history.Event, invoked map[string]*history.Invoke) bool {
	b, ok := e.Body.(*history.Return)
	if !ok || b.Outcome != history.OK {
		return false
	}
	op := invoked[b.Op]
	if Event(m.name) == ProbeAnswered && (op == nil || op.Probe == "") {
		return false
	}
	return m.key == "" || op != nil && op.Key == m.key
}
