package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/compare"
	"github.com/killpoint/killpoint/internal/suggest"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// compareFlags are what a comparison leaves to choose.
type compareFlags struct {
	*sweepFlags
	on          *choice
	margin      string
	least       time.Duration
	failIfWorse bool
	busy        bool
}

func newCompareCommand(a *app) *cobra.Command {
	f := &compareFlags{}
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Say whether B is worse than A: engines, settings, or stored runs",
		Long: `Say whether B is worse than A, by the outage of an idle engine's restart and by
the verdicts. A and B are engines, settings of a sweep (as NAME=VALUE, several
separated by commas), or folders of stored runs; what they do not say the flags
do. Trials of both are carried out beside each other, until it is decided which
is worse, or --trials of each are done. It calls a side worse that is not in at
most one of 20 comparisons, however soon it stops.

Without --fail-if-worse a comparison that could be made ends with 0. With it the
exit code is 1 where B is worse, and 2 where the trials do not tell.

` + exitCodesHelp,
		Example: `  killpoint compare 2.3.5 2.3.19
  killpoint compare reconnect=rivet reconnect=fast
  killpoint compare engine=2.3.19 engine=./rivet-engine,drain-grace=1s --fault kill
  killpoint compare out/before out/after --fail-if-worse --margin 5%`,
		Args: needs(2, 2, "two sides"),
	}
	f.sweepFlags = addSweepFlags(cmd)
	flags := cmd.Flags()
	flags.Lookup("trials").Usage = "how many restarts of each side at most"
	flags.Lookup("trials").DefValue, f.trials = "30", 30
	f.on = choiceFlag(cmd, "on", "the time that decides", words(compare.Measures)...)
	flags.StringVar(&f.margin, "margin", "10%", "what B may be longer by and still be called the same")
	flags.DurationVar(&f.least, "least", 50*time.Millisecond, "what it always may")
	flags.BoolVar(&f.busy, "busy", false, "count trials on a busy host, too: both sides share it, but it takes more trials to tell them apart")
	flags.BoolVar(&f.failIfWorse, "fail-if-worse", false, "end with 1 where B is worse, with 2 where the trials do not tell")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.compare(cmd.Context(), f, args[0], args[1]) }
	return cmd
}

func words[T ~string](list []T) []string {
	var out []string
	for _, w := range list {
		out = append(out, string(w))
	}
	return out
}

func (f *compareFlags) rule() (compare.Rule, error) {
	text, isPercent := strings.CutSuffix(f.margin, "%")
	margin, err := strconv.ParseFloat(text, 64)
	if isPercent {
		margin /= 100
	}
	if err != nil || !(margin >= 0 && margin <= 10) {
		return compare.Rule{}, usageErrorf("--margin %s: it is a share of the time, as in 10%%", f.margin)
	}
	if f.least < 0 {
		return compare.Rule{}, usageErrorf("--least %v: it is no less than 0", f.least)
	}
	return compare.Rule{On: compare.Measure(f.on.value), Margin: margin, Least: f.least, Trials: f.trials, Busy: f.busy}, nil
}

// compare reads both sides, and carries out those that are not stored.
func (a *app) compare(ctx context.Context, f *compareFlags, textA, textB string) error {
	rule, err := f.rule()
	if err != nil {
		return err
	}
	if f.shard != "" {
		return usageErrorf("--shard: a comparison stops when it is decided, which a part of it cannot know")
	}
	base, err := f.sweep()
	if err != nil {
		return err
	}
	if base.Engine, err = oneEngine(f.engines); err != nil {
		return err
	}
	storedA, storedB := isFolder(textA), isFolder(textB)
	if storedA && storedB {
		return a.compareStored(rule, f, textA, textB)
	}
	if storedA || storedB {
		return usageErrorf("compare two stored runs, or two sides that are carried out: those of one side only would be of another hour, and another load of the host")
	}
	var sides [2]catalog.Sweep
	for i, text := range []string{textA, textB} {
		if sides[i], err = sideOf(base, text); err != nil {
			return err
		}
	}
	if sides[0].Name() == sides[1].Name() && sides[0].DrainGrace == sides[1].DrainGrace && sides[0].RuntimeImage == sides[1].RuntimeImage {
		return usageErrorf("%s and %s are the same", textA, textB)
	}
	return a.race(ctx, rule, f, [2]string{textA, textB}, sides)
}

