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
		{"it was answered", open(3000, ht.OK("a", 1)), check.Fail, "tick w was answered 2s after the signal, 8s before the engine's end"},
		{"it got an error", open(3000, history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 502}), check.Fail, "was answered"},
		{"nothing was open", open(950, ht.OK("a", 1)), check.Inconclusive, "no operation was open"},
	})
}
