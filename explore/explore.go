package explore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/spec"
)

// Carry carries a trial out in a folder and judges its history. An error says
// that not all of it could be carried out; where a history was written, that says
// how far it came.
type Carry func(ctx context.Context, t spec.Trial, dir string) (check.Verdict, error)

// Exploration carries a workload out once untouched, and once more for each point
// of the plan.
type Exploration struct {
	// Dir is its folder. It must hold no exploration, unless Resume goes on with
	// that.
	Dir    string
	Resume bool
	// Trial is the workload, without strikes.
	Trial spec.Trial
	Plan  Plan
	// Jobs is how many trials run side by side; 0 is 4. They mostly wait.
	Jobs  int
	Carry Carry
	// Judge judges what was done before when an exploration is resumed, so that all
	// of its points are judged alike; nil leaves them as they were judged then.
	Judge func(spec.Trial, *history.History) check.Verdict
	// Progress is called, one call at a time, whenever something is done; nil is
	// not called.
	Progress func(Progress)
}

// Progress is how far an exploration is.
type Progress struct {
	// Doing says what is done before the points: "" while they are.
	Doing           string
	Done, Total     int
	Bad, NotReached int
	Failed, Classes int
	Elapsed, Left   time.Duration // Left is -1 where it cannot be told yet
	Last            *Result
	PointsPerSecond float64
}

const defaultJobs = 4

// mostFailures in a row end an exploration: whatever is wrong is no trial's.
const mostFailures = 3

// Errors of explorations.
var (
	// ErrGolden says that the untouched run is not well, so that nothing can be
	// concluded from any other.
	ErrGolden = errors.New("the golden run, which nothing strikes, is not well")
	// ErrExists says that the folder holds an exploration.
	ErrExists = errors.New("the folder holds an exploration already: resume it, or name another folder")
)

// Run explores. What is done when the context ends, or the harness fails, is
// kept in the folder and reported, together with the error.
func (x Exploration) Run(ctx context.Context) (*Report, error) {
	x.Plan = x.Plan.WithDefaults()
	if err := errors.Join(x.Plan.Validate(), x.Trial.Validate()); err != nil {
		return nil, err
	}
	if len(x.Trial.Strikes) > 0 {
		return nil, errors.New("the workload of an exploration has strikes of its own: want none")
	}
	if x.Jobs <= 0 {
		x.Jobs = defaultJobs
	}
	st, err := x.open()
	if err != nil {
		return nil, err
	}
	r := &Report{Trial: x.Trial, Plan: x.Plan, Dir: x.Dir}
	if err := x.places(ctx, st, r); err != nil {
		return nil, err
	}
	if r.Results, err = st.done(r.Points); err != nil {
		return nil, err
	}
	if err := x.again(st, r); err != nil {
		return nil, err
	}
	w := &work{Exploration: x, store: st, report: r, begun: time.Now(), before: len(r.Results)}
	err = w.all(ctx)
	r.Wall, r.Carried = time.Since(w.begun), len(r.Results)-w.before
	r.sort()
	return r, errors.Join(err, st.write(r))
}

// places finds the points: it runs the workload untouched, unless that was done.
func (x Exploration) places(ctx context.Context, st *store, r *Report) error {
	golden, err := x.untouched(ctx, st, goldenDir, x.Trial, r)
	if err != nil {
		return err
	}
	r.Golden, r.Generations = golden, generationsOf(golden)
	var listing *history.History
	if !x.Plan.NoBreakpoints && x.Trial.Runtime.Image == "" {
		if listing, err = x.untouched(ctx, st, listingDir, withBreakpoints(x.Trial), nil); err != nil {
			return err
		}
	}
	r.Points = x.Plan.Points(golden, listing)
	if len(r.Points) == 0 {
		return errors.New("the golden run passed no point of the plan: is there a tap in its cell?")
	}
	return nil
}

// untouched is the history of a run without strikes. Its verdict, where it is to
// be judged, must be a pass.
func (x Exploration) untouched(ctx context.Context, st *store, name string, t spec.Trial, judged *Report) (*history.History, error) {
	dir := st.path(name)
	if h, err := history.ReadFile(report.HistoryPath(dir)); err == nil && h.Complete() && x.sound(t, h, judged) {
		return h, nil
	}
	x.say(Progress{Doing: "run the workload untouched (" + name + ")", Left: -1})
	if err := st.remove(dir); err != nil {
		return nil, err
	}
	t.Name = name
	v, err := x.Carry(ctx, t, dir)
	if err != nil {
		return nil, fmt.Errorf("run the workload untouched: %w", err)
	}
	if judged != nil && v.State != check.Pass {
		return nil, fmt.Errorf("%w: %v; its history: %s", ErrGolden, v, report.HistoryPath(dir))
	}
	h, err := history.ReadFile(report.HistoryPath(dir))
	if err != nil {
		return nil, fmt.Errorf("read the untouched run: %w", err)
	}
	return h, nil
}

