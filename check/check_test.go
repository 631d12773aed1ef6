package check_test

import (
	"slices"
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
	v := check.Judge(h, nil, inv)
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
	t.Run("a miss is not hidden by what cannot be decided", func(t *testing.T) {
		h := restarted().Op(100, -1, ht.Probe("a", 0), history.Return{}).
			Op(100, 1100, ht.Probe("b", 1), ht.TimedOut()).
			Op(100, 110, ht.Probe("c", 2), ht.OK("c", 1)).End(6000)
		f := one(t, h, inv)
		assert.Equal(t, check.Fail, f.State)
		assert.Contains(t, f.Summary, "key-b")
	})
	t.Run("just in time, and just too late", func(t *testing.T) {
		in := restarted().Op(100, 5100, ht.Probe("a", 0), ht.OK("a", 2)).End(6000)
		assert.Equal(t, check.Pass, one(t, in, inv).State)
		late := restarted().Op(100, 5101, ht.Probe("a", 0), ht.OK("a", 2)).End(6000)
		assert.Equal(t, check.Fail, one(t, late, inv).State)
	})
	t.Run("asked only after the bound", func(t *testing.T) {
		h := restarted().Op(100, 110, ht.Probe("a", 0), ht.OK("a", 2)).
			Op(5100, 5110, ht.Probe("b", bound), ht.OK("b", 2)).End(6000)
		f := one(t, h, inv)
		assert.Equal(t, check.Inconclusive, f.State, "it may have been well all the time")
		assert.Contains(t, f.Summary, "key-b")
	})
	t.Run("no fault", func(t *testing.T) {
		assert.Equal(t, check.Inconclusive, one(t, (&ht.Builder{}).End(1), inv).State)
	})
}

func TestFaultLanded(t *testing.T) {
	assert.Equal(t, check.Pass, one(t, restarted().End(200), check.FaultLanded()).State)
	for why, spoil := range map[string]func(fault *history.Fault, exit *history.Exit){
		"not confirmed":      func(f *history.Fault, _ *history.Exit) { f.Phase = history.FaultFailed },
		"engine#2 died":      func(_ *history.Fault, e *history.Exit) { e.Incarnation = 2 },
		"left by itself":     func(_ *history.Fault, e *history.Exit) { e.Signal = "" },
		"lack of memory":     func(_ *history.Fault, e *history.Exit) { e.OOM = true },
		"exited with code 1": func(_ *history.Fault, e *history.Exit) { e.Code = 1 },
	} {
		b := restarted()
		spoil(b.H.Events[2].Body.(*history.Fault), b.H.Events[1].Body.(*history.Exit))
		f := one(t, b.End(200), check.FaultLanded())
		assert.Equal(t, check.Inconclusive, f.State, why)
		assert.Contains(t, f.Summary, why)
	}
	// The fault of another container does not stand in for the engine's.
	b := restarted()
	b.H.Events[2].Body.(*history.Fault).Target = "runtime#1"
	assert.Equal(t, check.Inconclusive, one(t, b.End(200), check.FaultLanded()).State)
}

func TestAStopThatTheEngineHeedsHasLanded(t *testing.T) {
	b := restarted()
	for _, i := range []int{0, 2} {
		b.H.Events[i].Body.(*history.Fault).Kind = "stop"
	}
	exit := b.H.Events[1].Body.(*history.Exit)
	exit.Signal, exit.Code = "SIGTERM", 0
	assert.Equal(t, check.Pass, one(t, b.End(200), check.FaultLanded()).State)
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
	some := restarted().Op(100, 120, ht.Probe("a", 0), ht.OK("a", 1)).Op(100, 120, ht.Probe("b", 0), history.Return{Outcome: history.OK})
	f = one(t, some.End(200), check.RightActor())
	assert.Equal(t, check.Inconclusive, f.State, "one that says so does not speak for one that does not")
	assert.Contains(t, f.Summary, "1 of 2")
}

