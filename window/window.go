// Package window reads a history and says what an outage looked like from
// outside: each probe of the sweep, the outage window, the health gap.
package window

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
)

// AtOnce is the longest an answer may take and still count as "answered at
// once". A warm request takes 11 to 15 ms; the gateway's first retries of a
// held one come after 100 and 300 ms, so a held request is always above it.
const AtOnce = 100 * time.Millisecond

// Class is what a client would say of one probe.
type Class string

// The classes. Answered at once and held are both good answers: a harness
// that told them not apart would call a request held for 3 s a success.
const (
	Answered Class = "answered at once"
	Held     Class = "held, then answered"
	TimedOut Class = "timed out"
	Refused  Class = "refused"
	Errored  Class = "error"
	CutOff   Class = "cut off" // the history ends before the probe does
)

// Row is the probe at one delay.
type Row struct {
	Kind           Kind
	Delay, Timeout time.Duration
	Actor, Key     string
	Class          Class
	// Took is the time from sending to the answer, or to giving up; -1 where
	// Class is CutOff.
	Took time.Duration
	// Status, Code and Cause are the answer's where Class is Errored.
	Status     int
	Code       string
	Cause      history.Cause
	Generation int64
	// AnsweredAt is when this actor gave its first good answer, counted from
	// the origin, to the probe itself or to a later one; -1 if it never did.
	// It was not asked before Delay, so it may have been well earlier.
	AnsweredAt time.Duration
}

// Outage is the sweep after the faults on the engine, and what it adds up to.
type Outage struct {
	// Strikes are all faults on the engine, in order: mostly one.
	Strikes []Strike
	// Moments are the strikes that waited for one, in order.
	Moments []history.Moment
	// Fault is the first of them; instants follow, on the history's clock.
	Fault  history.Fault
	FaultT clock.Mono // it begins
	// The rest is of the last time the engine left and came back.
	Exit    history.Exit
	ExitT   clock.Mono // the incarnation is dead
	StartT  clock.Mono // the next incarnation is asked for
	Healthy clock.Mono // its first good /health; the origin of all delays
	// HealthUncertain: /health may have been good this much earlier.
	HealthUncertain time.Duration
	Rows            []Row
	// Beside are the rows of actors that were in a state of their own: asked as
	// the others, but no part of the window.
	Beside []Row
	// First is the first good answer of any actor; 0 if none answered.
	// Last is the first good answer of the last actor that had to wait for
	// one; First where none had to; 0 if one never got any. An actor that was
	// asked late and answered at once waited for nothing.
	First, Last clock.Mono
	// Backoff is the part of HealthGap in which the runtime waited for the
	// next try of its reconnect policy. The wait was decided beforehand, so no
	// host can have made it longer by being busy.
	Backoff time.Duration
	// Noise is the host's part between the fault and Last.
	Noise Noise
}

// Strike is one fault on the engine.
type Strike struct {
	Fault   history.Fault
	T       clock.Mono // it begins
	LandedT clock.Mono // its effect was confirmed; 0 if it was not
	// Exit is that of the incarnation struck, at ExitT; 0 if it never left.
	Exit  history.Exit
	ExitT clock.Mono
}

// Noise is the host's part in a time: the worst lateness of a timer, and the
// mean shares of CPU busy and stolen.
type Noise struct {
	Span        time.Duration // what was measured; 0 where nothing was
	SchedDelay  time.Duration
	Busy, Steal float64
}

// Limits of what a trial can stand. Above 70 % CPU an engine with its default
// curve sheds load; a timer 100 ms late blurs every class of a probe.
const (
	MaxBusy       = 0.70
	MaxSteal      = 0.20
	MaxSchedDelay = 100 * time.Millisecond
)

// TooNoisy reports whether the host was too busy for the trial's times to be
// the engine's own.
func (n Noise) TooNoisy() bool {
	return n.Busy > MaxBusy || n.Steal > MaxSteal || n.SchedDelay > MaxSchedDelay
}

func (n Noise) String() string {
	if n.Span == 0 {
		return "not measured"
	}
	return fmt.Sprintf("CPU %.0f %% busy, %.0f %% stolen, timers up to %d ms late", 100*n.Busy, 100*n.Steal, n.SchedDelay.Milliseconds())
}

// Window is the time from the fault to the first good answer of any actor.
func (o *Outage) Window() time.Duration { return since(o.First, o.FaultT) }

