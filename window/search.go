package window

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Search looks for the edges of the ranges: first a grid, then delays around both
// edges. It proposes the delays of one trial after the other, by what the ones
// before have shown; it carries none out.
//
// What it proposes follows from its fields, the outages added and how often it
// was asked, and from nothing else. So trials can be carried out side by side:
// ask for as many as there are cells, then add their outages in that order.
type Search struct {
	// Grid is what the first trials ask at, all of it in each. It must reach
	// beyond the safe edge: nothing later than its last delay is asked at.
	Grid []time.Duration
	// Width is how wide the interval of either edge may be at the end.
	Width time.Duration
	// Budget is how many trials there may be at most.
	Budget int
	Seed   uint64

	outages  []*Outage
	proposed int
	// edges and likely are those of the first of outages, as many as known says:
	// what is shown, and what is only more likely than not.
	edges, likely Edges
	known         int
}

// gridTrials ask at the whole grid. They only have to find the neighbourhood of
// the edges: what they miss the later ones find, as they ask within the interval
// that is left.
const gridTrials = 4

// Next are the delays of the next trial, in the order of the actors that are to
// be asked; none where the search is over.
func (s *Search) Next() []time.Duration {
	if s.proposed >= s.Budget || s.Narrow() {
		return nil
	}
	r := rand.New(rand.NewPCG(s.Seed, uint64(s.proposed)))
	s.proposed++
	delays := slices.Clone(s.Grid)
	if s.proposed > gridTrials {
		delays = s.refined(r)
	}
	r.Shuffle(len(delays), func(i, j int) { delays[i], delays[j] = delays[j], delays[i] })
	return delays
}

// Add takes the outage of a trial that was proposed. One on a busy host, which
// says nothing, has cost a trial of the budget all the same.
func (s *Search) Add(o *Outage) { s.outages = append(s.outages, o) }

// Edges are what is known by now.
func (s *Search) Edges() Edges {
	s.learn()
	return s.edges
}

// enoughToLook is the worth of the evidence by which a search narrows where it
// asks. With less than it takes to show something it wastes fewer trials far off;
// what it shows in the end does not rest on it. In simulations it took 48 trials
// to a sharp edge with 2 or 4, and 55 with 40.
const enoughToLook = 2

func (s *Search) learn() {
	if n := len(s.outages); n == 0 || s.known < n {
		s.edges, s.likely, s.known = EdgesOf(s.outages), edges(s.outages, enoughToLook), n
	}
}

// Trials is how many were proposed.
func (s *Search) Trials() int { return s.proposed }

// Narrow reports that both intervals are as narrow as was asked for.
func (s *Search) Narrow() bool {
	e := s.Edges()
	return narrow(e.Unsafe, s.Width) && narrow(e.Safe, s.Width)
}

func narrow(e Edge, width time.Duration) bool { return e.High >= 0 && e.Width() <= width }

// refined are as many delays as the grid has, half of them around each edge.
// Where one is narrow enough the other gets all but two, which keep watching.
func (s *Search) refined(r *rand.Rand) []time.Duration {
	e, n := s.Edges(), len(s.Grid)
	unsafe := n / 2
	switch watching := min(2, n/2); {
	case narrow(e.Unsafe, s.Width):
		unsafe = watching
	case narrow(e.Safe, s.Width):
		unsafe = n - watching
	}
	return s.apart(slices.Concat(
		s.around(r, e.Unsafe, s.likely.Unsafe, unsafe),
		s.around(r, e.Safe, s.likely.Safe, n-unsafe)))
}

// apart moves delays that are there twice by a step: two actors that are asked at
// one delay of one trial show little more than one.
func (s *Search) apart(delays []time.Duration) []time.Duration {
	for i := range delays {
		for slices.Contains(delays[:i], delays[i]) {
			delays[i] -= s.step()
			if delays[i] < 0 {
				delays[i] = slices.Max(delays) + s.step()
			}
		}
	}
	return delays
}

// around are n delays, most of them where the edge is likely, and one in each of
// the rest of its interval to either side, where it takes more to show that it is
// not.
func (s *Search) around(r *rand.Rand, edge, likely Edge, n int) []time.Duration {
	var out []time.Duration
	if n > 3 && likely.Low > edge.Low {
		out = append(out, s.between(r, edge.Low, likely.Low, 1)...)
	}
	if high := s.end(edge); n > 3 && s.end(likely) < high {
		out = append(out, s.between(r, s.end(likely), high, 1)...)
	}
	// A little beyond, for where the edge lies at an end.
	n -= len(out)
	margin := max((s.end(likely)-likely.Low)/time.Duration(2*max(n, 1)), s.step())
	return append(out, s.between(r, max(likely.Low-margin, 0), min(s.end(likely)+margin, slices.Max(s.Grid)), n)...)
}

// end is that of the edge's interval, or of the grid.
func (s *Search) end(e Edge) time.Duration {
	if e.High < 0 {
		return slices.Max(s.Grid)
	}
	return e.High
}

// between are n delays, one at random in each of n equal parts: a bound can move
// to where somebody asked, and no further.
func (s *Search) between(r *rand.Rand, low, high time.Duration, n int) []time.Duration {
	var out []time.Duration
	for i := range n {
		at := low + time.Duration((float64(i)+r.Float64())/float64(n)*float64(high-low))
		out = append(out, at.Round(s.step()))
	}
	return out
}

// step is what delays are multiples of, so that some come again and tables have
// fewer rows: a tenth of the width, at least a millisecond.
func (s *Search) step() time.Duration {
	for _, step := range []time.Duration{100, 50, 20, 10, 5, 2} {
		if step *= time.Millisecond; step <= s.Width/10 {
			return step
		}
	}
	return time.Millisecond
}
