package moment

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are what narrows it, as the query of a URL.
func (m Moment) options() string {
	q := url.Values{}
	for _, o := range []struct{ name, value string }{{"key", m.key}, {"wire", m.wire}, {"direction", m.direction}} {
		if o.value != "" {
			q.Set(o.name, o.value)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// Parse reads the text form. Its errors say what is wanted.
func Parse(s string) (Moment, error) {
	if s == "now" {
		return Now(), nil
	}
	k, rest, _ := strings.Cut(s, ":")
	rest, query, _ := strings.Cut(rest, "?")
	var m Moment
	var err error
	switch kind(k) {
	case breakpoint:
		m, err = parseBreakpoint(rest)
	case frame:
		m, err = parseFrame(rest)
	case event:
		m, err = parseEvent(rest)
	default:
		err = fmt.Errorf("want now, breakpoint:NAME, frame:TYPE/DETAIL#N@before or event:NAME+DURATION")
	}
	if err == nil {
		err = m.narrow(query)
	}
	if err != nil {
		return Moment{}, fmt.Errorf("moment %.80q: %w", s, err)
	}
	return m, nil
}

func parseBreakpoint(s string) (Moment, error) {
	if s == "" {
		return Moment{}, fmt.Errorf("a breakpoint without a name: want breakpoint:before-commit, for one")
	}
	return Breakpoint(s), nil
}

func parseFrame(s string) (Moment, error) {
	what, side, ok := cutLast(s, "@")
	if !ok || side != string(BeforeDelivery) && side != string(AfterDelivery) {
		return Moment{}, fmt.Errorf("it ends in %q: want @%s or @%s", side, BeforeDelivery, AfterDelivery)
	}
	what, n, ok := cutLast(what, "#")
	nth, err := strconv.Atoi(n)
	if !ok || err != nil || nth < 1 {
		return Moment{}, fmt.Errorf("which frame of its kind it is must stand before the @, as in #1")
	}
	if what == "" {
		return Moment{}, fmt.Errorf("a frame without a type: want frame:exec-request/commit#1@before, for one")
	}
	return Frame(what, nth, Side(side)), nil
}

func parseEvent(s string) (Moment, error) {
	s, plus, hasOffset := strings.Cut(s, "+")
	name, n, hasNth := strings.Cut(s, "#")
	m := After(Event(name), 0)
	if !slices.Contains(Events, Event(name)) {
		return m, fmt.Errorf("event %q is unknown: want one of %s", name, list(Events))
	}
	if hasNth {
		nth, err := strconv.Atoi(n)
		if err != nil || nth < 1 {
			return m, fmt.Errorf("#%s: want a number from 1 on", n)
		}
		m = m.Again(nth)
	}
	if hasOffset {
		d, err := time.ParseDuration(plus)
		if err != nil || d < 0 {
			return m, fmt.Errorf("+%s: want a duration, as in +250ms", plus)
		}
		m.offset = d
	}
	return m, nil
}

func (m *Moment) narrow(query string) error {
	q, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("after the question mark: %w", err)
	}
	for name := range q {
		switch {
		case name == "key":
			m.key = q.Get(name)
		case name == "wire" && m.kind == frame:
			m.wire = q.Get(name)
		case name == "direction" && m.kind == frame:
			m.direction = q.Get(name)
		default:
			return fmt.Errorf("option %q does not belong to a %s: want key, and of a frame wire and direction", name, m.kind)
		}
	}
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (m Moment) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Moment) UnmarshalText(b []byte) (err error) {
	*m, err = Parse(string(b))
	return err
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func list[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, w := range all {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}
