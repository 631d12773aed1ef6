package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
	"github.com/killpoint/killpoint/window"
)

// refineFlags are those of a sweep that chooses its delays.
type refineFlags struct {
	width  time.Duration
	budget int
	busy   bool
}

const defaultBudget = 60

func addRefineFlags(cmd *cobra.Command) *refineFlags {
	f := &refineFlags{}
	cmd.Flags().DurationVar(&f.width, "refine", 0, "look for the edges of the unsafe and the safe range until each is known to within so much")
	cmd.Flags().IntVar(&f.budget, "budget", defaultBudget, "with --refine: how many restarts at most")
	cmd.Flags().BoolVar(&f.busy, "busy", false, "with --refine: learn from trials on a busy host, too")
	return f
}

func (f *refineFlags) valid(s *sweepFlags) error {
	switch {
	case f.width < 0:
		return usageErrorf("--refine %v: a width is above zero", f.width)
	case f.width == 0 && f.busy:
		return usageErrorf("--busy is for --refine: a sweep shows all its trials, and says which were on a busy host")
	case f.width == 0 && f.budget != defaultBudget:
		return usageErrorf("--budget %d is for --refine; --trials says how many restarts there are otherwise", f.budget)
	case f.width == 0:
		return nil
	case f.budget < 1:
		return usageErrorf("--budget %d: at least one restart", f.budget)
	case s.trials != 1 || s.repeats != 1:
		return usageErrorf("--refine chooses how often it asks: --trials and --repeats are not for it, --budget is")
	case s.shard != "":
		return usageErrorf("--refine with --shard: what is asked next follows from all that came before, which a shard does not know")
	}
	return nil
}

// refine searches for the edges on each engine, and reports as every run does.
func (t *trials) refine(ctx context.Context, f *refineFlags, sweep catalog.Sweep) error {
	if err := t.store(nil, nil); err != nil {
		return err
	}
	session, err := t.Session(ctx)
	if err != nil {
		return errors.Join(environmentError(err), t.removeEmpty())
	}
	_, _ = fmt.Fprintf(t.app.err, "session %s, seed %d, at most %s of each engine, in %s\n", session.ID(), t.Seed, count(f.budget, "restart"), t.Dir)
	err = t.Prepare(ctx, t.flags.runtime == "", t.engines...)
	for _, engine := range t.engines {
		if err != nil {
			break
		}
		sweep.Engine, sweep.Trial = engine, 0
		err = t.search(ctx, f, sweep)
	}
	return t.conclude(ctx, errors.Join(err, t.Close(ctx)), nil)
}

// search carries a search out, as many trials at a time as there are cells.
func (t *trials) search(ctx context.Context, f *refineFlags, sweep catalog.Sweep) error {
	s := &window.Search{Width: f.width, Budget: f.budget, Seed: t.Seed}
	for _, d := range sweep.Delays {
		s.Grid = append(s.Grid, time.Duration(d))
	}
	busy := 0
	for ctx.Err() == nil {
		jobs, err := t.proposed(s, sweep)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			break
		}
		if err := t.All(ctx, jobs, len(jobs)); err != nil {
			return err
		}
		busy += t.learn(s, jobs, f.busy)
		t.bar.Step(sweep.Name(), found(s, busy, f.busy))
	}
	text := sweep.Name() + ": " + found(s, busy, f.busy)
	t.Section("## Edges\n\n" + text + ".\n")
	_, err := fmt.Fprintln(t.app.err, text)
	return err
}

// proposed are the jobs of the next trials.
func (t *trials) proposed(s *window.Search, sweep catalog.Sweep) ([]runner.Job, error) {
	var jobs []runner.Job
	for range t.flags.cells {
		delays := s.Next()
		if delays == nil {
			break
		}
		sweep.Trial, sweep.Delays = s.Trials(), nil
		for _, d := range delays {
			sweep.Delays = append(sweep.Delays, catalog.Duration(d))
		}
		job, err := sweepJob(sweep, t.Seed+uint64(s.Trials()-1), asFlags(sweep))
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// learn adds what the trials of the jobs have shown, in the order in which they
// were proposed, and counts those on a busy host.
func (t *trials) learn(s *window.Search, jobs []runner.Job, fromBusy bool) (busy int) {
	trials := t.Report().Trials
	for _, j := range jobs {
		for _, trial := range slices.Backward(trials) {
			if trial.Name != j.Name || trial.Outage == nil {
				continue
			}
			o := *trial.Outage
			if o.Noise.TooNoisy() {
				busy++
				if fromBusy {
					o.Noise = window.Noise{}
				}
			}
			s.Add(&o)
			break
		}
	}
	return busy
}

// found is what a search knows by now.
func found(s *window.Search, busy int, fromBusy bool) string {
	text := "after " + count(s.Trials(), "restart")
	switch {
	case busy > 0 && fromBusy:
		text += fmt.Sprintf(", %d of them on a busy host,", busy)
	case busy > 0:
		text += fmt.Sprintf(", of which %d on a busy host do not count,", busy)
	}
	return text + " " + edgesText(s.Edges())
}

// edgesText says where the edges are.
func edgesText(e window.Edges) string {
	return fmt.Sprintf("%.0f %% are answered from %s on, %.0f %% from %s on",
		100*e.Unsafe.Level, edgeText(e.Unsafe), 100*e.Safe.Level, edgeText(e.Safe))
}

func edgeText(e window.Edge) string {
	text := func(d time.Duration) string {
		if d < 0 {
			return "later than was asked"
		}
		return d.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%s (95 %%: %s to %s)", text(e.At), text(e.Low), text(e.High))
}
