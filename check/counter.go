package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Counter names the operations on counter actors in a history. Each actor's
// counter begins at 0 in the trial.
type Counter struct {
	// Write adds one; its value is the count after it. Attempts that share an
	// identity (RetryOf) are one write.
	Write string
	// Read has the count as its value.
	Read string
	// Ledger has as its value the list of the operation ids that were applied.
	Ledger string
}

// codeRepeated is the answer to a write whose operation is in the ledger
// already: it, or an earlier attempt, was applied.
const codeRepeated = "user.operation_repeated"

// Linearizable: for each actor there is an order of its writes and reads, in
// which each takes effect at one instant between its invocation and its return,
// that explains every count that was answered. A write of unknown outcome may
// take effect at any time after its invocation, or never; one that certainly
// failed is left out, and so is a read without an answer.
//
// It proves that no client saw the counter lose, repeat or reorder what another
// was told. It proves nothing of what nobody read: a count that is wrong in the
// end and never asked for again passes; see [LedgerKeeps] and [AppliedOnce].
//
// The search takes no longer than patience; after that the finding is
// inconclusive.
func (c Counter) Linearizable(patience time.Duration) Invariant {
	return Invariant{Name: "linearizable", Check: func(h *history.History) Finding {
		deadline := time.Now().Add(patience)
		var all findings
		n := 0
		for _, a := range c.actors(h) {
			n += len(a.seen)
			if len(a.seen) > 0 {
				all.add(a.linearizable(deadline))
			}
		}
		return all.sum("%d counts of %d actors fit an order", n, len(all))
	}}
}

// counterActor is what a history says of one actor's counter.
type counterActor struct {
	id     string
	writes []*counterOp // by time of invocation
	reads  []*counterOp
	seen   []*counterOp // those of both that have a count
	ledger *ledgerRead  // the last one, nil where none was read
}

// counterOp is a write, all its attempts being one, or a read.
type counterOp struct {
	id    string
	write bool
	begun clock.Mono
	// ended is when its effect was first known to have happened; never where
	// it is not known. possible: an attempt may have applied it.
	ended    clock.Mono
	possible bool
	count    int64 // after it, -1 where nobody was told
	// observed is the return that carried the count, asked its invocation.
	asked, observed clock.Mono
	attempts        int
	again           clock.Mono // its last attempt began
	// halves are how many of the attempts may have been half carried out; half: it
	// is one of those, which may have been counted, and is for itself.
	halves int
	half   bool
	seqs   []uint64
}

type ledgerRead struct {
	ids          []string
	asked, ended clock.Mono
	seqs         []uint64
}

const never = clock.Mono(math.MaxInt64)

func (o *counterOp) String() string {
	what := "a read"
	if o.write {
		what = "the write " + o.id
	}
	if o.half {
		what = "half of " + what
	}
	if o.count < 0 {
		return what + " without a count"
	}
	return fmt.Sprintf("%s answered %d", what, o.count)
}

// actors reads the operations of every actor, in the order of their ids.
func (c Counter) actors(h *history.History) []*counterActor {
	r := counterReader{Counter: c, actors: map[string]*counterActor{}, invoked: map[string]history.Event{}, writes: map[string]*counterOp{}}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			r.invoke(e, b)
		case *history.Return:
			if inv, ok := r.invoked[b.Op]; ok {
				r.returned(inv, e, b)
			}
		}
	}
	out := make([]*counterActor, 0, len(r.actors))
	for _, a := range r.actors {
		slices.SortStableFunc(a.writes, func(x, y *counterOp) int { return cmp.Compare(x.begun, y.begun) })
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *counterActor) int { return cmp.Compare(a.id, b.id) })
	return out
}

type counterReader struct {
	Counter
	actors  map[string]*counterActor
	invoked map[string]history.Event
	writes  map[string]*counterOp // by identity
}

