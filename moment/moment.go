// Package moment names the instants at which a fault strikes: a breakpoint in
// the runtime, a frame on the wire, or a time after something that the history
// tells of. A moment is a value; who waits for it, and holds the world there, is
// the scenario's business.
//
// Its text form, which [Parse] reads, is what plans, histories and command lines
// call it:
//
//	now
//	breakpoint:before-commit
//	frame:exec-request/commit#1@before
//	frame:request-start/POST /action/tick#3@after?key=golden
//	event:engine-healthy#2+250ms
package moment

import (
	"fmt"
	"strings"
	"time"
)

// Moment is an instant that a strike waits for. The zero value is Now. Make one
// with [Breakpoint], [Frame] or [After]; it counts from when it is armed.
type Moment struct {
	kind kind
	// name is the breakpoint's, the frame's "type/detail", or the event's.
	name string
	nth  int // from 1
	side Side
	// offset after an event.
	offset time.Duration
	// key of the actor; wire and direction of a frame. "": any.
	key, wire, direction string
}

type kind string

const (
	now        kind = ""
	breakpoint kind = "breakpoint"
	frame      kind = "frame"
	event      kind = "event"
)

// Side says whether a frame is held before or after it is delivered.
type Side string

// The sides. After means that the frame was handed to its receiver's socket.
// That the receiver took it only its answer proves.
const (
	BeforeDelivery Side = "before"
	AfterDelivery  Side = "after"
)

// Now is as soon as everything before it is done.
func Now() Moment { return Moment{} }

// Breakpoint is when the runtime is held at one of its named places, as in
// "before-commit" (docs/history.md lists them). The runtime must offer it.
func Breakpoint(name string) Moment {
	return Moment{kind: breakpoint, name: name, nth: 1}
}

// Frame is when the nth frame of a kind, counted from 1, is at the tap. what is
// the frame's type, or type and detail with a slash between: "exec-request",
// "exec-request/commit", "commands/start", "request-start/POST /action/tick".
func Frame(what string, nth int, side Side) Moment {
	return Moment{kind: frame, name: what, nth: nth, side: side}
}

// After is a time after an event.
func After(e Event, offset time.Duration) Moment {
	return Moment{kind: event, name: string(e), nth: 1, offset: offset}
}

// Of narrows the moment to one actor, by its key.
func (m Moment) Of(key string) Moment { m.key = key; return m }

// On narrows a frame's moment to a wire and a direction, each "" for any:
// "envoy", "serverless" or "gateway"; "to-engine" or "to-runtime".
func (m Moment) On(wire, direction string) Moment {
	m.wire, m.direction = wire, direction
	return m
}

// Again makes it the nth time, counted from 1, that the event is seen.
func (m Moment) Again(nth int) Moment { m.nth = nth; return m }

// IsNow says that there is nothing to wait for.
func (m Moment) IsNow() bool { return m.kind == now }

// AtBreakpoint is the place and the actor's key ("": any), of a breakpoint.
func (m Moment) AtBreakpoint() (name, key string, ok bool) {
	return m.name, m.key, m.kind == breakpoint
}

// FrameAt is what selects a frame. Empty fields select any.
type FrameAt struct {
	Wire, Direction, Type, Detail, Key string
	Nth                                int
	Side                               Side
}

// AtFrame is what selects it, of a frame.
func (m Moment) AtFrame() (at FrameAt, ok bool) {
	if m.kind != frame {
		return FrameAt{}, false
	}
	typ, detail, _ := strings.Cut(m.name, "/")
	return FrameAt{Wire: m.wire, Direction: m.direction, Type: typ, Detail: detail, Key: m.key, Nth: m.nth, Side: m.side}, true
}

// AfterEvent is the event, which time of it, the actor's key ("": any) and the
// time after it, of an event.
func (m Moment) AfterEvent() (e Event, nth int, key string, offset time.Duration, ok bool) {
	return Event(m.name), m.nth, m.key, m.offset, m.kind == event
}

// NeedsTap says that only a cell with a tap can wait for it.
func (m Moment) NeedsTap() bool { return m.kind == frame }

// String is the text form.
func (m Moment) String() string {
	var b strings.Builder
	switch m.kind {
	case now:
		return "now"
	case breakpoint:
		fmt.Fprintf(&b, "breakpoint:%s", m.name)
	case frame:
		fmt.Fprintf(&b, "frame:%s#%d@%s", m.name, m.nth, m.side)
	case event:
		fmt.Fprintf(&b, "event:%s", m.name)
		if m.nth != 1 {
			fmt.Fprintf(&b, "#%d", m.nth)
		}
		if m.offset != 0 {
			fmt.Fprintf(&b, "+%v", m.offset)
		}
	}
	b.WriteString(m.options())
	return b.String()
}
