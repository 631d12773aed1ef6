package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/stats"
)

// table is rows of cells.
type table struct {
	b    strings.Builder
	rows int
}

// newTable begins one. Heads that end in a colon stand over numbers.
func newTable(heads ...string) *table {
	t := &table{}
	var line strings.Builder
	for i, h := range heads {
		name, number := strings.CutSuffix(h, ":")
		heads[i] = name
		line.WriteString("|---")
		if number {
			line.WriteString(":")
		}
	}
	t.b.WriteString("| " + strings.Join(heads, " | ") + " |\n" + line.String() + "|\n")
	return t
}

func (t *table) row(cells ...any) {
	t.rows++
	for _, c := range cells {
		// What would end the cell or the row.
		text := strings.NewReplacer("|", "\\|", "\n", " ").Replace(fmt.Sprint(c))
		t.b.WriteString("| " + text + " ")
	}
	t.b.WriteString("|\n")
}

// rate is k of n with its interval of 95 %: two-sided, or, where none or all
// were met, the bound on the other side, one-sided, which n alone decides.
func rate(k, n int) string {
	switch {
	case n == 0:
		return "-"
	case k == 0:
		return fmt.Sprintf("0 of %d (95 %%: <= %s)", n, atMost(stats.NoneOf(n)))
	case k == n:
		return fmt.Sprintf("%d of %d (95 %%: >= %s)", k, n, atLeast(1-stats.NoneOf(n)))
	}
	i := stats.Proportion(k, n)
	return fmt.Sprintf("%d of %d, %s (95 %%: %s to %s)", k, n, percent(float64(k)/float64(n)), percent(i.Low), percent(i.High))
}

// percent has a decimal where a rate is close to 0 or 1.
func percent(p float64) string {
	if p > 0 && p < 0.0995 || p > 0.9005 && p < 1 {
		return fmt.Sprintf("%.1f %%", 100*p)
	}
	return fmt.Sprintf("%.0f %%", 100*p)
}

// atMost and atLeast are percent of a bound, rounded so that it still is one.
func atMost(p float64) string { return rounded(p, math.Ceil, -1) }

func atLeast(p float64) string { return rounded(p, math.Floor, 1) }

func rounded(p float64, round func(float64) float64, slack float64) string {
	const steps = 1000 // tenths of a percent
	unit := 10.0
	if p < 0.0995 || p > 0.9005 {
		unit = 1
	}
	// What is off by no more than floating point stays where it is.
	return percent(round((p*steps+slack*1e-9)/unit) * unit / steps)
}

// duration is in seconds from one on, in milliseconds below.
func duration(d time.Duration) string {
	if d.Abs() >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

// delay is in milliseconds, as the scenarios say it.
func delay(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// spread is the cells of a sample: how many, its median, that of what it was
// drawn from, its least and most.
func spread(sample []time.Duration) []any {
	s := stats.Spreads(sample)
	if s.N == 0 {
		return []any{0, "-", "-", "-"}
	}
	bound := "-" // fewer than six say nothing of it
	if s.Bounded {
		bound = duration(s.Low) + " to " + duration(s.High)
	}
	least := "-" // of one the median says all
	if s.N > 1 {
		least = duration(s.Least) + " to " + duration(s.Most)
	}
	return []any{s.N, duration(s.Median), bound, least}
}

// unbounded is a spread of a sample whose values depend on each other, so that
// it bounds no median.
func unbounded(sample []time.Duration) []any {
	cells := spread(sample)
	cells[2] = "-"
	return cells
}

// share is k of n without an interval.
func share(k, n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d, %s", k, n, percent(float64(k)/float64(n)))
}