// sound: an untouched run of before may be gone on from. One that did not pass is
// carried out again, as every verdict on the points is measured by it.
func (x Exploration) sound(t spec.Trial, h *history.History, judged *Report) bool {
	return judged == nil || x.Judge == nil || x.Judge(t, h).State == check.Pass
}

func (x Exploration) say(p Progress) {
	if x.Progress != nil {
		x.Progress(p)
	}
}

// withBreakpoints arms every breakpoint of the fixture, each for an instant, so
// that the history tells which of them the workload passes.
func withBreakpoints(t spec.Trial) spec.Trial {
	armed := make([]string, len(scenario.Places))
	for i, p := range scenario.Places {
		armed[i] = string(p) + ":1ms"
	}
	env := map[string]string{"KILLPOINT_FIXTURE_ARM": strings.Join(armed, ",")}
	for k, v := range t.Runtime.Env {
		env[k] = v
	}
	t.Runtime.Env = env
	return t
}

// work is an exploration at its points.
type work struct {
	Exploration
	store  *store
	begun  time.Time
	before int // results that were there

	mu      sync.Mutex
	report  *Report
	failing int // in a row
}

// all carries out the points that have no result, some at a time.
func (w *work) all(ctx context.Context) error {
	todo := make(chan Point)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(todo)
		for _, p := range w.report.missing() {
			select {
			case todo <- p:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range w.Jobs {
		g.Go(func() error {
			for p := range todo {
				if err := w.one(ctx, p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// one carries out a point. Its error ends the exploration.
func (w *work) one(ctx context.Context, p Point) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	dir := w.store.path(pointsDir, p.Slug())
	if err := w.store.remove(dir); err != nil {
		return err
	}
	began := time.Now()
	v, err := w.Carry(ctx, w.at(p), dir)
	if ctx.Err() != nil {
		// Whatever it was, nobody waited for its end.
		return errors.Join(context.Cause(ctx), w.store.remove(dir))
	}
	o := w.outcome(dir, v, err)
	res := Result{Point: p, Outcome: o, Took: time.Since(began)}
	if serr := w.store.keep(dir, res); serr != nil {
		return serr
	}
	return w.note(res, err)
}

// again judges the results that are there once more.
func (x Exploration) again(st *store, r *Report) error {
	if x.Judge == nil {
		return nil
	}
	for i, res := range r.Results {
		dir := st.path(pointsDir, res.Point.Slug())
		h, err := history.ReadFile(report.HistoryPath(dir))
		if err != nil {
			return fmt.Errorf("judge point %d again: %w; remove %s to have it carried out again", res.Point.N, err, dir)
		}
		r.Results[i].Outcome = Read(h, x.Judge(x.at(res.Point), h), r.Generations)
		if err := st.keep(dir, r.Results[i]); err != nil {
			return err
		}
	}
	return nil
}

// at is the workload with the fault at the point.
func (x Exploration) at(p Point) spec.Trial {
	t := x.Trial
	t.Name, t.Strikes = p.Slug(), []spec.Strike{p.Strike}
	return t
}

// outcome reads the history of a point. Where its moment did not come the trial
// could not be carried out to its end either, and that is no failure of the
// harness.
func (w *work) outcome(dir string, v check.Verdict, err error) Outcome {
	h, herr := history.ReadFile(report.HistoryPath(dir))
	if herr == nil {
		if o := Read(h, v, w.report.Generations); err == nil || o.State == NotReached && missed(h) {
			return o
		}
	}
	return Outcome{State: Failed, Class: string(Failed), Verdict: check.Inconclusive, Error: errors.Join(err, herr).Error()}
}

// missed is whether the trial waited for a moment that did not come.
func missed(h *history.History) bool {
	for _, e := range h.Events {
		if m, ok := e.Body.(*history.Moment); ok && m.What == "missed" {
			return true
		}
	}
	return false
}

// note takes a result in. It ends the exploration where going on is of no use.
func (w *work) note(res Result, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report.Results = append(w.report.Results, res)
	w.say(w.progress(&res))
	if res.Outcome.State != Failed {
		w.failing = 0
		return nil
	}
	w.failing++
	var gone *containers.UnavailableError
	switch {
	case errors.As(err, &gone):
		return fmt.Errorf("point %d (%v): %w", res.Point.N, res.Point.Strike, err)
	case w.failing >= mostFailures:
		return fmt.Errorf("%d trials in a row could not be carried out; the last was point %d (%v): %w", w.failing, res.Point.N, res.Point.Strike, err)
	}
	return nil
}

// progress is how far it is; the lock is held.
func (w *work) progress(last *Result) Progress {
	r := w.report
	p := Progress{
		Done: len(r.Results), Total: len(r.Points), Bad: len(r.Bad()), NotReached: r.count(NotReached), Failed: r.count(Failed),
		Classes: len(r.Groups()), Elapsed: time.Since(w.begun), Left: -1, Last: last,
	}
	if done := p.Done - w.before; done > 0 {
		each := p.Elapsed / time.Duration(done)
		p.Left = each * time.Duration(p.Total-p.Done)
		p.PointsPerSecond = float64(done) / p.Elapsed.Seconds()
	}
	return p
}
