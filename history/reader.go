package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"github.com/killpoint/killpoint/internal/clock"
)

// maxLine bounds a line, so that a file without line ends cannot take all
// memory. The largest events carry a line of a container's log, which the rig
// cuts at 4 MiB; JSON may need six bytes for one of those. A writer keeps to
// it too: it must not write what no reader accepts.
const maxLine = 32 << 20

// History is a whole history, read.
type History struct {
	Header Header
	// Events are in the order of their Seq.
	Events []Event
}

// LineError says which line of a history cannot be read, and why.
type LineError struct {
	Path string
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// Reasons for which a line is refused.
var (
	ErrTruncated = errors.New("the line is cut off: it does not end in a newline")
	ErrFormat    = errors.New("not a killpoint history")
	ErrVersion   = errors.New("a version of the history that this killpoint does not read")
	ErrSequence  = errors.New("events are missing or out of order")
)

// ReadFile reads a whole history, or returns a [*LineError]. What was read
// before the bad line comes with the error, for those who want to salvage it.
func ReadFile(path string) (*History, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only: nothing can be lost
	return Read(path, f)
}

// Read is [ReadFile] for a stream; path names it in errors.
func Read(path string, r io.Reader) (*History, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	h := &History{}
	for n := 1; ; n++ {
		line, err := readLine(br)
		if errors.Is(err, io.EOF) {
			if n == 1 {
				return h, &LineError{path, 1, fmt.Errorf("%w: the file is empty", ErrFormat)}
			}
			return h, nil
		}
		if err == nil && n == 1 {
			err = h.header(line)
		} else if err == nil {
			err = h.event(line)
		}
		if err != nil {
			return h, &LineError{path, n, err}
		}
	}
}

func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("the line is longer than %d bytes", maxLine)
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, ErrTruncated
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func (h *History) header(line []byte) error {
	if err := json.Unmarshal(line, &h.Header); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if h.Header.Format != Format {
		return fmt.Errorf("%w: format %q", ErrFormat, h.Header.Format)
	}
	if h.Header.Version != Version {
		return fmt.Errorf("%w: version %d, this one reads %d", ErrVersion, h.Header.Version, Version)
	}
	return nil
}

func (h *History) event(line []byte) error {
	var e Event
	// Not by json.Unmarshal, which would read the line once more, to see whether it
	// is JSON: that is known when it is decoded.
	if err := e.UnmarshalJSON(line); err != nil {
		return err
	}
	if want := uint64(len(h.Events) + 1); e.Seq != want {
		return fmt.Errorf("%w: seq %d where %d belongs", ErrSequence, e.Seq, want)
	}
	h.Events = append(h.Events, e)
	return nil
}

// ByTime are the events ordered by when they happened, not by when they
// were written down; equal stamps keep their order of arrival.
func (h *History) ByTime() []Event {
	out := append([]Event(nil), h.Events...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].T < out[j].T })
	return out
}

// Complete reports whether the history has its last event and that says
// that the plan was carried out.
func (h *History) Complete() bool {
	if len(h.Events) == 0 {
		return false
	}
	end, ok := h.Events[len(h.Events)-1].Body.(*End)
	return ok && end.State == EndComplete
}

// Span is the time from the first event to the last.
func (h *History) Span() (first, last clock.Mono) {
	events := h.ByTime()
	if len(events) == 0 {
		return 0, 0
	}
	return events[0].T, events[len(events)-1].T
}
