package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// trialFlags are the settings of every command that carries out trials.
type trialFlags struct {
	engines string
	out     string
	seed    string
	cells   int
	shard   string
	runtime string
	json    bool
	verbose bool
}

// defaultCells run side by side: their trials mostly wait.
const defaultCells = 5

func addTrialFlags(cmd *cobra.Command) *trialFlags {
	f := &trialFlags{}
	flags := cmd.Flags()
	flags.StringVar(&f.engines, "engines", catalog.DefaultEngine, "engines under test, separated by commas: versions, image references, paths of binaries")
	flags.StringVar(&f.out, "out", "", "a new folder for the run (default out/TIME)")
	flags.StringVar(&f.seed, "seed", "", "what chance is drawn from: which actor is asked when, how trials are dealt to shards (default: a random one)")
	flags.IntVar(&f.cells, "cells", defaultCells, "how many cells run side by side")
	flags.StringVar(&f.shard, "shard", "", "a part of the trials: 2/4, or auto/4 with the index of a Kubernetes Indexed Job, GitLab, CircleCI or Buildkite")
	flags.StringVar(&f.runtime, "runtime-image", "", "image of a runtime in place of the fixture; what needs the fixture is skipped")
	flags.BoolVar(&f.json, "json", false, "print the result for a program")
	flags.BoolVar(&f.verbose, "verbose", false, "print the table of every trial, not only of those that did not pass")
	return f
}

// trials is a run under way.
type trials struct {
	*runner.Runner
	app     *app
	flags   *trialFlags
	engines []string
	shard   runner.Shard
	bar     *progress
	began   time.Time
	// print prints a command's own tables when its trials are over; nil: none.
	print func()
	// skipped are trials that cannot be carried out, each with the reason.
	skipped []skipped
}

type skipped struct{ trial, why string }

// skip leaves a trial out, and says so.
func (t *trials) skip(trial, why string) {
	_, _ = fmt.Fprintf(t.app.err, "skipped: %s: %s\n", trial, why)
	t.skipped = append(t.skipped, skipped{trial, why})
}

// skippedTable is for the summary.
func (t *trials) skippedTable() string {
	var b strings.Builder
	b.WriteString("## Skipped\n\n| trial | why |\n|---|---|\n")
	for _, s := range t.skipped {
		fmt.Fprintf(&b, "| %s | %s |\n", s.trial, strings.ReplaceAll(s.why, "|", "\\|"))
	}
	return b.String()
}

// newTrials reads the settings and makes the run's folder. Nothing is started
// yet, so that a slip costs nothing.
func (a *app) newTrials(f *trialFlags) (*trials, error) {
	t := &trials{app: a, flags: f, began: time.Now()}
	var err error
	if t.engines, err = runner.ParseEngines(f.engines); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	if t.shard, err = runner.ParseShard(f.shard, a.lookup); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	if t.shard.Of > 0 && f.seed == "" {
		return nil, usageErrorf("--shard %s needs a --seed: shards of one run are cut by the same", f.shard)
	}
	if f.cells < 1 {
		return nil, usageErrorf("--cells %d: at least one cell has to run", f.cells)
	}
	seed, err := runner.ParseSeed(f.seed)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	out := f.out
	if out == "" {
		out = filepath.Join("out", t.began.Format("20060102-150405"))
	}
	if err := isNew(out); err != nil {
		return nil, err
	}
	t.bar = newProgress(a, t.began)
	if t.Runner, err = runner.New(out, seed, t.bar); err != nil {
		return nil, err
	}
	if f.seed == "" {
		a.settings.Set("seed", strconv.FormatUint(seed, 10), "drawn by chance")
	}
	return t, nil
}

// isNew: a run's folder holds nothing of another.
func isNew(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return usageErrorf("the run's folder: %w", err)
	case len(entries) > 0:
		return usageErrorf("the folder %s is not empty: give each run a new one (--out)", dir)
	}
	return nil
}

// noticeAfter is for how long nothing is said of images in the making.
const noticeAfter = 5 * time.Second

