package check_test

import (
	"maps"
	"slices"
	"testing"
	"time"

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

// struckBy are the actors that a bug marked, and nothing of how.
func struckBy(b check.KnownBug, h *history.History) []string {
	return slices.Sorted(maps.Keys(b.Mark(h)))
}

func TestDeliveredOnce(t *testing.T) {
	const repeated = "operation x failed at its write, it was not applied: the operation was applied before"
	cases := []struct {
		name  string
		build func(*ht.Builder)
		want  check.State
		says  string
	}{
		{"once", func(b *ht.Builder) {
			b.Op(1, 5, ht.Tick("a", "x"), ht.Count(1)).Write(3, "a", 1, "x", "")
		}, check.Pass, "1 writes"},
		{"sent once, carried out, and there again", func(b *ht.Builder) {
			b.Op(1, 9, ht.Tick("a", "x"), ht.Unknown()).Write(3, "a", 1, "x", "").Write(7, "a", 2, "x", repeated)
		}, check.Fail, "the write x, sent 1 times, reached actor a 2 times"},
		{"sent once, and answered as a repetition", func(b *ht.Builder) {
			b.Op(1, 9, ht.Tick("a", "x"), ht.Repeated("a")).Write(7, "a", 2, "x", repeated)
		}, check.Fail, "the first attempt at the write x was answered by actor a as a repetition"},
		{"carried out twice", func(b *ht.Builder) {
			b.Op(1, 9, ht.Tick("a", "x"), ht.Count(2)).Write(3, "a", 1, "x", "").Write(7, "a", 2, "x", "")
		}, check.Fail, ""},
		{"its client sent it twice", func(b *ht.Builder) {
			b.Op(1, 4, ht.Tick("a", "x"), ht.Unknown()).Write(3, "a", 1, "x", "")
			b.Op(5, 9, ht.Again("a", "x'", "x"), ht.Repeated("a")).Write(7, "a", 2, "x", repeated)
		}, check.Pass, ""},
		{"its client sent it twice, and it came three times", func(b *ht.Builder) {
			b.Op(1, 4, ht.Tick("a", "x"), ht.Unknown()).Write(3, "a", 1, "x", "")
			b.Op(5, 9, ht.Again("a", "x'", "x"), ht.Repeated("a")).Write(7, "a", 2, "x", repeated).Write(8, "a", 2, "x", repeated)
		}, check.Fail, "sent 2 times, reached actor a 3 times"},
		{"it was not carried out at first", func(b *ht.Builder) {
			b.Op(1, 9, ht.Tick("a", "x"), ht.Count(1)).Write(3, "a", 1, "x", cutCommit).Write(7, "a", 2, "x", "")
		}, check.Pass, ""},
		{"another actor had an operation of that name", func(b *ht.Builder) {
			b.Op(1, 9, ht.Tick("a", "x"), ht.Count(1)).Write(3, "a", 1, "x", "").Write(7, "b", 1, "x", "")
		}, check.Pass, ""},
		{"nobody spoke of a write", func(b *ht.Builder) {
			b.Op(1, 9, ht.Tick("a", "x"), ht.Count(1))
		}, check.Inconclusive, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			h := b.End(100)
			f := check.DeliveredOnce().Check(h)
			assert.Equal(t, c.want, f.State, f.Summary)
			assert.Contains(t, f.Summary, c.says)
			if c.want == check.Fail {
				assert.Equal(t, []string{"a"}, struckBy(check.DeliveredTwice, h))
				assert.NotEmpty(t, f.Witness)
			} else {
				assert.Empty(t, struckBy(check.DeliveredTwice, h))
			}
		})
	}
}

// asked adds a stop of the engine; exits is when it left, by itself if killed
// is false.
func asked(b *ht.Builder, told, exits int, killed bool) {
	b.At(told, history.KindFault, &history.Fault{Kind: "stop", Target: "engine#1", Phase: history.FaultBegun})
	exit := &history.Exit{Role: "engine", Incarnation: 1, Signal: "SIGTERM"}
	if killed {
		exit.Signal, exit.Code, exit.GraceEnded = "SIGKILL", 137, true
	}
	if exits >= 0 {
		b.At(exits, history.KindExit, exit)
	}
}

// wentAway adds that the engine closed the runtime's connection.
func wentAway(b *ht.Builder, ms int) {
	b.At(ms, history.KindEnvoy, &history.Envoy{What: "closed", Code: 1011, Reason: "ws.going_away#ray"})
}

