package tap

import (
	"bufio"
	"io"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// party is the tap's name in its events. The rig adds the incarnation.
const party = "tap"

// emitMax is how many events may wait to be written. Who adds one more waits:
// an output that nobody reads holds up the frames, but loses no event.
const emitMax = 1 << 16

// emitter writes events down behind the back of who has something to do: a
// frame on its way to a signal waits for no encoder and no pipe.
type emitter struct {
	events chan event
	stop   chan struct{}
	done   chan struct{}
}

type event struct {
	t    clock.Mono
	kind history.Kind
	body any
}

func newEmitter(out io.Writer) *emitter {
	e := &emitter{events: make(chan event, emitMax), stop: make(chan struct{}), done: make(chan struct{})}
	go e.run(out)
	return e
}

func (e *emitter) emit(t clock.Mono, kind history.Kind, body any) {
	e.events <- event{t, kind, body}
}

func (e *emitter) run(out io.Writer) {
	defer close(e.done)
	w := bufio.NewWriterSize(out, 64<<10)
	to := history.NewEmitter(w)
	for {
		select {
		case ev := <-e.events:
			to.RecordAt(ev.t, party, ev.kind, ev.body)
			if len(e.events) > 0 {
				continue
			}
		case <-e.stop:
			for len(e.events) > 0 {
				ev := <-e.events
				to.RecordAt(ev.t, party, ev.kind, ev.body)
			}
			w.Flush() //nolint:errcheck // an output that is gone has nobody left to tell
			return
		}
		w.Flush() //nolint:errcheck // likewise
	}
}

// close writes down what is there. Nothing may be emitted any more.
func (e *emitter) close() {
	close(e.stop)
	<-e.done
}