// carryOut carries out the jobs of this shard, batch after batch, writes the
// report, prints it, and returns the verdict as an error.
func (t *trials) carryOut(ctx context.Context, batches ...[]runner.Job) error {
	all, mine := t.cut(batches)
	if len(all) == 0 {
		return usageErrorf("nothing is left to carry out: all that was named is skipped")
	}
	if err := t.store(all, mine); err != nil {
		return err
	}
	if len(names(mine)) == 0 {
		_, _ = fmt.Fprintf(t.app.err, "shard %v of %s has nothing to carry out\n", t.shard, count(len(all), "trial"))
		return nil
	}
	notice := time.AfterFunc(noticeAfter, func() {
		_, _ = fmt.Fprintln(t.app.err, "building what goes into the containers, and fetching engines: the first time that takes a few minutes")
	})
	defer notice.Stop()
	session, err := t.Session(ctx)
	if err != nil {
		return errors.Join(environmentError(err), t.removeEmpty())
	}
	_, _ = fmt.Fprintf(t.app.err, "session %s, seed %d, %s in %s\n", session.ID(), t.Seed, count(len(names(mine)), "trial"), t.Dir)
	err = t.Prepare(ctx, t.flags.runtime == "", t.engines...)
	notice.Stop()
	t.bar.expect(len(names(mine)), t.flags.cells)
	if err == nil {
		for _, jobs := range mine {
			err = errors.Join(err, t.All(ctx, jobs, t.flags.cells))
		}
	}
	t.bar.done()
	return t.conclude(ctx, errors.Join(err, t.Close(ctx)), names(mine))
}

// cut are all jobs in one list, and the batches of this shard.
func (t *trials) cut(batches [][]runner.Job) (all []runner.Job, mine [][]runner.Job) {
	for _, b := range batches {
		all = append(all, b...)
	}
	chosen := map[string]bool{}
	for _, j := range t.shard.Cut(all, t.Seed) {
		chosen[j.Name] = true
	}
	for _, b := range batches {
		var jobs []runner.Job
		for _, j := range b {
			if chosen[j.Name] {
				jobs = append(jobs, j)
			}
		}
		mine = append(mine, jobs)
	}
	return all, mine
}

func names(batches [][]runner.Job) []string {
	list := []string{}
	for _, b := range batches {
		for _, j := range b {
			list = append(list, j.Name)
		}
	}
	return list
}

// settingsFile holds the settings of a run, in its folder.
const settingsFile = "settings.json"

// store notes what the run is to do, and with which settings.
func (t *trials) store(all []runner.Job, mine [][]runner.Job) error {
	var whole []string
	if t.shard.Of > 0 {
		whole = names([][]runner.Job{all})
	}
	if err := t.WritePlan(t.shard.String(), names(mine), whole); err != nil {
		return err
	}
	b, err := json.MarshalIndent(t.app.settings, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(t.Dir, settingsFile), append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("store the settings of the run: %w", err)
	}
	return nil
}

// removeEmpty takes away the folder of a run that could not begin.
func (t *trials) removeEmpty() error {
	return errors.Join(
		os.Remove(filepath.Join(t.Dir, settingsFile)),
		os.Remove(filepath.Join(t.Dir, runner.PlanFile)),
		os.Remove(t.Dir),
	)
}

// conclude writes and prints the report. err is the harness's own; a trial's
// verdict shows it too, unless its history was no more to be written.
func (t *trials) conclude(ctx context.Context, err error, planned []string) error {
	if t.print != nil {
		t.print()
	}
	if len(t.skipped) > 0 {
		t.Section(t.skippedTable())
	}
	for _, table := range catalog.Tables(t.Report().Trials, t.engines) {
		t.Section(table)
	}
	result := t.app.finish(t.Report(), planned, t.flags.json, t.flags.verbose)
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted"), err)
	}
	var decided *verdictError
	if !errors.As(result, &decided) {
		return errors.Join(err, result)
	}
	// The verdict decides how this ends; what the harness met is told besides.
	if err != nil {
		_, _ = fmt.Fprintf(t.app.err, "killpoint: %v\n", err)
	}
	return result
}

// missing are the planned trials that the run has not.
func missing(run report.Run, planned []string) []string {
	carried := map[string]bool{}
	for _, t := range run.Trials {
		carried[t.Name] = true
	}
	var list []string
	for _, name := range planned {
		if !carried[name] {
			list = append(list, name)
		}
	}
	return list
}

// show prints a run whose report is written.
func (a *app) show(run report.Run, asJSON, verbose bool) error {
	if asJSON {
		b, err := os.ReadFile(filepath.Join(run.Dir, "result.json"))
		if err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
		_, err = a.out.Write(b)
		return err
	}
	for _, t := range run.Trials {
		if !verbose && runner.Fine(t) {
			continue
		}
		if err := t.Text(a.out); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(a.out)
	}
	a.table(run)
	_, err := fmt.Fprintf(a.out, "%s; report in %s\n", a.tally(run.Trials), filepath.Join(run.Dir, "report.html"))
	return err
}