func (r *counterReader) invoke(e history.Event, b *history.Invoke) {
	if b.Name != r.Write && b.Name != r.Read && b.Name != r.Ledger {
		return
	}
	r.invoked[b.Op] = e
	a := r.actors[b.Actor]
	if a == nil {
		a = &counterActor{id: b.Actor}
		r.actors[b.Actor] = a
	}
	if b.Name != r.Write {
		return
	}
	id := identity(b)
	w := r.writes[id]
	if w == nil {
		w = &counterOp{id: id, write: true, begun: e.T, ended: never, count: -1}
		r.writes[id] = w
		a.writes = append(a.writes, w)
	}
	w.attempts++
	w.again = e.T
	w.possible = true // until it returns with a failure
	w.seqs = append(w.seqs, e.Seq)
}

func (r *counterReader) returned(inv, e history.Event, b *history.Return) {
	i := inv.Body.(*history.Invoke)
	a := r.actors[i.Actor]
	switch i.Name {
	case r.Write:
		r.writeReturned(a, r.writes[identity(i)], inv, e, b)
	case r.Read:
		if n, ok := countOf(b); ok {
			o := &counterOp{id: i.Op, begun: inv.T, ended: e.T, count: n, asked: inv.T, observed: e.T, seqs: []uint64{inv.Seq, e.Seq}}
			a.reads, a.seen = append(a.reads, o), append(a.seen, o)
		}
	case r.Ledger:
		if ids, ok := b.Value.([]any); ok && b.Outcome == history.OK {
			a.ledger = &ledgerRead{asked: inv.T, ended: e.T, ids: texts(ids), seqs: []uint64{inv.Seq, e.Seq}}
		}
	}
}

func (r *counterReader) writeReturned(a *counterActor, w *counterOp, inv, e history.Event, b *history.Return) {
	w.seqs = append(w.seqs, e.Seq)
	switch {
	case b.Code == codeHalf:
		w.halves++
		w.possible = w.attempts > w.halves
		a.writes = append(a.writes, &counterOp{
			id: w.id, write: true, half: true, begun: inv.T, ended: never, possible: true, count: -1,
			attempts: 1, again: inv.T, seqs: []uint64{inv.Seq, e.Seq},
		})
	case b.Code == codeRepeated && w.halves > 0:
		// The half may be what is in the ledger.
		w.possible = w.attempts-1 > w.halves
	case b.Outcome == history.OK || b.Code == codeRepeated:
		w.ended = min(w.ended, e.T)
	case b.Outcome == history.Fail && w.attempts == 1:
		// A later attempt says nothing of an earlier one.
		w.possible = false
	}
	if n, ok := countOf(b); ok && w.count < 0 {
		w.count, w.asked, w.observed = n, inv.T, e.T
		a.seen = append(a.seen, w)
	}
}

// countOf is the count of a good answer.
func countOf(b *history.Return) (int64, bool) {
	if b.Outcome != history.OK {
		return 0, false
	}
	v := b.Value
	if fields, ok := v.(map[string]any); ok {
		v = fields["count"]
	}
	switch n := v.(type) {
	case float64:
		return int64(n), n == math.Trunc(n)
	case int64:
		return n, true
	case int:
		return int64(n), true
	}
	return 0, false
}

func texts(values []any) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// counterState is the model's: the count, and how many of the writes of
// unknown outcome took effect. Those are interchangeable once invoked, so they
// are taken in the order of their invocation only: k of them then cost k + 1
// states, where the subsets of them would cost 2^k.
type counterState struct{ count, open int64 }

// counterStep is the input of an operation of the model.
type counterStep struct {
	write bool
	open  int64 // the number of a write of unknown outcome, from 0; -1 for others
	count int64 // that must be answered; -1 for any
}

var counterModel = porcupine.Model{
	Init: func() any { return counterState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, in := state.(counterState), input.(counterStep)
		if in.open >= 0 {
			if s.open != in.open {
				return false, s
			}
			s.open++
		}
		if in.write {
			s.count++
		}
		return in.count < 0 || in.count == s.count, s
	},
	Hash: func(state any) uint64 {
		s := state.(counterState)
		return uint64(s.count)<<20 ^ uint64(s.open)
	},
}

