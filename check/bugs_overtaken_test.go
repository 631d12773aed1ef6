package check_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// later is the answer of a later generation that the write is done.
func later(generation int64) history.Return {
	r := ht.Repeated("a")
	r.Generation = generation
	return r
}

func TestAnswerOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		build  func(*ht.Builder)
		struck bool
	}{
		"its actor stopped in order": {func(b *ht.Builder) {
			b.Op(1, 50, ht.Tick("a", "x"), later(2)).Actor(3, "a", 1, "stop").Write(5, "a", 1, "x", "").Actor(9, "a", 1, "stopped")
		}, true},
		"the connection ended after the stop": {func(b *ht.Builder) {
			b.Op(1, 50, ht.Tick("a", "x"), later(2)).Write(5, "a", 1, "x", "").Actor(9, "a", 1, "stopped")
			closedConnection(b, 10)
		}, true},
		"the connection ended before the stop": {func(b *ht.Builder) {
			b.Op(1, 50, ht.Tick("a", "x"), later(2)).Write(5, "a", 1, "x", "")
			closedConnection(b, 8)
			b.Actor(9, "a", 1, "stopped")
		}, false},
		"the runtime died without a word": {func(b *ht.Builder) {
			b.Op(1, 50, ht.Tick("a", "x"), later(2)).Write(5, "a", 1, "x", "")
		}, false},
		"the generation was aborted": {func(b *ht.Builder) {
			b.Op(1, 50, ht.Tick("a", "x"), later(2)).Write(5, "a", 1, "x", "").Actor(7, "a", 1, "abort").Actor(9, "a", 1, "stopped")
		}, false},
		"another generation stopped": {func(b *ht.Builder) {
			b.Op(1, 50, ht.Tick("a", "x"), later(3)).Write(5, "a", 2, "x", "").Actor(9, "a", 1, "stopped")
		}, false},
		"the write had failed": {func(b *ht.Builder) {
			b.Op(1, 50, ht.Tick("a", "x"), later(2)).Write(5, "a", 1, "x", cutCommit).Actor(9, "a", 1, "stopped")
		}, false},
		"it was answered before the stop": {func(b *ht.Builder) {
			b.Op(1, 8, ht.Tick("a", "x"), later(2)).Write(5, "a", 1, "x", "").Actor(9, "a", 1, "stopped")
		}, false},
		"its client sent it twice": {func(b *ht.Builder) {
			b.Op(1, 20, ht.Tick("a", "x"), ht.Unknown()).Write(5, "a", 1, "x", "").Actor(9, "a", 1, "stopped")
			b.Op(30, 50, ht.Again("a", "x'", "x"), later(2))
		}, false},
		"it was answered": {func(b *ht.Builder) {
			b.Op(1, 50, ht.Tick("a", "x"), ht.OK("a", 1)).Write(5, "a", 1, "x", "").Actor(9, "a", 1, "stopped")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := &ht.Builder{}
			c.build(b)
			h := b.End(100)
			// Wants the answer, and the ledger's word for it.
			wants := check.Invariant{Name: "answered", Check: func(h *history.History) check.Finding {
				for _, e := range h.Events {
					if r, ok := e.Body.(*history.Return); ok && r.Outcome != history.OK {
						return check.Finding{State: check.Fail, Summary: r.Code}
					}
				}
				return check.Finding{State: check.Pass}
			}}
			bug := check.AnswerOvertaken("answered")
			if !c.struck {
				assert.Empty(t, bug.Mark(h))
				return
			}
			assert.Equal(t, []string{"a"}, struckBy(bug, h))
			assert.Equal(t, check.Known, check.Judge(h, []check.KnownBug{bug}, wants).State)
			assert.Equal(t, check.Fail, check.Judge(h, []check.KnownBug{check.AnswerOvertaken("another")}, wants).State)
			assert.Equal(t, check.Fail, check.Judge(h, nil, wants).State, "the history itself is as it was")
		})
	}
}
