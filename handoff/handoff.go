// Package handoff reads a history and says how one runtime took over from
// another: what became of each request, when each actor moved, and for each
// request that failed why it did.
package handoff

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
	"github.com/killpoint/killpoint/workload"
)

// Phase is where in the handoff a request was sent.
type Phase string

// The phases, in their order.
const (
	// Before: the old runtime serves, and nothing was done to it.
	Before Phase = "before"
	// Draining: from the first word to the old runtime, or to one of its actors,
	// until the last of its actors has ended.
	Draining Phase = "draining"
	// Moving: until the last actor runs in the new one.
	Moving Phase = "moving"
	// After: the new one serves all.
	After Phase = "after"
)

// Class is what became of a request.
type Class string

// The classes.
const (
	AtOnce Class = "at once" // a good answer within [window.AtOnce]
	Held   Class = "held"    // a good answer later than that
	Failed Class = "failed"
	Open   Class = "open" // the history ends before it does
)

// Request is one of the flow.
type Request struct {
	Op, Name, Actor, Key string
	Sent, Returned       clock.Mono
	Took                 time.Duration
	Phase                Phase
	Class                Class
	Return               history.Return
	// Times is how often its actor spoke of carrying it out, for writes.
	Times int
	// Repeated: the actor answered that it had carried it out before.
	Repeated bool
	// Why is what its actor went through meanwhile, in words. Explained: it had
	// no generation that served it from its sending to its end, or that one was
	// ended.
	Why       string
	Explained bool
	Seqs      []uint64 // its invoke and return
}

// Doubled reports whether the request reached its actor more than once.
func (r Request) Doubled() bool { return r.Times > 1 || r.Repeated }

// Move is an actor's way from the old runtime to the new one.
type Move struct {
	Actor, Key string
	// From is its last generation on the old runtime, To its first on the new
	// one; Ended and Ran are when. Ran is 0 where it never did.
	From, To   uint32
	Ended, Ran clock.Mono
}

// Gap is for how long no generation of it served; -1: to the end.
func (m Move) Gap() time.Duration {
	if m.Ran == 0 {
		return -1
	}
	return max(0, m.Ran.Sub(m.Ended))
}

// Handoff is one runtime taking over from another.
type Handoff struct {
	// Old and New are their parties.
	Old, New string
	// Routed is when new calls began to go to New, Told when the old one, or an
	// actor of it, was first told anything; Ended when its last actor had ended,
	// Ran when the last of those ran in the new one, Left when it had exited.
	// They are 0 where they did not come.
	Routed, Told, Ended, Ran, Left clock.Mono
	Exit                           history.Exit
	// Evicted: the engine closed the old one's connection as one that another
	// process had taken.
	Evicted  clock.Mono
	Requests []Request
	Moves    []Move
	// Late are the generations that began on the old runtime although it was no
	// longer routed to, and was told to leave.
	Late []uint64

	lives map[string][]*life
}

// ErrNone is the reason for which no handoff can be read.
var ErrNone = errors.New("the history has no handoff to read")

// Read finds the handoff in a history: the second runtime that the front was told
// of takes over from the first.
func Read(h *history.History) (*Handoff, error) {
	d, events := &Handoff{lives: map[string][]*life{}}, h.ByTime()
	d.routes(events)
	if d.New == "" {
		return nil, fmt.Errorf("%w: no second runtime was routed to", ErrNone)
	}
	d.readLives(events)
	d.landmarks(events)
	d.move()
	d.late()
	d.requests(events)
	return d, nil
}

func (d *Handoff) routes(events []history.Event) {
	for _, e := range events {
		b, ok := e.Body.(*history.Front)
		if !ok || b.What != "routed" {
			continue
		}
		if d.Old == "" {
			d.Old = b.To
		} else if d.New == "" && b.To != d.Old {
			d.New, d.Routed = b.To, e.T
		}
	}
}

// landmarks takes what was done to the old runtime.
func (d *Handoff) landmarks(events []history.Event) {
	told := func(t clock.Mono) {
		if d.Told == 0 || t < d.Told {
			d.Told = t
		}
	}
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Fault:
			if b.Target == d.Old && b.Phase == history.FaultBegun {
				told(e.T)
			}
		case *history.Envoy:
			if e.Party == d.Old && b.What == "evicted" && d.Evicted == 0 {
				d.Evicted = e.T
				told(e.T)
			}
		case *history.Exit:
			if fmt.Sprintf("%s#%d", b.Role, b.Incarnation) == d.Old && b.By != "teardown" {
				d.Left, d.Exit = e.T, *b
			}
		}
	}
	for _, all := range d.lives {
		for _, l := range all {
			if l.party == d.Old && l.told != 0 && l.told > d.Routed {
				told(l.told)
			}
		}
	}
}

// move reads each actor's way. One whose last generation on the old runtime had
// ended before that was told anything did not move.
func (d *Handoff) move() {
	for _, actor := range slices.Sorted(maps.Keys(d.lives)) {
		var m *Move
		for _, l := range d.lives[actor] {
			switch {
			case l.party == d.Old && d.end(l) >= max(d.Told, d.Routed):
				m = &Move{Actor: actor, Key: l.key, From: l.generation, Ended: d.end(l)}
			case l.party == d.New && m != nil && m.Ran == 0 && l.running != 0:
				m.To, m.Ran = l.generation, l.running
			}
		}
		if m != nil {
			d.Moves = append(d.Moves, *m)
		}
	}
	for _, m := range d.Moves {
		d.Ended, d.Ran = max(d.Ended, m.Ended), max(d.Ran, m.Ran)
	}
	if slices.ContainsFunc(d.Moves, func(m Move) bool { return m.Ran == 0 }) {
		d.Ran = 0
	}
}

