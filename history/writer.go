package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/killpoint/killpoint/internal/clock"
)

// Recorder takes events. [Writer] is the one that stores them.
type Recorder interface {
	// Record appends an event that happens now.
	Record(party string, kind Kind, body any)
	// RecordAt appends an event that happened at t.
	RecordAt(t clock.Mono, party string, kind Kind, body any)
}

// Writer appends events to a file. It is safe for concurrent use. Each event
// is one write(2) to a file opened for append, so a harness that dies leaves
// every line it had recorded.
type Writer struct {
	mu   sync.Mutex
	f    *os.File
	seq  uint64
	err  error
	subs []func(Event)
}

// Create makes the folder and the file, which must not exist yet, and writes
// the header. Format, version and clock of h are filled in.
func Create(path string, h Header) (*Writer, error) {
	boot, err := clock.BootID()
	if err != nil {
		return nil, err
	}
	h.Format, h.Version, h.BootID = Format, Version, boot
	h.Mono, h.Wall = clock.Now(), time.Now().UTC().Format(time.RFC3339Nano)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("create the folder of the history: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("create the history: %s is there already, from an earlier run: give each run a folder of its own: %w", path, os.ErrExist)
	}
	if err != nil {
		return nil, fmt.Errorf("create the history: %w", err)
	}
	w := &Writer{f: f}
	if err := w.line(h); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// Subscribe has fn called with every later event, in order, before Record
// returns. It is for progress on a terminal; fn must not block or record.
func (w *Writer) Subscribe(fn func(Event)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subs = append(w.subs, fn)
}

// Record implements [Recorder].
func (w *Writer) Record(party string, kind Kind, body any) {
	w.append(nil, party, kind, body)
}

// RecordAt implements [Recorder].
func (w *Writer) RecordAt(t clock.Mono, party string, kind Kind, body any) {
	w.append(&t, party, kind, body)
}

func (w *Writer) append(t *clock.Mono, party string, kind Kind, body any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// After a failed write the file may end in half a line: writing on would
	// hide that. The error is kept for Close.
	if w.err != nil {
		return
	}
	// Stamped under the lock, so that Seq and T agree for what happens now.
	at := clock.Now()
	if t != nil {
		at = *t
	}
	w.seq++
	e := Event{Seq: w.seq, T: at, Party: party, Kind: kind, Body: body}
	if w.err = w.line(e); w.err != nil {
		return
	}
	for _, fn := range w.subs {
		fn(e)
	}
}

func (w *Writer) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a line of the history: %w", err)
	}
	if len(b) >= maxLine {
		return fmt.Errorf("write the history %s: a line of %d bytes, at most %d can be read back", w.f.Name(), len(b), maxLine-1)
	}
	if _, err := w.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write the history %s: %w", w.f.Name(), err)
	}
	return nil
}

// Err is the first error of writing, after which nothing more was stored.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close closes the file. It returns the first error of writing, if any: a
// history that lost events must not be judged.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	closed := w.f.Close()
	err := errors.Join(w.err, closed)
	if w.err == nil {
		w.err = os.ErrClosed
	}
	return err
}
