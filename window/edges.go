package window

import (
	"cmp"
	"slices"
	"time"

	"github.com/killpoint/killpoint/internal/stats"
)

// The levels of P(answered | delay) that part the ranges: unsafe is where fewer
// are answered than [UnsafeBelow], safe where as many are as [SafeFrom], flaky
// what lies between. Ends at which none or all were answered are what Ranges has
// of a sample; but they move outwards with every further trial, so that of them
// there is no interval.
const (
	UnsafeBelow = 0.10
	SafeFrom    = 0.90
)

// Edge is the delay from which on at least Level of all probes are answered.
type Edge struct {
	Level float64
	// At is where the monotone curve that is closest to what was seen crosses the
	// level; [Never] where it does not within the delays that were asked at.
	At time.Duration
	// Low and High hold the edge between them with 95 %. Low is 0 where nothing
	// bounds it, for there is no earlier delay; High is [Never] where it may lie
	// beyond all delays that were asked at.
	Low, High time.Duration
}

// Width is that of the interval; [Never] where it has no upper end.
func (e Edge) Width() time.Duration {
	if e.High < 0 {
		return Never
	}
	return e.High - e.Low
}

// Edges part the delays: unsafe below the one, safe from the other on.
type Edges struct{ Unsafe, Safe Edge }

// EdgesOf finds the edges in the sweeps of outages, those on a busy host left
// out.
//
// The one assumption is that a later probe is no less likely to be answered. A
// delay is shown to be below an edge, or not, by one probe of each trial, for the
// probes of one trial share its restart: the nearest that was sent no later than
// it (to show that enough are answered by then) or no earlier (that too few are
// yet). Delays are taken in their order from the outermost inwards for as long as
// each is shown, so that an edge is missed only where one true claim, that on the
// last delay before it, is refuted. The evidence holds however the delays were
// chosen by what came before, and whenever one stops ([stats.Against]): both is
// what [Search] does. A bootstrap over trials does neither; and of a curve that
// is monotone it is wrong even without (B. Sen, M. Banerjee, M. Woodroofe,
// Inconsistency of Bootstrap: the Grenander Estimator, Annals of Statistics 38,
// 2010), most of all where all probes below a delay fail and all above do not.
//
// It takes 36 trials in agreement, and some to learn from, to bound an edge at
// 90 % from above, or one at 10 % from below.
func EdgesOf(outages []*Outage) Edges { return edges(outages, shown) }

// shown is the worth of the evidence that shows each of an edge's two ends.
const shown = 2 / (1 - stats.Confidence)

func edges(outages []*Outage, enough float64) Edges {
	var a asked
	for _, o := range outages {
		if !o.Noise.TooNoisy() {
			a.add(o)
		}
	}
	return Edges{Unsafe: a.edge(UnsafeBelow, enough), Safe: a.edge(SafeFrom, enough)}
}

// asked are the probes of several trials, in the order of the trials.
type asked struct {
	trials [][]answer
	delays []time.Duration // at which any was sent, in order
	// before has, for each trial, the curve of those before it.
	before []curve
}

type answer struct {
	delay time.Duration
	good  bool
}

func (a *asked) add(o *Outage) {
	var of []answer
	for _, row := range o.Rows {
		if row.Class != CutOff {
			of = append(of, answer{row.Delay, row.Class == Answered || row.Class == Held})
		}
	}
	slices.SortStableFunc(of, func(x, y answer) int { return cmp.Compare(x.delay, y.delay) })
	a.before = append(a.before, a.curve())
	a.trials = append(a.trials, of)
	for _, x := range of {
		if i, found := slices.BinarySearch(a.delays, x.delay); !found {
			a.delays = slices.Insert(a.delays, i, x.delay)
		}
	}
}

func (a *asked) edge(level, enough float64) Edge {
	e := Edge{Level: level, At: a.curve().crossing(level), High: Never}
	for _, d := range slices.Backward(a.delays) {
		if a.answeredBy(d, level) < enough {
			break
		}
		e.High = d
	}
	for _, d := range a.delays {
		if a.notYetAt(d, level) < enough {
			break
		}
		e.Low = d
	}
	return e
}

// answeredBy is the evidence that more than the level are answered at d: by the
// last probe of each trial until then.
func (a *asked) answeredBy(d time.Duration, level float64) float64 {
	e := stats.Against(level)
	for t, of := range a.trials {
		i, _ := slices.BinarySearchFunc(of, d+1, func(x answer, d time.Duration) int { return cmp.Compare(x.delay, d) })
		if i > 0 {
			e.See(of[i-1].good, a.before[t].until(of[i-1].delay))
		}
	}
	return e.Worth()
}

// notYetAt is the evidence that fewer are: by the first probe of each trial from
// then on.
func (a *asked) notYetAt(d time.Duration, level float64) float64 {
	e := stats.Against(1 - level)
	for t, of := range a.trials {
		i, _ := slices.BinarySearchFunc(of, d, func(x answer, d time.Duration) int { return cmp.Compare(x.delay, d) })
		if i < len(of) {
			e.See(!of[i].good, 1-a.before[t].from(of[i].delay))
		}
	}
	return e.Worth()
}

// curve is the monotone one that is closest to the rates at some delays, each by
// the number of its probes.
type curve struct {
	delays []time.Duration
	rates  []float64
	// careful are the rates drawn a little towards a half, the more the fewer
	// trials they are from: a guess of 0 or 1 would bet all.
	careful []float64
}

func (a *asked) curve() curve {
	good, n := make([]float64, len(a.delays)), make([]float64, len(a.delays))
	for _, of := range a.trials {
		for _, x := range of {
			i, _ := slices.BinarySearch(a.delays, x.delay)
			n[i]++
			if x.good {
				good[i]++
			}
		}
	}
	for i := range good {
		good[i] /= n[i]
	}
	c := curve{delays: slices.Clone(a.delays)}
	var weights []float64
	c.rates, weights = stats.Isotonic(good, n)
	for i, rate := range c.rates {
		w := min(weights[i], float64(len(a.trials)))
		c.careful = append(c.careful, (rate*w+0.5)/(w+1))
	}
	return c
}

// until is the careful rate at the last delay until d, from that at the first
// from d on: both err towards what is not to be shown.
func (c curve) until(d time.Duration) float64 {
	i, found := slices.BinarySearch(c.delays, d)
	switch {
	case found:
		return c.careful[i]
	case i == 0:
		return 0
	}
	return c.careful[i-1]
}

func (c curve) from(d time.Duration) float64 {
	i, _ := slices.BinarySearch(c.delays, d)
	if i == len(c.delays) {
		return 1
	}
	return c.careful[i]
}

// crossing is where the curve has the level, between two delays in proportion.
func (c curve) crossing(level float64) time.Duration {
	for i, p := range c.rates {
		switch {
		case p < level:
			continue
		case i == 0:
			return c.delays[0]
		}
		share := (level - c.rates[i-1]) / (p - c.rates[i-1])
		return c.delays[i-1] + time.Duration(share*float64(c.delays[i]-c.delays[i-1]))
	}
	return Never
}
