package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

func creation(key string) history.Invoke {
	return history.Invoke{Name: check.Create, Key: key}
}

func made(actor string) history.Return {
	return history.Return{Outcome: history.OK, Status: 200, AnsweredBy: actor, Generation: -1}
}

// shedding adds the cell's setting.
func shedding(b *ht.Builder, curve string) {
	b.At(0, history.KindSettings, &history.Settings{"engine_load_shedding": curve})
}

func TestCreatesWithinAndWhoIsToBlame(t *testing.T) {
	refused := history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 500, Code: "core.internal_error", Generation: -1}
	cases := []struct {
		name    string
		build   func(*ht.Builder)
		want    check.State
		says    string
		witness []uint64 // of the mark; nil: there is none
	}{
		{"made at once", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 90, creation("k"), made("a")).Op(2, 5, ht.Tick("b", "x"), ht.OK("b", 1))
		}, check.Pass, "1 actors were made within 5s", nil},
		{"left, while others are answered", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 8001, creation("k"), ht.Unknown()).Op(2, 5, ht.Tick("b", "x"), ht.OK("b", 1)).Op(6, 9, ht.Tick("b", "y"), ht.OK("b", 1))
		}, check.Fail, "actor k was not made: timeout  after 8s, bound 5s", []uint64{2, 7, 3}},
		{"refused in the end", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 30_001, creation("k"), refused).Op(2, 5, ht.Tick("b", "x"), ht.OK("b", 1))
		}, check.Fail, "actor k was not made: status core.internal_error after 30s, bound 5s", []uint64{2, 5, 3}},
		{"made late", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 6001, creation("k"), made("a")).Op(2, 5, ht.Tick("b", "x"), ht.OK("b", 1))
		}, check.Fail, "actor k was made after 6s, bound 5s", []uint64{2, 5, 3}},
		{"it never returned", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, -1, creation("k"), history.Return{}).Op(2, 5, ht.Tick("b", "x"), ht.OK("b", 1)).At(9001, history.KindStep, &history.Step{})
		}, check.Fail, "actor k was not made: no answer after", []uint64{2, 4, 2}},
		{"refused at once", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 40, creation("k"), refused).Op(2, 5, ht.Tick("b", "x"), ht.OK("b", 1))
		}, check.Fail, "actor k was not made: status core.internal_error after 39ms", nil},
		{"an engine that sheds no load", func(b *ht.Builder) {
			shedding(b, "off")
			b.Op(1, 8001, creation("k"), ht.Unknown()).Op(2, 5, ht.Tick("b", "x"), ht.OK("b", 1))
		}, check.Fail, "", nil},
		{"an engine that answers nobody", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 8001, creation("k"), ht.Unknown()).Op(2, 5000, ht.Tick("b", "x"), ht.Unknown())
		}, check.Fail, "", nil},
		{"an answer to what was asked before", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 7, ht.Tick("b", "x"), ht.OK("b", 1)).Op(2, 8001, creation("k"), ht.Unknown())
		}, check.Fail, "", nil},
		{"another creation is no actor's answer", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 8001, creation("k"), ht.Unknown()).Op(2, 5, creation("l"), made("b"))
		}, check.Fail, "", nil},
		{"nobody made anything", func(b *ht.Builder) {
			shedding(b, "engine")
			b.Op(1, 5, ht.Tick("b", "x"), ht.OK("b", 1))
		}, check.Inconclusive, "no actor was made", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			h := b.End(40_000)
			f := check.CreatesWithin(5 * time.Second).Check(h)
			assert.Equal(t, c.want, f.State, f.Summary)
			assert.Contains(t, f.Summary, c.says)
			marked := check.LoadShedding.Mark(h)
			assert.Equal(t, c.witness, marked[""])
			v := check.Judge(h, []check.KnownBug{check.LoadShedding}, check.CreatesWithin(5*time.Second))
			if c.witness == nil {
				assert.Empty(t, marked)
				assert.Equal(t, c.want, v.State)
			} else {
				assert.Equal(t, check.Known, v.State)
			}
		})
	}
}
