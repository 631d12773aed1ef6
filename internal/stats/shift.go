package stats

import (
	"math"
	"slices"
)

// Shift is by how much the values of one sample are larger than those of
// another, as far as the two tell.
type Shift[T Number] struct {
	// Estimate is the median of all differences between a value of the one and
	// a value of the other (J. Hodges, E. Lehmann, Estimates of Location Based on
	// Rank Tests, Annals of Mathematical Statistics 34, 1963).
	Estimate T
	// Low and High hold what it estimates between them. Bounded is false where
	// the samples are too small for that.
	Low, High T
	Bounded   bool
}

// Shifts says how far b lies above a, with an interval that misses in at most
// alpha of all pairs of samples: those shifts that the two-sided test of Mann
// and Whitney, with its exact distribution, does not reject (M. Hollander,
// D. Wolfe, Nonparametric Statistical Methods, 2nd ed., 4.3). It assumes no form
// of the distributions, but that the one is the other moved. Where one is also
// wider it still holds, nearly, what the differences have for their median, if
// the samples are of about the same size; the package compare simulates that.
//
// Against the bootstrap it has no lower limit of sizes from which on it can be
// trusted: at five values each it knows that it needs them all apart.
// The zero value where a sample is empty.
func Shifts[T Number](a, b []T, alpha float64) Shift[T] {
	if len(a) == 0 || len(b) == 0 {
		return Shift[T]{}
	}
	differences := make([]T, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			differences = append(differences, y-x)
		}
	}
	slices.Sort(differences)
	s := Shift[T]{Estimate: Quantile(differences, 0.5)}
	if rank := shiftRank(len(a), len(b), alpha/2); rank > 0 {
		s.Low, s.High, s.Bounded = differences[rank-1], differences[len(differences)-rank], true
	}
	return s
}

// shiftRank is the largest r for which the statistic of Mann and Whitney is
// below r with a probability of at most tail, if both samples are of one
// distribution.
func shiftRank(n, m int, tail float64) int {
	below, all := 0.0, math.Exp(logChoose(n+m, n))
	for r, count := range mannWhitney(n, m) {
		if below += count / all; below > tail {
			return r
		}
	}
	return n * m // not reached: half of all lie below the middle
}

// mannWhitney counts, for each value of the statistic up to the middle of its
// range, the orders of n and m values that have it: the coefficients of the
// Gaussian binomial, which is the product over i of (1-x^(m+i))/(1-x^i). Each
// coefficient depends on lower ones alone, so that the small ones of the tail
// are not lost beside the large ones of the middle.
func mannWhitney(n, m int) []float64 {
	counts := make([]float64, n*m/2+1)
	counts[0] = 1
	for i := 1; i <= n; i++ {
		for u := len(counts) - 1; u >= m+i; u-- {
			counts[u] -= counts[u-m-i]
		}
		for u := i; u < len(counts); u++ {
			counts[u] += counts[u-i]
		}
	}
	return counts
}

// MoreOften is how likely it is that b is met at least kb times of nb, and a at
// most ka of na, where both are met equally often and kb+ka times in all: the
// one-sided test of R. Fisher, exact at any n.
func MoreOften(ka, na, kb, nb int) float64 {
	met, p := ka+kb, 0.0
	all := logChoose(na+nb, met)
	for k := kb; k <= min(nb, met); k++ {
		if met-k <= na {
			p += math.Exp(logChoose(nb, k) + logChoose(na, met-k) - all)
		}
	}
	return min(p, 1)
}
