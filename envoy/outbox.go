package envoy

import (
	"context"
	"sync"

	"github.com/killpoint/killpoint/envoy/wire"
)

// Limits of what may wait to be written to the engine, in bytes.
const (
	outboxRoom = 4 << 20   // above it, producers of bulk data wait
	outboxMax  = 256 << 20 // above it, the engine counts as dead
)

// frame is one message to be written. answer is set where it is part of an
// answer to a tunnelled request, which may be sent on a later connection. A
// frame with last set is not written: it closes the connection.
type frame struct {
	data   []byte
	answer bool
	last   bool
}

// outbox is the queue between those who send and the goroutine that writes to
// one connection. Pushing never blocks.
type outbox struct {
	mu     sync.Mutex
	queue  []frame
	bytes  int
	max    int // bytes
	closed bool
	wake   chan struct{} // holds a token while there is something to write
	room   chan struct{} // closed while there is room
}

func newOutbox(limit int) *outbox {
	room := make(chan struct{})
	close(room)
	return &outbox{max: limit, wake: make(chan struct{}, 1), room: room}
}

// push appends a frame. It is false when the queue is full.
func (o *outbox) push(f frame) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes > o.max {
		return false
	}
	before := o.bytes
	o.queue = append(o.queue, f)
	o.bytes += len(f.data)
	if before <= outboxRoom && o.bytes > outboxRoom && !o.closed {
		o.room = make(chan struct{})
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

// head is the frame to write next. It stays in the queue until pop, so that a
// frame that could not be written is still there.
func (o *outbox) head(ctx context.Context) (frame, bool) {
	for {
		o.mu.Lock()
		if len(o.queue) > 0 {
			f := o.queue[0]
			o.mu.Unlock()
			return f, true
		}
		o.mu.Unlock()
		select {
		case <-o.wake:
		case <-ctx.Done():
			return frame{}, false
		}
	}
}

func (o *outbox) pop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.bytes
	o.bytes -= len(o.queue[0].data)
	o.queue = o.queue[1:]
	if before > outboxRoom && o.bytes <= outboxRoom && !o.closed {
		close(o.room)
	}
}

// close gives back what was not written and lets go who waits for room.
func (o *outbox) close() []frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && o.bytes > outboxRoom {
		close(o.room)
	}
	o.closed = true
	left := o.queue
	o.queue, o.bytes = nil, 0
	return left
}

// roomy is closed while there is room for bulk data, or no connection to wait
// for.
func (o *outbox) roomy() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.room
}

// answersOf are the frames among left that a later connection may carry.
func answersOf(left []frame) []frame {
	var out []frame
	for _, f := range left {
		if f.answer {
			out = append(out, f)
		}
	}
	return out
}

// encode makes the frame of a message.
func (r *Runtime) encode(msg wire.ToEngine) (frame, error) {
	data, err := wire.EncodeToEngine(r.cfg.Protocol, msg)
	_, answer := msg.(wire.ToEngineTunnel)
	return frame{data: data, answer: answer}, err
}
