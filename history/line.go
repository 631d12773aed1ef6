package history

import (
	"bytes"
	"strconv"

	"github.com/killpoint/killpoint/internal/clock"
)

// writtenHere reads the frame of a line that has its fields in the order in which
// [Writer] writes them, without JSON's generality: a reader of a large history
// spends its time there. The body is a part of b, and not looked at. ok is false
// for any other line, which may be an event all the same.
func writtenHere(b []byte) (e rawEvent, ok bool) {
	l := line{b, true}
	e.Seq = uint64(l.number(`{"seq":`))
	e.T = clock.Mono(l.number(`,"t":`))
	e.Party = l.text(`,"party":"`)
	e.Kind = Kind(l.text(`,"kind":"`))
	l.literal(`,"body":`)
	rest, whole := bytes.CutSuffix(l.rest, []byte("}"))
	e.Body = rest
	return e, l.ok && whole && len(rest) > 0 && len(bytes.Trim(rest, " \t\r\n")) == len(rest)
}

// line is what is left of one; ok is false from the first thing on that was not
// as expected.
type line struct {
	rest []byte
	ok   bool
}

func (l *line) literal(text string) {
	if l.ok = l.ok && len(l.rest) >= len(text) && string(l.rest[:len(text)]) == text; l.ok {
		l.rest = l.rest[len(text):]
	}
}

// number reads one that is no less than 0 and below 2^63.
func (l *line) number(before string) int64 {
	l.literal(before)
	n := 0
	for n < len(l.rest) && l.rest[n] >= '0' && l.rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(string(l.rest[:n]), 10, 64)
	// JSON knows no leading zeros.
	if l.ok = l.ok && err == nil && (n == 1 || l.rest[0] != '0'); l.ok {
		l.rest = l.rest[n:]
	}
	return v
}

// text reads one that has nothing in it that JSON would write in another way.
func (l *line) text(before string) string {
	l.literal(before)
	for n, c := range l.rest {
		switch {
		case c == '"':
			s := string(l.rest[:n])
			l.rest = l.rest[n+1:]
			return s
		case c < ' ' || c == '\\' || c > '~':
			l.ok = false
			return ""
		}
	}
	l.ok = false
	return ""
}
