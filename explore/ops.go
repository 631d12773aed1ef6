package explore

import (
	"math"
	"slices"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// opRun is an operation of the workload with all its attempts, as a history
// tells of it.
type opRun struct {
	n            int // from 1
	name, key    string
	begun, ended clock.Mono
	tries        []try
}

// try is one attempt.
type try struct {
	begun, ended clock.Mono
	ret          *history.Return // nil: it never returned
}

const never = clock.Mono(math.MaxInt64)

// opsOf are the operations in the order in which they began. What is read back
// when the workload is over is none of them.
func opsOf(h *history.History) []*opRun {
	var ops []*opRun
	first, open := map[string]*opRun{}, map[string]int{}
	of := map[string]*opRun{}
	over := workOver(h)
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if e.T > over {
				continue
			}
			o := first[b.RetryOf]
			if b.RetryOf == "" || o == nil {
				o = &opRun{n: len(ops) + 1, name: b.Name, key: b.Key, begun: e.T, ended: never}
				first[b.Op] = o
				ops = append(ops, o)
			}
			of[b.Op], open[b.Op] = o, len(o.tries)
			o.tries = append(o.tries, try{begun: e.T, ended: never})
		case *history.Return:
			if o := of[b.Op]; o != nil {
				t := &o.tries[open[b.Op]]
				t.ended, t.ret, o.ended = e.T, b, e.T
			}
		}
	}
	return ops
}

// workOver is when the workload was over and the trial's last step began, which
// reads back.
func workOver(h *history.History) clock.Mono {
	steps := 0
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Plan:
			steps = len(b.Steps)
		case *history.Step:
			if b.N == steps && b.State == history.StepBegun {
				return e.T
			}
		}
	}
	return never
}

// last is the last attempt's return, nil where it has none.
func (o *opRun) last() *history.Return { return o.tries[len(o.tries)-1].ret }

// good is whether its client came to know that it is done.
func (o *opRun) good() bool {
	r := o.last()
	return r != nil && (r.Outcome == history.OK || r.Code == codeRepeated)
}

// codeRepeated is the answer to a write that an earlier attempt has done.
const codeRepeated = "user.operation_repeated"

// took is how long it took with all its attempts.
func (o *opRun) took(end clock.Mono) (ns int64) { return int64(min(o.ended, end) - o.begun) }

// generationsOf counts the generations that began.
func generationsOf(h *history.History) int {
	type generation struct {
		actor string
		n     uint32
	}
	seen := map[generation]bool{}
	for _, e := range h.Events {
		if a, ok := e.Body.(*history.Actor); ok && a.What == "start" {
			seen[generation{a.Actor, a.Generation}] = true
		}
	}
	return len(seen)
}

// lingering are the keys of the actors of which a generation still ran at the
// end although the actor was destroyed, in order.
func lingering(h *history.History) []string {
	type generation struct {
		actor string
		n     uint32
	}
	running, destroys, destroyed := map[generation]string{}, map[string]string{}, map[string]bool{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Name == "destroy" {
				destroys[b.Op] = b.Actor
			}
		case *history.Return:
			if a := destroys[b.Op]; a != "" && b.Outcome == history.OK {
				destroyed[a] = true
			}
		case *history.Actor:
			switch b.What {
			case "running":
				running[generation{b.Actor, b.Generation}] = b.Key
			case "stopped", "abort":
				delete(running, generation{b.Actor, b.Generation})
			}
		case *history.Exit:
			if b.Role == "runtime" && b.By != "teardown" {
				clear(running)
			}
		}
	}
	var keys []string
	for g, key := range running {
		if destroyed[g.actor] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