func TestNoPanic(t *testing.T) {
	for line, state := range map[string]check.State{
		"panic: runtime error: index out of range":                check.Fail,
		"fatal error: all goroutines are asleep - deadlock!":      check.Fail,
		"fatal runtime error: stack overflow, aborting":           check.Fail,
		"thread 'tokio-runtime-worker' panicked at src/lib.rs:1:": check.Fail,
		"level=info msg=\"do not panic: all is well\"":            check.Pass,
	} {
		h := restarted().At(1, history.KindLog, &history.Log{Role: "engine", Line: line}).End(2)
		assert.Equal(t, state, one(t, h, check.NoPanic()).State, line)
	}
	unread := (&ht.Builder{}).At(1, history.KindExit, &history.Exit{Role: "runtime", LogLines: 9}).End(2)
	assert.Equal(t, check.Inconclusive, one(t, unread, check.NoPanic()).State, "a log that nobody read shows nothing")
	// A runtime that was told to go by a panic says so itself: that one is none,
	// whichever of the two is read first.
	told := restarted().
		At(1, history.KindLog, &history.Log{Role: "runtime", Incarnation: 2, Line: "panic: as told"}).
		At(1, history.KindShutdown, &history.Shutdown{What: history.ShutdownPanic}).End(2)
	assert.Equal(t, check.Fail, one(t, told, check.NoPanic()).State, "another incarnation said so")
	told.Events[len(told.Events)-2].Party = "runtime#2"
	assert.Equal(t, check.Pass, one(t, told, check.NoPanic()).State)
	// The runtime recovers what an actor's code panics with, and reports it.
	actor := restarted().At(1, history.KindActor, &history.Actor{Actor: "a", What: "panic", Error: "boom\ngoroutine 7"}).End(2)
	f := one(t, actor, check.NoPanic())
	assert.Equal(t, check.Fail, f.State)
	assert.Contains(t, f.Summary, "boom")
	assert.NotContains(t, f.Summary, "goroutine 7", "a summary is one line")
}

func TestHealthGap(t *testing.T) {
	// The gap is 2 s; the runtime's own wait is from 1.1 s before its end.
	history := func(wait time.Duration, busy float64) *history.History {
		b := restarted().Op(100, 2100, ht.Probe("a", 0), ht.OK("a", 2))
		b.At(1000, history.KindEnvoy, &history.Envoy{What: "backoff", WaitNS: int64(wait)})
		return b.At(600, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: busy}).End(6000)
	}
	for _, c := range []struct {
		name         string
		outage, most time.Duration
		wait         time.Duration
		busy         float64
		want         check.State
	}{
		{"as expected", time.Second, 3 * time.Second, time.Second, 0.1, check.Pass},
		{"on both edges", 2100 * time.Millisecond, 2 * time.Second, time.Second, 0.1, check.Pass},
		{"as expected, on a busy host", time.Second, 3 * time.Second, time.Second, 0.9, check.Pass},
		{"not reproduced", 2101 * time.Millisecond, 0, time.Second, 0.1, check.Fail},
		{"not reproduced, although busy", 2101 * time.Millisecond, 0, time.Second, 0.9, check.Fail},
		{"another wait than the runtime's", time.Second, 3 * time.Second, 0, 0.1, check.Fail},
		{"another, on a busy host", time.Second, 3 * time.Second, 0, 0.9, check.Inconclusive},
		{"too long", 0, 1999 * time.Millisecond, 0, 0.1, check.Fail},
		{"too long, on a busy host", 0, 1999 * time.Millisecond, 0, 0.9, check.Inconclusive},
		{"short in spite of a busy host", 0, 3 * time.Second, 0, 0.9, check.Pass},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, one(t, history(c.wait, c.busy), check.HealthGap(c.outage, c.most)).State)
		})
	}
	never := restarted().Op(100, 1100, ht.Probe("a", 0), ht.TimedOut()).End(6000)
	assert.Equal(t, check.Inconclusive, one(t, never, check.HealthGap(1, 0)).State)
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
		{"a retry that was acknowledged stands under its first attempt", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), history.Return{Outcome: history.Info})
			b.Op(3, 4, history.Invoke{Op: "y", RetryOf: "x", Actor: "a", Name: "tick"}, acked).Op(5, 6, read, book("x"))
		}, check.Pass},
		{"no ledger", func(b *ht.Builder) { b.Op(1, 2, tick("x"), acked) }, check.Inconclusive},
		{"nothing acknowledged", func(b *ht.Builder) { b.Op(3, 4, read, book()) }, check.Inconclusive},
		{"applied, of a write that certainly had no effect", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(1, 2, tick("y"), history.Return{Outcome: history.Fail}).Op(3, 4, read, book("x", "y"))
		}, check.Fail},
		{"a retry that was refused as repeated says that the first attempt was applied", func(b *ht.Builder) {
			b.Op(1, 2, tick("w"), acked).Op(1, 2, tick("x"), history.Return{Outcome: history.Info})
			b.Op(3, 4, history.Invoke{Op: "y", RetryOf: "x", Actor: "a", Name: "tick"}, history.Return{Outcome: history.Fail})
			b.Op(5, 6, read, book("w", "x"))
		}, check.Pass},
		{"a write that nobody sent", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 4, read, book("x", "ghost"))
		}, check.Fail},
		{"a write that was sent to another actor", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(1, 2, history.Invoke{Op: "y", Actor: "b", Name: "tick"}, acked)
			b.Op(3, 4, read, book("x", "y")).Op(3, 4, history.Invoke{Actor: "b", Name: "ledger"}, book("y"))
		}, check.Fail},
		{"lost, while another actor's ledger was not read", func(b *ht.Builder) {
			b.Op(1, 2, history.Invoke{Op: "y", Actor: "b", Name: "tick"}, acked).Op(1, 2, tick("x"), acked).Op(3, 4, read, book())
		}, check.Fail},
		{"an answer that is no ledger", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 4, read, history.Return{Outcome: history.OK, Value: "none"})
		}, check.Inconclusive},
		{"a ledger whose entries are no ids", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 4, read, book(7.0))
		}, check.Inconclusive},
		{"a ledger that could not be read", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 4, read, history.Return{Outcome: history.Fail, Value: []any{"x"}})
		}, check.Inconclusive},
		{"a ledger read before the engine died", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 4, read, book("x")).Restart(5, 6, 7, 8)
		}, check.Inconclusive},
		{"a ledger read after the engine died", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Restart(3, 4, 5, 6).Op(7, 8, read, book("x"))
		}, check.Pass},
		{"a ledger of another actor", func(b *ht.Builder) {
			b.Op(1, 2, tick("x"), acked).Op(3, 4, history.Invoke{Actor: "b", Name: "ledger"}, book())
		}, check.Inconclusive},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			h := b.End(10)
			assert.Equal(t, c.want, one(t, h, inv).State)
			slices.Reverse(h.Events) // what counts is when it happened, not when it was written down
			assert.Equal(t, c.want, one(t, h, inv).State)
		})
	}
}