// WindowAll is the time from the fault until no actor kept anybody waiting.
func (o *Outage) WindowAll() time.Duration { return since(o.Last, o.FaultT) }

// HealthGap is the part of Window in which /health already said ok.
func (o *Outage) HealthGap() time.Duration { return since(o.First, o.Healthy) }

// HealthGapAll is the part of WindowAll in which /health already said ok.
func (o *Outage) HealthGapAll() time.Duration { return since(o.Last, o.Healthy) }

// since is t-u, or -1 where t never came.
func since(t, u clock.Mono) time.Duration {
	if t == 0 {
		return -1
	}
	return t.Sub(u)
}

// ErrNoOutage is the reason for which no outage can be read.
var ErrNoOutage = errors.New("the history has no outage to read")

// Read finds the outage in a history: the faults on the engine, its recovery
// and the sweep that follows. Faults on others are not its matter.
func Read(h *history.History) (*Outage, error) {
	o := &Outage{}
	events := h.ByTime()
	if err := o.landmarks(events); err != nil {
		return nil, err
	}
	o.sweep(events)
	o.backoff(events)
	o.noise(events)
	return o, nil
}

// engine is the role of the engine, in bodies and in a fault's target.
const engine = "engine"

// landmarks takes the faults on the engine and its last return.
func (o *Outage) landmarks(events []history.Event) error {
	var exit history.Event // the last one
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Fault:
			o.strike(e.T, b)
		case *history.Moment:
			if b.What == "struck" {
				o.Moments = append(o.Moments, *b)
			}
		case *history.Exit:
			// The cell's removal is nobody's fault.
			if b.Role == engine && b.By != "teardown" && o.struck(e.T, b) {
				exit = e
			}
		case *history.Container:
			if body, ok := exit.Body.(*history.Exit); ok && b.Role == engine && b.What == history.ContainerStarting {
				o.ExitT, o.Exit, o.StartT, o.Healthy = exit.T, *body, e.T, 0
			}
		case *history.Health:
			if o.StartT != 0 && o.Healthy == 0 && b.What == "ok" {
				o.Healthy, o.HealthUncertain = e.T, time.Duration(b.UncertainNS)
			}
		}
	}
	return o.whole(exit.T)
}

// whole reports what the history lacks of an outage.
func (o *Outage) whole(exit clock.Mono) error {
	if len(o.Strikes) > 0 {
		o.FaultT, o.Fault = o.Strikes[0].T, o.Strikes[0].Fault
	}
	for _, m := range []struct {
		name string
		t    clock.Mono
	}{{"a fault", o.FaultT}, {"the engine's exit", exit}, {"the engine's next start", o.StartT}, {"a healthy engine after it", o.Healthy}} {
		if m.t == 0 {
			return fmt.Errorf("%w: it lacks %s", ErrNoOutage, m.name)
		}
	}
	return nil
}

func (o *Outage) strike(t clock.Mono, f *history.Fault) {
	if !strings.HasPrefix(f.Target, engine+"#") {
		return
	}
	switch f.Phase {
	case history.FaultBegun:
		o.Strikes = append(o.Strikes, Strike{Fault: *f, T: t})
	case history.FaultLanded:
		for i := range o.Strikes {
			if s := &o.Strikes[i]; s.LandedT == 0 && s.Fault.Target == f.Target && s.Fault.Kind == f.Kind {
				s.LandedT = t
				return
			}
		}
	}
}

// struck gives the exit to the strikes before it that have none, and reports
// whether there was one.
func (o *Outage) struck(t clock.Mono, exit *history.Exit) bool {
	found := false
	for i := range o.Strikes {
		if s := &o.Strikes[i]; s.ExitT == 0 {
			s.Exit, s.ExitT, found = *exit, t, true
		}
	}
	return found
}

type probeOp struct {
	*history.Invoke
	begun clock.Mono
	row   *Row
}