// search looks for an order of what had happened until then: what returned
// later counts as open.
func (a *counterActor) search(until clock.Mono, deadline time.Time) porcupine.CheckResult {
	var ops []porcupine.Operation
	open := int64(0)
	for _, w := range a.writes {
		in := counterStep{write: true, open: -1, count: w.count}
		end := w.ended
		switch {
		case w.begun > until || !w.possible && w.ended == never:
			continue
		case end > until:
			in.open, in.count, end = open, -1, never
			open++
		}
		ops = append(ops, porcupine.Operation{Input: in, Call: int64(w.begun), Return: int64(end)})
	}
	for _, r := range a.reads {
		if r.ended <= until {
			ops = append(ops, porcupine.Operation{Input: counterStep{open: -1, count: r.count}, Call: int64(r.begun), Return: int64(r.ended)})
		}
	}
	// 0 would mean: without a limit.
	return porcupine.CheckOperationsTimeout(counterModel, ops, max(time.Until(deadline), time.Millisecond))
}

func (a *counterActor) linearizable(deadline time.Time) Finding {
	switch a.search(never-1, deadline) {
	case porcupine.Ok:
		return passed("the %d counts of actor %s fit an order", len(a.seen), a.id)
	case porcupine.Unknown:
		return undecided("the search for an order of the %d operations of actor %s took too long", len(a.writes)+len(a.reads), a.id)
	}
	if f, ok := a.contradiction(); ok {
		return f
	}
	return a.shortest(deadline)
}

// contradiction finds the first answer that a single other event, or a plain
// number of them, contradicts: what a person sees at a glance.
func (a *counterActor) contradiction() (Finding, bool) {
	seen := slices.Clone(a.seen)
	slices.SortStableFunc(seen, func(x, y *counterOp) int { return cmp.Compare(x.observed, y.observed) })
	for i, o := range seen {
		for _, before := range seen[:i] {
			if why := contradicts(before, o); why != "" {
				return failed(slices.Concat(before.seqs, o.seqs), "actor %s: %s, but %s (%s)", a.id, before, o, why), true
			}
		}
		if begun := a.begunBefore(o.observed); o.count > begun {
			return failed(o.seqs, "actor %s: %s, when only %d writes had begun", a.id, o, begun), true
		}
	}
	return Finding{}, false
}

// contradicts says why later cannot be right if earlier is, or nothing.
func contradicts(earlier, later *counterOp) string {
	switch {
	case earlier.write && later.write && earlier.count == later.count:
		return "two writes, one count"
	case earlier.observed >= later.asked || later.write && later.attempts > 1:
		// They overlap, or later may have taken effect at an earlier attempt.
		return ""
	case later.count < earlier.count:
		return "asked afterwards, it is less"
	case later.write && later.count == earlier.count:
		return "written afterwards, it is no more"
	}
	return ""
}

// begunBefore counts the writes that may have taken effect before t.
func (a *counterActor) begunBefore(t clock.Mono) int64 {
	n := int64(0)
	for _, w := range a.writes {
		if w.begun <= t && (w.possible || w.ended != never) {
			n++
		}
	}
	return n
}

// shortest finds the first return with which no order fits any more.
func (a *counterActor) shortest(deadline time.Time) Finding {
	ends := slices.Clone(a.seen)
	slices.SortStableFunc(ends, func(x, y *counterOp) int { return cmp.Compare(x.ended, y.ended) })
	first, _ := slices.BinarySearchFunc(ends, porcupine.Illegal, func(o *counterOp, want porcupine.CheckResult) int {
		if a.search(o.ended, deadline) == want {
			return 1
		}
		return -1
	})
	if first == len(ends) {
		return failed(nil, "actor %s: no order of its operations explains the counts that were answered", a.id)
	}
	o := ends[first]
	beside := a.concurrent(o)
	return failed(slices.Concat(append([][]uint64{o.seqs}, seqsOf(beside)...)...),
		"actor %s: no order explains that %s; until then one did. Beside it ran: %v", a.id, o, beside)
}

// concurrent are the operations that overlap o in time; at most eight, since
// it is for a person.
func (a *counterActor) concurrent(o *counterOp) []*counterOp {
	var out []*counterOp
	for _, p := range slices.Concat(a.writes, a.reads) {
		if p != o && p.begun <= o.ended && p.ended >= o.begun && len(out) < 8 {
			out = append(out, p)
		}
	}
	return out
}

func seqsOf(ops []*counterOp) [][]uint64 {
	out := make([][]uint64, len(ops))
	for i, o := range ops {
		out[i] = o.seqs
	}
	return out
}

