package compare_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/compare"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

const start = clock.Mono(1e9)

// trial is one with a window of so many seconds, most of it a drain; never, if
// below zero.
func trial(seconds float64) compare.Trial {
	d := time.Duration(seconds * 1e9)
	o := &window.Outage{FaultT: start, Healthy: start.Add(d / 2)}
	if d < 0 {
		return compare.Trial{Outage: o, State: check.Fail}
	}
	o.First, o.Last = start.Add(d), start.Add(d)
	return compare.Trial{Outage: o, State: check.Pass, Phases: []window.Part{{Phase: window.Draining, Took: 3 * d / 4}, {Phase: window.Answering, Took: d / 4}}}
}

func side(name string, n int, seconds func(i int) float64) compare.Side {
	s := compare.Side{Name: name}
	for i := range n {
		s.Trials = append(s.Trials, trial(seconds(i)))
	}
	return s
}

func about(center float64) func(int) float64 {
	return func(i int) float64 { return center + 0.01*float64(i%7) }
}

var rule = compare.Rule{Margin: 0.1, Least: 50 * time.Millisecond, Trials: 30}

func decide(t *testing.T, a, b compare.Side) compare.Decision {
	t.Helper()
	d, why := rule.Decide(a, b)
	assert.NotEmpty(t, why)
	return d
}

func TestDecide(t *testing.T) {
	a := side("a", 10, about(8))
	assert.Equal(t, compare.Worse, decide(t, a, side("b", 10, about(9))))
	assert.Equal(t, compare.Better, decide(t, a, side("b", 10, about(7))))
	assert.Equal(t, compare.Same, decide(t, a, side("b", 10, about(8.5))), "a sixteenth longer, of a tenth that may be")
	assert.Equal(t, compare.Undecided, decide(t, side("a", 5, about(8)), side("b", 5, about(80))), "five in a row may be chance")
	spread := func(i int) float64 { return 7 + 4*float64(i%2) }
	assert.Equal(t, compare.Undecided, decide(t, a, side("b", 10, spread)))
}

// Of windows of milliseconds a tenth is nothing that anybody would notice.
func TestTheLeastThatMatters(t *testing.T) {
	short := func(center float64) func(int) float64 {
		return func(i int) float64 { return center + 0.001*float64(i%7) }
	}
	assert.Equal(t, compare.Same, decide(t, side("a", 10, short(0.1)), side("b", 10, short(0.12))))
	assert.Equal(t, compare.Worse, decide(t, side("a", 10, short(0.1)), side("b", 10, short(0.17))))
}

func TestASideOfWhichMoreTrialsFailIsWorse(t *testing.T) {
	a, b := side("a", 10, about(8)), side("b", 10, about(5))
	for i := range 7 {
		b.Trials[i].State = check.Fail
	}
	d, why := rule.Decide(a, b)
	assert.Equal(t, compare.Worse, d)
	assert.Equal(t, "more of its trials fail", why)
	assert.Equal(t, compare.Worse, decide(t, b, a), "fewer fail, but its window is longer")
	b.Trials = b.Trials[2:]
	assert.Equal(t, compare.Better, decide(t, a, b), "five may be chance")
}

// An actor that never answers again is the longest window there is.
func TestAWindowThatNeverEndsIsLonger(t *testing.T) {
	a := side("a", 12, about(8))
	b := side("b", 12, func(i int) float64 { return []float64{8, 8, -1}[i%3] })
	for i := range b.Trials {
		b.Trials[i].State = check.Known // its verdict is not what is compared here
	}
	assert.Equal(t, compare.Undecided, decide(t, a, b))
	never := side("b", 12, func(int) float64 { return -1 })
	for i := range never.Trials {
		never.Trials[i].State = check.Known
	}
	assert.Equal(t, compare.Worse, decide(t, a, never))
	r := rule.Compare(a, never)
	assert.True(t, r.Times[0].Longer.Endless)
	assert.Equal(t, window.Never, r.Times[0].B.Median.At)
}

func TestWhatDoesNotCountIsLeftOut(t *testing.T) {
	a, b := side("a", 10, about(8)), side("b", 10, about(8))
	for i := range 8 {
		b.Trials = append(b.Trials, trial(90))
		b.Trials[10+i].Outage.Noise.Busy = 1
	}
	b.Trials = append(b.Trials, compare.Trial{State: check.Inconclusive})
	assert.Equal(t, compare.Same, decide(t, a, b))
	r := rule.Compare(a, b)
	assert.Equal(t, [3]int{19, 10, 8}, [3]int{r.B.Trials, r.B.Counted, r.B.Busy})
	assert.Equal(t, 1, r.B.States[check.Inconclusive])

	all := rule
	all.Busy = true
	r = all.Compare(a, b)
	assert.Equal(t, [3]int{19, 18, 8}, [3]int{r.B.Trials, r.B.Counted, r.B.Busy}, "they count, and are told")
	assert.InDelta(t, 90e9, float64(r.Times[0].B.Worst), 1e6)
	assert.True(t, b.Trials[10].Outage.Noise.TooNoisy(), "the trial itself stays as it was")
}

func TestPhasesBesideEachOther(t *testing.T) {
	r := rule.Compare(side("a", 10, about(8)), side("b", 10, about(4)))
	require.Len(t, r.Phases, 2)
	assert.Equal(t, "engine draining", r.Phases[0].Name)
	assert.InDelta(t, -3e9, float64(r.Phases[0].Longer.Estimate), 1e8)
	assert.True(t, r.Phases[0].Longer.Bounded)
}

