package stats_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/internal/stats"
)

// Critical values of Mann and Whitney, two-sided, 5 %, as printed tables have
// them: the interval begins at the difference one rank further in.
func TestTheRanksOfAShiftAsPublished(t *testing.T) {
	for n, critical := range map[[2]int]int{{5, 5}: 2, {8, 8}: 13, {10, 10}: 23, {20, 20}: 127, {8, 12}: 22, {6, 20}: 27} {
		a, b := make([]float64, n[0]), make([]float64, n[1])
		for i := range a {
			a[i] = float64(i * n[1])
		}
		for i := range b {
			b[i] = float64(i)
		}
		// All differences are different, and one apart.
		got := stats.Shifts(a, b, 0.05)
		assert.True(t, got.Bounded)
		least := -float64((n[0] - 1) * n[1])
		assert.InDelta(t, least+float64(critical), got.Low, 1e-9, "%v", n)
		assert.InDelta(t, float64(n[1]-1)-float64(critical), got.High, 1e-9, "%v", n)
	}
	assert.False(t, stats.Shifts([]float64{1, 2, 3}, []float64{4, 5, 6}, 0.05).Bounded, "of 20 orders none is rare enough")
	assert.True(t, stats.Shifts([]float64{1, 2, 3, 4}, []float64{4, 5, 6, 7}, 0.05).Bounded)
	assert.Zero(t, stats.Shifts(nil, []float64{1}, 0.05))
}

func TestShiftsOfDurations(t *testing.T) {
	a := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}
	b := []time.Duration{4 * time.Second, 5 * time.Second, 9 * time.Second}
	assert.Equal(t, 3*time.Second, stats.Shifts(a, b, 0.05).Estimate)
	assert.Equal(t, -3*time.Second, stats.Shifts(b, a, 0.05).Estimate)
}

// What the interval promises: it holds the true shift as often as it says,
// whatever the distribution, and not much more often.
func TestShiftsCoverAsOftenAsTheySay(t *testing.T) {
	draws := map[string]func(*rand.Rand) float64{
		"uniform":     func(r *rand.Rand) float64 { return r.Float64() },
		"exponential": func(r *rand.Rand) float64 { return r.ExpFloat64() },
		"two heaps":   func(r *rand.Rand) float64 { return float64(r.IntN(2)) + 0.01*r.NormFloat64() },
	}
	const trials, shift = 2000, 0.7
	for name, draw := range draws {
		r, covered := rand.New(rand.NewPCG(1, 2)), 0
		for range trials {
			a, b := make([]float64, 15), make([]float64, 20)
			for i := range a {
				a[i] = draw(r)
			}
			for i := range b {
				b[i] = draw(r) + shift
			}
			if s := stats.Shifts(a, b, 0.05); s.Low <= shift && shift <= s.High {
				covered++
			}
		}
		// Three standard errors of the simulation to either side.
		assert.InDelta(t, 0.955, float64(covered)/trials, 0.018, name)
	}
}

func TestShiftsTurnRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sample := func(name string) []float64 {
			return rapid.SliceOfN(rapid.Float64Range(-1e3, 1e3), 1, 12).Draw(t, name)
		}
		a, b := sample("a"), sample("b")
		x, y := stats.Shifts(a, b, 0.1), stats.Shifts(b, a, 0.1)
		if x.Bounded != y.Bounded || x.Low != -y.High || x.High != -y.Low {
			t.Fatalf("%v and %v", x, y)
		}
		if x.Bounded && (x.Low > x.Estimate || x.Estimate > x.High) {
			t.Fatalf("%v is not in its own interval", x)
		}
	})
}

// R: fisher.test(matrix(c(7, 3, 1, 9), 2), alternative = "greater") and so on.
func TestMoreOften(t *testing.T) {
	assert.InDelta(t, 0.009883, stats.MoreOften(1, 10, 7, 10), 1e-6)
	assert.InDelta(t, 0.5, stats.MoreOften(0, 1, 1, 1), 1e-12)
	assert.InDelta(t, 1, stats.MoreOften(3, 9, 0, 9), 1e-12)
	assert.InDelta(t, 1, stats.MoreOften(0, 0, 2, 2), 1e-12)
	assert.InDelta(t, 0.003968254, stats.MoreOften(0, 5, 5, 5), 1e-9)
}
