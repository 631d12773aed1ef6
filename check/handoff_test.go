package check_test

import (
	"testing"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// replacing is a rolling replacement that went well, under four requests.
func replacing() *ht.Builder {
	b := (&ht.Builder{}).Routed(1, "runtime#1").On(2, "runtime#1", "a", 1, "start", "running").
		Routed(90, "runtime#2").StopOf(100, 130, "runtime#1", 1, 143).
		On(110, "runtime#1", "a", 1, "stop", "stop-hook", "stopped").On(150, "runtime#2", "a", 2, "start", "running")
	b.Op(50, 55, ht.Flow("a", "w1"), ht.OK("a", 1)).Op(108, 113, ht.Flow("a", "w2"), ht.NotApplied("a"))
	return b.Op(120, 260, ht.Flow("a", "w3"), ht.OK("a", 2)).Op(400, 405, ht.Flow("a", "w4"), ht.OK("a", 2))
}

func with(change func(*ht.Builder)) func() *ht.Builder {
	return func() *ht.Builder { b := replacing(); change(b); return b }
}

func asIs(*ht.Builder) {}

// busy adds the noise of a host on which nothing is on time.
func busy(b *ht.Builder) {
	b.At(900, history.KindNoise, &history.Noise{SpanNS: int64(900 * time.Millisecond), Busy: 0.99})
}

func TestHandedOver(t *testing.T) {
	judgeAll(t, check.HandedOver(4), []verdictCase{
		{"as it is", with(asIs), check.Pass, "1 actors moved from runtime#1 to runtime#2 under 4 requests, of which 2 were sent meanwhile"},
		{"no handoff", func() *ht.Builder { return &ht.Builder{} }, check.Inconclusive, "no second runtime"},
		{"nobody asked meanwhile", func() *ht.Builder {
			b := (&ht.Builder{}).Routed(1, "runtime#1").On(2, "runtime#1", "a", 1, "start", "running").Routed(90, "runtime#2").StopOf(100, 130, "runtime#1", 1, 143)
			for i := range 4 {
				b.Op(10+i, 20+i, ht.Flow("a", ""), ht.OK("a", 1))
			}
			return b
		}, check.Inconclusive, "no request was sent while"},
	})
	judgeAll(t, check.HandedOver(5), []verdictCase{{"too few", with(asIs), check.Inconclusive, "4 requests were sent, at least 5"}})
}

func TestHandoffServes(t *testing.T) {
	judgeAll(t, check.HandoffServes(time.Second), []verdictCase{
		{"as it is", with(asIs), check.Pass, "3 of 4 requests were answered well, the slowest after 140ms; 1 were refused by their actors themselves"},
		{"one had been carried out before", with(func(b *ht.Builder) { b.Op(109, 160, ht.Flow("a", "x"), ht.Repeated("a")) }), check.Pass, ""},
		{"one was left unknown", with(func(b *ht.Builder) { b.Op(120, 170, ht.Flow("a", "x"), ht.Unknown()) }), check.Fail, "tick x of actor key-a, sent moving, got silence"},
		{"the gateway's error", with(func(b *ht.Builder) {
			b.Op(120, 170, ht.Flow("a", "x"), history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 503, Code: "guard.actor_ready_timeout"})
		}), check.Fail, "got 503 guard.actor_ready_timeout"},
		{"an actor that is not stopped refuses", with(func(b *ht.Builder) { b.Op(500, 510, ht.Flow("a", "x"), ht.NotApplied("a")) }), check.Fail, "sent after, got 500 user.not_applied"},
		{"late", with(func(b *ht.Builder) { b.Op(120, 1300, ht.Flow("a", "x"), ht.OK("a", 2)) }), check.Fail, "was answered only after 1.18s, bound 1s"},
		{"late on a busy host", with(func(b *ht.Builder) { b.Op(120, 1300, ht.Flow("a", "x"), ht.OK("a", 2)); busy(b) }), check.Inconclusive, "on a busy host"},
		{"the engine's own time was over on a busy host", with(func(b *ht.Builder) {
			b.Op(120, 170, ht.Flow("a", "x"), history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 504, Code: "pegboard.route_subscribe_timeout"})
			busy(b)
		}), check.Inconclusive, "on a busy host"},
		{"another error on a busy host", with(func(b *ht.Builder) {
			b.Op(120, 170, ht.Flow("a", "x"), history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 502})
			busy(b)
		}), check.Fail, "got 502"},
		{"no end", with(func(b *ht.Builder) { b.Op(120, -1, ht.Flow("a", "x"), history.Return{}) }), check.Inconclusive, "has no end"},
	})
}

func TestFailuresExplained(t *testing.T) {
	judgeAll(t, check.FailuresExplained(), []verdictCase{
		{"as it is", with(asIs), check.Pass, "1 requests failed"},
		{"one failed before anything happened", with(func(b *ht.Builder) { b.Op(50, 60, ht.Flow("a", "x"), ht.Unknown()) }), check.Fail, "although generation 1 on runtime#1 served"},
		{"on a busy host", with(func(b *ht.Builder) { b.Op(50, 60, ht.Flow("a", "x"), ht.Unknown()); busy(b) }), check.Inconclusive, "busy host"},
	})
}

