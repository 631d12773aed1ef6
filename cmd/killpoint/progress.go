package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
)

// progress shows how a run goes on: a line for each step; and on a terminal,
// under them, one with an estimate of what is left.
type progress struct {
	app      *app
	w        io.Writer
	began    time.Time
	terminal bool
	lines    runner.Watcher

	mu      sync.Mutex
	ended   int
	all     int
	cells   int
	started time.Time
	current string // what the last line of the terminal says
}

func newProgress(a *app, began time.Time) *progress {
	return &progress{app: a, w: a.err, began: began, terminal: a.isTerminal(a.err), lines: runner.Lines(a.err, began)}
}

// expect says how many trials there will be, and how many of them at a time.
func (p *progress) expect(trials, cells int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all, p.cells, p.started = trials, cells, time.Now()
	p.draw()
}

func (p *progress) Step(trial, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.lines.Step(trial, text)
	p.draw()
}

func (p *progress) Ended(t report.Trial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.ended++
	text := string(t.Verdict.State)
	p.lines.Step(t.Name, p.app.colour(p.w, t.Verdict.State, text))
	p.draw()
}

// done leaves the terminal with its steps alone.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.all = 0
}

func (p *progress) clear() {
	if p.current != "" {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.current = ""
	}
}

func (p *progress) draw() {
	if !p.terminal || p.all == 0 {
		return
	}
	p.current = fmt.Sprintf("%d of %d trials, %s", p.ended, p.all, p.left(time.Now()))
	_, _ = io.WriteString(p.w, p.current)
}

// left estimates what is still to come from what the trials took so far. Those
// of one batch run beside each other, so that before the first has ended nothing
// can be said.
func (p *progress) left(now time.Time) string {
	spent := now.Sub(p.started)
	switch {
	case p.ended == 0:
		return "no estimate yet"
	case p.ended >= p.all:
		return "all carried out"
	}
	// Trials end in waves of as many as there are cells.
	waves := float64((p.ended + p.cells - 1) / p.cells)
	total := float64((p.all + p.cells - 1) / p.cells)
	rest := time.Duration(float64(spent) / waves * (total - waves))
	if rest <= 0 {
		return "almost done"
	}
	return "about " + rest.Round(time.Second).String() + " left"
}