func TestVerdictIsTheWorstFinding(t *testing.T) {
	inv := func(s check.State) check.Invariant {
		return check.Invariant{Name: string(s), Check: func(*history.History) check.Finding { return check.Finding{State: s, Summary: "because"} }}
	}
	h := (&ht.Builder{}).End(1)
	assert.Equal(t, check.Pass, check.Judge(h, nil, inv(check.Pass)).State)
	assert.Equal(t, check.Inconclusive, check.Judge(h, nil, inv(""), inv(check.Pass)).State, "an invariant that says nothing")
	assert.Equal(t, check.Inconclusive, check.Judge(h, nil, inv(check.Inconclusive), inv(check.Pass)).State)
	v := check.Judge(h, nil, inv(check.Inconclusive), inv(check.Fail), inv(check.Pass))
	assert.Equal(t, check.Fail, v.State)
	assert.Equal(t, "fail: fail: because", v.String())
}

func TestACutOffHistoryIsNeverAPass(t *testing.T) {
	cut := restarted().Op(100, 120, ht.Probe("a", 0), ht.OK("a", 1))
	assert.Equal(t, check.Inconclusive, check.Judge(&cut.H, nil).State)
	cut.At(200, history.KindEnd, &history.End{State: history.EndInterrupted, Error: "Ctrl-C"})
	v := check.Judge(&cut.H, nil)
	assert.Equal(t, check.Inconclusive, v.State)
	assert.Contains(t, v.String(), "Ctrl-C")

	after := restarted()
	after.End(200)
	after.At(300, history.KindLog, &history.Log{})
	v = check.Judge(&after.H, nil)
	assert.Equal(t, check.Inconclusive, v.State)
	assert.Contains(t, v.String(), "events follow the history's end")
}
