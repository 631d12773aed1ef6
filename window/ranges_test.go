package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/window"
)

// outage is a sweep with one probe at each 100 ms: "." answered at once, "h"
// held, "x" timed out and answered later, "n" never answered, "c" cut off.
func outage(sweep string) *window.Outage {
	o := &window.Outage{FaultT: 1, Healthy: 1, Noise: window.Noise{Span: time.Second}}
	for i, c := range sweep {
		delay := time.Duration(i) * 100 * time.Millisecond
		row := window.Row{Delay: delay, Timeout: time.Second, Class: window.Answered, AnsweredAt: delay + time.Millisecond}
		switch c {
		case 'h':
			row.Class, row.AnsweredAt = window.Held, delay+500*time.Millisecond
		case 'x':
			row.Class, row.AnsweredAt = window.TimedOut, delay+2*time.Second
		case 'n':
			row.Class, row.AnsweredAt = window.TimedOut, -1
		case 'c':
			row.Class, row.AnsweredAt = window.CutOff, -1
		}
		o.Rows = append(o.Rows, row)
	}
	return o
}

func together(t *testing.T, sweeps ...string) window.Ranges {
	t.Helper()
	var all []*window.Outage
	for _, s := range sweeps {
		all = append(all, outage(s))
	}
	r, err := window.Together(all)
	require.NoError(t, err)
	return r
}

func rng(from, to time.Duration, n, least int) window.Range {
	return window.Range{From: from * time.Millisecond, To: to * time.Millisecond, N: n, LeastTrials: least}
}

func TestRanges(t *testing.T) {
	none := window.Range{}
	for _, c := range []struct {
		name                string
		sweeps              []string
		unsafe, flaky, safe window.Range
	}{
		{"all three", []string{"xxx..", "xxh.."}, rng(0, 100, 4, 2), rng(200, 200, 2, 2), rng(300, 400, 4, 2)},
		{"an edge without a flaky part", []string{"xx..", "xxh."}, rng(0, 100, 4, 2), none, rng(200, 300, 4, 2)},
		{"a held answer is an answer", []string{"hhh"}, none, none, rng(0, 200, 3, 1)},
		{"a delay at which all answered is flaky where a later one failed", []string{"x..", "x.x"}, rng(0, 0, 2, 2), rng(100, 200, 4, 2), none},
		{"one answer ends the unsafe range", []string{"xx.", ".x."}, none, rng(0, 100, 4, 2), rng(200, 200, 2, 2)},
		{"nothing ever answered", []string{"nn"}, rng(0, 100, 2, 1), none, none},
		{"a probe without an end decides nothing", []string{"c.", "c."}, none, none, rng(100, 100, 2, 2)},
		{"nor where it lies between others", []string{"xc.", "xc."}, rng(0, 0, 2, 2), none, rng(200, 200, 2, 2)},
		{"the weakest delay is told", []string{"...", ".", ".."}, none, none, rng(0, 200, 6, 1)},
		{"no trial", nil, none, none, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := together(t, c.sweeps...)
			assert.Equal(t, c.unsafe, r.Unsafe, "unsafe")
			assert.Equal(t, c.flaky, r.Flaky, "flaky")
			assert.Equal(t, c.safe, r.Safe, "safe")
			assert.Equal(t, c.safe.N == 0, r.Safe.Empty())
		})
	}
}

func TestEachDelayHasItsCounts(t *testing.T) {
	r := together(t, ".x", "hc", "x.")
	require.Len(t, r.Delays, 2)
	first, second := r.Delays[0], r.Delays[1]
	assert.Equal(t, map[window.Class]int{window.Answered: 1, window.Held: 1, window.TimedOut: 1}, first.Classes)
	assert.Equal(t, [3]int{3, 2, 1}, [3]int{first.N, first.Good, first.AtOnce})
	assert.Equal(t, stats.Proportion(2, 3), first.Answered())
	assert.Equal(t, stats.Proportion(1, 3), first.AnsweredAtOnce())
	assert.Equal(t, [2]int{2, 1}, [2]int{second.N, second.CutOff})
	assert.Equal(t, time.Second, r.Timeout)
}

// Repeats of a delay in one trial share its restart, which n alone would hide.
func TestTrialsAreCountedBesideProbes(t *testing.T) {
	o := outage("x.")
	o.Rows = append(o.Rows, o.Rows[0], o.Rows[0])
	r, err := window.Together([]*window.Outage{o, outage("x")})
	require.NoError(t, err)
	assert.Equal(t, [2]int{4, 2}, [2]int{r.Delays[0].N, r.Delays[0].Trials})
	assert.Equal(t, rng(0, 0, 4, 2), r.Unsafe)
}

func TestATrialOnABusyHostIsCountedApart(t *testing.T) {
	noisy, unwatched := outage(".hx"), outage("x..")
	noisy.Noise.Busy = window.MaxBusy + 0.1
	unwatched.Noise = window.Noise{}
	r, err := window.Together([]*window.Outage{outage("xx."), noisy, unwatched})
	require.NoError(t, err)
	assert.Equal(t, [3]int{2, 1, 1}, [3]int{r.Trials, r.Noisy, r.Unwatched})
	assert.Equal(t, rng(0, 0, 2, 2), r.Unsafe, "the busy host's answer at 0 ms does not end it")
	assert.Equal(t, rng(200, 200, 2, 2), r.Safe, "nor does its failure at 200 ms")
	for i, good := range []int{1, 1, 0} {
		assert.Equal(t, [2]int{1, good}, [2]int{r.Delays[i].Noisy, r.Delays[i].NoisyGood})
		assert.Equal(t, 2, r.Delays[i].N)
	}
	assert.Len(t, r.Waited, 3, "nor do its actors")
}

func TestTheEdgeOfEachTrial(t *testing.T) {
	a, b := outage("xh."), outage("n..")
	a.First, a.Last = a.Healthy.Add(time.Second), a.Healthy.Add(2*time.Second)
	b.First = b.Healthy.Add(3 * time.Second)
	r, err := window.Together([]*window.Outage{a, b, outage("nn")})
	require.NoError(t, err)
	assert.Equal(t, []time.Duration{time.Second, 3 * time.Second}, r.First)
	assert.Equal(t, []time.Duration{2 * time.Second}, r.Last)
	assert.Equal(t, []time.Duration{2 * time.Second, 600 * time.Millisecond}, r.Waited)
	assert.Equal(t, [4]int{1, 2, 3, 3}, [4]int{r.NeverFirst, r.NeverAll, r.NeverWaited, r.NoWaiting})
}

func TestProbesOfDifferentPatienceAreNotOneScenario(t *testing.T) {
	other := outage("x")
	other.Rows[0].Timeout = 5 * time.Second
	_, err := window.Together([]*window.Outage{outage("x"), other})
	require.ErrorIs(t, err, window.ErrPatience)
	require.ErrorContains(t, err, "1s and 5s")
}
