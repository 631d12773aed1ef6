package runner

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/killpoint/killpoint/report"
)

// Lines is a watcher that writes a line for each step, with the seconds since
// the run began.
func Lines(w io.Writer, began time.Time) Watcher { return &lines{w: w, began: began} }

type lines struct {
	mu    sync.Mutex
	w     io.Writer
	began time.Time
}

func (l *lines) Step(trial, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Progress that nobody can read is no reason to end a run.
	_, _ = fmt.Fprintf(l.w, "%6.1f s  %-34s %s\n", time.Since(l.began).Seconds(), trial, text)
}

func (*lines) Ended(report.Trial) {}
