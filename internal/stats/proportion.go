// Package stats has the few statistics that the tables need: intervals for
// rates and for medians that assume nothing of how times are distributed.
package stats

import "math"

// Confidence is that of every interval in this package.
const Confidence = 0.95

// Interval is a range of rates, each from 0 to 1.
type Interval struct{ Low, High float64 }

// Proportion is the two-sided Clopper-Pearson interval of the rate behind k of
// n; all rates where n is 0. Of the usual intervals it is the one that never
// covers the true rate less often than it says, at any n and any rate (Brown,
// Cai, DasGupta: Interval Estimation for a Binomial Proportion, Statistical
// Science 16, 2001). Wilson's is narrower, but covers too seldom near 0 and 1,
// and nearly all rates here are near 0 or 1. The price is an interval that is
// rather too wide. C. Clopper, E. Pearson, Biometrika 26, 1934.
//
// The n must be independent: several probes of one trial share one restart.
func Proportion(k, n int) Interval {
	if k < 0 || n < k {
		return Interval{math.NaN(), math.NaN()}
	}
	const tail = (1 - Confidence) / 2
	out := Interval{0, 1}
	if k > 0 {
		// The least rate at which k or more is not too unlikely.
		out.Low = root(func(p float64) bool { return 1-atMost(k-1, n, p) >= tail })
	}
	if k < n {
		// The largest rate at which k or fewer is not too unlikely.
		out.High = root(func(p float64) bool { return atMost(k, n, p) < tail })
	}
	return out
}

// NoneOf is the upper bound, one-sided, of the rate of what was met in none of
// n: exactly what the rule of three, 3/n, approximates (Hanley, Lippman-Hand:
// If Nothing Goes Wrong, Is Everything All Right?, JAMA 249, 1983). It is 1
// where n is 0.
func NoneOf(n int) float64 {
	if n <= 0 {
		return 1
	}
	return 1 - math.Pow(1-Confidence, 1/float64(n))
}

// root is where a condition on rates that is false at 0 becomes true.
func root(above func(p float64) bool) float64 {
	low, high := 0.0, 1.0
	// Halving this often leaves nothing of the difference in a float64.
	for range 60 {
		if mid := (low + high) / 2; above(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return (low + high) / 2
}

// atMost is the probability of k successes or fewer in n trials of rate p.
func atMost(k, n int, p float64) float64 {
	switch {
	case k < 0:
		return 0
	case k >= n || p <= 0:
		return 1
	case p >= 1:
		return 0
	}
	sum := 0.0
	for i := range k + 1 {
		sum += math.Exp(logChoose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(sum, 1)
}

// logChoose is the logarithm of n over k, which itself may not fit a float64.
func logChoose(n, k int) float64 {
	lg := func(i int) float64 {
		v, _ := math.Lgamma(float64(i + 1))
		return v
	}
	return lg(n) - lg(k) - lg(n-k)
}
