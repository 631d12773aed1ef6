package window_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/window"
)

// restarts is how long after /health an actor answers: a part that all actors of
// one restart share, and one of each.
type restarts struct {
	name          string
	shared, alone func(*rand.Rand) float64 // seconds
	// gains: a search narrows more than the grid alone.
	gains bool
}

var simulated = []restarts{
	{"a back-off", func(r *rand.Rand) float64 { return 1.8 + r.Float64() + 0.5*r.Float64() }, func(r *rand.Rand) float64 { return 0.1 * r.Float64() }, true},
	{"one edge", func(*rand.Rand) float64 { return 2.4 }, func(r *rand.Rand) float64 { return 0.02 * r.Float64() }, true},
	{"each for itself", func(*rand.Rand) float64 { return 1 }, func(r *rand.Rand) float64 { return r.ExpFloat64() / 2 }, false},
	{"two ways", func(r *rand.Rand) float64 { return 1.2 + 2*float64(r.IntN(2)) + 0.3*r.Float64() }, func(r *rand.Rand) float64 { return 0.05 * r.Float64() }, true},
}

const patience = time.Second

// edge is the true one: the quantile of how long it takes, less the patience.
func (m restarts) edge(level float64) time.Duration {
	r, took := rand.New(rand.NewPCG(5, 5)), make([]float64, 400_000)
	for i := range took {
		took[i] = m.shared(r) + m.alone(r)
	}
	slices.Sort(took)
	return max(0, seconds(took[int(level*float64(len(took)))])-patience)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (m restarts) outage(r *rand.Rand, delays []time.Duration) *window.Outage {
	o, shared := &window.Outage{}, m.shared(r)
	for _, d := range delays {
		row := window.Row{Delay: d, Timeout: patience, Class: window.TimedOut}
		if ready := seconds(shared + m.alone(r)); ready <= d+patience {
			row.Class = window.Held
		}
		o.Rows = append(o.Rows, row)
	}
	return o
}

var grid = []time.Duration{0, 250e6, 500e6, 1e9, 2e9, 2500e6, 3e9, 3500e6, 5e9}

// search carries a simulated search out, three trials side by side.
func (m restarts) search(seed uint64, width time.Duration, budget int) *window.Search {
	s := &window.Search{Grid: grid, Width: width, Budget: budget, Seed: seed}
	r := rand.New(rand.NewPCG(seed, 99))
	for {
		var batch [][]time.Duration
		for range 3 {
			if delays := s.Next(); delays != nil {
				batch = append(batch, delays)
			}
		}
		if batch == nil {
			return s
		}
		for _, delays := range batch {
			s.Add(m.outage(r, delays))
		}
	}
}

// The goodness of a search: that its intervals hold the true edges as often as
// they say, though it chose its delays and its end by what it saw; how narrow
// they are, beside those of the grid alone after as many trials.
func TestASearchFindsTheTrueEdges(t *testing.T) {
	searches := 20
	if os.Getenv("KILLPOINT_SIMULATE") != "" {
		searches = 250 // what the figures in docs are from
	}
	for _, m := range simulated {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			unsafe, safe := m.edge(window.UnsafeBelow), m.edge(window.SafeFrom)
			missed, trials := 0, 0
			var searched, fixed [2][]time.Duration // of the unsafe edge, of the safe one
			for seed := range uint64(searches) {
				s := m.search(seed, 400*time.Millisecond, 90)
				e := s.Edges()
				missed += outside(e.Unsafe, unsafe) + outside(e.Safe, safe)
				trials += s.Trials()
				r := rand.New(rand.NewPCG(seed, 7))
				var all []*window.Outage
				for range s.Trials() {
					all = append(all, m.outage(r, grid))
				}
				g := window.EdgesOf(all)
				for i, w := range []window.Edge{e.Unsafe, e.Safe} {
					searched[i], fixed[i] = append(searched[i], w.Width()), append(fixed[i], []window.Edge{g.Unsafe, g.Safe}[i].Width())
				}
			}
			of := 2 * searches
			t.Logf("%-16s missed %d of %d edges; %.0f trials in the mean; median widths %v and %v, of the grid alone %v and %v",
				m.name, missed, of, float64(trials)/float64(searches), median(searched[0]), median(searched[1]), median(fixed[0]), median(fixed[1]))
			assert.LessOrEqual(t, float64(missed)/float64(of), 0.05)
			if m.gains {
				assert.Less(t, median(searched[0])+median(searched[1]), median(fixed[0])+median(fixed[1]))
			}
		})
	}
}

