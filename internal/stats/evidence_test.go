package stats_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/internal/stats"
)

// A bet is fair: before it is known what comes, it is worth no more than it is
// now, at any rate that the claim allows, whatever the guess.
func TestEvidenceIsAFairBet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0.05, 0.95).Draw(t, "p")
		e := stats.Against(p)
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			e.See(rapid.Bool().Draw(t, "came"), rapid.Float64Range(0, 1).Draw(t, "guess"))
		}
		rate := p * rapid.Float64Range(0, 1).Draw(t, "of p")
		guess := rapid.Float64Range(0, 1).Draw(t, "guess")
		comes, not := e, e
		comes.See(true, guess)
		not.See(false, guess)
		if next := rate*comes.Worth() + (1-rate)*not.Worth(); next > e.Worth()*(1+1e-9) {
			t.Fatalf("at a rate of %v against %v: %v, and then %v", rate, p, e.Worth(), next)
		}
	})
}

// One may look after each, guess by what came, and stop when one likes what one
// sees.
func TestEvidenceMisleadsAsSeldomAsItSays(t *testing.T) {
	const runs, length, p, alpha = 4000, 200, 0.9, 0.05
	r, misled := rand.New(rand.NewPCG(3, 4)), 0
	for range runs {
		e, k := stats.Against(p), 0.0
		for n := range length {
			came := r.Float64() < p
			e.See(came, (k+0.5)/(float64(n)+1))
			if came {
				k++
			}
			if e.Worth() >= 1/alpha {
				misled++
				break
			}
		}
	}
	assert.LessOrEqual(t, float64(misled)/runs, alpha)
}

// How many successes in a row it takes, if one guesses them: what docs say.
func TestHowManyInARowAreEvidence(t *testing.T) {
	for p, want := range map[float64]int{0.9: 36, 0.8: 17, 0.5: 6} {
		e, n := stats.Against(p), 0
		for ; e.Worth() < 40; n++ {
			e.See(true, 0.999)
		}
		assert.Equal(t, want, n, "p %v", p)
	}
}

func TestIsotonic(t *testing.T) {
	got, shared := stats.Isotonic([]float64{0, 0.5, 0.25, 1, 0.75, 1}, []float64{1, 1, 1, 3, 1, 1})
	assert.Equal(t, []float64{1, 2, 2, 4, 4, 1}, shared)
	assert.InDeltaSlice(t, []float64{0, 0.375, 0.375, 0.9375, 0.9375, 1}, got, 1e-12)
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 20).Draw(t, "xs")
		ones := slices.Repeat([]float64{1}, len(xs))
		got, _ := stats.Isotonic(xs, ones)
		if !slices.IsSorted(got) || len(got) != len(xs) {
			t.Fatalf("%v", got)
		}
	})
}
