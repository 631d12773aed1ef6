// Package runner carries out the trials of a run: in one session, with a folder
// for each, those that proved nothing again. The tests of package tests and the
// command line both go by it, so that a scenario is the same thing in both.
package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
)

// Attempts bounds how often a trial is carried out that proved nothing.
const Attempts = 3

// closeBound bounds the removal of what is left of the session.
const closeBound = time.Minute

// Watcher sees how a run goes on. It is called from several goroutines at once
// and must not block.
type Watcher interface {
	// Step is told when a step of the trial begins or fails, and when the trial
	// is to be carried out again.
	Step(trial, text string)
	// Ended is told what became of a trial.
	Ended(report.Trial)
}

// Job is a scenario to carry out.
type Job struct {
	scenario.Scenario
	// Spec is stored beside each history, for whoever judges it again: it says,
	// in JSON, which scenario that was. nil stores nothing.
	Spec any
}

// Runner carries out trials in one session. Make one with [New]. It is safe for
// concurrent use.
type Runner struct {
	// Dir is the run's folder, ID its name, Seed that of trials without one of
	// their own.
	Dir, ID string
	Seed    uint64

	watch Watcher
	// open opens the session at its first call, so that what needs no Docker
	// runs without it.
	open func(context.Context) (*containers.Session, error)

	once   sync.Once
	opened *containers.Session
	err    error

	mu       sync.Mutex
	trials   []report.Trial
	sections []string
	carried  map[string]int // carryings-out, by the scenario's name
}

// New is a run in the folder dir, which need not exist yet.
func New(dir string, seed uint64, watch Watcher) (*Runner, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the run's folder %s: %w", dir, err)
	}
	return &Runner{
		Dir: abs, ID: filepath.Base(abs), Seed: seed, watch: watch, carried: map[string]int{},
		open: func(ctx context.Context) (*containers.Session, error) { return containers.Open(ctx) },
	}, nil
}

// Session is the run's. The first call opens it.
func (r *Runner) Session(ctx context.Context) (*containers.Session, error) {
	r.once.Do(func() { r.opened, r.err = r.open(ctx) })
	return r.opened, r.err
}

// Close removes what is left of the session, if there is one, also where the
// context has ended.
func (r *Runner) Close(ctx context.Context) error {
	r.once.Do(func() { r.err = errors.New("the run is over") })
	if r.opened == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeBound)
	defer cancel()
	return r.opened.Close(ctx)
}

// CarryOut carries out the job and adds its trial to the run. One that is
// inconclusive is carried out again, [Attempts] times in all, and the trial says
// why; one that fails never is. The error is the harness's own.
func (r *Runner) CarryOut(ctx context.Context, j Job) (report.Trial, error) {
	var missed []report.Attempt
	for {
		trial, err := r.Once(ctx, j, missed)
		if err == nil && trial.Verdict.State == check.Inconclusive && len(missed) < Attempts-1 && ctx.Err() == nil {
			missed = append(missed, report.Attempt{Dir: trial.Dir, Verdict: trial.Verdict})
			r.watch.Step(j.Name, fmt.Sprintf("proved nothing, again: %v", trial.Verdict))
			continue
		}
		r.Add(trial)
		return trial, err
	}
}

// Once carries out the job once, after those that proved nothing, and leaves it
// to the caller to add its trial.
func (r *Runner) Once(ctx context.Context, j Job, missed []report.Attempt) (report.Trial, error) {
	session, err := r.Session(ctx)
	if err != nil {
		return report.Unjudged(j.Name, "", err), err
	}
	s := j.Scenario
	if s.Seed == 0 {
		s.Seed = r.Seed
	}
	dir := r.trialDir(s)
	if j.Spec != nil {
		// Before the trial: one that is killed can be judged as well.
		if err := r.writeSpec(dir, s, missed, j.Spec); err != nil {
			return report.Unjudged(s.Name, dir, err), err
		}
	}
	trial, err := s.Run(ctx, session, r.ID, dir, r.steps(s.Name))
	trial.Repeats = missed
	return trial, err
}

// All carries out the jobs, so many at a time, and returns the harness's own
// errors, but for those that a trial's verdict shows. Jobs that are not begun when
// the context ends are left out.
func (r *Runner) All(ctx context.Context, jobs []Job, atATime int) error {
	var mu sync.Mutex
	var errs []error
	var g errgroup.Group
	g.SetLimit(max(atATime, 1))
	for _, j := range jobs {
		g.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			if trial, err := r.CarryOut(ctx, j); err != nil && Fine(trial) {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s could not be carried out: %w", j.Name, err))
			}
			return nil
		})
	}
	_ = g.Wait() // each keeps its own
	return errors.Join(errs...)
}

// Add adds a trial that was carried out.
func (r *Runner) Add(t report.Trial) {
	r.mu.Lock()
	r.trials = append(r.trials, t)
	r.mu.Unlock()
	r.watch.Ended(t)
}

// Section adds Markdown to the end of the summary.
func (r *Runner) Section(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sections = append(r.sections, text)
}

// Report is the run so far, its trials in the order of their names.
func (r *Runner) Report() report.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	trials := slices.Clone(r.trials)
	slices.SortStableFunc(trials, func(a, b report.Trial) int { return strings.Compare(a.Name, b.Name) })
	return report.Run{Dir: r.Dir, Trials: trials, Sections: slices.Clone(r.sections)}
}

// trialDir is a folder of its own for each carrying-out.
func (r *Runner) trialDir(s scenario.Scenario) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.carried[s.Name]++
	dir := filepath.Join(r.Dir, s.Slug())
	if n := r.carried[s.Name]; n > 1 {
		dir += fmt.Sprintf("-%d", n)
	}
	return dir
}

// steps tells the watcher the steps of a trial as they begin, and what went
// wrong.
func (r *Runner) steps(name string) scenario.Observe {
	var steps []string
	return func(e history.Event) {
		switch b := e.Body.(type) {
		case *history.Plan:
			steps = b.Steps
		case *history.Step:
			switch b.State {
			case history.StepBegun:
				r.watch.Step(name, steps[b.N-1])
			case history.StepFailed:
				first, _, _ := strings.Cut(b.Error, "\n")
				r.watch.Step(name, "FAILED: "+first)
			}
		}
	}
}

// Fine is whether the trial passed, or met nothing but known bugs.
func Fine(t report.Trial) bool {
	return t.Verdict.State == check.Pass || t.Verdict.State == check.Known
}
