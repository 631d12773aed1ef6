package history

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/killpoint/killpoint/internal/clock"
)

// Emitter is a [Recorder] for a party in another process than the harness: it
// writes events as JSON lines to its standard output, where the rig reads them
// with [ParseEvent] and records them in the history. Seq is left 0.
type Emitter struct {
	mu sync.Mutex
	w  io.Writer
}

// NewEmitter emits to w, one write a line.
func NewEmitter(w io.Writer) *Emitter { return &Emitter{w: w} }

// Record implements [Recorder].
func (e *Emitter) Record(party string, kind Kind, body any) {
	e.RecordAt(clock.Now(), party, kind, body)
}

// RecordAt implements [Recorder]. An event that cannot be encoded is emitted
// as a log line that says so; a broken output has nobody left to tell.
func (e *Emitter) RecordAt(t clock.Mono, party string, kind Kind, body any) {
	b, err := json.Marshal(Event{T: t, Party: party, Kind: kind, Body: body})
	if err != nil {
		b = fmt.Appendf(nil, "emit %s: %v", kind, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.w.Write(append(b, '\n')) //nolint:errcheck // see above
}

// ParseEvent reads a line that an Emitter wrote. ok is false for a line that
// is no event, such as plain log output or the trace of a panic.
func ParseEvent(line []byte) (e Event, ok bool) {
	if len(line) == 0 || line[0] != '{' {
		return Event{}, false
	}
	if err := json.Unmarshal(line, &e); err != nil || e.T == 0 {
		return Event{}, false
	}
	return e, true
}