func TestStartsFollowRoute(t *testing.T) {
	judgeAll(t, check.StartsFollowRoute(), []verdictCase{
		{"as it is", with(asIs), check.Pass, ""},
		{"one starts where it must not", with(func(b *ht.Builder) { b.On(400, "runtime#1", "b", 1, "start") }), check.Fail, "1 generations began on runtime#1"},
	})
}

func TestOldRuntimeLeaves(t *testing.T) {
	judgeAll(t, check.OldRuntimeLeaves(143, time.Second), []verdictCase{
		{"as it is", with(asIs), check.Pass, "30ms after its signal, with code 143"},
		{"it never left", func() *ht.Builder {
			return (&ht.Builder{}).Routed(1, "runtime#1").Routed(2, "runtime#2")
		}, check.Inconclusive, "was not stopped"},
	})
	judgeAll(t, check.OldRuntimeLeaves(0, time.Second), []verdictCase{{"another code", with(asIs), check.Fail, "left with code 143, not 0"}})
	judgeAll(t, check.OldRuntimeLeaves(143, time.Millisecond), []verdictCase{{"too late", with(asIs), check.Fail, "left 30ms after its signal, bound 1ms"}})
}

func TestEngineNeverLeaves(t *testing.T) {
	exit := func(signal string) func() *ht.Builder {
		return with(func(b *ht.Builder) {
			b.At(500, history.KindExit, &history.Exit{Role: "engine", Incarnation: 1, Signal: signal, Code: 139})
		})
	}
	judgeAll(t, check.EngineNeverLeaves(), []verdictCase{
		{"it stays", with(asIs), check.Pass, ""},
		{"the cell is removed", exit("SIGKILL"), check.Pass, ""},
		{"it crashes", exit(""), check.Fail, "engine#1 left unasked: exit code 139"},
	})
}

// An eviction accounts for what came of it on the actors that it struck, and for
// nothing else.
func TestUpgradeEvicts(t *testing.T) {
	evicted := func(b *ht.Builder, actor string) *ht.Builder {
		b.At(100, history.KindEnvoy, &history.Envoy{What: "evicted"}).By("runtime#1")
		b.On(101, "runtime#1", actor, 1, "abort", "stopped")
		return b.Op(120, 170, ht.Flow(actor, "lost"), ht.Unknown())
	}
	begin := func() *ht.Builder {
		return (&ht.Builder{}).Routed(1, "runtime#1").On(2, "runtime#1", "a", 1, "start", "running").On(2, "runtime#1", "b", 1, "start", "running").Routed(90, "runtime#2")
	}
	serves := check.HandoffServes(time.Second)
	judgeKnown(t, check.UpgradeEvicts, serves, evicted(begin(), "a").End(900), check.Known)
	judgeKnown(t, check.UpgradeEvicts, serves, evicted(begin(), "a").Op(120, 170, ht.Flow("b", "x"), ht.Unknown()).End(900), check.Fail)
	told := begin().On(95, "runtime#1", "a", 1, "stop")
	judgeKnown(t, check.UpgradeEvicts, serves, evicted(told, "a").End(900), check.Fail)
}

func judgeKnown(t *testing.T, bug check.KnownBug, inv check.Invariant, h *history.History, want check.State) {
	t.Helper()
	v := check.Judge(h, []check.KnownBug{bug}, inv)
	if v.State != want {
		t.Errorf("want %s, got %v", want, v)
	}
}

func TestKilledTogether(t *testing.T) {
	killed := func(engine, runtime int) func() *ht.Builder {
		return func() *ht.Builder {
			b := &ht.Builder{}
			for role, ms := range map[string]int{"engine": engine, "runtime": runtime} {
				if ms == 0 {
					continue
				}
				b.At(ms, history.KindExit, &history.Exit{Role: role, Incarnation: 1, Signal: "SIGKILL", By: "harness", SignalT: clock.Mono(time.Duration(ms) * time.Millisecond)})
			}
			return b
		}
	}
	judgeAll(t, check.KilledTogether(0, time.Millisecond), []verdictCase{
		{"at once", killed(100, 100), check.Pass, "0s after"},
		{"one after the other", killed(100, 103), check.Inconclusive, "3ms after the engine's, not 0s, by more than 1ms"},
		{"one only", killed(100, 0), check.Inconclusive, "not both"},
	})
	judgeAll(t, check.KilledTogether(-300*time.Millisecond, 50*time.Millisecond), []verdictCase{
		{"the runtime first", killed(410, 100), check.Pass, "-310ms after"},
		{"the other way round", killed(100, 410), check.Inconclusive, "310ms after the engine's, not -300ms"},
		{"at once", killed(100, 100), check.Inconclusive, "not -300ms"},
	})
}
