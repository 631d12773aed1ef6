package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

const bound = 5 * time.Second

func one(t *testing.T, h *history.History, inv check.Invariant) check.Finding {
	t.Helper()
	v := check.Judge(h, inv)
	require.Len(t, v.Findings, 2)
	return v.Findings[1]
}

func restarted() *ht.Builder { return (&ht.Builder{}).Restart(0, 10, 20, 100) }

func TestAnswersWithin(t *testing.T) {
	inv := check.AnswersWithin(bound)
	t.Run("all in time", func(t *testing.T) {
		h := restarted().Op(100, 2100, ht.Probe("a", 0), ht.OK("a", 2)).End(6000)
		assert.Equal(t, check.Pass, one(t, h, inv).State)
	})
	t.Run("one never", func(t *testing.T) {
		h := restarted().
			Op(100, 120, ht.Probe("a", 0), ht.OK("a", 2)).
			Op(100, 1100, ht.Probe("b", 1), ht.TimedOut()).
			Op(1150, 2150, ht.Recovery("b"), ht.TimedOut()).End(6000)
		f := one(t, h, inv)
		assert.Equal(t, check.Fail, f.State)
		assert.Contains(t, f.Summary, "key-b")
		assert.Contains(t, f.Summary, "never answered")
		assert.Len(t, f.Witness, 4, "the probes of b, not those of a")
	})
	t.Run("one late", func(t *testing.T) {
		h := restarted().Op(100, 5200, ht.Probe("a", 0), ht.OK("a", 2)).End(6000)
		f := one(t, h, inv)
		assert.Equal(t, check.Fail, f.State)
		assert.Contains(t, f.Summary, "5.1s")
	})
	t.Run("late on a busy host proves nothing", func(t *testing.T) {
		h := restarted().Op(100, 5200, ht.Probe("a", 0), ht.OK("a", 2)).
			At(600, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 0.99}).End(6000)
		assert.Equal(t, check.Inconclusive, one(t, h, inv).State)
	})
	t.Run("the trial ended before the bound", func(t *testing.T) {
		h := restarted().Op(100, 1100, ht.Probe("a", 0), ht.TimedOut()).End(1200)
		assert.Equal(t, check.Inconclusive, one(t, h, inv).State)
	})
	t.Run("no probe", func(t *testing.T) {
		assert.Equal(t, check.Inconclusive, one(t, restarted().End(6000), inv).State)
	})
	t.Run("a probe without an end", func(t *testing.T) {
		h := restarted().Op(100, -1, ht.Probe("a", 0), history.Return{}).End(6000)
		assert.Equal(t, check.Inconclusive, one(t, h, inv).State)
	})
	t.Run("no fault", func(t *testing.T) {
		assert.Equal(t, check.Inconclusive, one(t, (&ht.Builder{}).End(1), inv).State)
	})
}

func TestFaultLanded(t *testing.T) {
	assert.Equal(t, check.Pass, one(t, restarted().End(200), check.FaultLanded()).State)
	b := restarted()
	b.H.Events[2].Body.(*history.Fault).Phase = history.FaultFailed
	assert.Equal(t, check.Inconclusive, one(t, b.End(200), check.FaultLanded()).State)
}

func TestRightActor(t *testing.T) {
	right := restarted().Op(100, 120, ht.Probe("a", 0), ht.OK("a", 1))
	assert.Equal(t, check.Pass, one(t, right.End(200), check.RightActor()).State)
	wrong := restarted().Op(100, 120, ht.Probe("a", 0), ht.OK("b", 1))
	f := one(t, wrong.End(200), check.RightActor())
	assert.Equal(t, check.Fail, f.State)
	assert.Len(t, f.Witness, 2)
	silent := restarted().Op(100, 120, ht.Probe("a", 0), history.Return{Outcome: history.OK})
	assert.Equal(t, check.Inconclusive, one(t, silent.End(200), check.RightActor()).State)
}