// underWay is how late a start may come that was under way when it was told.
const underWay = 200 * time.Millisecond

func (d *Handoff) late() {
	if d.Told == 0 {
		return
	}
	from := max(d.Told, d.Routed).Add(underWay)
	for _, actor := range slices.Sorted(maps.Keys(d.lives)) {
		for _, l := range d.lives[actor] {
			if l.party == d.Old && l.start > from {
				d.Late = append(d.Late, l.startSeq)
			}
		}
	}
}

// phase is that of an instant.
func (d *Handoff) phase(t clock.Mono) Phase {
	switch {
	case d.Told == 0 || t < d.Told:
		return Before
	case d.Ended == 0 || t < d.Ended:
		return Draining
	case d.Ran == 0 || t < d.Ran:
		return Moving
	}
	return After
}

// requests are those of the flow.
func (d *Handoff) requests(events []history.Event) {
	of := map[string]*Request{}
	var all []*Request
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Client != workload.FlowClient {
				continue
			}
			r := &Request{Op: b.Op, Name: b.Name, Actor: b.Actor, Key: b.Key, Sent: e.T, Took: -1, Class: Open, Phase: d.phase(e.T), Seqs: []uint64{e.Seq}}
			of[b.Op], all = r, append(all, r)
		case *history.Return:
			if r := of[b.Op]; r != nil {
				r.returned(e, b)
			}
		case *history.Actor:
			if r := of[b.Reason]; r != nil && b.What == "write" && b.Actor == r.Actor {
				r.Times++
			}
		}
	}
	for _, r := range all {
		if r.Class == Failed {
			r.Why, r.Explained = d.why(r)
		}
		d.Requests = append(d.Requests, *r)
	}
}

// codeRepeated is the actor's answer to a write that it has in its ledger.
const codeRepeated = "user.operation_repeated"

func (r *Request) returned(e history.Event, b *history.Return) {
	r.Returned, r.Took, r.Return = e.T, e.T.Sub(r.Sent), *b
	r.Seqs = append(r.Seqs, e.Seq)
	r.Repeated = b.Code == codeRepeated
	switch {
	case b.Outcome != history.OK:
		r.Class = Failed
	case r.Took > window.AtOnce:
		r.Class = Held
	default:
		r.Class = AtOnce
	}
}

// Count is how many requests are of that class.
func (d *Handoff) Count(c Class) int {
	return d.count(func(r Request) bool { return r.Class == c })
}

// Doubled is how many writes reached their actor more than once.
func (d *Handoff) Doubled() int { return d.count(Request.Doubled) }

func (d *Handoff) count(is func(Request) bool) int {
	n := 0
	for _, r := range d.Requests {
		if is(r) {
			n++
		}
	}
	return n
}

// Quantile is how long the share q of the requests with a good answer took at
// most; 1 is the worst. It is -1 where there is none.
func (d *Handoff) Quantile(q float64) time.Duration {
	var took []time.Duration
	for _, r := range d.Requests {
		if r.Class == AtOnce || r.Class == Held {
			took = append(took, r.Took)
		}
	}
	if len(took) == 0 {
		return -1
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(q*float64(len(took))))]
}

// Worst is the request with a good answer that took longest.
func (d *Handoff) Worst() Request {
	worst := Request{Took: -1}
	for _, r := range d.Requests {
		if (r.Class == AtOnce || r.Class == Held) && r.Took > worst.Took {
			worst = r
		}
	}
	return worst
}

// life is one generation of an actor in a runtime.
type life struct {
	actor, key, party                      string
	generation                             uint32
	start, running, told, aborted, stopped clock.Mono
	startSeq                               uint64
	reason                                 string // of the stop
	failure                                string // of the abort
}

// end is when it had ended: by its own word, or with its process; 0: it had not.
func (d *Handoff) end(l *life) clock.Mono {
	if l.stopped == 0 && l.party == d.Old {
		return d.Left
	}
	return l.stopped
}

func (d *Handoff) readLives(events []history.Event) {
	type key struct {
		actor, party string
		generation   uint32
	}
	of := map[key]*life{}
	for _, e := range events {
		b, ok := e.Body.(*history.Actor)
		if !ok || e.Party != d.Old && e.Party != d.New {
			continue
		}
		k := key{b.Actor, e.Party, b.Generation}
		l := of[k]
		if l == nil && b.What == "start" {
			l = &life{actor: b.Actor, key: b.Key, party: e.Party, generation: b.Generation, start: e.T, startSeq: e.Seq}
			of[k] = l
			d.lives[b.Actor] = append(d.lives[b.Actor], l)
		}
		if l != nil {
			l.say(b, e.T)
		}
	}
	for _, all := range d.lives {
		slices.SortStableFunc(all, func(a, b *life) int { return cmp.Compare(a.generation, b.generation) })
	}
}

func (l *life) say(b *history.Actor, t clock.Mono) {
	switch {
	case b.What == "running" && l.running == 0:
		l.running = t
	case strings.Contains(" stop sleep lost ", " "+b.What+" ") && l.told == 0:
		l.told, l.reason = t, b.Reason
	case b.What == "abort" && l.aborted == 0:
		l.aborted, l.failure = t, b.Error
	case b.What == "stopped" && l.stopped == 0:
		l.stopped = t
	}
}
