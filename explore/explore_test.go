package explore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/spec"
	"github.com/killpoint/killpoint/workload"
)

var kill = Plan{Targets: []spec.Target{spec.OnEngine}, Faults: []spec.Fault{"kill"}, NoBreakpoints: true}

func explored(t *testing.T, w *world, p Plan, ops ...workload.Op) (*Report, Exploration) {
	t.Helper()
	x := Exploration{Dir: filepath.Join(t.TempDir(), "x"), Trial: workloadOf(ops...), Plan: p, Jobs: 3, Carry: w.carry}
	r, err := x.Run(t.Context())
	require.NoError(t, err)
	return r, x
}

// Each frame of the golden run but the pings is struck on both sides, and found
// again by its own number among its kind.
func TestEveryFrameIsStruckOnBothSides(t *testing.T) {
	w := &world{}
	r, x := explored(t, w, kill, "create", "tick", "tick", "getCount")
	require.Len(t, r.Points, 2*(2+4+4+2))
	assert.Equal(t, len(r.Points), r.Covered())
	assert.Equal(t, check.Pass, r.State())
	first := r.Points[0]
	assert.Equal(t, "frame:request-start/POST /action/create#1@before?direction=to-runtime&key=golden&wire=envoy", first.Strike.At.String())
	assert.Equal(t, 1, first.Op)
	assert.Equal(t, "create", first.OpName)
	var nths []string
	for _, p := range r.Points {
		if f, _ := p.Strike.At.AtFrame(); f.Type == "exec-request" {
			nths = append(nths, fmt.Sprintf("%d %s op %d", f.Nth, f.Side, p.Op))
		}
	}
	assert.Equal(t, []string{"1 before op 2", "1 after op 2", "2 before op 3", "2 after op 3"}, nths)
	assert.True(t, has(t, x.Dir, "points", first.Slug(), "history.jsonl"))
	assert.True(t, has(t, x.Dir, "points", first.Slug(), spec.FileName))
	assert.True(t, has(t, x.Dir, "golden", "history.jsonl"))
	text := r.Markdown()
	assert.Contains(t, text, "24 of 24 points covered; 3 kinds of outcome, 0 points fail")
	assert.Contains(t, text, "| 4 | 2 tick | engine ← exec-request/commit #1, envoy | ")
}

func TestTimedFramesAreLeftOutUnlessWanted(t *testing.T) {
	p := kill
	p.Timed = true
	r, _ := explored(t, &world{}, p, "create")
	require.Len(t, r.Points, 6)
	assert.True(t, r.Points[2].Timed)
	assert.Contains(t, r.Markdown(), "ping #1, envoy, by time")
}

func TestThePlanMultiplies(t *testing.T) {
	w := &world{places: []string{"on-start", "before-commit", "on-start"}}
	r, _ := explored(t, w, Plan{}, "create")
	// Two frames, two sides; two breakpoints; times two targets, three faults.
	require.Len(t, r.Points, (2*2+2)*2*3)
	last := r.Points[len(r.Points)-1]
	assert.Equal(t, "breakpoint:before-commit", last.Strike.At.String())
	assert.Equal(t, "pause runtime, at", last.Series())
	assert.Contains(t, w.carried[1].Runtime.Env["KILLPOINT_FIXTURE_ARM"], "on-start:1ms,before-running:1ms", "the golden run is not touched: a run beside it lists them")
}

func TestASampleIsDrawnFromTheSeed(t *testing.T) {
	drawn := func(seed uint64) (ns []int) {
		p := kill
		p.Sample, p.Seed = 5, seed
		r, _ := explored(t, &world{}, p, "create", "tick", "tick")
		for _, p := range r.Points {
			ns = append(ns, p.N)
		}
		require.Len(t, ns, 5)
		return ns
	}
	one := drawn(1)
	assert.Equal(t, one, drawn(1))
	assert.NotEqual(t, one, drawn(2))
	assert.IsIncreasing(t, one)
}

