package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/explore"
	"github.com/killpoint/killpoint/internal/suggest"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
	"github.com/killpoint/killpoint/spec"
	"github.com/killpoint/killpoint/workload"
)

// exploreFlags are the settings of an exploration.
type exploreFlags struct {
	engine, out, seed, reconnect, bug, trial string
	targets, faults, sides, places           []string
	timed, resume, json                      bool
	sample, jobs                             int
}

// defaultJobs is more than there are cores: most of a trial is waiting.
const defaultJobs = 6

func newExploreCommand(a *app) *cobra.Command {
	f := &exploreFlags{}
	cmd := &cobra.Command{
		Use:   "explore",
		Short: "Strike at every crash point of a workload, one after the other",
		Long: `Carry a workload out once untouched, list every frame that crosses the wire
between engine and runtime and every breakpoint that is passed, and carry it out
again for each of them with a fault there.

The workload takes an actor through its life: made, woken, written to, asked by
HTTP, WebSocket and stream, put to sleep, woken again, destroyed. --trial names
a file with another one. What is done is kept in the folder as it is done, and
--resume goes on with it.

` + exitCodesHelp,
		Example: `  killpoint explore --targets engine --faults kill --places frames --jobs 12
  killpoint explore --sample 50 --seed 7 --out out/sample
  killpoint explore --resume --out out/sample
  killpoint explore --bug ack-before-commit --targets engine --faults kill --sample 30`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.engine, "engine", catalog.DefaultEngine, "the engine: a version, an image reference, the path of a binary")
	flags.StringVar(&f.out, "out", "", "the exploration's folder (default out/explore-TIME)")
	flags.StringVar(&f.seed, "seed", "", "what the sample is drawn from (default: a random one)")
	flags.StringVar(&f.reconnect, "reconnect", "fast", "the runtime's reconnect policy: rivet, fast, fast:DURATION")
	flags.StringVar(&f.bug, "bug", "", "a bug to plant in the fixture, to see whether it is found")
	flags.StringVar(&f.trial, "trial", "", "a file that describes the workload: the trial.json of a trial, without strikes")
	flags.StringSliceVar(&f.targets, "targets", []string{"engine", "runtime"}, "whom to strike")
	flags.StringSliceVar(&f.faults, "faults", []string{"kill", "stop", "pause"}, "what with: kill, stop[:GRACE], pause[:TIME]")
	flags.StringSliceVar(&f.sides, "sides", []string{"before", "after"}, "on which side of a frame's delivery")
	flags.StringSliceVar(&f.places, "places", []string{"frames", "breakpoints"}, "where: at frames, at breakpoints")
	flags.BoolVar(&f.timed, "timed", false, "strike also at what comes by time: pings, polls of the runtime's metadata")
	flags.BoolVar(&f.resume, "resume", false, "go on with the exploration of the folder, with its own settings")
	flags.BoolVar(&f.json, "json", false, "print the result for a program")
	flags.IntVar(&f.sample, "sample", 0, "strike only at so many of the points, drawn by chance (default all)")
	flags.IntVar(&f.jobs, "jobs", defaultJobs, "how many trials run side by side")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.explore(cmd.Context(), f) }
	return cmd
}

func (a *app) explore(ctx context.Context, f *exploreFlags) error {
	x, err := f.exploration(ctx)
	if err != nil {
		return err
	}
	bar := &exploreBar{app: a, w: a.err, terminal: a.isTerminal(a.err)}
	x.Progress = bar.show
	var r *explore.Report
	err = a.withTrials(ctx, x.Trial.Engine, x.Dir, func(carry explore.Carry) (err error) {
		x.Carry = carry
		r, err = x.Run(ctx)
		return err
	})
	bar.clear()
	if errors.Is(err, explore.ErrGolden) {
		_, _ = fmt.Fprintf(a.err, "killpoint: %v\n", err)
		return verdict(check.Fail)
	}
	if r == nil {
		return err
	}
	if perr := a.showExploration(r, f.json); perr != nil || err != nil {
		return errors.Join(err, perr)
	}
	return verdict(r.State())
}

// exploration reads the settings. Nothing is started yet.
func (f *exploreFlags) exploration(ctx context.Context) (explore.Exploration, error) {
	x := explore.Exploration{Dir: f.out, Resume: f.resume, Jobs: f.jobs, Judge: explore.Judge}
	if f.jobs < 1 {
		return x, usageErrorf("--jobs %d: at least one has to run", f.jobs)
	}
	if f.resume {
		return x, f.resumed(&x)
	}
	var err error
	if x.Trial, err = f.workload(); err != nil {
		return x, err
	}
	if x.Plan, err = f.plan(); err != nil {
		return x, &exitError{exitUsage, err}
	}
	if x.Dir == "" {
		x.Dir = filepath.Join("out", "explore-"+time.Now().Format("20060102-150405"))
	}
	if err := isNew(x.Dir); err != nil {
		return x, err
	}
	if err := errors.Join(x.Trial.Validate(), x.Plan.Validate()); err != nil {
		return x, &exitError{exitUsage, err}
	}
	return x, context.Cause(ctx)
}

func (f *exploreFlags) resumed(x *explore.Exploration) (err error) {
	if f.out == "" {
		return usageErrorf("--resume needs the folder of the exploration: --out DIR")
	}
	if x.Trial, x.Plan, err = explore.Begun(f.out); err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
}

