package check_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

func TestLoadWhenStruck(t *testing.T) {
	tick := func(name string) history.Invoke { return history.Invoke{Name: name, Actor: "a", Key: "load-00"} }
	ok := history.Return{Outcome: history.OK}
	for name, c := range map[string]struct {
		ops  func(*ht.Builder) *ht.Builder
		want check.State
	}{
		"at work": {func(b *ht.Builder) *ht.Builder {
			return b.Op(700, 800, tick("tick"), ok).Op(900, 950, tick("tick"), ok).Op(990, 1005, tick("tick"), ht.TimedOut())
		}, check.Pass},
		"between two actions": {func(b *ht.Builder) *ht.Builder {
			return b.Op(700, 800, tick("tick"), ok).Op(900, 950, tick("tick"), ok)
		}, check.Inconclusive},
		"only warmed": {func(b *ht.Builder) *ht.Builder {
			return b.Op(700, 800, tick("tick"), ok).Op(990, 1005, tick("tick"), ht.TimedOut())
		}, check.Inconclusive},
		"reads are no writes": {func(b *ht.Builder) *ht.Builder {
			return b.Op(700, 800, tick("tick"), ok).Op(900, 950, tick("getCount"), ok).Op(990, 1005, tick("tick"), ok)
		}, check.Inconclusive},
		"of impatient clients": {func(b *ht.Builder) *ht.Builder {
			return b.Op(700, 800, tick("tick"), ok).Op(900, 950, tick("tick"), ht.TimedOut()).Op(990, 1005, tick("tick"), ok)
		}, check.Pass},
		"none": {func(b *ht.Builder) *ht.Builder { return b }, check.Inconclusive},
	} {
		h := c.ops((&ht.Builder{}).Restart(1000, 1010, 1020, 1100)).End(6000)
		assert.Equal(t, c.want, one(t, h, check.LoadWhenStruck("tick", "load-00")).State, name)
	}
}
