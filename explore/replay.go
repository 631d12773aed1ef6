package explore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/spec"
)

// Want is the result that a repetition must have to count as the same.
type Want struct {
	State check.State `json:"state"`
	// Invariant is the one that failed, where State is fail.
	Invariant string `json:"invariant,omitempty"`
}

// WantOf is the result of a verdict.
func WantOf(v check.Verdict) Want {
	w := Want{State: v.State}
	if v.State == check.Fail {
		w.Invariant = v.First().Invariant
	}
	return w
}

// Met is whether the verdict is the same result. A failure is the same where the
// invariant fails, whatever else does.
func (w Want) Met(v check.Verdict) bool {
	if w.Invariant == "" {
		return v.State == w.State
	}
	for _, f := range v.Findings {
		if f.Invariant == w.Invariant {
			return f.State == w.State
		}
	}
	return false
}

// String is the result in words.
func (w Want) String() string {
	if w.Invariant == "" {
		return string(w.State)
	}
	return fmt.Sprintf("%s of %s", w.State, w.Invariant)
}

// Rate is how often a result came again.
type Rate struct {
	Met, Of int
	// NotReached of them never came to their strikes, and count as not met.
	NotReached int
}

// String is the rate with its interval.
func (r Rate) String() string {
	text := fmt.Sprintf("%d of %d", r.Met, r.Of)
	if r.Of > 0 {
		in := stats.Proportion(r.Met, r.Of)
		text += fmt.Sprintf(" (%.0f %%, 95 %% interval %.0f to %.0f %%)", 100*float64(r.Met)/float64(r.Of), 100*in.Low, 100*in.High)
	}
	if r.NotReached > 0 {
		text += fmt.Sprintf(", %d did not reach their strikes", r.NotReached)
	}
	return text
}

// Repetition is one carrying-out of a replay.
type Repetition struct {
	Dir     string
	Verdict check.Verdict
	Met     bool
	Outcome Outcome
}

// Replay repeats a recorded trial.
type Replay struct {
	Trial spec.Trial
	// Want is the recorded result.
	Want Want
	// Times is how often; 0 is once.
	Times int
	// Jobs is how many are carried out side by side; 0 is one. What depends on the
	// load of the machine may come more often then, or less.
	Jobs int
	// Dir is where each repetition gets a folder.
	Dir   string
	Carry Carry
	// Done is called after each, for one at a time, in the order in which they end;
	// nil is not called.
	Done func(n int, r Repetition)
}

// Recorded reads the trial of a folder and the result that its history has.
func Recorded(dir string) (spec.Trial, Want, error) {
	t, err := spec.Read(dir)
	if err != nil {
		return t, Want{}, err
	}
	s := Scenario(t)
	judged, err := report.Judge(dir, s.Known, s.Judges()...)
	if err != nil {
		return t, Want{}, fmt.Errorf("judge the recorded trial: %w", err)
	}
	return t, WantOf(judged.Verdict), nil
}

// Run repeats the trial. A repetition that could not be carried out ends it; one
// whose moment did not come is one that was not met.
func (r Replay) Run(ctx context.Context) (rate Rate, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(r.Jobs, 1))
	var mu sync.Mutex // of the rate, and of Done
	for n := 1; n <= max(r.Times, 1); n++ {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			rep, err := attempt(ctx, r.Carry, r.Trial, filepath.Join(r.Dir, fmt.Sprintf("replay-%03d", n)))
			if err != nil {
				return fmt.Errorf("repetition %d: %w", n, err)
			}
			rep.Met = r.Want.Met(rep.Verdict) && rep.Outcome.State == Struck
			mu.Lock()
			defer mu.Unlock()
			rate.count(rep)
			if r.Done != nil {
				r.Done(n, rep)
			}
			return nil
		})
	}
	err = g.Wait() // before the rate is read
	return rate, err
}

func (r *Rate) count(rep Repetition) {
	r.Of++
	if rep.Met {
		r.Met++
	}
	if rep.Outcome.State == NotReached {
		r.NotReached++
	}
}

// attempt carries a trial out. That its moment did not come is no error.
func attempt(ctx context.Context, carry Carry, t spec.Trial, dir string) (Repetition, error) {
	v, err := carry(ctx, t, dir)
	h, herr := history.ReadFile(report.HistoryPath(dir))
	switch {
	case err != nil && (herr != nil || ctx.Err() != nil || !missed(h)):
		return Repetition{}, err
	case herr != nil:
		return Repetition{}, herr
	}
	rep := Repetition{Dir: dir, Verdict: v, Outcome: Read(h, v, 0)}
	if len(t.Strikes) == 0 {
		rep.Outcome.State = Struck // by nothing, as planned
	}
	return rep, nil
}

// Line is a repetition in a line.
func (r Repetition) Line() string {
	v, _, _ := strings.Cut(r.Verdict.String(), "\n")
	if r.Outcome.State == NotReached {
		return string(NotReached)
	}
	return fmt.Sprintf("%s; recovery %v", v, r.Outcome.Recovery.Round(time.Millisecond))
}