// workload is the trial without strikes.
func (f *exploreFlags) workload() (spec.Trial, error) {
	if f.trial == "" {
		return spec.Trial{
			Name: "the golden workload", Engine: f.engine, Ops: workload.Golden(),
			Runtime: spec.Runtime{Reconnect: f.reconnect, Bug: f.bug},
		}, nil
	}
	b, err := os.ReadFile(f.trial)
	if err != nil {
		return spec.Trial{}, usageErrorf("--trial: %w", err)
	}
	t, err := spec.Parse(b)
	if err != nil {
		return t, usageErrorf("--trial %s: %w", f.trial, err)
	}
	t.Strikes = nil
	return t, nil
}

func (f *exploreFlags) plan() (explore.Plan, error) {
	p := explore.Plan{Timed: f.timed, Sample: f.sample, NoFrames: true, NoBreakpoints: true}
	for _, t := range f.targets {
		p.Targets = append(p.Targets, spec.Target(t))
	}
	for _, t := range f.faults {
		p.Faults = append(p.Faults, spec.Fault(t))
	}
	known := []string{string(moment.BeforeDelivery), string(moment.AfterDelivery)}
	for _, s := range f.sides {
		if s != known[0] && s != known[1] {
			return p, fmt.Errorf("--sides: %w", suggest.Unknown("side", s, known))
		}
		p.Sides = append(p.Sides, moment.Side(s))
	}
	for _, at := range f.places {
		switch at {
		case "frames":
			p.NoFrames = false
		case "breakpoints":
			p.NoBreakpoints = false
		default:
			return p, fmt.Errorf("--places: %w", suggest.Unknown("place", at, []string{"frames", "breakpoints"}))
		}
	}
	var err error
	p.Seed, err = runner.ParseSeed(f.seed)
	return p, err
}

// withTrials gives do what carries trials out, and removes everything after it.
func (a *app) withTrials(ctx context.Context, engine, dir string, do func(explore.Carry) error) (err error) {
	run, err := runner.New(dir, 0, nil) // for its session: the trials are not its own
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.Close(ctx)) }()
	session, err := run.Session(ctx)
	if err != nil {
		return environmentError(err)
	}
	_, _ = fmt.Fprintf(a.err, "session %s, in %s\n", session.ID(), run.Dir)
	// Before any trial, whose bounds know nothing of compilers.
	if err := errors.Join(run.Prepare(ctx, true, cmp.Or(engine, catalog.DefaultEngine)), run.PrepareTap(ctx)); err != nil {
		return err
	}
	cells := explore.NewCells(session)
	defer func() { err = errors.Join(err, cells.Close()) }()
	return do(explore.Runner{Session: session, Cells: cells, Name: run.ID}.Run)
}

// showExploration prints what matters of the report, and where all of it is.
func (a *app) showExploration(r *explore.Report, asJSON bool) error {
	if asJSON {
		b, err := json.MarshalIndent(r.Results, "", "  ")
		if err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
		_, err = fmt.Fprintf(a.out, "%s\n", b)
		return err
	}
	_, err := fmt.Fprint(a.out, r.Summary())
	for _, g := range r.Groups() {
		if err == nil {
			_, err = fmt.Fprintf(a.out, "%4d  %s\n", len(g.Results), g.Class)
		}
	}
	for _, res := range r.Bad() {
		if err == nil {
			_, err = fmt.Fprintf(a.out, "%s: %v: %s\n  killpoint shrink %s\n", a.colour(a.out, check.Fail, "fail"),
				res.Point.Strike, res.Outcome.Finding, quoted(filepath.Join(r.Dir, "points", res.Point.Slug())))
		}
	}
	if err == nil {
		_, err = fmt.Fprintf(a.out, "%s; all points in %s\n", r.State(), filepath.Join(r.Dir, "exploration.md"))
	}
	return err
}

// exploreBar shows how an exploration goes on: one line on a terminal, which is
// drawn anew; elsewhere a line for each tenth.
type exploreBar struct {
	app      *app
	w        io.Writer
	terminal bool
	said     int // tenths
	drawn    bool
}

func (b *exploreBar) show(p explore.Progress) {
	b.clear()
	if p.Doing != "" {
		_, _ = fmt.Fprintln(b.w, p.Doing)
		return
	}
	text := fmt.Sprintf("%d of %d points, %d kinds of outcome", p.Done, p.Total, p.Classes)
	for _, n := range []struct {
		n    int
		what string
	}{{p.Bad, "fail"}, {p.NotReached, "not reached"}, {p.Failed, "could not be carried out"}} {
		if n.n > 0 {
			text += fmt.Sprintf(", %d %s", n.n, n.what)
		}
	}
	text += fmt.Sprintf(", %.2f a second, %s", p.PointsPerSecond, leftText(p.Left))
	if b.terminal {
		_, _ = io.WriteString(b.w, text)
		b.drawn = true
	} else if tenth := 10 * p.Done / p.Total; tenth != b.said {
		b.said = tenth
		_, _ = fmt.Fprintln(b.w, text)
	}
}

func (b *exploreBar) clear() {
	if b.drawn {
		_, _ = io.WriteString(b.w, "\r\x1b[K")
		b.drawn = false
	}
}

func leftText(left time.Duration) string {
	switch {
	case left < 0:
		return "no estimate yet"
	case left == 0:
		return "all carried out"
	}
	return "about " + left.Round(time.Second).String() + " left"
}