// A point that differs from both of its neighbours is named, and a failure is
// told with its finding.
func TestFailuresAndOddPointsAreNamed(t *testing.T) {
	w := &world{loses: func(_ spec.Trial, at moment.FrameAt, _ int) bool { return at.Type == "exec-request" && at.Nth == 2 }}
	r, _ := explored(t, w, kill, "tick", "tick", "tick")
	assert.Equal(t, check.Fail, r.State())
	require.Len(t, r.Bad(), 2, "before and after")
	require.Len(t, r.Odd(), 2)
	assert.Equal(t, r.Bad()[0].Point, r.Odd()[0].Point)
	text := r.Markdown()
	assert.Contains(t, text, "## Failures\n\n| point | operation | strike | |\n|---:|---|---|---|\n| 11 | 2 tick | kill engine at frame:exec-request/commit#2@before")
	assert.Contains(t, text, "ledger: a write is gone")
	assert.Contains(t, text, "## Differ from their neighbours")
}

func TestWhatIsNotReachedIsNoPass(t *testing.T) {
	w := &world{hides: func(op int) bool { return op == 1 }}
	r, _ := explored(t, w, kill, "create", "getCount")
	assert.Equal(t, 4, r.Covered())
	assert.Equal(t, 4, r.count(NotReached))
	assert.Equal(t, check.Inconclusive, r.State())
	assert.Contains(t, r.Markdown(), "4 of 8 points covered, 4 not reached")
	assert.Contains(t, r.Markdown(), "## Not reached")
}

// An exploration that was interrupted keeps what is done, and goes on from
// there.
func TestAnInterruptedExplorationGoesOn(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &world{before: func(ctx context.Context, n int, _ spec.Trial) error {
		if n == 6 { // the golden run and four points
			cancel(errors.New("Ctrl-C"))
		}
		return context.Cause(ctx)
	}}
	x := Exploration{Dir: t.TempDir(), Trial: workloadOf("create", "tick", "tick"), Plan: kill, Jobs: 1, Carry: w.carry}
	r, err := x.Run(ctx)
	require.EqualError(t, err, "Ctrl-C")
	require.NotNil(t, r)
	assert.Equal(t, 4, r.Covered())
	assert.Equal(t, check.Inconclusive, r.State())
	assert.Contains(t, r.Markdown(), "4 of 20 points covered, 16 not yet carried out")
	assert.True(t, has(t, x.Dir, reportFile), "the report of what is done is written")
	assert.False(t, has(t, x.Dir, "points", r.Points[4].Slug()), "what was cut off is gone")

	_, err = x.Run(t.Context())
	require.ErrorIs(t, err, ErrExists)
	again := &world{}
	x.Carry, x.Resume = again.carry, true
	r, err = x.Run(t.Context())
	require.NoError(t, err)
	assert.Len(t, again.carried, 16, "nothing that was done is done again, nor is the golden run")
	assert.Equal(t, 20, r.Covered())
	assert.Equal(t, 16, r.Carried)
	other := x
	other.Plan.Sides = []moment.Side{moment.BeforeDelivery}
	_, err = other.Run(t.Context())
	require.ErrorContains(t, err, "holds an exploration of something else")
	trial, plan, err := Begun(x.Dir)
	require.NoError(t, err)
	assert.Equal(t, x.Trial, trial)
	assert.Equal(t, x.Plan.WithDefaults(), plan)
}

// What was done before is judged as what is done now.
func TestResumeJudgesAgain(t *testing.T) {
	x := Exploration{Dir: t.TempDir(), Trial: workloadOf("create", "tick"), Plan: kill, Jobs: 1, Carry: (&world{}).carry}
	r, err := x.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, check.Pass, r.State())
	points := len(r.Points)
	x.Resume, x.Carry = true, nil // nothing is left to carry out
	x.Judge = func(t spec.Trial, _ *history.History) check.Verdict {
		v := check.Verdict{State: check.Pass, Findings: []check.Finding{{Invariant: "stricter", State: check.Pass}}}
		if t.Name == r.Points[1].Slug() && t.Strikes[0].At.String() == r.Points[1].Strike.At.String() {
			v.State, v.Findings[0].State = check.Fail, check.Fail
		}
		return v
	}
	r, err = x.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, points, r.Covered())
	assert.Equal(t, check.Fail, r.State())
	require.Len(t, r.Bad(), 1)
	assert.Equal(t, r.Points[1].N, r.Bad()[0].Point.N)
	assert.Contains(t, r.Bad()[0].Outcome.Class, "fail stricter")

	x.Judge = nil
	r, err = x.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, check.Fail, r.State(), "it was stored")

	require.NoError(t, os.Remove(filepath.Join(x.Dir, pointsDir, r.Points[0].Slug(), "history.jsonl")))
	x.Judge = func(spec.Trial, *history.History) check.Verdict { return check.Verdict{State: check.Pass} }
	_, err = x.Run(t.Context())
	require.ErrorContains(t, err, "judge point 1 again")
}

