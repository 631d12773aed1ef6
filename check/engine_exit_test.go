package check_test

import (
	"testing"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

func TestEngineExits(t *testing.T) {
	want := check.ExitWant{Codes: []int{0}, From: 3 * time.Second, To: 4 * time.Second, Why: "the pool's drain grace"}
	left := func(gone, code int) func() *ht.Builder {
		return func() *ht.Builder { return (&ht.Builder{}).Leaving(1000, gone, code, code == 137) }
	}
	noisy := func(make func() *ht.Builder) func() *ht.Builder {
		return func() *ht.Builder {
			return make().At(9000, history.KindNoise, &history.Noise{SpanNS: int64(8 * time.Second), Busy: 0.99})
		}
	}
	judgeAll(t, check.EngineExits(want), []verdictCase{
		{"as wanted", left(4050, 0), check.Pass, "engine#1 left with code 0 after 3.05s: the pool's drain grace"},
		{"too soon", left(1050, 0), check.Fail, "gone 50ms after its first signal, with code 0, and not before 3s"},
		{"too soon on a busy host", noisy(left(1050, 0)), check.Fail, "not before 3s"},
		{"too late", left(8000, 0), check.Fail, "gone only 7s after its first signal"},
		{"too late on a busy host", noisy(left(8000, 0)), check.Inconclusive, "on a busy host"},
		{"another code", left(4050, 137), check.Fail, "with code 137 after 3.05s, not with [0]"},
		{"another code on a busy host", noisy(left(4050, 1)), check.Fail, "with code 1"},
		{"no exit", func() *ht.Builder { return &ht.Builder{} }, check.Inconclusive, "no outage"},
	})
}

// What is expected of an engine whose stops were first is expected of no other.
func TestEngineExitsOnceAllAreTold(t *testing.T) {
	want := check.ExitWant{Codes: []int{137}, From: time.Second, To: 2 * time.Second, Why: "its grace ends first",
		Told: &check.ExitWant{Codes: []int{0}, To: 500 * time.Millisecond, Why: "every actor was told"}}
	left := func(told bool, gone, code int) func() *ht.Builder {
		return func() *ht.Builder {
			b := (&ht.Builder{}).Life(60, 70, "a", 1)
			if told {
				b.Actor(1020, "a", 1, "stop")
			}
			return b.Leaving(1000, gone, code, code == 137)
		}
	}
	judgeAll(t, check.EngineExits(want), []verdictCase{
		{"told, at once", left(true, 1050, 0), check.Pass, "left with code 0 after 50ms: every actor was told"},
		{"told, and it waited all the same", left(true, 2020, 137), check.Fail, "bound 500ms: every actor was told"},
		{"not told, at once", left(false, 1050, 0), check.Fail, "not before 1s: its grace ends first"},
		{"not told", left(false, 2020, 137), check.Pass, "its grace ends first"},
	})
}

func TestClientsHeardNothing(t *testing.T) {
	open := func(end int, ret history.Return) func() *ht.Builder {
		return func() *ht.Builder {
			return (&ht.Builder{}).Op(900, end, ht.Tick("a", "w"), ret).Leaving(1000, 11_000, 137, true)
		}
	}
	broke := history.Return{Outcome: history.Info, Cause: history.CauseRefused}
	judgeAll(t, check.ClientsHeardNothing(), []verdictCase{
		{"it broke with the engine", open(11_000, broke), check.Pass, "1 operations were open"},
		{"its patience ended", open(5000, ht.Unknown()), check.Pass, ""},
		{"it broke as the engine died", open(10_900, broke), check.Pass, ""},
		{"it broke at the signal", open(1005, broke), check.Fail, "tick w ended with refused 5ms after the signal, 9.995s before"},
		{"it was answered", open(3000, ht.OK("a", 1)), check.Fail, "tick w ended with an answer 2s after the signal, 8s before the engine's end"},
		{"it got an error", open(3000, history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 502}), check.Fail, "ended with status"},
		{"nothing was open", open(950, ht.OK("a", 1)), check.Inconclusive, "no operation was open"},
	})
}

// Which of two ways is right is told by the code; each has its own time.
func TestEngineExitsEitherWay(t *testing.T) {
	want := check.ExitWant{Codes: []int{137}, From: 10 * time.Second, To: 11 * time.Second, Why: "the signal was lost",
		Else: &check.ExitWant{Codes: []int{0}, To: time.Second, Why: "it was heard"}}
	left := func(gone, code int) func() *ht.Builder {
		return func() *ht.Builder { return (&ht.Builder{}).Leaving(1000, gone, code, code == 137) }
	}
	judgeAll(t, check.EngineExits(want), []verdictCase{
		{"lost", left(11_100, 137), check.Pass, "the signal was lost"},
		{"heard", left(1100, 0), check.Pass, "it was heard"},
		{"heard, and it took its time", left(9000, 0), check.Fail, "bound 1s: it was heard"},
		{"killed too soon", left(3000, 137), check.Fail, "not before 10s"},
		{"neither", left(11_100, 1), check.Fail, "with code 1"},
	})
}

func TestGenerationsAfterExit(t *testing.T) {
	exit := func(before, after int64) func() *ht.Builder {
		return func() *ht.Builder {
			return (&ht.Builder{}).Life(60, 70, "a", uint32(before)).Restart(1000, 1020, 1100, 1300).Op(1301, 1310, ht.Probe("a", 0), ht.OK("a", after))
		}
	}
	watched := func(b *ht.Builder) func() *ht.Builder {
		return func() *ht.Builder { return b.Op(2990, 3000, ht.Probe("a", 0), ht.OK("a", 1)) }
	}
	judgeAll(t, check.GenerationsAfterExit(true), []verdictCase{
		{"the same", exit(1, 1), check.Pass, "1 actors have the same generation"},
		{"a new one", exit(1, 2), check.Fail, "1 of 1 actors have a new generation"},
		{"nobody was asked", func() *ht.Builder { return (&ht.Builder{}).Restart(1000, 1020, 1100, 1300) }, check.Inconclusive, "no actor is known"},
	})
	judgeAll(t, check.GenerationsAfterExit(false), []verdictCase{
		{"the same", watched(exit(1, 1)()), check.Fail, "the same generation of 1 of 1 actors goes on"},
		{"the same, for a moment", exit(1, 1), check.Inconclusive, "for the 10ms that they were watched"},
		{"the same, and its stop", watched(exit(1, 1)().Actor(1400, "a", 1, "stop")), check.Pass, ""},
		{"a new one", exit(1, 2), check.Pass, "1 a new one"},
		{"one has its stop, another goes on", func() *ht.Builder {
			b := exit(1, 1)().Life(80, 90, "b", 1).Actor(1400, "a", 1, "stop")
			return b.Op(1500, 1510, ht.Probe("b", 0), ht.OK("b", 1)).Op(2990, 3000, ht.Probe("b", 0), ht.OK("b", 1))
		}, check.Fail, "the same generation of 1 of 2 actors goes on"},
	})
}
