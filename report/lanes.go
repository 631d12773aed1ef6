package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// lanes are a history as it is drawn over time: bars for what lasts, marks for
// what does not, each in a row of a lane.
type lanes struct {
	events []history.Event // in the order of their time
	start  clock.Mono
	// marks are the events' rows and styles; an event that begins or ends a bar
	// is styled as its end, and not drawn itself.
	marks []mark
	bars  []bar
	rows  []laneRow

	rowOf map[laneRow]int
	open  map[string]openBar // by what lasts
	begun map[string]int     // of operations, by their id
	homes map[string]int     // the rows of containers
	keys  map[string]string  // of actors
}

type mark struct {
	row   int
	style style
}

// bar lasts from an event to another, or, where that is -1, for as long as it
// says.
type bar struct {
	row, from, to int
	begin, end    clock.Mono
	style         style
}

type openBar struct {
	row, from int
	style     style
}

// laneRow is a row of a lane.
type laneRow struct {
	Lane lane
	Name string
}

type lane string

// The lanes, from the top.
const (
	lanePlan    lane = "plan"
	laneFaults  lane = "faults"
	laneClients lane = "clients"
	laneGateway lane = "gateway"
	laneWire    lane = "wire"
	laneRuntime lane = "runtime"
	laneEngine  lane = "engine"
	laneHost    lane = "host"
)

var laneOrder = []lane{lanePlan, laneFaults, laneClients, laneGateway, laneWire, laneRuntime, laneEngine, laneHost}

// style names how a bar or a mark looks; page.css has a colour for each.
type style string

const (
	styleEnd      style = "end" // of a bar: drawn as its edge
	styleNote     style = "note"
	styleStep     style = "step"
	styleBroken   style = "broken"
	styleFault    style = "fault"
	styleHeld     style = "held"
	styleAnswered style = "answered"
	styleWaited   style = "waited"
	styleTimedOut style = "timeout"
	styleRefused  style = "refused"
	styleError    style = "error"
	styleOpen     style = "open"
	styleUp       style = "up"
	styleBooting  style = "booting"
	styleDraining style = "draining"
	styleDialing  style = "dialing"
	styleLinked   style = "linked"
	styleBackoff  style = "backoff"
	styleStarting style = "starting"
	styleRunning  style = "running"
	styleStopping style = "stopping"
	styleBeat     style = "beat"
	styleFrame    style = "frame"
	styleLost     style = "lost"
	styleLog      style = "log"
	styleNoise    style = "noise"
)

// widestLane bounds the rows of a lane: more would be no picture. What has no row
// of its own any more shares the last one.
const (
	widestLane = 24
	othersRow  = "all others"
)

// draw lays the history out.
func draw(h *history.History) *lanes {
	l := &lanes{
		events: h.ByTime(), rowOf: map[laneRow]int{}, open: map[string]openBar{}, begun: map[string]int{}, homes: map[string]int{},
	}
	if len(l.events) > 0 {
		l.start = l.events[0].T
	}
	l.keys = newTeller(h).keys
	l.marks = make([]mark, len(l.events))
	for i, e := range l.events {
		l.marks[i] = l.place(i, e)
	}
	l.leaveOpen()
	l.sortRows()
	return l
}

// row is the number of a row, which is made where it is new.
func (l *lanes) row(in lane, name string) int {
	r := laneRow{in, name}
	if n, ok := l.rowOf[r]; ok {
		return n
	}
	count := 0
	for _, other := range l.rows {
		if other.Lane == in {
			count++
		}
	}
	if count >= widestLane && name != othersRow {
		n := l.row(in, othersRow)
		l.rowOf[r] = n
		return n
	}
	l.rows = append(l.rows, r)
	l.rowOf[r] = len(l.rows) - 1
	return len(l.rows) - 1
}

// begin opens the bar of what, and ends the one that is open. Without a style it
// only ends it.
func (l *lanes) begin(what string, row, i int, s style) mark {
	if b, ok := l.open[what]; ok {
		l.bars = append(l.bars, bar{b.row, b.from, i, l.events[b.from].T, l.events[i].T, b.style})
		delete(l.open, what)
	}
	if s != "" {
		l.open[what] = openBar{row, i, s}
	}
	return mark{row, styleEnd}
}

func (l *lanes) isOpen(what string) bool { _, ok := l.open[what]; return ok }

// leaveOpen ends with the history what never ended in it.
func (l *lanes) leaveOpen() {
	if len(l.events) == 0 {
		return
	}
	last := l.events[len(l.events)-1].T
	for _, b := range l.open {
		l.bars = append(l.bars, bar{b.row, b.from, -1, l.events[b.from].T, last, b.style})
	}
	for _, i := range l.begun {
		l.bars = append(l.bars, bar{l.marks[i].row, i, -1, l.events[i].T, last, styleOpen})
	}
	slices.SortStableFunc(l.bars, func(a, b bar) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.from, b.from), cmp.Compare(a.row, b.row))
	})
}

// sortRows orders the rows by lane, then as their lane has them.
func (l *lanes) sortRows() {
	order := make([]int, len(l.rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		ra, rb := l.rows[a], l.rows[b]
		return cmp.Or(
			cmp.Compare(slices.Index(laneOrder, ra.Lane), slices.Index(laneOrder, rb.Lane)),
			cmp.Compare(rank(ra), rank(rb)),
			compareNatural(ra.Name, rb.Name))
	})
	to, rows := make([]int, len(order)), make([]laneRow, len(order))
	for n, old := range order {
		to[old], rows[n] = n, l.rows[old]
	}
	l.rows = rows
	for i := range l.marks {
		l.marks[i].row = to[l.marks[i].row]
	}
	for i := range l.bars {
		l.bars[i].row = to[l.bars[i].row]
	}
}

// Rows that are not called after who they are about.
const (
	rowSteps     = "steps"
	rowHarness   = "harness"
	rowHealth    = "/health"
	rowAnswers   = "answers"
	rowContainer = "container"
	rowLog       = "log"
	rowLink      = "connection"
	rowAPI       = "API errors"
	rowBusy      = "CPU"
)

func rank(r laneRow) int {
	switch r.Name {
	case rowSteps, rowHealth, rowContainer, rowLink:
		return 0
	case rowAnswers, rowHarness:
		return 1
	case rowLog, rowAPI, othersRow:
		return 3
	}
	return 2
}

// compareNatural orders counter-9 before counter-10.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// micros is the time since the first event.
func (l *lanes) micros(t clock.Mono) int64 { return t.Sub(l.start).Microseconds() }

// origin is what times are best counted from: the first fault, else the start.
func (l *lanes) origin() clock.Mono {
	for _, e := range l.events {
		if b, ok := e.Body.(*history.Fault); ok && b.Phase == history.FaultBegun {
			return e.T
		}
	}
	return l.start
}

// extra draws what lasts for a time that the event says.
func (l *lanes) extra(row, i int, begin clock.Mono, d time.Duration, s style) {
	l.bars = append(l.bars, bar{row, i, -1, begin, begin.Add(d), s})
}