func oneEngine(text string) (string, error) {
	engines, err := runner.ParseEngines(text)
	if err != nil {
		return "", &exitError{exitUsage, err}
	}
	if len(engines) != 1 {
		return "", usageErrorf("--engines %s: a comparison is on one; or name one as each side", text)
	}
	return engines[0], nil
}

// isFolder is whether a side is a stored run: a folder that holds a history. The
// binary of an engine is no folder.
func isFolder(text string) bool {
	info, err := os.Stat(text)
	return err == nil && info.IsDir()
}

// sideSettings are those that a side may name, with how each is read.
var sideSettings = map[string]func(*catalog.Sweep, string) error{
	"engine":        func(s *catalog.Sweep, v string) (err error) { s.Engine, err = oneEngine(v); return err },
	"fault":         func(s *catalog.Sweep, v string) error { s.Fault = v; return nil },
	"reconnect":     func(s *catalog.Sweep, v string) error { s.Reconnect = v; return nil },
	"drain-grace":   func(s *catalog.Sweep, v string) error { return s.DrainGrace.UnmarshalText([]byte(v)) },
	"timeout":       func(s *catalog.Sweep, v string) error { return s.Timeout.UnmarshalText([]byte(v)) },
	"runtime-image": func(s *catalog.Sweep, v string) error { s.RuntimeImage = v; return nil },
}

// sideOf is the sweep with what the text names: an engine, or settings.
func sideOf(base catalog.Sweep, text string) (catalog.Sweep, error) {
	if !strings.Contains(text, "=") {
		text = "engine=" + text
	}
	for one := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(one, "=")
		set, ok := sideSettings[name]
		if !ok {
			var names []string
			for n := range sideSettings {
				names = append(names, n)
			}
			slices.Sort(names)
			return base, usageErrorf("%q names no setting of a side; those are %s%s", one, strings.Join(names, ", "), suggest.Hint(name, names))
		}
		if err := set(&base, value); err != nil {
			return base, usageErrorf("%s: %w", one, err)
		}
	}
	if err := validSweep(base); err != nil {
		return base, usageErrorf("%s: %w", text, err)
	}
	return base, nil
}

// compareStored sets the scenarios that two stored runs have in common beside
// each other. Of several the worst decides.
func (a *app) compareStored(rule compare.Rule, f *compareFlags, dirA, dirB string) error {
	runA, err := compare.Stored(dirA)
	if err != nil {
		return usageErrorf("%w", err)
	}
	runB, err := compare.Stored(dirB)
	if err != nil {
		return usageErrorf("%w", err)
	}
	pairs, err := compare.Pairs(runA, runB)
	if err != nil {
		return usageErrorf("%w", err)
	}
	var results []compare.Result
	for _, p := range pairs {
		if len(pairs) > 1 {
			p.A.Name, p.B.Name = p.A.Name+" "+p.Scenario, p.B.Name+" "+p.Scenario
		}
		results = append(results, rule.Compare(p.A, p.B))
	}
	for _, r := range results {
		if err := show(a.out, r, f.json); err != nil {
			return err
		}
	}
	return f.end(results...)
}

func show(w io.Writer, r compare.Result, asJSON bool) error {
	if asJSON {
		return r.JSON(w)
	}
	return r.Markdown(w)
}

// end is the exit code, as an error.
func (f *compareFlags) end(results ...compare.Result) error {
	state := check.Pass
	for _, r := range results {
		switch r.Decision {
		case compare.Worse:
			state = check.Fail
		case compare.Undecided:
			state = check.Worse(state, check.Inconclusive)
		}
	}
	if !f.failIfWorse {
		return nil
	}
	return verdict(state)
}

