package check_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

var counter = check.Counter{Write: "tick", Read: "getCount", Ledger: "ledger"}

func TestLinearizable(t *testing.T) {
	cases := []struct {
		name  string
		build func(*ht.Builder)
		want  check.State
		says  string
	}{
		{"one after the other", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Read("a"), ht.Count(1)).Op(5, 6, ht.Tick("a", "y"), ht.Count(2))
		}, check.Pass, "3 counts of 1 actors"},
		{"two at a time, in either order", func(b *ht.Builder) {
			b.Op(1, 9, ht.Tick("a", "x"), ht.Count(2)).Op(2, 8, ht.Tick("a", "y"), ht.Count(1)).Op(3, 4, ht.Read("a"), ht.Count(0))
		}, check.Pass, ""},
		{"actors do not share a counter", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Tick("b", "y"), ht.Count(1))
		}, check.Pass, "2 actors"},
		{"a count of the tick's whole answer", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), history.Return{Outcome: history.OK, Value: map[string]any{"count": 1.0}})
		}, check.Pass, ""},
		{"unknown, applied later", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Read("a"), ht.Count(0)).Op(5, 6, ht.Read("a"), ht.Count(1))
		}, check.Pass, ""},
		{"unknown, never applied", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Tick("a", "y"), ht.Count(1))
		}, check.Pass, ""},
		{"still open at the end", func(b *ht.Builder) {
			b.Op(1, -1, ht.Tick("a", "x"), history.Return{}).Op(3, 4, ht.Read("a"), ht.Count(1))
		}, check.Pass, ""},
		{"an acknowledged write is gone", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Read("a"), ht.Count(0))
		}, check.Fail, "actor a: the write x answered 1, but a read answered 0 (asked afterwards, it is less)"},
		{"one count for two writes", func(b *ht.Builder) {
			b.Op(1, 9, ht.Tick("a", "x"), ht.Count(1)).Op(2, 8, ht.Tick("a", "y"), ht.Count(1))
		}, check.Fail, "two writes, one count"},
		{"a write after a read adds nothing", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Tick("a", "y"), ht.Unknown())
			b.Op(5, 6, ht.Read("a"), ht.Count(2)).Op(7, 8, ht.Tick("a", "z"), ht.Count(2))
		}, check.Fail, "written afterwards, it is no more"},
		{"more than was written", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(2))
		}, check.Fail, "when only 1 writes had begun"},
		{"applied although it certainly failed", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.NotApplied("a")).Op(3, 4, ht.Read("a"), ht.Count(1))
		}, check.Fail, "when only 0 writes had begun"},
		{"a retry that was refused says that the write was applied", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.Repeated("a")).Op(5, 6, ht.Read("a"), ht.Count(1))
		}, check.Pass, ""},
		{"a write that was known to be applied is gone", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.Repeated("a")).Op(5, 6, ht.Read("a"), ht.Count(0))
		}, check.Fail, "no order explains that a read answered 0"},
		{"a retry is no second write", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.Count(2))
		}, check.Fail, "when only 1 writes had begun"},
		{"a retry that failed leaves the first attempt open", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.NotApplied("a")).Op(5, 6, ht.Read("a"), ht.Count(1))
		}, check.Pass, ""},
		{"no count at all", func(b *ht.Builder) { b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()) }, check.Inconclusive, "nothing to check"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			f := one(t, b.End(20), counter.Linearizable(time.Minute))
			assert.Equal(t, c.want, f.State, f.Summary)
			assert.Contains(t, f.Summary, c.says)
		})
	}
}

// No pair of answers contradicts another, and no count is too high: only the
// search sees that 3 needs a write that was not there yet.
func TestLinearizableFindsWhatNoPairShows(t *testing.T) {
	build := func(unknownAt int) *history.History {
		b := &ht.Builder{}
		b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 30, ht.Tick("a", "y"), ht.Count(3))
		b.Op(4, 5, ht.Read("a"), ht.Count(1)).Op(unknownAt, 31, ht.Tick("a", "z"), ht.Unknown())
		return b.Op(unknownAt-2, unknownAt-1, ht.Read("a"), ht.Count(3)).End(50)
	}
	assert.Equal(t, check.Fail, one(t, build(20), counter.Linearizable(time.Minute)).State)

	b := &ht.Builder{}
	b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.Repeated("a"))
	b.Op(5, 60, ht.Tick("a", "y"), ht.Unknown()).Op(10, 11, ht.Read("a"), ht.Count(2)).Op(12, 13, ht.Read("a"), ht.Count(2))
	require.Equal(t, check.Pass, one(t, b.End(70), counter.Linearizable(time.Minute)).State)
	b.H.Events = b.H.Events[:len(b.H.Events)-1]
	b.Op(6, 9, ht.Read("a"), ht.Count(0))
	f := one(t, b.End(70), counter.Linearizable(time.Minute))
	require.Equal(t, check.Fail, f.State)
	assert.Contains(t, f.Summary, "no order explains that a read answered 0; until then one did. Beside it ran: [the write y without a count]")
	assert.Len(t, f.Witness, 4, "the read, and the write beside it")
}

