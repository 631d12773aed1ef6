package check_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// silent never answers in time, and bears what marks says.
func silent(actors ...string) *history.History {
	b := restarted()
	for i, a := range actors {
		ms := 100 + 10*i
		b.Op(ms, ms+1000, ht.Probe(a, 0), history.Return{Outcome: history.Fail, Cause: history.CauseTimeout})
	}
	b.Op(200, 210, ht.Probe("well", 0), ht.OK("well", 1))
	return b.End(60_000)
}

// marks is a bug that answers-within-bound sees, and that struck the actors.
func marks(name string, actors ...string) check.KnownBug {
	return check.KnownBug{Name: name, Sees: []string{"answers-within-bound"}, Hides: []string{"read"}, Mark: func(*history.History) map[string][]uint64 {
		m := map[string][]uint64{}
		for _, a := range actors {
			m[a] = []uint64{1, 2}
		}
		return m
	}}
}

func TestAFailureIsKnownOnlyIfAllOfItIs(t *testing.T) {
	inv := check.AnswersWithin(bound)
	for name, c := range map[string]struct {
		h     *history.History
		known []check.KnownBug
		want  check.State
		bugs  []string
	}{
		"nobody knows it":           {silent("a"), nil, check.Fail, nil},
		"it bears the mark":         {silent("a"), []check.KnownBug{marks("k", "a")}, check.Known, []string{"k"}},
		"another actor has it":      {silent("a"), []check.KnownBug{marks("k", "b")}, check.Fail, nil},
		"one of two has it":         {silent("a", "b"), []check.KnownBug{marks("k", "a")}, check.Fail, nil},
		"each has one":              {silent("a", "b"), []check.KnownBug{marks("k", "a"), marks("l", "b")}, check.Known, []string{"k", "l"}},
		"the bug did not show":      {silent("a"), []check.KnownBug{marks("k")}, check.Fail, nil},
		"a mark without a failure":  {silent(), []check.KnownBug{marks("k", "well")}, check.Pass, nil},
		"the bug is not seen by it": {silent("a"), []check.KnownBug{{Name: "k", Sees: []string{"no-panic"}, Mark: marks("k", "a").Mark}}, check.Fail, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := check.Judge(c.h, c.known, inv)
			assert.Equal(t, c.want, v.State, "%v", v)
			assert.Equal(t, c.bugs, v.First().Bugs)
			if c.want == check.Known {
				assert.True(t, slices.IsSorted(v.First().Witness))
				assert.NotEmpty(t, v.First().Witness)
			}
		})
	}
}

// What could not be decided is known where a bug struck, if it holds of the
// others, or if there are none.
func TestWhatCouldNotBeDecidedOfStruckActorsIsKnown(t *testing.T) {
	unread := check.Invariant{Name: "read", Check: func(h *history.History) check.Finding {
		f := check.Finding{State: check.Inconclusive, Summary: "nothing was read"}
		for _, e := range h.Events {
			switch b := e.Body.(type) {
			case *history.Invoke:
				if b.Actor == "a" {
					return check.Finding{State: check.Inconclusive, Summary: "a was not read"}
				}
				f.State = check.Pass
			}
		}
		return f
	}}
	only := restarted().Op(100, 1100, ht.Probe("a", 0), history.Return{Outcome: history.Fail}).End(60_000)
	for name, c := range map[string]struct {
		h     *history.History
		known []check.KnownBug
		want  check.State
	}{
		"no mark":            {silent("a"), nil, check.Inconclusive},
		"holds of others":    {silent("a"), []check.KnownBug{marks("k", "a")}, check.Known},
		"there are no other": {only, []check.KnownBug{marks("k", "a")}, check.Known},
		"another is marked":  {silent("a"), []check.KnownBug{marks("k", "well")}, check.Inconclusive},
	} {
		assert.Equal(t, c.want, check.Judge(c.h, c.known, unread).State, name)
	}
}

func TestAFailureBesideAKnownOneStands(t *testing.T) {
	lost := check.Invariant{Name: "other", Check: func(*history.History) check.Finding { return check.Finding{State: check.Fail} }}
	v := check.Judge(silent("a"), []check.KnownBug{marks("k", "a")}, check.AnswersWithin(bound), lost)
	assert.Equal(t, check.Fail, v.State)
	assert.Equal(t, "other", v.First().Invariant)
}

func TestReproduces(t *testing.T) {
	bug := marks("k", "a")
	got := func(h *history.History) check.Finding {
		return one(t, h, check.Reproduces(bug, check.AnswersWithin(bound)))
	}
	shown := got(silent("a"))
	assert.Equal(t, check.Known, shown.State)
	require.Equal(t, []string{"k"}, shown.Bugs)
	missed := got(silent())
	assert.Equal(t, check.Inconclusive, missed.State, "a bug that was to show and did not is no pass")
	assert.Contains(t, missed.Summary, "not reproduced")
	other := got(silent("b"))
	assert.Equal(t, check.Fail, other.State, "what failed is not this bug")
}
