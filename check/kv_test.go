package check_test

import (
	"testing"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

func put(op, retryOf string) history.Invoke {
	return history.Invoke{Op: op, RetryOf: retryOf, Name: "kvPut", Actor: "a"}
}

func found(value any) history.Return {
	return history.Return{Outcome: history.OK, Value: value}
}

func TestKVKeeps(t *testing.T) {
	get := history.Invoke{Name: "kvGet", Actor: "a"}
	ok, lost, none := history.Return{Outcome: history.OK}, history.Return{Outcome: history.Info}, history.Return{Outcome: history.Fail}
	build := func() *ht.Builder { return &ht.Builder{} }
	judgeAll(t, check.KVKeeps("kvPut", "kvGet"), []verdictCase{
		{"kept", func() *ht.Builder { return build().Op(1, 2, put("p", ""), ok).Op(3, 4, get, found("p")) }, check.Pass, "1 reads saw what was put"},
		{"gone", func() *ht.Builder { return build().Op(1, 2, put("p", ""), ok).Op(3, 4, get, found(nil)) }, check.Fail, "acknowledged put p of actor a is gone: a later read found nothing"},
		{"taken back", func() *ht.Builder {
			return build().Op(1, 2, put("p", ""), ok).Op(3, 4, put("q", ""), ok).Op(5, 6, get, found("p"))
		}, check.Fail, "acknowledged put q of actor a is gone: a later read found put p, which was before it"},
		{"nobody's", func() *ht.Builder { return build().Op(1, 2, put("p", ""), ok).Op(3, 4, get, found("x")) }, check.Fail, `found "x", which nobody put there`},
		{"nothing was put", func() *ht.Builder { return build().Op(3, 4, get, found(nil)) }, check.Pass, ""},
		{"unknown, and there", func() *ht.Builder { return build().Op(1, 2, put("p", ""), lost).Op(3, 4, get, found("p")) }, check.Pass, ""},
		{"unknown, and not there", func() *ht.Builder { return build().Op(1, 2, put("p", ""), lost).Op(3, 4, get, found(nil)) }, check.Pass, ""},
		{"unknown, and there after all", func() *ht.Builder {
			return build().Op(1, 2, put("p", ""), lost).Op(3, 4, put("q", ""), ok).Op(5, 6, get, found("p"))
		}, check.Pass, ""},
		{"refused, and there", func() *ht.Builder { return build().Op(1, 2, put("p", ""), none).Op(3, 4, get, found("p")) }, check.Fail, "certainly had no effect"},
		{"sent again", func() *ht.Builder {
			return build().Op(1, 2, put("p", ""), lost).Op(3, 4, put("r", "p"), ok).Op(5, 6, get, found("p"))
		}, check.Pass, ""},
		{"sent again, and gone", func() *ht.Builder {
			return build().Op(1, 2, put("p", ""), lost).Op(3, 4, put("r", "p"), ok).Op(5, 6, get, found(nil))
		}, check.Fail, "acknowledged put p"},
		{"beside the read", func() *ht.Builder { return build().Op(1, 9, put("p", ""), ok).Op(3, 4, get, found("p")) }, check.Pass, ""},
		{"beside the read, and not there", func() *ht.Builder { return build().Op(1, 9, put("p", ""), ok).Op(3, 4, get, found(nil)) }, check.Pass, ""},
		{"of the future", func() *ht.Builder { return build().Op(1, 2, get, found("p")).Op(5, 6, put("p", ""), ok) }, check.Fail, "by then"},
		{"nobody looked", func() *ht.Builder { return build().Op(1, 2, put("p", ""), ok) }, check.Inconclusive, "nobody read"},
		{"the read failed", func() *ht.Builder { return build().Op(1, 2, put("p", ""), ok).Op(3, 4, get, none) }, check.Inconclusive, "nobody read"},
		{"nothing", build, check.Inconclusive, ""},
	})
}

// The ledger of an actor that was destroyed after the strike was read before
// that, and there is none any more.
func TestLedgerOfADestroyedActor(t *testing.T) {
	tick, read := history.Invoke{Op: "w", Name: "tick", Actor: "a"}, history.Invoke{Name: "ledger", Actor: "a"}
	destroy := history.Invoke{Name: "destroy", Actor: "a"}
	begun := func() *ht.Builder {
		return (&ht.Builder{}).Op(1, 2, tick, ht.OK("a", 1)).Op(3, 4, read, found([]any{"w"})).Restart(100, 110, 120, 200)
	}
	judgeAll(t, check.LedgerKeeps("tick", "ledger"), []verdictCase{
		{"not destroyed", begun, check.Inconclusive, "last read before the engine died"},
		{"destroyed", func() *ht.Builder { return begun().Op(210, 220, destroy, ht.OK("a", 1)) }, check.Pass, "1 acknowledged writes"},
		{"perhaps", func() *ht.Builder { return begun().Op(210, 220, destroy, ht.TimedOut()) }, check.Inconclusive, ""},
		{"and written to", func() *ht.Builder {
			return begun().Op(210, 220, destroy, ht.OK("a", 1)).Op(230, 240, history.Invoke{Op: "v", Name: "tick", Actor: "a"}, ht.TimedOut())
		}, check.Inconclusive, ""},
	})
}
