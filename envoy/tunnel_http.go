package envoy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/killpoint/killpoint/envoy/wire"
)

const (
	// requestBodyMax bounds what of one request's body waits to be read.
	requestBodyMax = 32 << 20
	// chunkSize is the largest piece of a streamed response, and what is
	// buffered before a response becomes one.
	chunkSize = 32 << 10
	// windowStep is how much of a streamed request body is consumed before
	// the gateway is told.
	windowStep = 32 << 10
)

// httpStream is one tunnelled HTTP request.
type httpStream struct {
	r      *Runtime
	g      *generation
	id     streamID
	start  wire.RequestStart
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   *requestBody
	window *window

	mu    sync.Mutex
	index uint16
}

var (
	errClientGone   = errors.New("the client of the request has gone")
	errBodyOverflow = errors.New("the request's body was not read in time: too much of it waits")
	errTooLarge     = errors.New("the response is larger than the engine takes")
)

// openRequest starts a request, or answers that its actor is not here.
func (r *Runtime) openRequest(id streamID, p wire.RequestStart) {
	ok := r.admit(id, p.ActorID, p.Generation, func(g *generation) (stream, func()) {
		s := newHTTPStream(r, g, id, p)
		g.requests.add() // for good where the runtime is closed: nobody waits then
		return s, func() {
			defer g.requests.done()
			s.serve()
		}
	})
	if !ok {
		r.refuseRequest(id, p)
	}
}

// refuseRequest answers for an actor that is not here.
func (r *Runtime) refuseRequest(id streamID, p wire.RequestStart) {
	code := "guard.actor_stopped_while_waiting"
	if r.cfg.NoRetryHint {
		code = "envoy.actor_not_found"
	}
	r.recordActor(p.ActorID, nil, valueOr(p.Generation, 0), "not-here", code, nil)
	body := []byte("Actor not found")
	r.sendPart(id, 0, wire.ResponseStart{ //nolint:errcheck // it can be encoded
		Status: http.StatusServiceUnavailable,
		Headers: []wire.Header{
			{Name: "content-length", Value: strconv.Itoa(len(body))},
			{Name: "x-rivet-error", Value: code},
		},
		Body: body,
	})
}

func newHTTPStream(r *Runtime, g *generation, id streamID, p wire.RequestStart) *httpStream {
	s := &httpStream{r: r, g: g, id: id, start: p, window: newWindow()}
	s.ctx, s.cancel = context.WithCancelCause(g.ctx)
	s.body = newRequestBody(s.ctx, p.Body, p.Stream)
	if p.Stream && r.cfg.Protocol >= wire.V8 {
		s.body.consumed = func(n uint64) { s.send(wire.RequestBodyWindow{Consumed: n}) } //nolint:errcheck // a lost window stalls a request whose gateway is gone
	}
	return s
}

// part implements stream.
func (s *httpStream) part(p wire.ToRuntimePart) {
	switch p := p.(type) {
	case wire.RequestChunk:
		s.body.add(p.Body, p.Finish)
	case wire.RequestBodyCancel:
		s.body.fail(io.ErrUnexpectedEOF)
	case wire.RequestAbort:
		s.cancel(errClientGone)
	case wire.ResponseBodyWindow:
		s.window.consumed(p.Consumed)
	}
}

func (s *httpStream) send(p wire.ToEnginePart) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(context.Cause(s.ctx), errClientGone) {
		return errClientGone
	}
	err := s.r.sendPart(s.id, s.index, p)
	s.index++
	return err
}

// serve runs the actor's handler and sends its answer.
func (s *httpStream) serve() {
	defer s.cancel(nil)
	w := newResponse(s)
	if !s.g.waitServing(s.ctx) {
		s.r.refuseRequest(s.id, s.start)
		return
	}
	req, err := s.request()
	if err != nil {
		w.fail(http.StatusBadRequest, "request", "invalid", err.Error())
		return
	}
	if s.call(w, req) {
		w.finish()
	}
	s.body.abandon(s)
}

// call runs the handler. It is false where a panic has been answered.
func (s *httpStream) call(w *response, req *http.Request) (ok bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		ok = false
		if v == http.ErrAbortHandler {
			w.abort(http.ErrAbortHandler)
			return
		}
		s.g.recordPanic(&PanicError{In: "request", Value: v, Stack: debug.Stack()})
		w.fail(http.StatusInternalServerError, "core", "internal_error", "An internal error occurred")
	}()
	s.g.actor.ServeHTTP(w, req)
	return true
}

