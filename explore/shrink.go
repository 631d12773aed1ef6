package explore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/spec"
	"github.com/killpoint/killpoint/workload"
)

// Shrink finds the fewest operations, strikes and delays of a trial with which
// the same result still comes.
type Shrink struct {
	Trial spec.Trial
	Want  Want
	// Tries is how often a smaller trial is carried out before it counts as one
	// without the result; 0 is 2.
	Tries int
	// Times is how often the smallest is repeated, for the rate; 0 is 10.
	Times int
	// Dir is where each carrying-out gets a folder.
	Dir   string
	Carry Carry
	// Done is called after each smaller trial was tried; nil is not called.
	Done func(Tried)
}

// Tried is a smaller trial and whether it had the result.
type Tried struct {
	N     int
	What  string // what was left out or made smaller
	Trial spec.Trial
	Met   bool
}

// Shrunk is the smallest trial that was found.
type Shrunk struct {
	Trial spec.Trial
	Want  Want
	// Rate is how often it had the result when it was repeated.
	Rate Rate
	// Tried is how many smaller trials were tried, Carried how many trials were
	// carried out for that.
	Tried, Carried int
	// Dir is the folder of a carrying-out of the smallest.
	Dir string
}

// ErrGone says that a trial does not have its recorded result any more.
var ErrGone = errors.New("the recorded result did not come again: there is nothing to shrink")

const (
	defaultTries = 2
	defaultTimes = 10
)

// Run shrinks.
func (s Shrink) Run(ctx context.Context) (Shrunk, error) {
	if s.Tries <= 0 {
		s.Tries = defaultTries
	}
	if s.Times <= 0 {
		s.Times = defaultTimes
	}
	w := &shrinking{Shrink: s, seen: map[string]bool{}}
	w.best.Want = s.Want
	met, err := w.try(ctx, "nothing", s.Trial)
	if err != nil {
		return w.best, err
	}
	if !met {
		return w.best, fmt.Errorf("%w: in none of %d runs was there a %v", ErrGone, s.Tries, s.Want)
	}
	for smaller := true; smaller; {
		smaller = false
		for _, pass := range []func(context.Context) (bool, error){w.fewerStrikes, w.fewerOps, w.smallerOps, w.earlier, w.sooner} {
			did, err := pass(ctx)
			if err != nil {
				return w.best, err
			}
			smaller = smaller || did
		}
	}
	return w.best, w.repeat(ctx)
}

type shrinking struct {
	Shrink
	best Shrunk
	last *history.History // of the best
	seen map[string]bool  // by their text: what was tried
}

// try carries a smaller trial out, and makes it the best where it has the result.
func (w *shrinking) try(ctx context.Context, what string, t spec.Trial) (met bool, err error) {
	text, err := t.Encode()
	if err != nil || w.seen[string(text)] || t.Validate() != nil {
		return false, err
	}
	w.seen[string(text)] = true
	w.best.Tried++
	for n := range w.Tries {
		dir := filepath.Join(w.Dir, fmt.Sprintf("shrink-%03d-%d", w.best.Tried, n+1))
		w.best.Carried++
		rep, err := attempt(ctx, w.Carry, t, dir)
		if err != nil {
			return false, fmt.Errorf("try %s: %w", what, err)
		}
		if met = rep.Outcome.State == Struck && w.Want.Met(rep.Verdict); met {
			w.best.Trial, w.best.Dir = t, dir
			if w.last, err = history.ReadFile(report.HistoryPath(dir)); err != nil {
				return false, err
			}
			break
		}
	}
	if w.Done != nil {
		w.Done(Tried{w.best.Tried, what, t, met})
	}
	return met, nil
}

// fewerStrikes leaves out one strike after the other.
func (w *shrinking) fewerStrikes(ctx context.Context) (did bool, err error) {
	for i := 0; i < len(w.best.Trial.Strikes); {
		t := w.best.Trial
		t.Strikes = slices.Delete(slices.Clone(t.Strikes), i, i+1)
		met, err := w.try(ctx, fmt.Sprintf("without strike %d", i+1), t)
		if err != nil {
			return did, err
		}
		if met {
			did = true
		} else {
			i++
		}
	}
	return did, nil
}

// fewerOps leaves out runs of operations, long ones first, until no single one
// can be left out.
func (w *shrinking) fewerOps(ctx context.Context) (did bool, err error) {
	for size := (len(w.best.Trial.Ops) + 1) / 2; size >= 1; size /= 2 {
		for from := len(w.best.Trial.Ops) - size; from >= 0; {
			ops := w.best.Trial.Ops
			if len(ops) <= size {
				break
			}
			from = min(from, len(ops)-size)
			met, err := w.try(ctx, fmt.Sprintf("without %v", ops[from:from+size]), w.without(from, size))
			if err != nil {
				return did, err
			}
			did = did || met
			from -= size
		}
	}
	return did, nil
}