// sweep reads the probes that were sent since /health was ok. A recovery probe
// belongs to the last probe of the sweep that asked its actor.
func (o *Outage) sweep(events []history.Event) {
	ops, asked := map[string]probeOp{}, map[string]*Row{}
	var rows, beside []*Row
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if e.T < o.Healthy {
				continue
			}
			switch b.Probe {
			case "":
				continue
			case probe.ProbeName:
				asked[b.Actor] = newRow(b)
				rows = append(rows, asked[b.Actor])
			case probe.BesideName:
				asked[b.Actor] = newRow(b)
				beside = append(beside, asked[b.Actor])
			}
			if row := asked[b.Actor]; row != nil {
				ops[b.Op] = probeOp{b, e.T, row}
			}
		case *history.Return:
			if op, ok := ops[b.Op]; ok {
				o.returned(op, e.T, b)
			}
		}
	}
	o.Rows, o.Beside = values(rows), values(beside)
	o.answers()
}

// values are the rows in the order of their delays.
func values(rows []*Row) []Row {
	var out []Row
	for _, row := range rows {
		out = append(out, *row)
	}
	slices.SortStableFunc(out, func(a, b Row) int { return cmp.Compare(a.Delay, b.Delay) })
	return out
}

func newRow(b *history.Invoke) *Row {
	return &Row{
		Kind:  Kind{Probe: b.Probe, Via: b.Via, Name: b.Name},
		Delay: time.Duration(b.DelayNS), Timeout: time.Duration(b.TimeoutNS), Took: -1,
		Actor: b.Actor, Key: b.Key, Class: CutOff, Generation: -1, AnsweredAt: -1,
	}
}

func (o *Outage) returned(op probeOp, t clock.Mono, ret *history.Return) {
	row := op.row
	if op.Probe == probe.ProbeName || op.Probe == probe.BesideName {
		row.Took = t.Sub(op.begun)
		row.Class, row.Status, row.Code, row.Cause = Classify(ret, row.Took), ret.Status, ret.Code, ret.Cause
		row.Generation = ret.Generation
	}
	if ret.Outcome == history.OK && row.AnsweredAt < 0 {
		row.AnsweredAt = t.Sub(o.Healthy)
	}
}

func (o *Outage) answers() {
	never := len(o.Rows) == 0
	for _, row := range o.Rows {
		at := o.Healthy.Add(row.AnsweredAt)
		switch {
		case row.AnsweredAt < 0:
			never = true
			continue
		case o.First == 0 || at < o.First:
			o.First = at
		}
		if row.Class != Answered {
			o.Last = max(o.Last, at)
		}
	}
	if o.Last = max(o.Last, o.First); never {
		o.Last = 0
	}
}

// Classify says how a client would call what came back after took.
func Classify(ret *history.Return, took time.Duration) Class {
	switch {
	case ret.Outcome == history.OK && took <= AtOnce:
		return Answered
	case ret.Outcome == history.OK:
		return Held
	case ret.Cause == history.CauseTimeout:
		return TimedOut
	case ret.Cause == history.CauseRefused:
		return Refused
	default:
		return Errored
	}
}

// backoff adds up the runtime's waits between Healthy and First.
func (o *Outage) backoff(events []history.Event) {
	for _, e := range events {
		b, ok := e.Body.(*history.Envoy)
		if !ok || b.What != "backoff" {
			continue
		}
		begin, end := max(e.T, o.Healthy), min(e.T.Add(time.Duration(b.WaitNS)), o.First)
		o.Backoff += max(0, end.Sub(begin))
	}
}

// noise weighs the half seconds that overlap the time from the fault to the
// last answer, or to the end where not all answered.
func (o *Outage) noise(events []history.Event) {
	until := o.Last
	if until == 0 && len(events) > 0 {
		until = events[len(events)-1].T
	}
	o.Noise = noiseBetween(events, o.FaultT, until)
}

// NoiseBetween is the host's part in the time between two instants, such as that
// in which somebody waited: of the half seconds that overlap it.
func NoiseBetween(h *history.History, from, to clock.Mono) Noise {
	return noiseBetween(h.Events, from, to)
}

func noiseBetween(events []history.Event, from, to clock.Mono) Noise {
	var n Noise
	var span, busy, steal float64
	for _, e := range events {
		b, ok := e.Body.(*history.Noise)
		if !ok || e.T < from || e.T.Add(-time.Duration(b.SpanNS)) > to {
			continue
		}
		n.SchedDelay = max(n.SchedDelay, time.Duration(b.SchedDelayNS))
		span += float64(b.SpanNS)
		busy += b.Busy * float64(b.SpanNS)
		steal += b.Steal * float64(b.SpanNS)
	}
	n.Span = time.Duration(span)
	if span > 0 {
		n.Busy, n.Steal = busy/span, steal/span
	}
	return n
}
