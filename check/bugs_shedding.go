package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// Create is the name in a history of the operation that makes an actor. It
// addresses a key, and its good answer names the actor.
const Create = "create"

// LoadShedding: an engine that uses more of its CPU than its curve allows skips
// up to 95 % of the work that is due, and the same at each try, because what is
// skipped goes by when it became due (gasoline/src/db/kv/mod.rs, pull_workflows).
// The making of an actor is such work: it hangs until the engine gives it up
// after 30 s. The figure for the CPU is a moving mean over the engine's pulls
// (gasoline/src/db/kv/system.rs), of which an idle engine makes few, so that it
// goes on for a while after the load is gone.
var LoadShedding = KnownBug{
	Name: "load-shedding",
	Says: "an engine above its share of the CPU leaves actors unmade, while those that run are answered as fast as ever",
	Ends: "less load, and up to a minute or more after it; each creation that hangs fails after 30 s",
	Sees: []string{"creates-within-bound"},
	Mark: unmade,
	Allows: func(h *history.History) *history.History {
		struck, ops := unmade(h)[""], map[string]bool{}
		return omitting(h, func(e history.Event) bool {
			switch b := e.Body.(type) {
			case *history.Invoke:
				ops[b.Op] = b.Name == Create && slices.Contains(struck, e.Seq)
				return ops[b.Op]
			case *history.Return:
				return ops[b.Op]
			}
			return false
		})
	},
}

// CreatesWithin: each actor was made within the bound after it was asked for. On
// a host that was too busy meanwhile, up to twice the bound is inconclusive.
func CreatesWithin(bound time.Duration) Invariant {
	return Invariant{Name: "creates-within-bound", Check: func(h *history.History) Finding {
		all := creations(h)
		if len(all) == 0 {
			return undecided("no actor was made")
		}
		var made findings
		for _, c := range all {
			took, noise := c.took(), window.NoiseBetween(h, c.began.t, c.ended.t)
			switch {
			case c.made && took <= bound:
				made.add(passed(""))
			case c.cut && took <= bound && !h.Complete():
				made.add(undecided("%s, when the trial was cut short", c))
			case took > bound && took <= 2*bound && noise.TooNoisy():
				made.add(undecided("%s, bound %v, on a busy host (%v)", c, bound, noise))
			default:
				made.add(failed([]uint64{c.began.seq, c.ended.seq}, "%s, bound %v", c, bound))
			}
		}
		return made.sum("%d actors were made within %v", len(all), bound)
	}}
}

// creation is one operation that makes an actor; ended is the end of the
// history where it has none.
type creation struct {
	key          string
	began, ended mark
	made         bool
	cut          bool // nobody waited for its end
	why          string
}

func (c *creation) took() time.Duration { return c.ended.t.Sub(c.began.t) }

func (c *creation) String() string {
	took := c.took().Round(time.Millisecond)
	if c.made {
		return fmt.Sprintf("actor %s was made after %v", c.key, took)
	}
	return fmt.Sprintf("actor %s was not made: %s after %v", c.key, c.why, took)
}

func creations(h *history.History) []*creation {
	_, last := h.Span()
	byOp := map[string]*creation{}
	var out []*creation
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Name == Create {
				c := &creation{key: b.Key, began: mark{e.T, e.Seq}, ended: mark{last, e.Seq}, cut: true, why: "no answer"}
				byOp[b.Op], out = c, append(out, c)
			}
		case *history.Return:
			if c := byOp[b.Op]; c != nil {
				c.ended, c.made, c.cut = mark{e.T, e.Seq}, b.Outcome == history.OK, b.Cause == history.CauseStopped
				c.why = fmt.Sprintf("%s %s", b.Cause, b.Code)
			}
		}
	}
	return out
}

// longCreation is longer than the making of an actor takes under load, by far:
// the most that was seen was 0.2 s.
const longCreation = 3 * time.Second

// unmade finds the creations that an engine which sheds load left for
// longCreation, while it answered what was asked of actors in that time. What
// is struck is the engine.
func unmade(h *history.History) map[string][]uint64 {
	if !sheds(h) {
		return nil
	}
	var seqs []uint64
	for _, c := range creations(h) {
		if other := answeredWithin(h, c.began.t, c.ended.t); c.took() > longCreation && other != 0 {
			seqs = append(seqs, c.began.seq, other, c.ended.seq)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	return map[string][]uint64{"": seqs}
}

// sheds reports whether the engine was left its own curve.
func sheds(h *history.History) bool {
	for _, e := range h.Events {
		if s, ok := e.Body.(*history.Settings); ok && (*s)["engine_load_shedding"] == "engine" {
			return true
		}
	}
	return false
}

// answeredWithin is the good answer of an actor to the last of what was asked
// and answered between from and to, or 0.
func answeredWithin(h *history.History, from, to clock.Mono) uint64 {
	asked, last := map[string]bool{}, uint64(0)
	for _, e := range h.ByTime() {
		if e.T <= from || e.T >= to {
			continue
		}
		switch b := e.Body.(type) {
		case *history.Invoke:
			asked[b.Op] = b.Name != Create
		case *history.Return:
			if asked[b.Op] && b.Outcome == history.OK {
				last = e.Seq
			}
		}
	}
	return last
}
