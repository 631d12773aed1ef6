package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// KVKeeps: each read of an actor's key-value store answers what an order of its
// writes explains. A write's value is its own identity, so that a read says whose
// value it saw. That may be any write which had begun by the end of the read, may
// have taken effect, and was not certainly followed by another before the read
// began; none where no write had returned well by then.
//
// The writes are operations named put, the reads those named get. It proves that
// no acknowledged put was lost or taken back as far as somebody looked.
func KVKeeps(put, get string) Invariant {
	return Invariant{Name: "kv-keeps-acked-puts", Check: func(h *history.History) Finding {
		var all findings
		reads := 0
		for _, a := range readKV(h, put, get) {
			for _, r := range a.reads {
				reads++
				all.add(a.explains(r))
			}
			if len(a.puts) > 0 && len(a.reads) == 0 {
				all.add(undecided("nobody read what was put into actor %s", a.id))
			}
		}
		return all.sum("%d reads saw what was put", reads)
	}}
}

type kvActor struct {
	id    string
	puts  []*kvPut
	reads []kvRead
}

// kvPut is a write, all its attempts being one.
type kvPut struct {
	id    string
	begun clock.Mono
	acked clock.Mono // never where it is not known to have taken effect
	// possible: an attempt may have taken effect.
	possible bool
	attempts int
	seqs     []uint64
}

type kvRead struct {
	asked, ended clock.Mono
	value        string // "" is none
	seqs         []uint64
}

// readKV reads the puts and gets of every actor, in the order of their ids.
func readKV(h *history.History, put, get string) []*kvActor {
	actors, invoked, puts := map[string]*kvActor{}, map[string]history.Event{}, map[string]*kvPut{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Name != put && b.Name != get {
				continue
			}
			invoked[b.Op] = e
			a := actors[b.Actor]
			if a == nil {
				a = &kvActor{id: b.Actor}
				actors[b.Actor] = a
			}
			if b.Name == put {
				a.begin(puts, identity(b), e)
			}
		case *history.Return:
			inv, ours := invoked[b.Op]
			if !ours {
				continue
			}
			i := inv.Body.(*history.Invoke)
			if p := puts[identity(i)]; p != nil {
				p.returned(e, b)
			} else if i.Name == get && b.Outcome == history.OK {
				value, _ := b.Value.(string)
				a := actors[i.Actor]
				a.reads = append(a.reads, kvRead{inv.T, e.T, value, []uint64{inv.Seq, e.Seq}})
			}
		}
	}
	out := make([]*kvActor, 0, len(actors))
	for _, a := range actors {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *kvActor) int { return cmp.Compare(a.id, b.id) })
	return out
}

func (a *kvActor) begin(puts map[string]*kvPut, id string, e history.Event) {
	p := puts[id]
	if p == nil {
		p = &kvPut{id: id, begun: e.T, acked: never}
		puts[id] = p
		a.puts = append(a.puts, p)
	}
	p.possible = true
	p.attempts++
	p.seqs = append(p.seqs, e.Seq)
}

func (p *kvPut) returned(e history.Event, b *history.Return) {
	p.seqs = append(p.seqs, e.Seq)
	switch {
	case b.Outcome == history.OK:
		p.acked = min(p.acked, e.T)
	case b.Outcome == history.Fail && p.attempts == 1:
		p.possible = false // a later attempt says nothing of an earlier one
	}
}

// explains finds a put that the read may have seen.
func (a *kvActor) explains(r kvRead) Finding {
	var kept *kvPut // the one whose absence shows a loss
	for _, p := range a.puts {
		if p.acked < r.asked {
			kept = p
		}
	}
	if r.value == "" {
		if kept == nil {
			return passed("")
		}
		return failed(slices.Concat(kept.seqs, r.seqs), "acknowledged put %s of actor %s is gone: a later read found nothing", kept.id, a.id)
	}
	for _, p := range a.puts {
		if p.id != r.value {
			continue
		}
		switch over := a.overwritten(p, r); {
		case p.begun >= r.ended || !p.possible:
			return failed(slices.Concat(p.seqs, r.seqs), "a read of actor %s found put %s, which certainly had no effect by then", a.id, p.id)
		case over != nil:
			return failed(slices.Concat(p.seqs, over.seqs, r.seqs), "acknowledged put %s of actor %s is gone: a later read found put %s, which was before it", over.id, a.id, p.id)
		}
		return passed("")
	}
	return failed(r.seqs, "a read of actor %s found %s, which nobody put there", a.id, fmt.Sprintf("%.60q", r.value))
}

// overwritten is a put that certainly took effect after p and before the read.
func (a *kvActor) overwritten(p *kvPut, r kvRead) *kvPut {
	for _, q := range a.puts {
		// One of several attempts may yet have been carried out after q.
		if q != p && p.attempts == 1 && p.acked < q.begun && q.acked < r.asked {
			return q
		}
	}
	return nil
}
