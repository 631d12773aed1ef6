package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// struck is an actor that ran and beat, an engine that died at 100 and was well
// again at 200.
func struck() *ht.Builder {
	return (&ht.Builder{}).Life(1, 2, "a", 1).Beat(3, "a", 1, "").Restart(100, 110, 120, 200)
}

func TestHeartbeatsResume(t *testing.T) {
	answered := func() *ht.Builder { return struck().Op(210, 300, ht.Probe("a", 0), ht.OK("a", 1)) }
	busy := &history.Noise{SpanNS: 500e6, Busy: 0.99}
	judgeAll(t, check.HeartbeatsResume(2*time.Second), []verdictCase{
		{"before the answer", func() *ht.Builder { return answered().Beat(250, "a", 1, "") }, check.Pass, "1 actors beat again"},
		{"just in time", func() *ht.Builder { return answered().Beat(2300, "a", 2, "") }, check.Pass, ""},
		{"late", func() *ht.Builder { return answered().Beat(2301, "a", 2, "") }, check.Fail, "only 2.001s after its first answer"},
		{"never", answered, check.Fail, "actor a beat before the fault and never again"},
		{"with errors only", func() *ht.Builder { return answered().Beat(250, "a", 1, "not sent") }, check.Fail, "never again"},
		{"one that ended while the engine died does not count", func() *ht.Builder { return answered().Beat(105, "a", 1, "") }, check.Fail, "never again"},
		{"late, on a busy host", func() *ht.Builder { return answered().At(590, history.KindNoise, busy).Beat(2301, "a", 2, "") }, check.Inconclusive, "busy"},
		{"never, on a busy host", func() *ht.Builder { return answered().At(590, history.KindNoise, busy) }, check.Fail, "never again"},
		{"no answer either", struck, check.Inconclusive, "gave no answer"},
		{"no beat before", func() *ht.Builder { return struck().Life(1, 2, "b", 1).Beat(250, "a", 1, "").Beat(250, "b", 1, "") }, check.Inconclusive, "b never beat before"},
		{"one of two never", func() *ht.Builder { return answered().Life(1, 2, "b", 1) }, check.Fail, "actor a"},
		{"no fault", func() *ht.Builder { return &ht.Builder{} }, check.Inconclusive, ""},
	})
}

func TestHeartbeatsThatHadNoTimeToResume(t *testing.T) {
	for end, want := range map[int]check.State{2299: check.Inconclusive, 2300: check.Fail} {
		h := struck().Op(210, 300, ht.Probe("a", 0), ht.OK("a", 1)).End(end)
		assert.Equal(t, want, one(t, h, check.HeartbeatsResume(2*time.Second)).State, end)
	}
	for end, want := range map[int]check.State{4299: check.Inconclusive, 4300: check.Fail} {
		h := struck().Op(210, 300, ht.Probe("a", 0), ht.OK("a", 1)).At(590, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 0.99}).End(end)
		assert.Equal(t, want, one(t, h, check.HeartbeatsResume(2*time.Second)).State, "busy, %d", end)
	}
}

func TestHealthMeansAlive(t *testing.T) {
	well := func() *ht.Builder { return struck().Op(210, 220, ht.Probe("a", 0), ht.OK("a", 1)) }
	failed := history.Return{Outcome: history.Fail, Cause: history.CauseStatus, Status: 500, Code: "actor.internal_error", AnsweredBy: "a", Generation: 1}
	engines := history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 503, Code: "guard.actor_ready_timeout", Generation: -1}
	judgeAll(t, check.HealthMeansAlive("health", 2*time.Second), []verdictCase{
		{"alive", func() *ht.Builder { return well().Op(300, 320, ht.Read("a"), ht.Count(1)) }, check.Pass, "1 actors"},
		{"dead", func() *ht.Builder { return well().Op(300, 320, ht.Read("a"), failed) }, check.Fail, "answered none of 1 actions after that: getCount ended fail"},
		{"one action failed, another did not", func() *ht.Builder {
			return well().Op(300, 320, ht.Tick("a", "x"), ht.NotApplied("a")).Op(330, 340, ht.Read("a"), ht.Count(1))
		}, check.Pass, ""},
		{"that it was repeated is an answer", func() *ht.Builder { return well().Op(300, 320, ht.Tick("a", "x"), ht.Repeated("a")) }, check.Pass, ""},
		{"silent for longer than the bound", func() *ht.Builder { return well().Op(300, 2301, ht.Tick("a", "x"), ht.Unknown()) }, check.Fail, "2.001s"},
		{"the client's patience was shorter", func() *ht.Builder { return well().Op(300, 1300, ht.Tick("a", "x"), ht.Unknown()) }, check.Inconclusive, "nothing shows"},
		{"the engine answered in its place", func() *ht.Builder { return well().Op(300, 320, ht.Tick("a", "x"), engines) }, check.Inconclusive, "nothing shows"},
		{"no action was sent afterwards", func() *ht.Builder { return well().Op(205, 215, ht.Read("a"), failed) }, check.Inconclusive, ""},
		{"an answer before the fault does not count", func() *ht.Builder {
			return struck().Op(50, 60, ht.Probe("a", 0), ht.OK("a", 1)).Op(300, 320, ht.Read("a"), failed)
		}, check.Inconclusive, ""},
		{"another actor", func() *ht.Builder { return well().Op(300, 320, ht.Read("b"), failed) }, check.Inconclusive, ""},
	})
}