func outside(e window.Edge, truth time.Duration) int {
	if truth < e.Low || e.High >= 0 && e.High < truth {
		return 1
	}
	return 0
}

// median of widths, of which one that has no end is the largest.
func median(widths []time.Duration) time.Duration {
	for i, w := range widths {
		if w < 0 {
			widths[i] = time.Hour
		}
	}
	slices.Sort(widths)
	return widths[len(widths)/2]
}

func TestASearchGoesByItsSeedAndWhatItSaw(t *testing.T) {
	m := simulated[0]
	proposed := func(seed uint64) string {
		s, r, out := &window.Search{Grid: grid, Width: 1, Budget: 12, Seed: seed}, rand.New(rand.NewPCG(1, 1)), ""
		for delays := s.Next(); delays != nil; delays = s.Next() {
			out += fmt.Sprintln(delays)
			s.Add(m.outage(r, delays))
		}
		return out
	}
	assert.Equal(t, proposed(1), proposed(1))
	assert.NotEqual(t, proposed(1), proposed(2))
}

func TestASearchBeginsWithItsGridInAnyOrder(t *testing.T) {
	s := &window.Search{Grid: grid, Width: time.Second, Budget: 5, Seed: 3}
	first, second := s.Next(), s.Next()
	assert.ElementsMatch(t, grid, first)
	assert.ElementsMatch(t, grid, second)
	assert.NotEqual(t, first, second)
}

// However narrow it searches, each actor of a trial is asked at a delay of its
// own, and none before the first good /health.
func TestASearchAsksAtEachDelayOnce(t *testing.T) {
	m := simulated[1]
	s, r := &window.Search{Grid: grid, Width: 10 * time.Millisecond, Budget: 60, Seed: 3}, rand.New(rand.NewPCG(1, 1))
	for delays := s.Next(); delays != nil; delays = s.Next() {
		slices.Sort(delays)
		assert.Len(t, slices.Compact(slices.Clone(delays)), len(grid))
		assert.GreaterOrEqual(t, delays[0], time.Duration(0))
		s.Add(m.outage(r, delays))
	}
}

func TestASearchEndsWithItsBudgetOrAtItsWidth(t *testing.T) {
	m := simulated[1]
	spent := m.search(1, 1, 10)
	assert.Equal(t, 10, spent.Trials())
	assert.False(t, spent.Narrow())
	assert.Equal(t, window.Never, spent.Edges().Safe.High, "ten trials show no 90 %")

	found := m.search(1, 400*time.Millisecond, 500)
	require.True(t, found.Narrow())
	assert.Less(t, found.Trials(), 100)
	assert.Nil(t, found.Next())
}

// Nothing is shown by a trial on a busy host.
func TestASearchLearnsNothingOnABusyHost(t *testing.T) {
	s, m, r := &window.Search{Grid: grid, Width: time.Second, Budget: 60, Seed: 3}, simulated[1], rand.New(rand.NewPCG(1, 1))
	for delays := s.Next(); delays != nil; delays = s.Next() {
		o := m.outage(r, delays)
		o.Noise.Busy = 1
		s.Add(o)
	}
	assert.Equal(t, 60, s.Trials())
	assert.Equal(t, window.Never, s.Edges().Unsafe.High)
}

// Where every probe is answered from the first delay on, nothing is unsafe.
func TestEdgesWhereThereIsNoRace(t *testing.T) {
	m := restarts{"none", func(*rand.Rand) float64 { return 0.1 }, func(*rand.Rand) float64 { return 0 }, false}
	e := m.search(1, 100*time.Millisecond, 60).Edges()
	assert.Equal(t, window.Edge{Level: window.SafeFrom}, e.Safe)
	assert.Equal(t, window.Edge{Level: window.UnsafeBelow}, e.Unsafe)
}

// Where none ever is, there is no end.
func TestEdgesWhereNobodyAnswers(t *testing.T) {
	m := restarts{"none", func(*rand.Rand) float64 { return 100 }, func(*rand.Rand) float64 { return 0 }, false}
	e := m.search(1, 100*time.Millisecond, 60).Edges()
	assert.Equal(t, window.Edge{Level: window.SafeFrom, At: window.Never, Low: 5 * time.Second, High: window.Never}, e.Safe)
	assert.Equal(t, window.Never, e.Safe.Width())
}
