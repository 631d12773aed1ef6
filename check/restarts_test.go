package check_test

import (
	"testing"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

func TestDaemonRestarts(t *testing.T) {
	crash := func(second int) *ht.Builder {
		return (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, 1160, true, 2).Lived(3, second, -1, true, 0)
	}
	want := check.RestartWant{Code: 137, Lives: 2}
	judgeAll(t, check.DaemonRestarts(want), []verdictCase{
		{"as wanted", func() *ht.Builder { return crash(1400) }, check.Pass, "2 lives"},
		{"too soon", func() *ht.Builder { return crash(1300) }, check.Fail, "life 3 only 140ms after the one before, which is sooner than its back-off of 200ms"},
		{"too late", func() *ht.Builder { return crash(4500) }, check.Fail, "life 3 as late as 3.34s after the one before: its back-off is 200ms"},
		{"too late on a busy host", func() *ht.Builder {
			return crash(4500).At(4500, history.KindNoise, &history.Noise{SpanNS: int64(3 * time.Second), Busy: 0.99})
		}, check.Inconclusive, "on a busy host"},
		{"too few", func() *ht.Builder { return (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, -1, true, 0) }, check.Fail, "started 1 lives, not 2"},
		{"another code", func() *ht.Builder {
			return (&ht.Builder{}).Lived(1, 0, 1000, false, 2).Lived(2, 1150, 1160, true, 2).Lived(3, 1400, -1, true, 0)
		}, check.Fail, "ended with code 2"},
		{"an end that nobody saw", func() *ht.Builder {
			return (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, -1, true, 2).Lived(3, 1400, -1, true, 0)
		}, check.Inconclusive, "life 2 has no end"},
		{"nothing", func() *ht.Builder { return &ht.Builder{} }, check.Inconclusive, "no runtime was started again"},
	})
	oom := check.RestartWant{Code: 137, OOM: true, Lives: 2}
	judgeAll(t, check.DaemonRestarts(check.RestartWant{Code: 137, OOM: true, Lives: 1}), []verdictCase{{"Docker does not say so", func() *ht.Builder {
		b := (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, -1, true, 0)
		for _, e := range b.H.Events {
			if x, ok := e.Body.(*history.Exit); ok {
				x.Signal, x.By = "SIGTERM", "harness"
			}
		}
		return b
	}, check.Pass, "1 lives"}})
	judgeAll(t, check.DaemonRestarts(oom), []verdictCase{{"no OOM", func() *ht.Builder { return crash(1400) }, check.Fail, "out of memory false; it was to be 137, true"}})
}

func TestServedAgain(t *testing.T) {
	back := func(answered int, ret history.Return) func() *ht.Builder {
		return func() *ht.Builder {
			return (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, -1, true, 0).Op(1010, answered, ht.Flow("a", "w"), ret)
		}
	}
	judgeAll(t, check.ServedAgain(time.Second), []verdictCase{
		{"soon", back(1300, ht.OK("a", 2)), check.Pass, "145ms after a runtime served"},
		{"late", back(3000, ht.OK("a", 2)), check.Fail, "came 1.845s after a runtime served, bound 1s"},
		{"late on a busy host", func() *ht.Builder {
			b := back(3000, ht.OK("a", 2))()
			return b.At(3000, history.KindNoise, &history.Noise{SpanNS: int64(2 * time.Second), Busy: 0.99})
		}, check.Inconclusive, "on a busy host"},
		{"never", back(1300, ht.Unknown()), check.Fail, "nobody was answered again"},
		{"none stayed", func() *ht.Builder { return (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, 1160, true, 2) }, check.Inconclusive, "no runtime stayed"},
	})
}