// request is the request as Go's handlers know it.
func (s *httpStream) request() (*http.Request, error) {
	u, err := url.ParseRequestURI(s.start.Path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(s.ctx, s.start.Method, u.String(), s.body)
	if err != nil {
		return nil, err
	}
	req.URL, req.RequestURI = u, s.start.Path
	req.Header = headerOf(s.start.Headers)
	req.Host = req.Header.Get("Host")
	req.ContentLength = s.contentLength(req.Header)
	return req, nil
}

func (s *httpStream) contentLength(h http.Header) int64 {
	if !s.start.Stream {
		return int64(len(s.start.Body))
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		return n
	}
	return -1
}

// window is how much of a streamed response may be on its way to the gateway.
// Both ends count from the start of the body.
type window struct {
	mu    sync.Mutex
	sent  uint64
	limit uint64
	wake  chan struct{}
}

// windowSize is what may be on its way. What the gateway allows is not
// published: 2.3.19 takes 256 KiB and cuts a response off that is 1 MiB ahead.
const windowSize = 128 << 10

func newWindow() *window { return &window{limit: windowSize, wake: make(chan struct{}, 1)} }

// consumed takes word of how much of the body has reached the client.
func (w *window) consumed(total uint64) {
	w.mu.Lock()
	w.limit = max(w.limit, total+windowSize)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take waits until at least one byte may be sent and takes up to n.
func (w *window) take(ctx context.Context, n int) (int, error) {
	for {
		w.mu.Lock()
		got := min(uint64(n), w.limit-w.sent)
		if got > 0 {
			w.sent += got
			w.mu.Unlock()
			return int(got), nil
		}
		w.mu.Unlock()
		select {
		case <-w.wake:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// response is the http.ResponseWriter of a tunnelled request.
type response struct {
	s       *httpStream
	header  http.Header
	status  int
	buf     bytes.Buffer
	max     int
	stream  bool // the gateway takes a streamed response
	started bool // the head was sent
	err     error
}

func newResponse(s *httpStream) *response {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return &response{
		s: s, header: http.Header{}, max: int(min(s.r.conn.maxResponse, uint64(outboxMax))),
		stream: s.r.cfg.Protocol >= wire.V8 && s.start.ResponseStream,
	}
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. What the handler changes in the
// headers later is sent too, unless the response is streamed already.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

// Write implements http.ResponseWriter. Above the largest response that the
// engine takes it fails, and so does the whole response, unless that is
// streamed.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.err != nil {
		return 0, w.err
	}
	if !w.stream && w.buf.Len()+len(p) > w.max {
		w.err = errTooLarge
		return 0, w.err
	}
	w.buf.Write(p)
	if w.stream && w.buf.Len() >= chunkSize {
		w.err = w.flush()
	}
	return len(p), w.err
}

// Flush implements http.Flusher. Where the response is not streamed it does
// nothing.
func (w *response) Flush() {
	w.WriteHeader(http.StatusOK)
	if w.stream && w.err == nil {
		w.err = w.flush()
	}
}

// flush sends what is buffered.
func (w *response) flush() error {
	if err := w.startStream(); err != nil {
		return err
	}
	for w.buf.Len() > 0 {
		if err := w.s.r.waitRoom(w.s.ctx); err != nil {
			return err
		}
		n, err := w.s.window.take(w.s.ctx, min(w.buf.Len(), chunkSize))
		if err != nil {
			return err
		}
		chunk := bytes.Clone(w.buf.Next(n))
		if err := w.s.send(wire.ResponseChunk{Body: chunk}); err != nil {
			return err
		}
	}
	return nil
}

func (w *response) startStream() error {
	if w.started {
		return nil
	}
	w.started = true
	return w.s.send(wire.ResponseStart{Status: uint16(w.status), Headers: wireHeaders(w.header), Stream: true})
}

// finish sends what is left when the handler has returned.
func (w *response) finish() {
	switch {
	case w.started:
		if err := w.flush(); err != nil {
			w.abort(err)
			return
		}
		w.s.send(wire.ResponseChunk{Body: []byte{}, Finish: true}) //nolint:errcheck // the client has gone
	case errors.Is(w.err, errTooLarge):
		w.fail(http.StatusInternalServerError, "message", "outgoing_too_long", errTooLarge.Error())
	case w.status == 0 && w.s.g.ctx.Err() != nil:
		w.fail(http.StatusServiceUnavailable, "actor", "stopping", "The actor stopped before it answered")
	default:
		w.whole()
	}
}

// whole sends the response in one message.
func (w *response) whole() {
	w.WriteHeader(http.StatusOK)
	body := w.buf.Bytes()
	if w.status != http.StatusNoContent && w.status != http.StatusNotModified {
		w.header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.started = true
	w.s.send(wire.ResponseStart{ //nolint:errcheck // the client has gone
		Status: uint16(w.status), Headers: wireHeaders(w.header), Body: nonNil(body),
	})
}

// fail answers with RivetKit's shape of an error; a response that is being
// streamed can only be cut off.
func (w *response) fail(status int, group, code, message string) {
	if w.started {
		w.abort(errors.New(message))
		return
	}
	body, _ := json.Marshal(map[string]any{"group": group, "code": code, "message": message, "metadata": map[string]any{}})
	w.header = http.Header{"Content-Type": {"application/json"}, "X-Rivet-Error": {group + "." + code}}
	w.status = status
	w.buf.Reset()
	w.buf.Write(body)
	w.whole()
}

// abort cuts the response off.
func (w *response) abort(why error) {
	w.started = true
	detail := why.Error()
	w.s.send(wire.ResponseAbort{Reason: wire.AbortReason{Kind: wire.AbortHandlerError, Detail: &detail}}) //nolint:errcheck // the client has gone
}

func valueOr[T any](p *T, or T) T {
	if p == nil {
		return or
	}
	return *p
}