// An untouched run that did not pass is none to go on from.
func TestResumeCarriesABadGoldenRunOutAgain(t *testing.T) {
	bad := func(spec.Trial, *history.History) check.Verdict { return check.Verdict{State: check.Fail} }
	w := &world{}
	x := Exploration{Dir: t.TempDir(), Trial: workloadOf("create", "tick"), Plan: kill, Jobs: 1, Judge: bad}
	x.Carry = func(ctx context.Context, t spec.Trial, dir string) (check.Verdict, error) {
		_, err := w.carry(ctx, t, dir)
		return check.Verdict{State: check.Fail}, err
	}
	_, err := x.Run(t.Context())
	require.ErrorIs(t, err, ErrGolden)
	x.Resume = true
	_, err = x.Run(t.Context())
	require.ErrorIs(t, err, ErrGolden, "it was carried out again, and failed again")
	x.Carry = w.carry
	r, err := x.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, len(r.Points), r.Covered())
}

// What was stored of another point, as another version numbered them, is not this one's.
func TestResumeTakesNoOtherPointsResult(t *testing.T) {
	x := Exploration{Dir: t.TempDir(), Trial: workloadOf("create", "tick"), Plan: kill, Jobs: 1, Carry: (&world{}).carry}
	r, err := x.Run(t.Context())
	require.NoError(t, err)
	outcome := func(n int) string { return filepath.Join(x.Dir, pointsDir, r.Points[n].Slug(), outcomeFile) }
	b, err := os.ReadFile(outcome(1))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(outcome(0), b, 0o600))
	w := &world{}
	carried := 0
	x.Resume = true
	x.Carry = func(ctx context.Context, t spec.Trial, dir string) (check.Verdict, error) {
		carried++
		return w.carry(ctx, t, dir)
	}
	r, err = x.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, carried)
	assert.Equal(t, len(r.Points), r.Covered())
}

func TestResumeNeedsSomethingToResume(t *testing.T) {
	_, err := Exploration{Dir: t.TempDir(), Resume: true, Trial: workloadOf("create"), Carry: (&world{}).carry}.Run(t.Context())
	require.ErrorContains(t, err, "holds no exploration that could be resumed")
	_, _, err = Begun(t.TempDir())
	require.ErrorContains(t, err, "holds no exploration")
}

// A daemon that is gone ends the exploration at once; another failure does when
// it comes again and again. Either way what is done is kept, and the points that
// failed are tried again.
func TestAHarnessThatFailsEndsTheExploration(t *testing.T) {
	gone := &containers.UnavailableError{Host: "unix:///nowhere", Err: errors.New("no such file")}
	for want, failure := range map[string]error{
		"point 3 (kill engine at frame:exec-request/commit#1@before":       fmt.Errorf("start a cell: %w", gone),
		"3 trials in a row could not be carried out; the last was point 5": errors.New("announce engine#1 to the executioner: operation not permitted"),
	} {
		w := &world{before: func(_ context.Context, n int, _ spec.Trial) error {
			if n > 3 {
				return failure
			}
			return nil
		}}
		x := Exploration{Dir: filepath.Join(t.TempDir(), "x"), Trial: workloadOf("tick", "tick"), Plan: kill, Jobs: 1, Carry: w.carry}
		r, err := x.Run(t.Context())
		require.ErrorIs(t, err, failure)
		require.ErrorContains(t, err, want)
		assert.Equal(t, 2, r.Covered())
		assert.Contains(t, r.Markdown(), "## Could not be carried out")
		x.Carry, x.Resume = (&world{}).carry, true
		r, err = x.Run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, len(r.Points), r.Covered())
	}
}

// A single failure is one point's.
func TestOneFailureIsOnePoints(t *testing.T) {
	w := &world{before: func(_ context.Context, n int, _ spec.Trial) error {
		if n == 4 {
			return errors.New("the tap is gone")
		}
		return nil
	}}
	r, _ := explored(t, w, kill, "tick", "tick")
	assert.Equal(t, 1, r.count(Failed))
	assert.Equal(t, check.Inconclusive, r.State())
	assert.Contains(t, r.Markdown(), "the tap is gone")
}