// AppliedOnce: no write, retried or not, was applied twice. No ledger holds an
// operation id twice, and every count that was answered agrees with its actor's
// last ledger: it is no less than the writes of the ledger that were known to
// be applied before it was asked for, and no more than those that may have been
// applied when it was answered. A count that was answered before the ledger was
// asked for is no more than the number of entries, whatever became of the writes
// of unknown outcome: who reads back should read the counts first.
//
// The count is what shows a write that was applied twice and booked once, so an
// actor of which none was asked for after its last write began is inconclusive.
// What it does not prove: that the writes were applied to the right actor
// ([RightActor]), or that the ledger is whole ([LedgerKeeps]).
func (c Counter) AppliedOnce() Invariant {
	return Invariant{Name: "applied-once", Check: func(h *history.History) Finding {
		var all findings
		counts, retried := 0, 0
		for _, a := range c.actors(h) {
			if len(a.writes) == 0 {
				continue
			}
			all.add(a.appliedOnce())
			counts += len(a.seen)
			for _, w := range a.writes {
				if w.attempts > 1 {
					retried++
				}
			}
		}
		return all.sum("%d counts agree with the ledgers of %d actors; %d writes were sent twice", counts, len(all), retried)
	}}
}

func (a *counterActor) appliedOnce() Finding {
	if a.ledger == nil {
		return undecided("the ledger of actor %s was not read back", a.id)
	}
	booked := map[string]bool{}
	for _, id := range a.ledger.ids {
		if booked[id] {
			return failed(a.seqs(id), "the write %s is in the ledger of actor %s twice", id, a.id)
		}
		booked[id] = true
	}
	for _, o := range a.seen {
		least, most := a.bounds(o, booked)
		if o.count < least {
			return failed(slices.Concat(o.seqs, a.ledger.seqs), "actor %s: %s, when %d writes of its ledger had been applied", a.id, o, least)
		}
		if o.count > most {
			return failed(slices.Concat(o.seqs, a.retriedBefore(o), a.ledger.seqs),
				"actor %s: %s, when its ledger explains no more than %d: a write was applied more than once", a.id, o, most)
		}
	}
	if !a.countedLast() {
		return undecided("no count of actor %s was read after its last write", a.id)
	}
	return passed("%d counts of actor %s agree with its ledger", len(a.seen), a.id)
}

// countedLast: a read was asked for after every attempt at a write.
func (a *counterActor) countedLast() bool {
	var last clock.Mono
	for _, w := range a.writes {
		last = max(last, w.again)
	}
	return slices.ContainsFunc(a.reads, func(r *counterOp) bool { return r.asked > last })
}

// bounds of the count that o may have answered.
func (a *counterActor) bounds(o *counterOp, booked map[string]bool) (least, most int64) {
	sent := map[string]bool{}
	for _, w := range a.writes {
		sent[w.id] = true
		applied := booked[w.id]
		if w.half || w.halves > 0 && w.ended == never { // the ledger says nothing of its count
			if w.possible && w.begun <= o.observed {
				most++
			}
			continue
		}
		switch {
		case w == o:
			least++
		case applied && (w.ended < o.asked || o.asked > a.ledger.ended):
			least++
		}
		late := o.observed >= a.ledger.asked && (w.possible || w.ended != never)
		if w == o || w.begun <= o.observed && (applied || late) {
			most++
		}
	}
	for id := range booked {
		if !sent[id] { // nobody knows when
			most++
		}
	}
	return least, most
}

// retriedBefore are the events of the writes with several attempts that began
// before o returned: one of them is to blame. Of more than eight, the last, since
// they are for a person.
func (a *counterActor) retriedBefore(o *counterOp) []uint64 {
	var ops []*counterOp
	for _, w := range a.writes {
		if w != o && w.attempts > 1 && w.begun <= o.observed {
			ops = append(ops, w)
		}
	}
	return slices.Concat(seqsOf(ops[max(0, len(ops)-8):])...)
}

// seqs are the events of a write and of the ledger.
func (a *counterActor) seqs(id string) []uint64 {
	out := slices.Clone(a.ledger.seqs)
	for _, w := range a.writes {
		if w.id == id {
			out = append(w.seqs, out...)
		}
	}
	return out
}