func TestDrainEndsWithin(t *testing.T) {
	cases := []struct {
		name  string
		build func(*ht.Builder)
		want  check.State
		says  string
		known bool
	}{
		{"nothing goes on", func(b *ht.Builder) { asked(b, 1000, 6050, false); wentAway(b, 1010) }, check.Pass, "1 drains", false},
		{"a request keeps it until it is killed", func(b *ht.Builder) {
			b.Op(900, 13_020, ht.Tick("a", "x"), ht.Unknown())
			asked(b, 1000, 13_030, true)
			wentAway(b, 1010)
		}, check.Fail, "engine#1 had not left 12.03s after it was asked to, when it was killed, bound 8s", true},
		{"a request keeps it and is given up", func(b *ht.Builder) {
			b.Op(900, 433_800, ht.Tick("a", "x"), ht.Unknown())
			asked(b, 1000, 434_500, false)
			wentAway(b, 1010)
		}, check.Fail, "left 7m13.5s after", true},
		{"a request keeps it to the end of the trial", func(b *ht.Builder) {
			b.Op(900, -1, ht.Tick("a", "x"), history.Return{})
			asked(b, 1000, -1, false)
			wentAway(b, 1010)
		}, check.Fail, "when the trial ended", true},
		{"the request was answered long before", func(b *ht.Builder) {
			b.Op(900, 3000, ht.Tick("a", "x"), ht.Count(1))
			asked(b, 1000, 13_030, true)
			wentAway(b, 1010)
		}, check.Fail, "", false},
		{"the request came after the signal", func(b *ht.Builder) {
			b.Op(1001, 13_020, ht.Tick("a", "x"), ht.Unknown())
			asked(b, 1000, 13_030, true)
			wentAway(b, 1010)
		}, check.Fail, "", false},
		{"the runtime's connection stayed", func(b *ht.Builder) {
			b.Op(900, 13_020, ht.Tick("a", "x"), ht.Unknown())
			asked(b, 1000, 13_030, true)
		}, check.Fail, "", false},
		{"killed too soon to tell", func(b *ht.Builder) { asked(b, 1000, 6020, true) }, check.Inconclusive, "watched for only 5.02s", false},
		{"never asked", func(b *ht.Builder) { b.Restart(1000, 1010, 1020, 1200) }, check.Inconclusive, "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			h := b.End(500_000)
			f := check.DrainEndsWithin(8 * time.Second).Check(h)
			assert.Equal(t, c.want, f.State, f.Summary)
			assert.Contains(t, f.Summary, c.says)
			if c.known {
				assert.Equal(t, []string{""}, struckBy(check.DrainAwaitsAnswer, h), "the engine itself")
			} else {
				assert.Empty(t, struckBy(check.DrainAwaitsAnswer, h))
			}
		})
	}
}

func TestGenerationsInStep(t *testing.T) {
	// start is the beginning of a generation in one life of the runtime.
	start := func(b *ht.Builder, ms int, runtime string, generation uint32) {
		b.Actor(ms, "a", generation, "start")
		b.H.Events[len(b.H.Events)-1].Party = runtime
	}
	cases := []struct {
		name  string
		build func(*ht.Builder)
		want  check.State
		known bool
	}{
		{"one after the other", func(b *ht.Builder) { start(b, 1, "runtime#1", 1); start(b, 9, "runtime#2", 2) }, check.Pass, false},
		{"a few were skipped", func(b *ht.Builder) { start(b, 1, "runtime#1", 1); start(b, 9, "runtime#2", 4) }, check.Pass, false},
		{"many, without a runtime", func(b *ht.Builder) { start(b, 1, "runtime#1", 1); start(b, 9, "runtime#2", 10) }, check.Fail, true},
		{"many, although it was there", func(b *ht.Builder) { start(b, 1, "runtime#1", 1); start(b, 9, "runtime#1", 10) }, check.Fail, false},
		{"an older one came late", func(b *ht.Builder) { start(b, 1, "runtime#1", 9); start(b, 9, "runtime#1", 8) }, check.Pass, false},
		{"only one", func(b *ht.Builder) { start(b, 1, "runtime#1", 9) }, check.Inconclusive, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			h := b.End(100)
			f := check.GenerationsInStep(3).Check(h)
			assert.Equal(t, c.want, f.State, f.Summary)
			assert.Equal(t, c.known, len(check.GenerationsSpent.Mark(h)) > 0)
		})
	}
}

