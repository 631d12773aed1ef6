package check_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

func TestCommitHeld(t *testing.T) {
	commit := history.Invoke{Op: "c", Actor: "a", Name: "tick", Client: "commit"}
	cut := history.Return{Outcome: history.Info, Cause: history.CauseTimeout}
	// The fault begins at 100 ms.
	build := func(held, returned int) *history.History {
		b := (&ht.Builder{}).Restart(100, 110, 120, 200).Op(10, returned, commit, cut)
		if held >= 0 {
			b.At(held, history.KindBreakpoint, &history.Breakpoint{Name: "before-commit", Actor: "a", What: "reached"})
		}
		b.At(held+1, history.KindBreakpoint, &history.Breakpoint{Name: "before-commit", Actor: "b", What: "reached"})
		return b.End(900)
	}
	for name, c := range map[string]struct {
		held, returned int
		want           check.State
	}{
		"held, and cut by the fault":  {50, 600, check.Pass},
		"held, and it never returned": {50, -1, check.Pass},
		"never held":                  {-1, 600, check.Inconclusive},
		"held too late":               {105, 600, check.Inconclusive},
		"over before the fault":       {50, 90, check.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, one(t, build(c.held, c.returned), check.CommitHeld("commit")).State)
		})
	}
	point := func(what string) *history.Breakpoint {
		return &history.Breakpoint{Name: "before-commit", Actor: "a", What: what}
	}
	left := func(ms int) *history.History {
		return (&ht.Builder{}).Restart(100, 110, 120, 200).Op(10, 600, commit, cut).
			At(50, history.KindBreakpoint, point("reached")).At(ms, history.KindBreakpoint, point("expired")).End(900)
	}
	assert.Equal(t, check.Pass, one(t, left(550), check.CommitHeld("commit")).State)
	assert.Equal(t, check.Inconclusive, one(t, left(90), check.CommitHeld("commit")).State, "it went on before the fault")
	// A caller whom the harness took away was told nothing.
	cut.Cause = history.CauseStopped
	f := one(t, build(50, 101), check.CommitHeld("commit"))
	assert.Equal(t, check.Inconclusive, f.State)
	assert.Contains(t, f.Summary, "the harness itself")
}