// race is a comparison under way: a run in a folder of its own for each side.
type race struct {
	app   *app
	flags *compareFlags
	runs  [2]*runner.Runner
	sides [2]catalog.Sweep
	done  int
}

// sideDirs are the folders of the sides, in that of the comparison.
var sideDirs = [2]string{"a", "b"}

func (a *app) race(ctx context.Context, rule compare.Rule, f *compareFlags, names [2]string, sides [2]catalog.Sweep) error {
	t, err := a.newTrials(f.trialFlags)
	if err != nil {
		return err
	}
	r := &race{app: a, flags: f, sides: sides}
	for i := range r.runs {
		if r.runs[i], err = runner.New(filepath.Join(t.Dir, sideDirs[i]), t.Seed, t.bar); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(a.err, "seed %d, at most %s a side, in %s\n", t.Seed, count(f.trials, "trial"), t.Dir)
	for i, run := range r.runs {
		if _, err = run.Session(ctx); err != nil {
			return errors.Join(environmentError(err), r.close(ctx))
		}
		if err = run.Prepare(ctx, sides[i].RuntimeImage == "", sides[i].Engine); err != nil {
			return errors.Join(err, r.close(ctx))
		}
	}
	result, err := rule.Sequence(ctx, compare.Side{Name: names[0]}, compare.Side{Name: names[1]}, max(f.cells/2, 1), r.carryOut)
	t.bar.done()
	if ctx.Err() != nil {
		err = nil // each trial under way says so, too
	}
	err = errors.Join(err, r.close(ctx), r.write(t.Dir, result), show(a.out, result, f.json))
	_, _ = fmt.Fprintf(a.err, "the sides are in %s and %s\n", r.runs[0].Dir, r.runs[1].Dir)
	switch {
	case ctx.Err() != nil:
		return errors.Join(errors.New("interrupted"), err)
	case err != nil:
		return err
	}
	return f.end(result)
}

func (r *race) close(ctx context.Context) error {
	return errors.Join(r.runs[0].Close(ctx), r.runs[1].Close(ctx))
}

// carryOut has the trials of both sides in pairs, which share a seed.
func (r *race) carryOut(ctx context.Context, more int) (a, b []compare.Trial, err error) {
	var trials [2][]compare.Trial
	var g errgroup.Group
	for i, run := range r.runs {
		trials[i] = make([]compare.Trial, more)
		for n := range more {
			g.Go(func() (err error) {
				trials[i][n], err = carryOutOne(ctx, run, r.sides[i], r.done+n+1)
				return err
			})
		}
	}
	err = g.Wait()
	r.done += more
	if ctx.Err() != nil {
		// What was interrupted says nothing of a side.
		return nil, nil, errors.Join(err, ctx.Err())
	}
	return trials[0], trials[1], err
}

func carryOutOne(ctx context.Context, run *runner.Runner, side catalog.Sweep, n int) (compare.Trial, error) {
	side.Trial = n
	job, err := sweepJob(side, run.Seed+uint64(n-1), asFlags(side))
	if err != nil {
		return compare.Trial{}, err
	}
	trial, err := run.CarryOut(ctx, job)
	if err != nil {
		return compare.Trial{}, fmt.Errorf("%s could not be carried out: %w", job.Name, err)
	}
	return compare.Read(report.HistoryPath(trial.Dir), trial.Verdict.State)
}

// write leaves the comparison in its folder, and the report of each side in its
// own.
func (r *race) write(dir string, result compare.Result) error {
	var errs []error
	for _, run := range r.runs {
		errs = append(errs, run.Report().Write())
	}
	for name, asJSON := range map[string]bool{"compare.md": false, "compare.json": true} {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			err = errors.Join(show(f, result, asJSON), f.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write the comparison: %w", err))
		}
	}
	return errors.Join(errs...)
}
