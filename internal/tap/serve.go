package tap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/internal/clock"
)

// HTTP goes through as it came: a message's head is passed on as the bytes that
// it is, its body in the pieces that it came in.

const (
	headMax = 1 << 20  // of a message's head
	bodyMax = 64 << 20 // of a request's body, which is one frame with its head
	// wholeMax is the size up to which an answer of a known length is one frame
	// with its head.
	wholeMax = 1 << 20
)

// exchange is one HTTP request with its answer.
type exchange struct {
	l    *link
	head []byte
	req  *http.Request
	body []byte  // as it is on the wire
	data []byte  // as it is meant
	name string  // by which its frames go
	call account // what the call says
}

// serve is the life of a link.
func (l *link) serve() {
	for {
		x, err := l.readCall()
		if err != nil {
			l.gone()
			return
		}
		if upgrades(x.req) {
			x.upgrade()
			return
		}
		if !x.run() {
			return
		}
	}
}

// watch notices the end of a connection that nobody reads. The channel is
// closed when there is something to read or nothing will be.
func (l *link) watch(r *bufio.Reader) <-chan struct{} {
	over := make(chan struct{})
	l.tap.conns.Go(func() {
		defer close(over)
		if _, err := r.Peek(1); err != nil {
			l.gone()
		}
	})
	return over
}

