package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// What did not come in a whole trial failed; in one that was cut short nobody knows.
func TestACutTrialFailsNothingForWhatDidNotCome(t *testing.T) {
	for name, c := range map[string]struct {
		inv   check.Invariant
		build func() *ht.Builder
	}{
		"script-done": {check.ScriptDone("tick"), func() *ht.Builder {
			return (&ht.Builder{}).Op(100, 200, ht.Tick("a", "w"), ht.Unknown())
		}},
		"daemon-restarts": {check.DaemonRestarts(check.RestartWant{Code: 137, Lives: 6}), func() *ht.Builder {
			return (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, 1160, true, 137)
		}},
		"served-again": {check.ServedAgain(time.Second), func() *ht.Builder {
			return (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, -1, true, 0).Op(1010, 1300, ht.Flow("a", "w"), ht.Unknown())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := one(t, c.build().End(9000), c.inv)
			assert.Equal(t, check.Fail, f.State, f.Summary)
			f = one(t, &c.build().H, c.inv)
			assert.Equal(t, check.Inconclusive, f.State, f.Summary)
			assert.Contains(t, f.Summary, "when the trial was cut short")
		})
	}
}

// What was decided before the cut stays so: the harness may have given up for just that.
func TestACutTrialFailsForWhatHadItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		inv   check.Invariant
		build *ht.Builder
	}{
		"no life within its back-off and more": {
			check.DaemonRestarts(check.RestartWant{Code: 137, Lives: 6}),
			(&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, 1160, true, 137).Op(5000, 6000, ht.Flow("a", "w"), ht.Unknown()),
		},
		"no answer within the bound": {
			check.ServedAgain(time.Second),
			(&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, -1, true, 0).Op(1010, 4000, ht.Flow("a", "w"), ht.Unknown()),
		},
		"a request that was refused": {
			check.HandoffServes(time.Second),
			with(func(b *ht.Builder) {
				b.Op(120, 170, ht.Flow("a", "x"), history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 502})
			})(),
		},
	} {
		f := one(t, &c.build.H, c.inv)
		assert.Equal(t, check.Fail, f.State, "%s: %s", name, f.Summary)
	}
}

// A request that the harness ended is none that the handoff failed.
func TestAFlowThatWasEndedWithTheTrial(t *testing.T) {
	stopped := with(func(b *ht.Builder) {
		b.Op(120, 130, ht.Flow("a", "x"), history.Return{Outcome: history.Info, Cause: history.CauseStopped})
	})
	f := one(t, &stopped().H, check.HandoffServes(time.Second))
	assert.Equal(t, check.Inconclusive, f.State, f.Summary)
	f = one(t, &stopped().H, check.FailuresExplained())
	assert.Equal(t, check.Pass, f.State, f.Summary)
}

// A creation that nobody waited for is none that took too long; one that its client
// gave up is, in whatever trial.
func TestACutCreation(t *testing.T) {
	for cause, want := range map[history.Cause]check.State{history.CauseStopped: check.Inconclusive, history.CauseTimeout: check.Fail} {
		b := (&ht.Builder{}).Op(100, 200, creation("k"), history.Return{Outcome: history.Info, Cause: cause})
		f := one(t, &b.H, check.CreatesWithin(time.Second))
		assert.Equal(t, want, f.State, f.Summary)
	}
}

// A write that was told that it is in the ledger already is as good as acknowledged.
func TestRepeatedWriteIsAcknowledged(t *testing.T) {
	again := history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 409, Code: "user.operation_repeated"}
	judgeAll(t, check.LedgerKeeps("tick", "ledger"), []verdictCase{
		{"kept", func() *ht.Builder {
			return (&ht.Builder{}).Op(100, 200, ht.Tick("a", "w"), again).Op(300, 310, ht.Ledger("a"), ht.Book("w"))
		}, check.Pass, "1 acknowledged writes"},
		{"gone", func() *ht.Builder {
			return (&ht.Builder{}).Op(100, 200, ht.Tick("a", "w"), again).Op(300, 310, ht.Ledger("a"), ht.Book())
		}, check.Fail, "acknowledged tick w of actor a is missing"},
	})
}