func TestAGoldenRunThatIsNotWellEndsIt(t *testing.T) {
	w := &world{before: func(context.Context, int, spec.Trial) error { return errors.New("no image") }}
	_, err := Exploration{Dir: t.TempDir(), Trial: workloadOf("create"), Carry: w.carry}.Run(t.Context())
	require.ErrorContains(t, err, "run the workload untouched: no image")

	sick := func(ctx context.Context, tr spec.Trial, dir string) (check.Verdict, error) {
		_, err := (&world{}).carry(ctx, tr, dir)
		return check.Verdict{State: check.Fail, Findings: []check.Finding{{Invariant: "x", State: check.Fail, Summary: "lost"}}}, err
	}
	_, err = Exploration{Dir: t.TempDir(), Trial: workloadOf("create"), Carry: sick}.Run(t.Context())
	require.ErrorIs(t, err, ErrGolden)
	require.ErrorContains(t, err, "fail: x: lost")
}

func TestWhatCannotBeExplored(t *testing.T) {
	struck := workloadOf("create")
	struck.Strikes = []spec.Strike{{Target: spec.OnEngine, Fault: "kill"}}
	for want, x := range map[string]Exploration{
		"no operations":                                      {},
		"has strikes of its own":                             {Trial: struck},
		`fault "burn" is unknown`:                            {Trial: workloadOf("create"), Plan: Plan{Faults: []spec.Fault{"burn"}}},
		`target "x" is unknown`:                              {Trial: workloadOf("create"), Plan: Plan{Targets: []spec.Target{"x"}}},
		"there is nowhere to strike":                         {Trial: workloadOf("create"), Plan: Plan{NoFrames: true, NoBreakpoints: true}},
		"a sample of -1 points: want a number from 1 on, or": {Trial: workloadOf("create"), Plan: Plan{Sample: -1}},
	} {
		x.Dir = t.TempDir()
		_, err := x.Run(t.Context())
		require.ErrorContains(t, err, want)
		assert.False(t, has(t, x.Dir, storeFile))
	}
}

func TestProgressTells(t *testing.T) {
	var all []Progress
	x := Exploration{
		Dir: t.TempDir(), Trial: workloadOf("create", "tick"), Plan: kill, Jobs: 1, Carry: (&world{}).carry,
		Progress: func(p Progress) { all = append(all, p) },
	}
	_, err := x.Run(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1+12)
	assert.Contains(t, all[0].Doing, "golden")
	last := all[12]
	assert.Equal(t, 12, last.Done)
	assert.Equal(t, 12, last.Total)
	assert.Zero(t, last.Left)
	assert.Positive(t, last.PointsPerSecond)
	assert.Equal(t, 12, last.Last.Point.N)
}

func TestOutcomeInWords(t *testing.T) {
	r, x := explored(t, &world{}, kill, "create", "tick", "getCount")
	classes := map[string]bool{}
	for _, res := range r.Results {
		classes[res.Outcome.Class] = true
		assert.GreaterOrEqual(t, int64(res.Outcome.Recovery), int64(0))
		assert.GreaterOrEqual(t, res.Outcome.Cost.All, res.Outcome.Cost.Engine)
	}
	assert.Equal(t, map[string]bool{
		"create refused": true, "tick refused, had not been applied": true, "getCount refused": true,
	}, classes)
	h, err := history.ReadFile(report.HistoryPath(filepath.Join(x.Dir, "golden")))
	require.NoError(t, err)
	o := Read(h, check.Verdict{State: check.Pass}, 0)
	assert.Equal(t, NotReached, o.State, "nothing struck")
}

func TestLetters(t *testing.T) {
	var all []string
	for _, i := range []int{0, 25, 26, 27, 701, 702} {
		all = append(all, letter(i))
	}
	assert.Equal(t, "A Z AA AB ZZ AAA", strings.Join(all, " "))
}

// A strike at once has been armed by nobody; it was made all the same.
func TestStrikeAtOnceWasMade(t *testing.T) {
	struck := func(armed ...string) *history.History {
		h := &history.History{}
		for _, m := range armed {
			h.Events = append(h.Events, history.Event{Body: &history.Moment{Moment: m, What: "armed"}})
		}
		h.Events = append(h.Events, history.Event{Body: &history.Moment{Moment: moment.Now().String(), What: "struck", SignalT: 7}})
		return h
	}
	at, all := strikeAt(struck())
	assert.EqualValues(t, 7, at)
	assert.True(t, all)
	_, all = strikeAt(struck("event:engine-healthy"))
	assert.False(t, all, "another has not come")
}
