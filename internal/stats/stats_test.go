package stats_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/internal/stats"
)

// The column "Clopper-Pearson" of Table I in R. Newcombe, Two-sided confidence
// intervals for the single proportion, Statistics in Medicine 17, 1998.
func TestProportionAsPublished(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{81, 263, 0.2527, 0.3676},
		{15, 148, 0.0578, 0.1617},
		{0, 20, 0, 0.1684},
		{1, 29, 0.0009, 0.1776},
	} {
		got := stats.Proportion(c.k, c.n)
		assert.InDelta(t, c.low, got.Low, 5e-5, "%d of %d", c.k, c.n)
		assert.InDelta(t, c.high, got.High, 5e-5, "%d of %d", c.k, c.n)
	}
}

// Where none or all of n were met the bounds have a closed form.
func TestProportionAtTheEnds(t *testing.T) {
	for _, n := range []int{1, 2, 10, 1000} {
		edge := math.Pow(0.025, 1/float64(n))
		none, all := stats.Proportion(0, n), stats.Proportion(n, n)
		assert.Zero(t, none.Low)
		assert.InDelta(t, 1-edge, none.High, 1e-12)
		assert.InDelta(t, edge, all.Low, 1e-12)
		assert.InDelta(t, 1, all.High, 0)
	}
}

func TestProportionOfNothing(t *testing.T) {
	assert.Equal(t, stats.Interval{Low: 0, High: 1}, stats.Proportion(0, 0))
	assert.True(t, math.IsNaN(stats.Proportion(3, 2).Low))
	assert.True(t, math.IsNaN(stats.Proportion(-1, 2).High))
}

// What the interval promises: whatever the rate, it holds it in at least 95 %
// of all samples.
func TestProportionCoversAsOftenAsItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		p := rapid.Float64Range(0.001, 0.999).Draw(t, "p")
		covered, choose := 0.0, 1.0
		for k := 0; k <= n; k++ {
			if i := stats.Proportion(k, n); i.Low <= p && p <= i.High {
				covered += choose * math.Pow(p, float64(k)) * math.Pow(1-p, float64(n-k))
			}
			choose *= float64(n-k) / float64(k+1)
		}
		if covered < stats.Confidence-1e-9 {
			t.Fatalf("a rate of %v is covered in %v of samples of %d", p, covered, n)
		}
	})
}

func TestProportionOfOneIsThatOfTheOtherTurnedRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "k")
		a, b := stats.Proportion(k, n), stats.Proportion(n-k, n)
		if math.Abs(a.Low-(1-b.High)) > 1e-9 || math.Abs(a.High-(1-b.Low)) > 1e-9 {
			t.Fatalf("%d of %d: %v, and %v for the rest", k, n, a, b)
		}
		if rate := float64(k) / float64(n); a.Low > rate || a.High < rate {
			t.Fatalf("%d of %d is not in its own interval %v", k, n, a)
		}
	})
}

// The exact values beside which the rule of three stands in J. Hanley,
// A. Lippman-Hand, JAMA 249, 1983: 26 % of 10, 14 % of 20, 3 % of 100.
func TestNoneOf(t *testing.T) {
	for n, want := range map[int]float64{10: 0.26, 20: 0.14, 50: 0.058, 100: 0.0295, 1: 0.95} {
		assert.InDelta(t, want, stats.NoneOf(n), 0.002, "none of %d", n)
		assert.InDelta(t, 0.05, math.Pow(1-stats.NoneOf(n), float64(n)), 1e-12, "none of %d", n)
	}
	assert.InDelta(t, 1, stats.NoneOf(0), 0)
}

// Ranks of the 95 % interval of a median, as tables of the sign test
// have them: 1 and 6 of 6, 2 and 9 of 10, 6 and 15 of 20, 8 and 18 of
// 25, 18 and 33 of 50.
func TestTheIntervalOfAMedian(t *testing.T) {
	for n, want := range map[int][2]float64{6: {1, 6}, 8: {1, 8}, 9: {2, 8}, 10: {2, 9}, 20: {6, 15}, 25: {8, 18}, 50: {18, 33}} {
		s := stats.Spreads(upTo(n))
		assert.True(t, s.Bounded)
		assert.Equal(t, want, [2]float64{s.Low, s.High}, "n %d", n)
	}
	for n := range 6 {
		assert.False(t, stats.Spreads(upTo(n)).Bounded, "n %d", n)
	}
}

// upTo are the numbers from n down to 1: a spread does its own sorting.
func upTo(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(n - i)
	}
	return out
}

func TestSpreads(t *testing.T) {
	sample := []time.Duration{4 * time.Second, time.Second, 2 * time.Second, 10 * time.Second}
	got := stats.Spreads(sample)
	assert.Equal(t, stats.Spread[time.Duration]{N: 4, Least: time.Second, Median: 3 * time.Second, Most: 10 * time.Second}, got)
	assert.Equal(t, 4*time.Second, sample[0], "the sample stays as it was")
	assert.Zero(t, stats.Spreads[time.Duration](nil))
}

// R: quantile(c(1, 2, 4, 8, 16)), and of its first four.
func TestQuantile(t *testing.T) {
	xs := []float64{1, 2, 4, 8, 16}
	for q, want := range map[float64]float64{0: 1, 0.25: 2, 0.5: 4, 0.75: 8, 0.9: 12.8, 1: 16, -1: 1, 2: 16} {
		assert.InDelta(t, want, stats.Quantile(xs, q), 1e-12, "q %v", q)
	}
	assert.InDelta(t, 3, stats.Quantile(xs[:4], 0.5), 1e-12)
	assert.InDelta(t, 1.75, stats.Quantile(xs[:4], 0.25), 1e-12)
	assert.InDelta(t, 1, stats.Quantile(xs[:1], 0.7), 0)
}

// The same ranks as the median's, and those of tables for other quantiles
// (0.95 and 59 values, one-sided, is the one that everybody knows).
func TestQuantileRanks(t *testing.T) {
	ranks := func(n int, q, tail float64) [2]int {
		low, high := stats.QuantileRanks(n, q, tail)
		return [2]int{low, high}
	}
	assert.Equal(t, [2]int{6, 15}, ranks(20, 0.5, 0.025))
	assert.Equal(t, [2]int{0, 0}, ranks(5, 0.5, 0.025))
	assert.Equal(t, 0, ranks(58, 0.95, 0.05)[1])
	assert.Equal(t, 59, ranks(59, 0.95, 0.05)[1])
	assert.Equal(t, 0, ranks(71, 0.95, 0.025)[1])
	assert.Equal(t, 72, ranks(72, 0.95, 0.025)[1])
	assert.Equal(t, [2]int{0, 0}, ranks(0, 0.5, 0.025))
	for n := range 100 {
		low, high := stats.QuantileRanks(n, 0.95, 0.025)
		mirrored, least := stats.QuantileRanks(n, 0.05, 0.025)
		if high > 0 {
			assert.Equal(t, mirrored, n+1-high, "n %d", n)
		}
		if low > 0 {
			assert.Equal(t, least, n+1-low, "n %d", n)
		}
	}
}
