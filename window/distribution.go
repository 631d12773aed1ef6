package window

import (
	"slices"
	"time"

	"github.com/killpoint/killpoint/internal/stats"
)

// Never is a time that did not come: an actor that never answered.
const Never = time.Duration(-1)

// Quantile is one of a distribution, with the order statistics that hold it
// between them with 95 %, whatever the distribution.
type Quantile struct {
	At time.Duration // of the sample; [Never] where it did not come that often
	// Low and High are [Never] where no value of the sample is such a bound: it
	// is too small, or too many of its times did not come.
	Low, High time.Duration
}

// Distribution is what the times of several trials say of a further one. Its
// times must be independent: of one trial there is one.
type Distribution struct {
	// N are all, Came those of them that came. One that did not is longer than
	// all others.
	N, Came                int
	Least                  time.Duration // of those that came
	Median, P95            Quantile
	Worst                  time.Duration // [Never] where one did not come
	Quarter, ThreeQuarters time.Duration // of all, the lower and the upper one
}

// Distribute sums times up, in whatever order; [Never] is one of them.
func Distribute(times []time.Duration) Distribution {
	var came []time.Duration
	for _, t := range times {
		if t >= 0 {
			came = append(came, t)
		}
	}
	slices.Sort(came)
	d := Distribution{N: len(times), Came: len(came), Least: Never, Worst: Never}
	s := sample{came, len(times)}
	d.Median, d.P95 = s.quantile(0.5), s.quantile(0.95)
	d.Quarter, d.ThreeQuarters = s.at(0.25), s.at(0.75)
	if len(came) > 0 {
		d.Least = came[0]
	}
	if d.N > 0 && d.Came == d.N {
		d.Worst = came[len(came)-1]
	}
	return d
}

// Beyond is what the rate of trials that take longer than the worst one here is
// below, with 95 %, one-sided: of the worst itself no interval can be known, for
// the next may be worse.
func (d Distribution) Beyond() float64 { return stats.NoneOf(d.N) }

// sample are the times that came, in order, of n.
type sample struct {
	came []time.Duration
	n    int
}

func (s sample) quantile(q float64) Quantile {
	low, high := stats.QuantileRanks(s.n, q, (1-stats.Confidence)/2)
	return Quantile{At: s.at(q), Low: s.rank(low), High: s.rank(high)}
}

func (s sample) rank(r int) time.Duration {
	if r < 1 || r > len(s.came) {
		return Never
	}
	return s.came[r-1]
}

// at interpolates, but not towards a time that did not come.
func (s sample) at(q float64) time.Duration {
	if s.n == 0 || q*float64(s.n-1) > float64(len(s.came)-1) {
		return Never
	}
	// Those that came are the first of all n.
	return stats.Quantile(s.came, min(1, q*float64(s.n-1)/float64(max(len(s.came)-1, 1))))
}

// Measured is what the statistics take of one trial.
type Measured struct {
	Outage *Outage
	Phases []Part // as [Phases] has them
}

// Summary is what several trials of one scenario on a quiet host say together.
type Summary struct {
	// Noisy are the trials left out, because their host was too busy.
	Trials, Noisy int
	// As the methods of [Outage] call them.
	Window, WindowAll, HealthGap, HealthGapAll Distribution
	// Phases are all phases in their order, those of a window that never ended
	// left out.
	Phases []PhaseSpread
	// Unattributed is the share of all the windows' time of which nobody knows
	// what was waited for.
	Unattributed float64
}

// PhaseSpread is one phase over several trials.
type PhaseSpread struct {
	Phase Phase
	Distribution
	// Mean and Share, that of all the windows' time: these add up, which medians
	// do not.
	Mean  time.Duration
	Share float64
}

// Summarize sums trials of one scenario up.
func Summarize(trials []Measured) Summary {
	var s Summary
	var first, all, gap, gapAll []time.Duration
	var phases [][]Part
	for _, t := range trials {
		o := t.Outage
		if o.Noise.TooNoisy() {
			s.Noisy++
			continue
		}
		s.Trials++
		first, all = append(first, o.Window()), append(all, o.WindowAll())
		gap, gapAll = append(gap, o.HealthGap()), append(gapAll, o.HealthGapAll())
		phases = append(phases, t.Phases)
	}
	s.Window, s.WindowAll = Distribute(first), Distribute(all)
	s.HealthGap, s.HealthGapAll = Distribute(gap), Distribute(gapAll)
	s.Phases = SpreadPhases(phases)
	for _, p := range s.Phases {
		if p.Phase == Unattributed {
			s.Unattributed = p.Share
		}
	}
	return s
}

// SpreadPhases takes the phases of several trials together. A trial without any
// counts for none.
func SpreadPhases(trials [][]Part) []PhaseSpread {
	var order []Phase
	took, sum, all := map[Phase][]time.Duration{}, map[Phase]time.Duration{}, time.Duration(0)
	for _, parts := range trials {
		for _, p := range parts {
			if took[p.Phase] == nil {
				order = append(order, p.Phase)
			}
			took[p.Phase] = append(took[p.Phase], p.Took)
			sum[p.Phase] += p.Took
			all += p.Took
		}
	}
	var out []PhaseSpread
	for _, p := range order {
		out = append(out, PhaseSpread{
			Phase: p, Distribution: Distribute(took[p]),
			Mean: sum[p] / time.Duration(len(took[p])), Share: float64(sum[p]) / float64(max(all, 1)),
		})
	}
	return out
}