func TestAnswersAreNotLost(t *testing.T) {
	dropped := func(b *ht.Builder, ms int) { b.At(ms, history.KindEnvoy, &history.Envoy{What: "answer-dropped"}) }
	cases := []struct {
		name  string
		build func(*ht.Builder)
		want  check.State
		known bool
	}{
		{"told at once", func(b *ht.Builder) { b.Op(1, 9, ht.Tick("a", "x"), ht.Count(1)) }, check.Pass, false},
		{"told late", func(b *ht.Builder) {
			b.Op(1, 30_000, ht.Tick("a", "x"), ht.Count(1)).Op(5, 9, ht.Recovery("a"), ht.OK("a", 1))
			dropped(b, 3)
		}, check.Pass, false},
		{"never told, though the actor answers others", func(b *ht.Builder) {
			b.Op(1, 30_000, ht.Tick("a", "x"), ht.Unknown()).Op(5, 9, ht.Recovery("a"), ht.OK("a", 1))
			dropped(b, 3)
		}, check.Fail, true},
		{"not even at the end", func(b *ht.Builder) {
			b.Op(1, -1, ht.Tick("a", "x"), history.Return{}).Op(5, 9, ht.Recovery("a"), ht.OK("a", 1))
			dropped(b, 3)
		}, check.Fail, true},
		{"nothing was dropped", func(b *ht.Builder) {
			b.Op(1, 30_000, ht.Tick("a", "x"), ht.Unknown()).Op(5, 9, ht.Recovery("a"), ht.OK("a", 1))
		}, check.Fail, false},
		{"dropped before it was asked for", func(b *ht.Builder) {
			dropped(b, 1)
			b.Op(2, 30_000, ht.Tick("a", "x"), ht.Unknown()).Op(5, 9, ht.Recovery("a"), ht.OK("a", 1))
		}, check.Fail, false},
		{"the actor answered nobody", func(b *ht.Builder) {
			b.Op(1, 30_000, ht.Tick("a", "x"), ht.Unknown()).Op(5, 9, ht.Recovery("a"), ht.TimedOut()).Op(5, 9, ht.Recovery("b"), ht.OK("b", 1))
			dropped(b, 3)
		}, check.Pass, false},
		{"the client was less patient than the bound", func(b *ht.Builder) {
			b.Op(1, 5000, ht.Tick("a", "x"), ht.Unknown()).Op(5, 9, ht.Recovery("a"), ht.OK("a", 1))
		}, check.Pass, false},
		{"nobody asked", func(*ht.Builder) {}, check.Inconclusive, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			h := b.End(40_000)
			f := check.AnswersAreNotLost(15 * time.Second).Check(h)
			assert.Equal(t, c.want, f.State, f.Summary)
			var want []string
			if c.known {
				want = []string{"a"}
			}
			assert.Equal(t, want, struckBy(check.AnswerDropped, h))
		})
	}
}

func TestDeafConnectionsMark(t *testing.T) {
	const silent = "operation x failed at its write, it was not applied: insert the event: sql query in a transaction: wait for the engine's answer, the outcome being unknown: the generation was stopped"
	// deaf is an engine's stop of a, which had a statement under way; b runs
	// beside it.
	deaf := func(b *ht.Builder) {
		b.Life(1, 2, "a", 1).Life(1, 2, "b", 1).Actor(50, "a", 1, "request").Actor(57, "a", 1, "stop").Write(5057, "a", 1, "x", silent)
	}
	both := []string{"a", "b"}
	for _, c := range []struct {
		name  string
		build func(*ht.Builder)
		want  []string
	}{
		{"nothing came any more", deaf, both},
		{"a start by HTTP did", func(b *ht.Builder) { deaf(b); b.Actor(5100, "a", 2, "start") }, both},
		{"a request did", func(b *ht.Builder) { deaf(b); b.Actor(5100, "b", 1, "request") }, nil},
		{"a stop did", func(b *ht.Builder) { deaf(b); b.Actor(5100, "b", 1, "stop") }, nil},
		{"the connection ended", func(b *ht.Builder) { deaf(b); closedConnection(b, 5100) }, nil},
		{"all was answered", func(b *ht.Builder) {
			b.Life(1, 2, "a", 1).Actor(57, "a", 1, "stop").Write(60, "a", 1, "x", refusedCommit)
		}, nil},
		{"nobody told it to stop", func(b *ht.Builder) { b.Life(1, 2, "a", 1).Write(5057, "a", 1, "x", silent) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			assert.Equal(t, c.want, struckBy(check.DeafConnection, b.End(60_000)))
		})
	}
	b := &ht.Builder{}
	deaf(b)
	assert.Empty(t, check.DeafConnection.Mark(b.End(20_000)), "too short a silence")
}

// The names by which bugs are found in what they break are those of real
// invariants.
func TestInflightBugsSeeRealInvariants(t *testing.T) {
	for _, c := range []struct {
		bug  check.KnownBug
		want []string
	}{
		{check.HalfTransaction, []string{check.LedgerKeeps("tick", "ledger").Name, counter.Linearizable(0).Name, counter.AppliedOnce().Name}},
		{check.DeliveredTwice, []string{check.DeliveredOnce().Name}},
		{check.DrainAwaitsAnswer, []string{check.DrainEndsWithin(0).Name}},
		{check.GenerationsSpent, []string{check.GenerationsInStep(0).Name}},
		{check.AnswerDropped, []string{check.AnswersAreNotLost(0).Name}},
		{check.DeafConnection, []string{check.AnswersWithin(0).Name}},
	} {
		assert.ElementsMatch(t, c.want, c.bug.Sees, c.bug.Name)
		assert.NotEmpty(t, c.bug.Says)
		assert.NotEmpty(t, c.bug.Ends)
	}
}