func TestNoPanic(t *testing.T) {
	for line, state := range map[string]check.State{
		"panic: runtime error: index out of range":                check.Fail,
		"fatal error: all goroutines are asleep - deadlock!":      check.Fail,
		"thread 'tokio-runtime-worker' panicked at src/lib.rs:1:": check.Fail,
		"level=info msg=\"do not panic: all is well\"":            check.Pass,
	} {
		h := (&ht.Builder{}).At(1, history.KindLog, &history.Log{Role: "engine", Line: line}).End(2)
		assert.Equal(t, state, one(t, h, check.NoPanic()).State, line)
	}
}

func TestLedgerKeeps(t *testing.T) {
	inv := check.LedgerKeeps("tick", "ledger")
	tick := func(op string) history.Invoke { return history.Invoke{Op: op, Actor: "a", Name: "tick"} }
	read := history.Invoke{Actor: "a", Name: "ledger"}
	acked := history.Return{Outcome: history.OK}
	book := func(ids ...any) history.Return { return history.Return{Outcome: history.OK, Value: ids} }
	cases := []struct {
		name  string
		build func(*ht.Builder)
		want  check.State
	}{
		{"kept", func(b *ht.Builder) { b.Op(1, 2, tick("x"), acked).Op(3, 4, read, book("x")) }, check.Pass},
		{"lost", func(b *ht.Builder) { b.Op(1, 2, tick("x"), acked).Op(3, 4, read, book()) }, check.Fail},
		{"twice", func(b *ht.Builder) { b.Op(1, 2, tick("x"), acked).Op(3, 4, read, book("x", "x")) }, check.Fail},
		{"unknown outcome, absent", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(1, 2, tick("y"), history.Return{Outcome: history.Info}).Op(3, 4, read, book("x"))
		}, check.Pass},
		{"unknown outcome, applied", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(1, 2, tick("y"), history.Return{Outcome: history.Info}).Op(3, 4, read, book("x", "y"))
		}, check.Pass},
		{"unknown outcome, applied twice", func(b *ht.Builder) {
			b.Op(1, 2, tick("y"), history.Return{Outcome: history.Info}).Op(3, 4, read, book("y", "y"))
		}, check.Fail},
		{"acknowledged only after the ledger was read", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 9, tick("z"), acked).Op(4, 5, read, book("x"))
		}, check.Pass},
		{"the last ledger counts", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 4, read, book("x")).Op(5, 6, read, book())
		}, check.Fail},
		{"no ledger", func(b *ht.Builder) { b.Op(1, 2, tick("x"), acked) }, check.Inconclusive},
		{"nothing acknowledged", func(b *ht.Builder) { b.Op(3, 4, read, book()) }, check.Inconclusive},
		{"a ledger of another actor", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 4, history.Invoke{Actor: "b", Name: "ledger"}, book())
		}, check.Inconclusive},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			assert.Equal(t, c.want, one(t, b.End(10), inv).State)
		})
	}
}

func TestVerdictIsTheWorstFinding(t *testing.T) {
	inv := func(s check.State) check.Invariant {
		return check.Invariant{Name: string(s), Check: func(*history.History) check.Finding { return check.Finding{State: s, Summary: "because"} }}
	}
	h := (&ht.Builder{}).End(1)
	assert.Equal(t, check.Pass, check.Judge(h, inv(check.Pass)).State)
	assert.Equal(t, check.Inconclusive, check.Judge(h, inv(check.Inconclusive), inv(check.Pass)).State)
	v := check.Judge(h, inv(check.Inconclusive), inv(check.Fail), inv(check.Pass))
	assert.Equal(t, check.Fail, v.State)
	assert.Equal(t, "fail: fail: because", v.String())
}

func TestACutOffHistoryIsNeverAPass(t *testing.T) {
	cut := restarted().Op(100, 120, ht.Probe("a", 0), ht.OK("a", 1))
	assert.Equal(t, check.Inconclusive, check.Judge(&cut.H).State)
	cut.At(200, history.KindEnd, &history.End{State: history.EndInterrupted, Error: "Ctrl-C"})
	v := check.Judge(&cut.H)
	assert.Equal(t, check.Inconclusive, v.State)
	assert.Contains(t, v.String(), "Ctrl-C")
}
