package stats

import "slices"

// Number is what can be ordered and interpolated: durations, mostly.
type Number interface{ ~int64 | ~float64 }

// Spread is what a sample of N says of where its values lie.
type Spread[T Number] struct {
	N                   int
	Least, Median, Most T
	// Low and High hold the median of what the sample was drawn from between
	// them. Bounded is false where the sample is too small for that: below 6
	// even its least and its most do not.
	Low, High T
	Bounded   bool
}

// Spreads sums a sample up, in whatever order it comes. An empty one is the zero
// value.
func Spreads[T Number](sample []T) Spread[T] {
	n := len(sample)
	if n == 0 {
		return Spread[T]{}
	}
	xs := slices.Sorted(slices.Values(sample))
	s := Spread[T]{N: n, Least: xs[0], Median: Quantile(xs, 0.5), Most: xs[n-1]}
	if rank := medianRank(n); rank > 0 {
		s.Low, s.High, s.Bounded = xs[rank-1], xs[n-rank], true
	}
	return s
}

// medianRank is the largest r for which the r-th least and the r-th largest of
// n values hold the median between them with at least [Confidence], whatever
// the distribution (a value is below the median half the time, so that only the
// binomial of n and 1/2 matters: W. Conover, Practical Nonparametric Statistics,
// 3rd ed., 3.2); 0 where there is none.
func medianRank(n int) int {
	rank := 0
	for atMost(rank, n, 0.5) <= (1-Confidence)/2 {
		rank++
	}
	return rank
}

// Quantile is the q-quantile, q from 0 to 1, of values in ascending order, of
// which there must be one. Between two values it interpolates: definition 7 of
// R. Hyndman, Y. Fan, Sample Quantiles in Statistical Packages, American
// Statistician 50, 1996, which is the default of R and NumPy.
func Quantile[T Number](sorted []T, q float64) T {
	at := min(max(q, 0), 1) * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + T((at-float64(i))*float64(sorted[i+1]-sorted[i]))
}

// QuantileRanks are the ranks, from 1, of the values of n in ascending order
// that hold the q-quantile of what they were drawn from between them, each of
// the two missing it with at most tail; 0 for the one that no value can be. As
// for the median, only the binomial of n and q matters. Of the 95th percentile
// there is no upper one, at 0.025, below 72 values.
func QuantileRanks(n int, q, tail float64) (low, high int) {
	for low < n && atMost(low, n, q) <= tail {
		low++
	}
	for high = n + 1; high > 1 && 1-atMost(high-2, n, q) <= tail; high-- {
	}
	if high > n {
		high = 0
	}
	return low, high
}