// without is the best trial without some of its operations. A frame that is
// counted from the beginning is counted without those of what is left out.
func (w *shrinking) without(from, size int) spec.Trial {
	t := w.best.Trial
	t.Ops = slices.Delete(slices.Clone(t.Ops), from, from+size)
	if len(t.Strikes) == 0 {
		return t
	}
	at, ok := t.Strikes[0].At.AtFrame()
	if !ok || at.Nth == 1 {
		return t
	}
	t.Strikes = slices.Clone(t.Strikes)
	t.Strikes[0].At = t.Strikes[0].At.Again(max(w.left(at, from, size), 1))
	return t
}

// left is how many of the frames up to the one at which the best trial was
// struck came in operations that stay.
func (w *shrinking) left(at moment.FrameAt, from, size int) int {
	begins := opBegins(w.last, w.best.Trial.Ops)
	first, _ := workSpan(w.last)
	seen, left := 0, 0
	for _, e := range w.last.ByTime() {
		f, ok := e.Body.(*history.Frame)
		kind := frameKind{at.Wire, at.Direction, at.Type, at.Detail, at.Key}
		if !ok || f.What != "arrived" || e.T < first || !kind.takes(frameKind{f.Wire, f.Direction, f.Type, f.Detail, f.Key}) {
			continue
		}
		if seen++; seen > at.Nth {
			break
		}
		in := opAt(begins, e.T)
		if in < from || in >= from+size {
			left++
		}
	}
	return left
}

// opBegins is when each operation of a script began, as its history tells: never
// for those that did not.
func opBegins(h *history.History, ops []workload.Op) []clock.Mono {
	ran := opsOf(h)
	begins := make([]clock.Mono, len(ops))
	for i := range ops {
		// Those of the script up to this one, with the creations between them.
		before := len(workload.Names(ops[:i]))
		switch {
		case before < len(ran):
			begins[i] = ran[before].begun
		default:
			begins[i] = never
		}
	}
	return begins
}

// opAt is the last operation that had begun by then.
func opAt(begins []clock.Mono, t clock.Mono) int {
	in := 0
	for i, b := range begins {
		if b <= t {
			in = i
		}
	}
	return in
}

// smallerOps makes waits and streams shorter.
func (w *shrinking) smallerOps(ctx context.Context) (did bool, err error) {
	for i := 0; i < len(w.best.Trial.Ops); i++ {
		for _, o := range w.best.Trial.Ops[i].Smaller() {
			t := w.best.Trial
			t.Ops = slices.Clone(t.Ops)
			t.Ops[i] = o
			met, err := w.try(ctx, fmt.Sprintf("%s in the place of %s", o, w.best.Trial.Ops[i]), t)
			if err != nil {
				return did, err
			}
			if met {
				did = true
				break
			}
		}
	}
	return did, nil
}

// earlier has a strike come at an earlier one of its kind of frame.
func (w *shrinking) earlier(ctx context.Context) (bool, error) {
	return w.strikes(ctx, func(m moment.Moment) (smaller []moment.Moment) {
		at, ok := m.AtFrame()
		if ok && at.Nth > 1 {
			smaller = append(smaller, m.Again(1))
			if at.Nth > 2 {
				smaller = append(smaller, m.Again(at.Nth-1))
			}
		}
		return smaller
	})
}

// sooner makes the time after an event shorter.
func (w *shrinking) sooner(ctx context.Context) (bool, error) {
	return w.strikes(ctx, func(m moment.Moment) (smaller []moment.Moment) {
		e, nth, key, offset, ok := m.AfterEvent()
		if !ok || offset == 0 {
			return nil
		}
		for _, d := range []time.Duration{0, (offset / 2).Truncate(time.Millisecond)} {
			smaller = append(smaller, moment.After(e, d).Again(nth).Of(key))
		}
		return smaller
	})
}

func (w *shrinking) strikes(ctx context.Context, smaller func(moment.Moment) []moment.Moment) (did bool, err error) {
	for i := range w.best.Trial.Strikes {
		for _, m := range smaller(w.best.Trial.Strikes[i].At) {
			t := w.best.Trial
			t.Strikes = slices.Clone(t.Strikes)
			t.Strikes[i].At = m
			met, err := w.try(ctx, fmt.Sprintf("strike %d at %v", i+1, m), t)
			if err != nil {
				return did, err
			}
			if met {
				did = true
				break
			}
		}
	}
	return did, nil
}

// repeat finds out how often the smallest trial has the result.
func (w *shrinking) repeat(ctx context.Context) (err error) {
	r := Replay{Trial: w.best.Trial, Want: w.Want, Times: w.Times, Dir: w.Dir, Carry: w.Carry}
	w.best.Rate, err = r.Run(ctx)
	w.best.Carried += w.best.Rate.Of
	return err
}
