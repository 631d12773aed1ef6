package envoy

import (
	"context"
	"io"
	"sync"

	"github.com/killpoint/killpoint/envoy/wire"
)

// requestBody is the body of a tunnelled request: filled by the reader of the
// connection, read by the actor.
type requestBody struct {
	ctx context.Context
	// consumed is told how many bytes of the body were read so far. nil:
	// nobody wants to know.
	consumed func(total uint64)

	mu     sync.Mutex
	chunks [][]byte
	bytes  int
	read   uint64 // in all
	told   uint64 // of it
	end    error  // what follows the chunks; nil: more may come
	wake   chan struct{}
}

func newRequestBody(ctx context.Context, first []byte, more bool) *requestBody {
	b := &requestBody{ctx: ctx, wake: make(chan struct{}, 1)}
	b.add(first, !more)
	return b
}

// add appends a chunk; with finish it is the last.
func (b *requestBody) add(chunk []byte, finish bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != nil {
		return
	}
	if len(chunk) > 0 {
		b.chunks = append(b.chunks, chunk)
		b.bytes += len(chunk)
	}
	if b.bytes > requestBodyMax && len(b.chunks) > 1 {
		b.chunks, b.bytes, b.end = nil, 0, errBodyOverflow
	} else if finish {
		b.end = io.EOF
	}
	b.wakeReader()
}

// fail ends the body with an error, after what has arrived.
func (b *requestBody) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end = err
		b.wakeReader()
	}
}

func (b *requestBody) wakeReader() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	for {
		n, tell, err := b.take(p)
		if tell > 0 && b.consumed != nil {
			b.consumed(tell)
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-b.wake:
		case <-b.ctx.Done():
			return 0, context.Cause(b.ctx)
		}
	}
}

// take copies what is there and says how much to tell the gateway.
func (b *requestBody) take(p []byte) (n int, tell uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.chunks) == 0 {
		return 0, 0, b.end
	}
	n = copy(p, b.chunks[0])
	b.chunks[0] = b.chunks[0][n:]
	if len(b.chunks[0]) == 0 {
		b.chunks = b.chunks[1:]
	}
	b.bytes -= n
	b.read += uint64(n)
	if b.read-b.told >= windowStep || len(b.chunks) == 0 {
		tell, b.told = b.read, b.read
	}
	return n, tell, nil
}

// Close implements io.Closer.
func (b *requestBody) Close() error {
	b.fail(io.ErrClosedPipe)
	return nil
}

// abandon tells the gateway that what is left of a streamed body is not wanted.
func (b *requestBody) abandon(s *httpStream) {
	b.mu.Lock()
	more := b.end == nil
	b.mu.Unlock()
	if more && b.consumed != nil {
		s.send(wire.RequestBodyCancel{}) //nolint:errcheck // the client has gone
	}
	b.Close() //nolint:errcheck // never fails
}
