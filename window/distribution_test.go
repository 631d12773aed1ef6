package window_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/window"
)

func upTo(n int) []time.Duration {
	var out []time.Duration
	for i := n; i > 0; i-- {
		out = append(out, time.Duration(i)*time.Second)
	}
	return out
}

func TestDistribute(t *testing.T) {
	s := time.Second
	d := window.Distribute(upTo(20))
	assert.Equal(t, window.Quantile{At: 10500 * time.Millisecond, Low: 6 * s, High: 15 * s}, d.Median)
	assert.Equal(t, window.Quantile{At: 19050 * time.Millisecond, Low: 17 * s, High: window.Never}, d.P95)
	assert.Equal(t, [3]time.Duration{s, 20 * s, 5750 * time.Millisecond}, [3]time.Duration{d.Least, d.Worst, d.Quarter})
	assert.InDelta(t, 0.139, d.Beyond(), 0.001)
	assert.Equal(t, 72*s, window.Distribute(upTo(72)).P95.High, "72 times are the fewest that bound it")

	none := window.Quantile{At: window.Never, Low: window.Never, High: window.Never}
	assert.Equal(t, window.Distribution{
		Least: window.Never, Worst: window.Never, Quarter: window.Never, ThreeQuarters: window.Never, Median: none, P95: none,
	}, window.Distribute(nil))
}

// A time that did not come is longer than all others: it is no reason to leave
// the trial out, which would make the others look better.
func TestATimeThatNeverCameIsTheLongest(t *testing.T) {
	d := window.Distribute(append(upTo(19), window.Never))
	assert.Equal(t, [2]int{20, 19}, [2]int{d.N, d.Came})
	assert.Equal(t, 10500*time.Millisecond, d.Median.At, "as of 1 to 20")
	assert.Equal(t, window.Never, d.Worst)
	assert.Equal(t, window.Never, d.P95.At)
	assert.Equal(t, window.Never, window.Distribute([]time.Duration{window.Never, time.Second, window.Never}).Median.At)
	assert.Equal(t, time.Second, window.Distribute([]time.Duration{window.Never, time.Second, 1}).Median.At)
}

// What the intervals promise, of a distribution with a long tail.
func TestQuantilesAreHeldAsOftenAsTheySay(t *testing.T) {
	const samples, n = 2000, 80
	r, median, p95 := rand.New(rand.NewPCG(1, 1)), 0, 0
	for range samples {
		var times []time.Duration
		for range n {
			times = append(times, time.Duration(r.ExpFloat64()*1e9))
		}
		d := window.Distribute(times)
		median += within(d.Median, 693147180)
		p95 += within(d.P95, 2995732274)
	}
	assert.Greater(t, float64(median)/samples, 0.94)
	assert.Greater(t, float64(p95)/samples, 0.94)
}

func within(q window.Quantile, truth time.Duration) int {
	if q.Low <= truth && truth <= q.High {
		return 1
	}
	return 0
}

func TestSummarize(t *testing.T) {
	trial := func(ms int, busy float64) window.Measured {
		o := &window.Outage{FaultT: 1, Healthy: 2, Noise: window.Noise{Busy: busy}}
		d := time.Duration(ms) * time.Millisecond
		if ms > 0 {
			o.First = o.FaultT.Add(d)
			o.Last = o.First.Add(d)
		}
		return window.Measured{Outage: o, Phases: []window.Part{{Phase: window.Draining, Took: 3 * d / 4}, {Phase: window.Unattributed, Took: d / 4}}}
	}
	s := window.Summarize([]window.Measured{trial(100, 0), trial(300, 0), trial(5000, 1), trial(200, 0)})
	assert.Equal(t, [2]int{3, 1}, [2]int{s.Trials, s.Noisy})
	assert.Equal(t, 200*time.Millisecond, s.Window.Median.At)
	assert.Equal(t, 400*time.Millisecond, s.WindowAll.Median.At)
	assert.Equal(t, 300*time.Millisecond-1, s.HealthGap.Worst)
	assert.InDelta(t, 0.25, s.Unattributed, 1e-9)
	assert.Equal(t, window.Draining, s.Phases[0].Phase)
	assert.Equal(t, 150*time.Millisecond, s.Phases[0].Median.At)
}

func TestTheSharesOfThePhasesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var trials [][]window.Part
		for range rapid.IntRange(1, 9).Draw(t, "trials") {
			var parts []window.Part
			for _, p := range []window.Phase{window.Draining, window.Down, window.Unattributed} {
				parts = append(parts, window.Part{Phase: p, Took: time.Duration(rapid.Int64Range(1, 1e12).Draw(t, "took"))})
			}
			trials = append(trials, parts)
		}
		sum := 0.0
		for _, p := range window.SpreadPhases(trials) {
			sum += p.Share
		}
		if sum < 1-1e-9 || sum > 1+1e-9 {
			t.Fatalf("they add up to %v", sum)
		}
	})
}
