package check

import (
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

var testCounter = Counter{Write: "tick", Read: "getCount", Ledger: "ledger"}

// naive is the search without the order of the open writes: every one of them
// may take effect or not, at any time.
func naive(a *counterActor) bool {
	model := porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(state, input, _ any) (bool, any) {
			n, in := state.(int64), input.(counterStep)
			if in.write {
				n++
			}
			return in.count < 0 || in.count == n, n
		},
	}
	var ops []porcupine.Operation
	for _, w := range a.writes {
		if w.possible || w.ended != never {
			ops = append(ops, porcupine.Operation{Input: counterStep{write: true, count: w.count}, Call: int64(w.begun), Return: int64(w.ended)})
		}
	}
	for _, r := range a.reads {
		ops = append(ops, porcupine.Operation{Input: counterStep{count: r.count}, Call: int64(r.begun), Return: int64(r.ended)})
	}
	return porcupine.CheckOperations(model, ops)
}

// Taking the writes of unknown outcome in their order changes no verdict, and
// whatever is not linearizable has a witness.
func TestTheOrderOfOpenWritesChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &ht.Builder{}
		for i := range rapid.IntRange(1, 8).Draw(rt, "ops") {
			begin := rapid.IntRange(0, 20).Draw(rt, "begin")
			end := begin + rapid.IntRange(1, 12).Draw(rt, "took")
			count := ht.Count(rapid.IntRange(0, 5).Draw(rt, "count"))
			op := fmt.Sprintf("w%d", i)
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0, 1:
				b.Op(begin, end, ht.Tick("a", op), count)
			case 2:
				b.Op(begin, end, ht.Tick("a", op), ht.Unknown())
			case 3:
				b.Op(begin, end, ht.Tick("a", op), ht.Unknown())
				b.Op(end+1, end+3, ht.Again("a", op+"'", op), ht.Repeated("a"))
			default:
				b.Op(begin, end, ht.Read("a"), count)
			}
		}
		h := b.End(100)
		f := testCounter.Linearizable(time.Minute).Check(h)
		actors := testCounter.actors(h)
		if len(actors[0].seen) == 0 {
			assert.Equal(rt, Inconclusive, f.State)
			return
		}
		assert.Equal(rt, naive(actors[0]), f.State == Pass, f.Summary)
		assert.Equal(rt, f.State == Fail, len(f.Witness) > 0, f.Summary)
	})
}

// A counter that works is never accused, whatever its clients do not know.
func TestAWorkingCounterPasses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &ht.Builder{}
		var ledger []any
		// Each operation takes effect at a time of its own; around that it may
		// take as long as it likes.
		for i := range rapid.IntRange(1, 30).Draw(rt, "ops") {
			at := 20 * (i + 1)
			begin, end := at-rapid.IntRange(1, 60).Draw(rt, "before"), at+rapid.IntRange(1, 60).Draw(rt, "after")
			op := fmt.Sprintf("w%d", i)
			apply := func() history.Return {
				ledger = append(ledger, op)
				return ht.Count(len(ledger))
			}
			switch rapid.IntRange(0, 6).Draw(rt, "kind") {
			case 0, 1:
				b.Op(begin, end, ht.Read("a"), ht.Count(len(ledger)))
			case 2:
				b.Op(begin, end, ht.Tick("a", op), apply())
			case 3: // applied, and the client left
				apply()
				b.Op(begin, begin+1, ht.Tick("a", op), ht.Unknown())
			case 4: // not applied, and the client left
				b.Op(begin, end, ht.Tick("a", op), ht.Unknown())
			case 5: // applied at the first attempt
				apply()
				b.Op(begin, end, ht.Tick("a", op), ht.Unknown()).Op(end+1, end+5, ht.Again("a", op+"'", op), ht.Repeated("a"))
			case 6: // applied at the second
				b.Op(begin-5, begin, ht.Tick("a", op), ht.Unknown()).Op(begin+1, end+1, ht.Again("a", op+"'", op), apply())
			}
		}
		b.Op(2000, 2001, ht.Read("a"), ht.Count(len(ledger))).Op(2002, 2003, ht.Ledger("a"), ht.Book(ledger...))
		h := b.End(3000)
		f := testCounter.Linearizable(time.Minute).Check(h)
		assert.Equal(rt, Pass, f.State, f.Summary)
		f = testCounter.AppliedOnce().Check(h)
		assert.NotEqual(rt, Fail, f.State, f.Summary)
	})
}
