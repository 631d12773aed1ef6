package containers

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// maxLogLine bounds a line of output. A longer one is cut into several, so
// that a party that never ends its line cannot take all memory.
const maxLogLine = 4 << 20

// LogLine is one line of a container's output.
type LogLine struct {
	T      clock.Mono // when it reached the rig
	Stream string     // "stdout" or "stderr"
	Text   string     // without its line end
}

// lineSplitter cuts a stream into lines. emit gets each line once, without its
// end, and must not keep the slice.
type lineSplitter struct {
	emit    func(line []byte)
	partial []byte
}

// Write implements io.Writer; it never fails.
func (s *lineSplitter) Write(b []byte) (int, error) {
	n := len(b)
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			break
		}
		s.line(b[:end])
		b = b[end+1:]
	}
	s.partial = append(s.partial, b...)
	for len(s.partial) >= maxLogLine {
		s.flush()
	}
	return n, nil
}

func (s *lineSplitter) line(end []byte) {
	if len(s.partial) == 0 {
		s.emit(bytes.TrimSuffix(end, []byte("\r")))
		return
	}
	s.partial = append(s.partial, end...)
	s.flush()
}

// flush emits what is left without a line end, as at the death of its writer.
func (s *lineSplitter) flush() {
	if len(s.partial) == 0 {
		return
	}
	s.emit(bytes.TrimSuffix(s.partial, []byte("\r")))
	s.partial = s.partial[:0]
}

// logBook keeps the output of one incarnation and writes what matters of it to
// the history.
type logBook struct {
	rec         history.Recorder
	role, name  string
	incarnation int
	party       string
	bootID      string // of the harness
	keep        func(line string) bool

	mu      sync.Mutex
	lines   []LogLine
	grown   chan struct{} // closed at the next line, where somebody waits for it
	foreign bool          // the party runs under another kernel: its stamps mean nothing here
}

// firstByte notes when the output began.
func (l *logBook) firstByte() {
	l.rec.Record(harness, history.KindContainer, &history.Container{
		Role: l.role, Name: l.name, Incarnation: l.incarnation, What: history.ContainerFirstByte,
	})
}

func (l *logBook) add(stream string, line []byte) {
	now := clock.Now()
	text := string(line)
	l.mu.Lock()
	first := len(l.lines) == 0
	l.lines = append(l.lines, LogLine{T: now, Stream: stream, Text: text})
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	l.mu.Unlock()
	if first {
		l.firstByte()
	}
	if e, ok := history.ParseEvent(line); ok {
		l.event(now, e)
		return
	}
	if l.keep(text) {
		l.rec.RecordAt(now, l.party, history.KindLog, &history.Log{
			Role: l.role, Incarnation: l.incarnation, Stream: stream, Line: text,
		})
	}
}

// event records what the party said of itself, at the time that it says. Where
// its kernel is not ours that time cannot be compared, and the arrival of the
// line takes its place.
func (l *logBook) event(arrived clock.Mono, e history.Event) {
	l.mu.Lock()
	if c, ok := e.Body.(*history.Clock); ok && c.BootID != l.bootID {
		l.foreign = true
	}
	foreign := l.foreign
	l.mu.Unlock()
	if foreign {
		e.T = arrived
	}
	l.rec.RecordAt(e.T, l.party, e.Kind, e.Body)
}

func (l *logBook) all() []LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// growth returns the lines so far, and a channel that is closed when there are
// more.
func (l *logBook) growth() ([]LogLine, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return slices.Clone(l.lines), l.grown
}

func (l *logBook) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// tail is the end of the output, for an error's text.
func tail(lines []LogLine, n int) string {
	if len(lines) == 0 {
		return "(it wrote nothing)"
	}
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	const widest = 400 // the engine prints its whole configuration in one line
	var b strings.Builder
	for _, l := range lines {
		text := l.Text
		if len(text) > widest {
			text = text[:widest] + " ..."
		}
		b.WriteString("\n    ")
		b.WriteString(text)
	}
	return b.String()
}

// everyLine keeps all of a runtime's output.
func everyLine(string) bool { return true }

// engineTrouble keeps the lines of the engine that speak of trouble. The rest
// of its output, which is much, stays in memory for [Container.Logs].
func engineTrouble(line string) bool {
	for _, mark := range []string{"level=warn", "level=error", "panic", " WARN ", " ERROR ", "RUST_BACKTRACE", "Error:", "fatal runtime error"} {
		if strings.Contains(line, mark) {
			return true
		}
	}
	return false
}
