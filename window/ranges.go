package window

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/killpoint/killpoint/internal/stats"
)

// AtDelay is what the probes sent at one delay came to, over several outages.
type AtDelay struct {
	Delay time.Duration
	// N probes were sent in Trials trials, and ended. Probes of one trial share
	// its restart: where N is more than Trials, intervals of N are too narrow.
	N, Trials int
	// Good of them had a good answer within their timeout, AtOnce of those
	// within [AtOnce]. Classes has all N.
	Good, AtOnce int
	Classes      map[Class]int
	// CutOff are those whose end is not in their history. They are not in N.
	CutOff int
	// Noisy are the probes of trials on a host that was too busy, NoisyGood
	// those of them that had a good answer. They are not in N either.
	Noisy, NoisyGood int
}

// Answered is the interval of the rate of good answers within the timeout,
// AnsweredAtOnce that of those at once.
func (a AtDelay) Answered() stats.Interval { return stats.Proportion(a.Good, a.N) }

// AnsweredAtOnce: see Answered.
func (a AtDelay) AnsweredAtOnce() stats.Interval { return stats.Proportion(a.AtOnce, a.N) }

// Range is a range of delays, both its ends included.
type Range struct {
	From, To time.Duration
	// N probes were sent in it, at the delay with the fewest in LeastTrials
	// trials. That is what bounds the rate of the other outcome there.
	N, LeastTrials int
}

// Empty reports that no delay is in the range.
func (r Range) Empty() bool { return r.N == 0 }

// Ranges are what several outages of one scenario say together.
type Ranges struct {
	Timeout time.Duration // the clients' patience
	// Trials are those that count, Noisy those left out because their host was
	// too busy. Unwatched are those of Trials whose host nobody watched.
	Trials, Noisy, Unwatched int
	// Delays are in ascending order.
	Delays []AtDelay
	// Unsafe ends at the largest delay up to which no probe at all had a good
	// answer. Safe begins at the least delay from which on every probe had one.
	// Flaky is what lies between the two. Each delay that was asked at is in
	// one of them, and says nothing of what was not asked.
	Unsafe, Flaky, Safe Range
	// Edges part the ranges by how often probes are answered, with intervals.
	Edges Edges
	// The edge is known better than the delays lie apart, since who gave no good
	// answer is asked on. First has the health gap of each trial, Last that
	// until nobody had to wait, Waited the time from /health to the first good
	// answer of each actor that had to wait. Those that never came are counted.
	First, Last, Waited    []time.Duration
	NeverFirst, NeverAll   int // trials
	NeverWaited, NoWaiting int // actors that never answered, and that had not to wait
}

// ErrPatience is the reason for which outages are not of one scenario.
var ErrPatience = errors.New("the probes differ in their clients' patience")

// Together sums up outages of one scenario. Those on a busy host are counted
// apart.
func Together(outages []*Outage) (Ranges, error) {
	var r Ranges
	at := map[time.Duration]*AtDelay{}
	for _, o := range outages {
		if err := r.patience(o); err != nil {
			return Ranges{}, err
		}
		noisy := o.Noise.TooNoisy()
		if noisy {
			r.Noisy++
		} else {
			r.edges(o)
		}
		count(at, o, noisy)
	}
	for _, a := range at {
		r.Delays = append(r.Delays, *a)
	}
	slices.SortFunc(r.Delays, func(a, b AtDelay) int { return cmp.Compare(a.Delay, b.Delay) })
	r.split()
	r.Edges = EdgesOf(outages)
	return r, nil
}

func (r *Ranges) patience(o *Outage) error {
	for _, row := range o.Rows {
		if r.Timeout == 0 {
			r.Timeout = row.Timeout
		}
		if row.Timeout != r.Timeout {
			return fmt.Errorf("%w: %v and %v", ErrPatience, r.Timeout, row.Timeout)
		}
	}
	return nil
}

func (r *Ranges) edges(o *Outage) {
	r.Trials++
	if o.Noise.Span == 0 {
		r.Unwatched++
	}
	keep(&r.First, &r.NeverFirst, o.HealthGap())
	keep(&r.Last, &r.NeverAll, o.HealthGapAll())
	for _, row := range o.Rows {
		if row.Class == Answered {
			// It was ready at some time before it was asked.
			r.NoWaiting++
			continue
		}
		keep(&r.Waited, &r.NeverWaited, row.AnsweredAt)
	}
}

// keep takes a time, or counts it where it never came.
func keep(times *[]time.Duration, never *int, d time.Duration) {
	if d < 0 {
		*never++
		return
	}
	*times = append(*times, d)
}

func count(at map[time.Duration]*AtDelay, o *Outage, noisy bool) {
	asked := map[time.Duration]bool{}
	for _, row := range o.Rows {
		a := at[row.Delay]
		if a == nil {
			a = &AtDelay{Delay: row.Delay, Classes: map[Class]int{}}
			at[row.Delay] = a
		}
		a.count(row.Class, noisy)
		if !noisy && row.Class != CutOff && !asked[row.Delay] {
			asked[row.Delay] = true
			a.Trials++
		}
	}
}

func (a *AtDelay) count(class Class, noisy bool) {
	good := class == Answered || class == Held
	switch {
	case class == CutOff:
		a.CutOff++
	case noisy:
		a.Noisy++
		if good {
			a.NoisyGood++
		}
	default:
		a.N++
		a.Classes[class]++
		if good {
			a.Good++
		}
		if class == Answered {
			a.AtOnce++
		}
	}
}

// split divides the delays at which a probe ended into the three ranges.
func (r *Ranges) split() {
	var asked []AtDelay
	for _, a := range r.Delays {
		if a.N > 0 {
			asked = append(asked, a)
		}
	}
	unsafe, safe := 0, len(asked)
	for unsafe < len(asked) && asked[unsafe].Good == 0 {
		unsafe++
	}
	for safe > unsafe && asked[safe-1].Good == asked[safe-1].N {
		safe--
	}
	r.Unsafe, r.Flaky, r.Safe = span(asked[:unsafe]), span(asked[unsafe:safe]), span(asked[safe:])
}

func span(delays []AtDelay) Range {
	if len(delays) == 0 {
		return Range{}
	}
	out := Range{From: delays[0].Delay, To: delays[len(delays)-1].Delay, LeastTrials: delays[0].Trials}
	for _, a := range delays {
		out.N += a.N
		out.LeastTrials = min(out.LeastTrials, a.Trials)
	}
	return out
}