// race carries a sequence out on simulated windows.
func race(t *testing.T, r *rand.Rand, a, b func(*rand.Rand) float64) (compare.Decision, int) {
	t.Helper()
	got, err := rule.Sequence(context.Background(), compare.Side{Name: "a"}, compare.Side{Name: "b"}, 2, func(_ context.Context, more int) (x, y []compare.Trial, err error) {
		for range more {
			x, y = append(x, trial(a(r))), append(y, trial(b(r)))
		}
		return x, y, nil
	})
	require.NoError(t, err)
	return got.Decision, got.A.Trials
}

// The windows of a restart with Rivet's back-off, a sharp one, one of two heaps,
// one with a long tail: each with a median of 8 s.
var (
	backedOff = func(r *rand.Rand) float64 { return 7.25 + r.Float64() + 0.5*r.Float64() }
	sharp     = func(r *rand.Rand) float64 { return 7.98 + 0.04*r.Float64() }
	twoHeaps  = func(r *rand.Rand) float64 { return 7 + 2*float64(r.IntN(2)) + 0.2*(r.Float64()-0.5) }
	longTail  = func(r *rand.Rand) float64 { return 7.5 + 0.5*r.ExpFloat64()/0.6931 }
)

func times(f func(*rand.Rand) float64, by float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return by * f(r) }
}

// A side that is longer by just the margin is neither worse nor better nor the
// same: whatever is decided is an error. It may be one in 20, of all looks
// together, by the times and by the verdicts; half of these by the times.
func TestTheRuleErrsAsSeldomAsItSays(t *testing.T) {
	sequences := 150
	if os.Getenv("KILLPOINT_SIMULATE") != "" {
		sequences = 4000 // what the figures in docs are from
	}
	for name, c := range map[string]struct{ a, b func(*rand.Rand) float64 }{
		"equal but for the margin":      {backedOff, times(backedOff, 1.1)},
		"a sharp one, a spread one":     {sharp, times(backedOff, 1.1)},
		"a spread one, a sharp one":     {backedOff, times(sharp, 1.1)},
		"a sharp one, one of two heaps": {sharp, times(twoHeaps, 1.1)},
		"two of two heaps":              {twoHeaps, times(twoHeaps, 1.1)},
		"two with long tails":           {longTail, times(longTail, 1.1)},
	} {
		t.Run(name, func(t *testing.T) {
			r, worse, same := rand.New(rand.NewPCG(11, 12)), 0, 0
			for range sequences {
				switch d, _ := race(t, r, c.a, c.b); d {
				case compare.Worse:
					worse++
				case compare.Same, compare.Better:
					same++
				}
			}
			t.Logf("%-30s called worse %.2f %%, the same %.2f %%", name, percent(worse, sequences), percent(same, sequences))
			// Half of alpha, and three standard errors of the simulation.
			limit := 100 * (0.025 + 3*0.0127*12.25/sqrt(sequences))
			assert.LessOrEqual(t, percent(worse, sequences), limit)
			assert.LessOrEqual(t, percent(same, sequences), limit)
		})
	}
}

func percent(k, n int) float64 { return 100 * float64(k) / float64(n) }

func sqrt(n int) float64 {
	x := float64(n)
	for range 40 {
		x = (x + float64(n)/x) / 2
	}
	return x
}

// How soon what is different, or the same, is found to be.
func TestTheRuleStopsEarly(t *testing.T) {
	sequences := 40
	if os.Getenv("KILLPOINT_SIMULATE") != "" {
		sequences = 1000
	}
	for name, c := range map[string]struct {
		b    func(*rand.Rand) float64
		want compare.Decision
		most float64 // trials in the mean
	}{
		"2.5 s shorter": {func(r *rand.Rand) float64 { return backedOff(r) - 2.5 }, compare.Better, 6.1},
		"1.6 s longer":  {func(r *rand.Rand) float64 { return backedOff(r) + 1.6 }, compare.Worse, 12},
		"no different":  {backedOff, compare.Same, 15},
	} {
		t.Run(name, func(t *testing.T) {
			r, right, trials := rand.New(rand.NewPCG(21, 22)), 0, 0
			for range sequences {
				d, n := race(t, r, backedOff, c.b)
				trials += n
				if d == c.want {
					right++
				}
			}
			mean := float64(trials) / float64(sequences)
			t.Logf("%-14s called %s in %.1f %%, after %.1f trials a side", name, c.want, percent(right, sequences), mean)
			assert.Greater(t, percent(right, sequences), 90.0)
			assert.Less(t, mean, c.most)
		})
	}
}

func TestASequenceKeepsWhatItHasWhereItCannotGoOn(t *testing.T) {
	broken, calls := errors.New("no Docker"), 0
	got, err := rule.Sequence(t.Context(), compare.Side{Name: "a"}, compare.Side{Name: "b"}, 2, func(_ context.Context, more int) (a, b []compare.Trial, err error) {
		if calls++; calls == 2 {
			return a, b, broken
		}
		for i := range more {
			a, b = append(a, trial(8)), append(b, trial(float64(1+8*(i%3))))
		}
		return a, b, nil
	})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "trials 3 to 4 of a and b")
	assert.Equal(t, 2, got.A.Trials)
	assert.Equal(t, compare.Undecided, got.Decision)
}