func TestLinearizableWithManyUnknownOutcomes(t *testing.T) {
	b := &ht.Builder{}
	ms, n := 0, 0
	for i := range 60 {
		b.Op(ms, ms+1, ht.Tick("a", fmt.Sprintf("u%d", i)), ht.Unknown())
		if i%2 == 0 {
			n++ // of each two one is applied
		}
		n++
		b.Op(ms+2, ms+3, ht.Tick("a", fmt.Sprintf("k%d", i)), ht.Count(n))
		ms += 4
	}
	began := time.Now()
	assert.Equal(t, check.Pass, one(t, b.End(ms), counter.Linearizable(time.Minute)).State)
	b.H.Events = b.H.Events[:len(b.H.Events)-1]
	b.Op(ms, ms+1, ht.Read("a"), ht.Count(n-1))
	f := one(t, b.End(ms+2), counter.Linearizable(time.Minute))
	assert.Equal(t, check.Fail, f.State)
	assert.Len(t, f.Witness, 4)
	assert.Less(t, time.Since(began), 20*time.Second, "2^60 subsets are not tried")
}

func TestLinearizableGivesUp(t *testing.T) {
	b := &ht.Builder{}
	// All at a time, and the last read is impossible: every order is tried.
	for i := range 40 {
		b.Op(i, 900+i, ht.Tick("a", fmt.Sprintf("t%d", i)), history.Return{Outcome: history.OK})
	}
	b.Op(950, 951, ht.Read("a"), ht.Count(39))
	f := one(t, b.End(1000), counter.Linearizable(50*time.Millisecond))
	assert.Equal(t, check.Inconclusive, f.State, f.Summary)
	assert.Contains(t, f.Summary, "took too long")
}

func TestAppliedOnce(t *testing.T) {
	inv := counter.AppliedOnce()
	cases := []struct {
		name  string
		build func(*ht.Builder)
		want  check.State
		says  string
	}{
		{"once", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Ledger("a"), ht.Book("x")).Op(5, 6, ht.Read("a"), ht.Count(1))
		}, check.Pass, ""},
		{"twice by the ledger", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Ledger("a"), ht.Book("x", "x"))
		}, check.Fail, "in the ledger of actor a twice"},
		{"a retry, twice by the count that it answered", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.Count(2)).Op(5, 6, ht.Ledger("a"), ht.Book("x"))
		}, check.Fail, "applied more than once"},
		{"a retry, twice by the count in the end", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.Unknown())
			b.Op(5, 6, ht.Ledger("a"), ht.Book("x")).Op(7, 8, ht.Read("a"), ht.Count(2))
		}, check.Fail, "explains no more than 1"},
		{"an unknown write may have come between ledger and count", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Tick("a", "y"), ht.Unknown())
			b.Op(5, 6, ht.Ledger("a"), ht.Book("x")).Op(7, 8, ht.Read("a"), ht.Count(2))
		}, check.Pass, ""},
		{"but not between count and ledger", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Tick("a", "y"), ht.Unknown())
			b.Op(5, 6, ht.Read("a"), ht.Count(2)).Op(7, 8, ht.Ledger("a"), ht.Book("x"))
		}, check.Fail, "explains no more than 1"},
		{"no count after the last write", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Read("a"), ht.Count(1))
			b.Op(5, 6, ht.Tick("a", "y"), ht.Unknown()).Op(7, 8, ht.Ledger("a"), ht.Book("x", "y"))
		}, check.Inconclusive, "after its last write"},
		{"twice by a count that was read later", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.Unknown())
			b.Op(5, 6, ht.Read("a"), ht.Count(2)).Op(7, 8, ht.Ledger("a"), ht.Book("x"))
		}, check.Fail, "explains no more than 1"},
		{"a retry that was refused", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Again("a", "x2", "x"), ht.Repeated("a"))
			b.Op(5, 6, ht.Read("a"), ht.Count(1)).Op(7, 8, ht.Ledger("a"), ht.Book("x"))
		}, check.Pass, "1 writes were sent twice"},
		{"unknown and absent", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Tick("a", "y"), ht.Count(1)).Op(5, 6, ht.Ledger("a"), ht.Book("y")).Op(7, 8, ht.Read("a"), ht.Count(1))
		}, check.Pass, ""},
		{"applied after the ledger was read", func(b *ht.Builder) {
			b.Op(1, 20, ht.Tick("a", "x"), ht.Unknown()).Op(2, 3, ht.Tick("a", "y"), ht.Count(1))
			b.Op(4, 5, ht.Ledger("a"), ht.Book("y")).Op(6, 7, ht.Read("a"), ht.Count(2))
		}, check.Pass, ""},
		{"less than the ledger", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)).Op(3, 4, ht.Ledger("a"), ht.Book("x")).Op(5, 6, ht.Read("a"), ht.Count(0))
		}, check.Fail, "when 1 writes of its ledger had been applied"},
		{"no ledger", func(b *ht.Builder) { b.Op(1, 2, ht.Tick("a", "x"), ht.Count(1)) }, check.Inconclusive, "was not read back"},
		{"no count", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "x"), ht.Unknown()).Op(3, 4, ht.Ledger("a"), ht.Book("x"))
		}, check.Inconclusive, "no count of actor a"},
		{"a failure is not hidden by another actor without a ledger", func(b *ht.Builder) {
			b.Op(1, 2, ht.Tick("a", "w"), ht.Count(1))
			b.Op(1, 2, ht.Tick("b", "x"), ht.Count(1)).Op(3, 4, ht.Ledger("b"), ht.Book("x", "x"))
		}, check.Fail, "actor b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			f := one(t, b.End(20), inv)
			assert.Equal(t, c.want, f.State, f.Summary)
			assert.Contains(t, f.Summary, c.says)
		})
	}
}
