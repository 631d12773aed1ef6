package compare

import (
	"slices"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/window"
)

// Result is two sides beside each other.
type Result struct {
	Rule     Rule
	Decision Decision
	Why      string
	A, B     Summary
	// Times are those of the measures, Phases those of the parts of the window:
	// of what took a millisecond on either side.
	Times, Phases []Row
	// Answered is how often probes were answered, by delay.
	Answered []Answered
}

// Summary is one side by itself.
type Summary struct {
	Name string
	// Trials are all, Counted those whose times count; Busy had a busy host, and
	// do not count unless the rule says so.
	Trials, Counted, Busy int
	States                map[check.State]int
	Edges                 window.Edges
	// Unattributed is the share of the windows' time of which nobody knows what
	// was waited for.
	Unattributed float64
}

// Row is one time of both sides.
type Row struct {
	Name   string
	A, B   window.Distribution
	Longer Difference
}

// Difference is by how much a time of the second side is longer: the median of
// all differences between a trial of the one and a trial of the other.
type Difference struct {
	// Pairs are those that it is from; with 0 there is none.
	Pairs    int
	Estimate time.Duration
	// Low and High hold it between them with 95 %, whenever one stopped. Bounded
	// is false where that takes more trials.
	Low, High time.Duration
	Bounded   bool
	// Endless: there is no telling by how much, for too many never came.
	Endless bool
}

// Answered is how often probes were answered at one delay.
type Answered struct {
	Delay time.Duration
	A, B  Rate
}

// Rate is k of n; n may be 0.
type Rate struct{ K, N int }

// Compare sets the sides beside each other, and decides.
func (r Rule) Compare(a, b Side) Result {
	a.busy, b.busy = r.Busy, r.Busy
	out := Result{Rule: r, A: summary(a), B: summary(b)}
	out.Decision, out.Why = r.Decide(a, b)
	for _, m := range Measures {
		out.Times = append(out.Times, row(string(m), a.times(m), b.times(m)))
	}
	out.Phases = phases(a, b)
	out.Answered = answered(a, b)
	return out
}

func summary(s Side) Summary {
	out := Summary{Name: s.Name, Trials: len(s.Trials), Counted: len(s.counted()), States: map[check.State]int{}}
	for _, t := range s.Trials {
		out.States[t.State]++
		if t.Outage != nil && t.Outage.Noise.TooNoisy() {
			out.Busy++
		}
	}
	out.Edges = window.EdgesOf(s.outages())
	for _, p := range window.SpreadPhases(s.phases()) {
		if p.Phase == window.Unattributed {
			out.Unattributed = p.Share
		}
	}
	return out
}

func (s Side) outages() []*window.Outage {
	var out []*window.Outage
	for _, t := range s.counted() {
		out = append(out, t.Outage)
	}
	return out
}

func (s Side) phases() [][]window.Part {
	var out [][]window.Part
	for _, t := range s.counted() {
		if len(t.Phases) > 0 {
			out = append(out, t.Phases)
		}
	}
	return out
}

func row(name string, a, b []time.Duration) Row {
	return Row{Name: name, A: distribution(a), B: distribution(b), Longer: difference(a, b)}
}

// difference takes its estimate from all pairs of a trial with a trial (J. Hodges,
// E. Lehmann, Estimates of Location Based on Rank Tests, Annals of Mathematical
// Statistics 34, 1963), its interval from the pairs that [Rule.Decide] goes by,
// and in the same way: a bound is moved inwards for as long as each difference in
// its order is shown to be on the other side of the median.
func difference(a, b []time.Duration) Difference {
	if len(a) == 0 || len(b) == 0 {
		return Difference{}
	}
	var all, pairs []time.Duration
	for i, x := range a {
		for _, y := range b {
			all = append(all, y-x)
		}
		if i < len(b) {
			pairs = append(pairs, b[i]-x)
		}
	}
	slices.Sort(all)
	d := Difference{Pairs: len(pairs), Estimate: stats.Quantile(all, 0.5)}
	low, some := bound(pairs, 1)
	high, others := bound(pairs, -1)
	d.Low, d.High, d.Bounded = low, -high, some && others
	// What only a time that never came can make.
	d.Endless = max(d.Estimate.Abs(), d.Low.Abs(), d.High.Abs()) >= endless/2
	return d
}

// bound is the largest difference of which it is shown that the median is no
// less; of the differences with their sign turned, if sign says so.
func bound(pairs []time.Duration, sign time.Duration) (at time.Duration, some bool) {
	came := make([]time.Duration, len(pairs))
	for i, d := range pairs {
		came[i] = sign * d
	}
	for _, c := range slices.Sorted(slices.Values(came)) {
		e, k := stats.Against(0.5), 0
		for n, d := range came {
			e.See(d >= c, guess(k, n))
			k += one(d >= c)
		}
		if e.Worth() < shown {
			break
		}
		at, some = c, true
	}
	return at, some
}

func distribution(times []time.Duration) window.Distribution {
	known := make([]time.Duration, len(times))
	for i, t := range times {
		if known[i] = t; t == endless {
			known[i] = window.Never
		}
	}
	return window.Distribute(known)
}

func phases(a, b Side) []Row {
	of := func(s Side) map[window.Phase][]time.Duration {
		took := map[window.Phase][]time.Duration{}
		for _, parts := range s.phases() {
			for _, p := range parts {
				took[p.Phase] = append(took[p.Phase], p.Took)
			}
		}
		return took
	}
	var rows []Row
	inA, inB := of(a), of(b)
	for _, p := range window.AllPhases {
		if out := row(string(p), inA[p], inB[p]); max(out.A.Worst, out.B.Worst) >= time.Millisecond {
			rows = append(rows, out)
		}
	}
	return rows
}

// answered has the delays that both sides, or either, were asked at.
func answered(a, b Side) []Answered {
	var out []Answered
	count := func(s Side, of func(*Answered) *Rate) {
		r, err := window.Together(s.outages())
		if err != nil {
			return // the patience differs: nothing to set beside each other
		}
		for _, d := range r.Delays {
			i := 0
			for i < len(out) && out[i].Delay < d.Delay {
				i++
			}
			if i == len(out) || out[i].Delay != d.Delay {
				out = append(out[:i], append([]Answered{{Delay: d.Delay}}, out[i:]...)...)
			}
			*of(&out[i]) = Rate{d.Good, d.N}
		}
	}
	count(a, func(x *Answered) *Rate { return &x.A })
	count(b, func(x *Answered) *Rate { return &x.B })
	return out
}
