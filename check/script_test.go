package check_test

import (
	"testing"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

func TestScriptDone(t *testing.T) {
	tick := func(op, retryOf string) history.Invoke {
		return history.Invoke{Op: op, RetryOf: retryOf, Name: "tick", Actor: "a"}
	}
	create := history.Invoke{Op: "c", Name: "create"}
	lost := history.Return{Outcome: history.Info, Cause: history.CauseTimeout}
	repeated := history.Return{Outcome: history.Info, Cause: history.CauseStatus, Code: "user.operation_repeated"}
	stopped := history.Return{Outcome: history.Info, Cause: history.CauseStopped}
	made := func() *ht.Builder { return (&ht.Builder{}).Op(1, 2, create, ht.OK("", -1)) }
	busy := &history.Noise{SpanNS: 20e6, Busy: 0.99}
	judgeAll(t, check.ScriptDone("create", "tick"), []verdictCase{
		{"done", func() *ht.Builder { return made().Op(3, 4, tick("w", ""), ht.OK("a", 1)) }, check.Pass, "2 operations were done"},
		{"done at the second attempt", func() *ht.Builder {
			return made().Op(3, 4, tick("w", ""), lost).Op(5, 6, tick("x", "w"), ht.OK("a", 1))
		}, check.Pass, ""},
		{"done, as the second attempt tells", func() *ht.Builder {
			return made().Op(3, 4, tick("w", ""), lost).Op(5, 6, tick("x", "w"), repeated)
		}, check.Pass, ""},
		{"stuck", func() *ht.Builder {
			return made().Op(3, 4, tick("w", ""), lost).Op(5, 26, tick("x", "w"), lost)
		}, check.Fail, "operation 2, tick, was not done after 2 attempts in 23ms"},
		{"stuck, on a busy host", func() *ht.Builder {
			return made().Op(3, 4, tick("w", ""), lost).Op(5, 26, tick("x", "w"), lost).At(27, history.KindNoise, busy)
		}, check.Inconclusive, "on a busy host"},
		{"ended with the trial", func() *ht.Builder { return made().Op(3, 4, tick("w", ""), stopped) }, check.Inconclusive, "ended with the trial"},
		{"cut off", func() *ht.Builder { return made().Op(3, -1, tick("w", ""), lost) }, check.Inconclusive, "was cut off"},
		{"not begun", made, check.Inconclusive, "operation 2, tick, was not begun"},
		{"something else", func() *ht.Builder { return made().Op(3, 4, history.Invoke{Op: "y", Name: "ledger"}, ht.OK("a", 1)) }, check.Inconclusive, "is ledger in the history, and tick in the script"},
		{"and what is read back", func() *ht.Builder {
			return made().Op(3, 4, tick("w", ""), ht.OK("a", 1)).Op(5, 6, history.Invoke{Op: "y", Name: "ledger"}, lost)
		}, check.Pass, ""},
	})
}
