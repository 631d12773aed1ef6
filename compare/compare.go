// Package compare says whether one side of trials is worse than another: two
// engines, two settings, two stored runs. It reads what [window] made of their
// histories, sets both beside each other, and decides, as soon as the trials
// allow it.
package compare

import (
	"slices"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/window"
)

// Trial is what counts of one.
type Trial struct {
	// Outage is nil where there is none to measure, or its times do not count:
	// cut off, or without a fault that landed. One on a busy host says so itself.
	Outage *window.Outage
	Phases []window.Part
	State  check.State // of its verdict; "" where nobody judged it
}

// Side is one of the two.
type Side struct {
	Name   string
	Trials []Trial

	busy bool // trials on a busy host count
}

// Measure is the time by which sides are compared.
type Measure string

// The measures, as the methods of [window.Outage] call them.
const (
	Window       Measure = "window"
	WindowAll    Measure = "window-all"
	HealthGap    Measure = "health-gap"
	HealthGapAll Measure = "health-gap-all"
)

// Measures are all of them.
var Measures = []Measure{Window, WindowAll, HealthGap, HealthGapAll}

func (m Measure) of(o *window.Outage) time.Duration {
	switch m {
	case WindowAll:
		return o.WindowAll()
	case HealthGap:
		return o.HealthGap()
	case HealthGapAll:
		return o.HealthGapAll()
	}
	return o.Window()
}

// endless stands for a time that did not come: longer than all others, and so
// that a tenth more of it can be computed.
const endless = time.Duration(1 << 61)

// times are those of the trials that count.
func (s Side) times(m Measure) []time.Duration {
	var out []time.Duration
	for _, t := range s.counted() {
		d := m.of(t.Outage)
		if d < 0 {
			d = endless
		}
		out = append(out, d)
	}
	return out
}

// counted are the trials whose times count.
func (s Side) counted() []Trial {
	var out []Trial
	for _, t := range s.Trials {
		switch {
		case t.Outage == nil, !s.busy && t.Outage.Noise.TooNoisy():
			continue
		case s.busy:
			// As of a host that nobody watched: what reads it would leave it out.
			quiet := *t.Outage
			quiet.Noise = window.Noise{}
			t.Outage = &quiet
		}
		out = append(out, t)
	}
	return out
}

// judged are the trials that proved something.
func (s Side) judged() []Trial {
	return slices.DeleteFunc(slices.Clone(s.Trials), func(t Trial) bool {
		return t.State == check.Inconclusive || t.State == ""
	})
}

// Decision is what a comparison came to.
type Decision string

// The decisions, of the second side beside the first.
const (
	Worse     Decision = "worse"
	Better    Decision = "better"
	Same      Decision = "same" // neither by more than the margin
	Undecided Decision = "undecided"
)

// Alpha is the probability, at most, that a comparison calls worse what is not:
// half of it by the times, half by the verdicts. That it calls better what is not,
// or the same, is half as likely. It holds however often one looks, and whenever
// one stops.
const Alpha = 1 - stats.Confidence

// Rule says what difference matters and when a comparison ends.
type Rule struct {
	On Measure // "" is [Window]
	// Margin is the share of the time by which a side may be longer and still be
	// called the same, as 0.1; and Least the time that it always may.
	Margin float64
	Least  time.Duration
	// Trials is how many there are of each side at most.
	Trials int
	// Busy has trials on a busy host count, too. Where both sides of a pair share
	// the host that is fair; but all times are longer, and further apart.
	Busy bool
}

// allowed is the longest time that is called the same as t.
func (r Rule) allowed(t time.Duration) time.Duration {
	return max(t+r.Least, t+time.Duration(r.Margin*float64(t)))
}

// longer reports whether it is shown that b's times are longer than what is
// allowed beside a's, and whether it is shown that they are not.
//
// The first trial of the one is set beside the first of the other, and so on; a
// side is longer where it is in more than half of all pairs. What shows that is a
// bet on each next pair ([stats.Evidence]): exact for any number of trials,
// whenever one stops, and whatever the times' distributions, which here are of
// different forms: one side may have a back-off and the other none. The test of
// Mann and Whitney, looking six times at a sixth of alpha each, decided one or two
// pairs sooner in simulations, and erred in 5 to 6 % where it says 2.5 % if one
// side was spread and the other was not. (What it assumes: M. Fay, M. Proschan,
// Wilcoxon-Mann-Whitney or t-test?, Statistics Surveys 4, 2010.) Of a bootstrap of
// six trials nobody knows how often it errs.
func (r Rule) longer(a, b []time.Duration) (is, isNot bool) {
	more, less := stats.Against(0.5), stats.Against(0.5)
	over, under := 0, 0
	for i := range min(len(a), len(b)) {
		above, below := b[i] > r.allowed(a[i]), b[i] < r.allowed(a[i])
		more.See(above, guess(over, i))
		less.See(below, guess(under, i))
		over, under = over+one(above), under+one(below)
	}
	return more.Worth() >= shown, less.Worth() >= shown
}

// shown is the worth of the evidence for which one claim is made.
const shown = 2 / Alpha

// guess is at what rate what came k times of n comes next. The first is above a
// half, so that the first pair counts, too: six in a row decide.
func guess(k, n int) float64 { return (float64(k) + 0.6) / (float64(n) + 1) }

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// failsMore reports whether it is shown that b fails more often: of the pairs of
// which one fails it is b in more than half.
func failsMore(a, b []Trial) bool {
	e, k, n := stats.Against(0.5), 0, 0
	for i := range min(len(a), len(b)) {
		inA, inB := a[i].State == check.Fail, b[i].State == check.Fail
		if inA == inB {
			continue
		}
		e.See(inB, guess(k, n))
		k, n = k+one(inB), n+1
	}
	return e.Worth() >= shown
}

// Decide compares b with a. why is in words.
func (r Rule) Decide(a, b Side) (d Decision, why string) {
	on := r.on()
	a.busy, b.busy = r.Busy, r.Busy
	worse, notWorse := r.longer(a.times(on), b.times(on))
	better, notBetter := r.longer(b.times(on), a.times(on))
	switch {
	case failsMore(a.judged(), b.judged()):
		return Worse, "more of its trials fail"
	case worse:
		return Worse, "its " + words[on] + " is longer"
	case better:
		return Better, "its " + words[on] + " is shorter"
	case notWorse && notBetter:
		return Same, "the difference of the " + words[on] + " is within the margin"
	}
	return Undecided, "the trials do not tell"
}

func (r Rule) on() Measure {
	if r.On == "" {
		return Window
	}
	return r.On
}

// words are how texts call the measures.
var words = map[Measure]string{
	Window: "outage window", WindowAll: "outage window until nobody waits",
	HealthGap: "health gap", HealthGapAll: "health gap until nobody waits",
}
