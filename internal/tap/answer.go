package tap

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/killpoint/killpoint/internal/clock"
)

// answer passes the server's answer, to its end.
func (x *exchange) answer() (*http.Response, error) {
	l := x.l
	s := &answerStream{x: x, r: l.sr}
	fl := l.flow(l.server, l.client, s.next)
	defer fl.end()
	err := fl.run()
	if s.ended {
		return s.resp, nil
	}
	return nil, err
}

// answerStream cuts an answer into frames: its head, the pieces or the events
// of its body, its end. A short one of a known length is a single frame.
type answerStream struct {
	x       *exchange
	r       *bufio.Reader
	resp    *http.Response
	body    io.Reader // nil: there is none, or it came with the head
	chunked bool
	events  *eventSplitter    // of an event stream
	limited *io.LimitedReader // of a known length
	ended   bool
}

func (s *answerStream) next() (*frame, func() error, error) {
	switch {
	case s.resp == nil:
		return s.head()
	case s.body == nil:
		s.ended = true
		return nil, nil, io.EOF
	case s.events != nil:
		return s.event()
	}
	return s.piece()
}

// head reads the answer's head, past those that are only informational.
func (s *answerStream) head() (*frame, func() error, error) {
	head, err := readHead(s.r)
	if err != nil {
		return nil, nil, unexpected(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), s.x.req)
	if err != nil {
		return nil, nil, err
	}
	a := s.x.called("answer")
	a.detail = fmt.Sprint(resp.StatusCode)
	if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		return s.frame(a, head)
	}
	s.resp = resp
	if head, err = s.frameBody(head); err != nil {
		return nil, nil, err
	}
	f, write, err := s.frame(a, head)
	f.whole = true
	return f, write, err
}

// frameBody finds out how the body is told from what follows. A short one is
// read at once.
func (s *answerStream) frameBody(head []byte) ([]byte, error) {
	resp := s.resp
	switch {
	case resp.StatusCode < 200 || resp.StatusCode == http.StatusNoContent ||
		resp.StatusCode == http.StatusNotModified || s.x.req.Method == http.MethodHead || resp.ContentLength == 0:
		return head, nil
	case len(resp.TransferEncoding) > 0:
		s.body, s.chunked = httputil.NewChunkedReader(s.r), true
	case resp.ContentLength > 0 && resp.ContentLength <= wholeMax:
		return readOn(s.r, head, int(resp.ContentLength))
	case resp.ContentLength > 0:
		s.limited = &io.LimitedReader{R: s.r, N: resp.ContentLength}
		s.body = s.limited
	default:
		s.body = s.r
		resp.Close = true
	}
	if s.x.name != "start" {
		return head, nil
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "text/event-stream" {
		s.events = &eventSplitter{r: s.body}
	}
	return head, nil
}

func (s *answerStream) frame(a account, raw []byte) (*frame, func() error, error) {
	f := &frame{account: a, arrived: clock.Now()}
	f.Bytes = len(raw)
	return f, func() error {
		_, err := s.x.l.a.Write(raw)
		return err
	}, nil
}

// data is a frame of the body.
func (s *answerStream) data(a account, data []byte) (*frame, func() error, error) {
	raw := data
	if s.chunked {
		raw = appendChunk(nil, data)
	}
	f, write, err := s.frame(a, raw)
	// A piece of a body whose length was told is missed, and not had twice.
	f.Bytes, f.whole = len(data), s.limited != nil
	return f, write, err
}

func (s *answerStream) piece() (*frame, func() error, error) {
	buf := make([]byte, 32<<10)
	n, err := s.body.Read(buf)
	if n > 0 {
		return s.data(s.x.called("chunk"), buf[:n])
	}
	if err != io.EOF { //nolint:errorlint // readers of bodies return it bare
		return nil, nil, err
	}
	return s.end(s.x.called("end"))
}

func (s *answerStream) event() (*frame, func() error, error) {
	e, err := s.events.next()
	if len(e.raw) > 0 {
		a := s.x.called("")
		a.typ = "stream-" + e.name
		return s.data(a, e.raw)
	}
	if err != io.EOF { //nolint:errorlint // likewise
		return nil, nil, err
	}
	a := s.x.called("")
	a.typ = "stream-end"
	return s.end(a)
}

// end is the frame that ends a body.
func (s *answerStream) end(a account) (*frame, func() error, error) {
	if s.limited != nil && s.limited.N > 0 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	s.body = nil
	var raw []byte
	if s.chunked {
		trailer, err := readTrailer(s.r)
		if err != nil {
			return nil, nil, err
		}
		raw = append([]byte("0\r\n"), trailer...)
	}
	f, write, err := s.frame(a, raw)
	f.whole = true
	return f, write, err
}

// eventSplitter cuts an event stream into its events, as the bytes that they
// are: an event ends with an empty line.
type eventSplitter struct {
	r    io.Reader
	left []byte
	err  error
}

// streamEvent is one event with the empty line behind it. What a stream ends
// with in the middle of an event is one, too, and called "fragment".
type streamEvent struct {
	name string
	raw  []byte
}

// eventMax bounds an event; longer ones are passed on in fragments.
const eventMax = 1 << 20

func (s *eventSplitter) next() (streamEvent, error) {
	buf := make([]byte, 4<<10)
	for {
		if n := eventEnd(s.left); n > 0 {
			e := streamEvent{eventName(s.left[:n]), s.left[:n:n]}
			s.left = s.left[n:]
			return e, nil
		}
		if len(s.left) > 0 && (s.err != nil || len(s.left) > eventMax) {
			e := streamEvent{"fragment", s.left}
			s.left = nil
			return e, nil
		}
		if s.err != nil {
			return streamEvent{}, s.err
		}
		var n int
		n, s.err = s.r.Read(buf)
		s.left = append(s.left, buf[:n]...)
	}
}

// eventEnd is the length of the event that b begins with, 0 where that is not
// complete. Lines end with LF, CRLF or CR; a CR at the end of b may be half of
// a CRLF.
func eventEnd(b []byte) int {
	line := 0 // where the line begins
	for i := 0; i < len(b); i++ {
		if b[i] != '\n' && b[i] != '\r' {
			continue
		}
		empty := i == line
		if b[i] == '\r' {
			if i+1 == len(b) {
				return 0
			}
			if b[i+1] == '\n' {
				i++
			}
		}
		if empty && i+1 > 0 {
			return i + 1
		}
		line = i + 1
	}
	return 0
}

// eventName is what the event says it is, "message" where it does not, and
// "comment" where it says nothing else.
func eventName(raw []byte) string {
	name, said := "message", false
	for line := range strings.FieldsFuncSeq(string(raw), func(r rune) bool { return r == '\n' || r == '\r' }) {
		field, value, _ := strings.Cut(line, ":")
		if field != "" {
			said = true
		}
		if field == "event" {
			name = strings.TrimPrefix(value, " ")
		}
	}
	if !said {
		return "comment"
	}
	return name
}
