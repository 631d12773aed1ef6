package check_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

const (
	refusedCommit   = "operation x failed at its commit, it was not applied: sql commit: the engine refused the SQL request: core.internal_error: failed to step sqlite execute statement: cannot commit - no transaction is active\nthen roll back: sql rollback: the engine refused the SQL request: core.internal_error: failed to step sqlite execute statement: cannot rollback - no transaction is active"
	refusedRollback = "operation x failed at its write, it was not applied: count up: sql query in a transaction: the engine refused the SQL request: core.internal_error: sqlite worker is closing\nthen roll back: sql rollback: the engine refused the SQL request: core.internal_error: failed to step sqlite execute statement: cannot rollback - no transaction is active"
	cutCommit       = "operation x failed at its commit, it is unknown whether it was applied: sql commit: the envoy connection was lost while the request was in flight: its outcome is unknown"
)

// closedConnection adds the end of the runtime's connection.
func closedConnection(b *ht.Builder, ms int) {
	b.At(ms, history.KindEnvoy, &history.Envoy{What: "closed"})
	b.H.Events[len(b.H.Events)-1].Party = ht.Runtime
}

func TestHalfTransactionsMark(t *testing.T) {
	cases := []struct {
		name  string
		build func(*ht.Builder)
		want  map[string][]uint64
	}{
		{"a COMMIT refused after the stop", func(b *ht.Builder) {
			b.Life(1, 2, "a", 1).Actor(5, "a", 1, "stop").Write(9, "a", 1, "x", refusedCommit)
		}, map[string][]uint64{"a": {4, 5}}},
		{"a ROLLBACK refused after the stop", func(b *ht.Builder) {
			b.Actor(5, "a", 1, "stop").Write(9, "a", 1, "x", refusedRollback)
		}, map[string][]uint64{"a": {1, 2}}},
		{"it was asked to sleep", func(b *ht.Builder) {
			b.Actor(5, "a", 1, "sleep").Write(9, "a", 1, "x", refusedCommit)
		}, map[string][]uint64{"a": {1, 2}}},
		{"the refusal was read before the stop", func(b *ht.Builder) {
			b.Write(4, "a", 1, "x", refusedCommit).Actor(5, "a", 1, "stop")
		}, map[string][]uint64{"a": {2, 1}}},
		{"of two actors only the one it struck", func(b *ht.Builder) {
			b.Actor(5, "a", 1, "stop").Actor(5, "b", 1, "stop").Write(8, "a", 1, "y", "").Write(9, "b", 1, "x", refusedCommit)
		}, map[string][]uint64{"b": {2, 4}}},
		{"nobody told it to stop", func(b *ht.Builder) {
			b.Write(9, "a", 1, "x", refusedCommit)
		}, nil},
		{"another generation was told to stop", func(b *ht.Builder) {
			b.Actor(5, "a", 1, "stop").Write(9, "a", 2, "x", refusedCommit)
		}, nil},
		{"the connection ended in between", func(b *ht.Builder) {
			b.Actor(5, "a", 1, "stop")
			closedConnection(b, 7)
			b.Write(9, "a", 1, "x", refusedCommit)
		}, nil},
		{"the connection ended before", func(b *ht.Builder) {
			closedConnection(b, 3)
			b.Actor(5, "a", 1, "stop").Write(9, "a", 1, "x", refusedCommit)
		}, map[string][]uint64{"a": {2, 3}}},
		{"a COMMIT that was cut", func(b *ht.Builder) {
			b.Actor(5, "a", 1, "stop").Write(9, "a", 1, "x", cutCommit)
		}, nil},
		{"a write that went well", func(b *ht.Builder) {
			b.Write(4, "a", 1, "x", "").Stopped(5, 6, "a", 1)
		}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			got := check.HalfTransaction.Mark(b.End(100))
			assert.ElementsMatch(t, slices.Collect(maps.Keys(c.want)), slices.Collect(maps.Keys(got)))
			for actor, seqs := range c.want {
				assert.Equal(t, seqs, got[actor])
			}
		})
	}
}

// The names by which bugs are found in what they break are those of real
// invariants.
func TestKnownBugsSeeRealInvariants(t *testing.T) {
	for _, name := range check.HalfTransaction.Sees {
		assert.Contains(t, []string{
			check.LedgerKeeps("tick", "ledger").Name, counter.Linearizable(0).Name, counter.AppliedOnce().Name,
		}, name)
	}
}