// readCall reads a request to its end.
func (l *link) readCall() (*exchange, error) {
	head, err := readHead(l.cr)
	if err != nil {
		return nil, err
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(req.Header.Get("Expect"), "100-continue") {
		// Its body is awaited here, and so the permission to send it is given here.
		if _, err := io.WriteString(l.a, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return nil, err
		}
		head = without(head, "Expect")
	}
	x := &exchange{l: l, head: head, req: req}
	if !upgrades(req) {
		x.body, x.data, err = readBody(l.cr, req.TransferEncoding, req.ContentLength)
	}
	return x, err
}

// readBody reads a request's body: as it is on the wire, and as it is meant.
func readBody(r *bufio.Reader, encoding []string, length int64) (raw, data []byte, err error) {
	switch {
	case len(encoding) > 0:
		if data, err = io.ReadAll(io.LimitReader(httputil.NewChunkedReader(r), bodyMax+1)); err != nil {
			return nil, nil, err
		}
		trailer, err := readTrailer(r)
		if err != nil {
			return nil, nil, err
		}
		raw = append(appendChunk(nil, data), "0\r\n"...)
		raw = append(raw, trailer...)
		if len(data) > bodyMax {
			return nil, nil, errTooLong
		}
		return raw, data, nil
	case length > bodyMax:
		return nil, nil, errTooLong
	case length > 0:
		data, err = readOn(r, nil, int(length))
		return data, data, err
	}
	return nil, nil, nil
}

var errTooLong = fmt.Errorf("the body is longer than %d MiB", bodyMax>>20)

// run passes the exchange. It says whether another one can follow.
func (x *exchange) run() bool {
	l := x.l
	gone := l.watch(l.cr) // the caller may hang up
	err := x.pass(x.account(), x.send)
	if err == nil {
		if l.idle != nil {
			<-l.idle // the answer begins, or the server has ended
		}
		var resp *http.Response
		resp, err = x.answer()
		if err == nil && !x.req.Close && !resp.Close {
			l.idle = l.watch(l.sr)
			<-gone // the next request, or the end
			return true
		}
	}
	if errors.Is(err, errDropped) {
		<-gone // the caller waits in vain until it gives up
	}
	l.close()
	<-gone
	return false
}

// pass passes the call.
func (x *exchange) pass(a account, write func() error) error {
	l := x.l
	f := &frame{account: a, arrived: clock.Now(), whole: true}
	f.Bytes = len(x.head) + len(x.body)
	x.call = a
	fl := l.flow(l.client, l.server, func() (*frame, func() error, error) { return nil, nil, io.EOF })
	defer fl.end()
	return l.tap.pass(fl, f, write)
}

// send writes the call to the server.
func (x *exchange) send() error {
	l := x.l
	if err := l.dial(); err != nil {
		return err
	}
	_, err := l.b.Write(append(x.head[:len(x.head):len(x.head)], x.body...))
	return err
}

// upgrades says that a request asks for a WebSocket.
func upgrades(req *http.Request) bool {
	return strings.EqualFold(req.Header.Get("Upgrade"), "websocket")
}

// upgrade passes a WebSocket from its request to its end.
func (x *exchange) upgrade() {
	l := x.l
	// Compressed messages could not be read. Who offers compression does
	// without it where the other side does not take it up.
	x.head = without(x.head, "Sec-WebSocket-Extensions")
	err := x.pass(x.account(), x.send)
	var resp *http.Response
	if err == nil {
		resp, err = x.answer()
	}
	if errors.Is(err, errDropped) {
		<-l.watch(l.cr) // as in run
	}
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	d := x.dialogue()
	up := l.flow(l.client, l.server, x.websocket(d, l.server, l.cr, l.b))
	down := l.flow(l.server, l.client, x.websocket(d, l.client, l.sr, l.a))
	l.tap.conns.Go(func() { down.relay(l.a.CloseWrite) })
	up.relay(l.b.CloseWrite)
	<-down.done
}

// dialogue is what an envoy connection talks in; nil for another WebSocket.
func (x *exchange) dialogue() *dialogue {
	if x.name != "connect" {
		return nil
	}
	// Of a version that is not known every frame is undecoded.
	version, _ := strconv.ParseUint(x.req.URL.Query().Get("protocol_version"), 10, 16)
	return x.l.tap.known.dialogue(wire.Version(version))
}

// websocket reads the messages of one direction.
func (x *exchange) websocket(d *dialogue, to string, from *bufio.Reader, dst io.Writer) func() (*frame, func() error, error) {
	in := &messages{r: from}
	return func() (*frame, func() error, error) {
		m, err := in.next()
		if err != nil {
			return nil, nil, err
		}
		f := &frame{arrived: clock.Now()}
		f.account, f.Bytes = x.said(d, to, m), len(m.payload)
		return f, func() error { return m.writeTo(dst) }, nil
	}
}

// relay passes messages until their end, and the end.
func (fl *flow) relay(closeWrite func() error) {
	defer fl.end()
	err := fl.run()
	t := fl.link.tap
	if t.enter(fl.link) != nil {
		return
	}
	if errors.Is(err, io.EOF) {
		closeWrite() //nolint:errcheck // the other direction sees what is wrong
	}
	t.leave()
	if !errors.Is(err, io.EOF) {
		fl.link.close()
	}
}

// without takes a header out of a message's head.
func without(head []byte, name string) []byte {
	var out []byte
	for line := range bytes.Lines(head) {
		if n, _, ok := bytes.Cut(line, []byte(":")); ok && strings.EqualFold(string(n), name) {
			continue
		}
		out = append(out, line...)
	}
	return out
}

// readHead reads a message's head, with the empty line that ends it. An
// io.EOF means that there is no further message.
func readHead(r *bufio.Reader) ([]byte, error) {
	var head []byte
	for {
		line, err := r.ReadSlice('\n')
		head = append(head, line...)
		switch {
		case len(head) > headMax:
			return nil, fmt.Errorf("the head of an HTTP message is longer than %d MiB", headMax>>20)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && len(head) > 0:
			return nil, unexpected(err)
		case err != nil:
			return nil, err
		}
		if len(bytes.TrimRight(line, "\r\n")) > 0 {
			continue
		}
		if len(head) > len(line) {
			return head, nil
		}
		head = head[:0] // empty lines before a message mean nothing
	}
}

// readTrailer reads what follows the last chunk, with the empty line that ends
// it.
func readTrailer(r *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		line, err := r.ReadSlice('\n')
		out = append(out, line...)
		if err != nil {
			return nil, unexpected(err)
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return out, nil
		}
		if len(out) > headMax {
			return nil, fmt.Errorf("the trailer of an HTTP message is longer than %d MiB", headMax>>20)
		}
	}
}

func appendChunk(to, data []byte) []byte {
	if len(data) == 0 {
		return to
	}
	to = fmt.Appendf(to, "%x\r\n", len(data))
	to = append(to, data...)
	return append(to, "\r\n"...)
}
