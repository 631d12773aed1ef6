package explore

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/moment"
)

// State says whether a point was struck.
type State string

// The states. Only a point that was struck has been covered.
const (
	Struck State = "struck"
	// NotReached: its moment did not come again in its run. That is no pass.
	NotReached State = "not reached"
	// Failed: the harness could not do its work; the point will be tried again
	// by the next run that resumes.
	Failed State = "failed"
)

// Outcome is what came of a point, as its history tells it.
type Outcome struct {
	State State `json:"state"`
	// Class is the outcome in words; points of equal words ended alike.
	Class   string      `json:"class"`
	Verdict check.State `json:"verdict"`
	// Finding is what decided the verdict, where that is no pass.
	Finding string `json:"finding,omitempty"`
	// Recovery is how long after the strike a client knew a good answer again.
	Recovery time.Duration `json:"recovery_ns"`
	// Slowest is the operation that took longest, with all its attempts.
	Slowest     string        `json:"slowest,omitempty"`
	SlowestTook time.Duration `json:"slowest_took_ns"`
	Cost        Cost          `json:"cost"`
	// Error says why it failed.
	Error string `json:"error,omitempty"`
}

// Cost is what a trial took, by the events of its history.
type Cost struct {
	// All of it, from its first event to its last.
	All time.Duration `json:"all_ns"`
	// Engine is the part of it in which a client waited for an answer, or the
	// engine or the runtime booted or left: what no harness can save.
	Engine time.Duration `json:"engine_ns"`
}

// Own is the harness's own part.
func (c Cost) Own() time.Duration { return c.All - c.Engine }

// Read computes the outcome of a trial from its history and verdict. golden is
// how many generations began in the golden run.
func Read(h *history.History, v check.Verdict, golden int) Outcome {
	o := Outcome{State: Struck, Verdict: v.State, Cost: costOf(h)}
	if v.State != check.Pass {
		f := v.First()
		o.Finding = f.Invariant + ": " + f.Summary
	}
	at, struck := strikeAt(h)
	if !struck {
		o.State, o.Class = NotReached, string(NotReached)
		return o
	}
	ops := opsOf(h)
	_, end := h.Span()
	var slowest *opRun
	for _, op := range ops {
		if op.ended > at && (slowest == nil || op.took(end) > slowest.took(end)) {
			slowest = op
		}
	}
	if slowest != nil {
		o.Slowest, o.SlowestTook = slowest.name, time.Duration(slowest.took(end))
	}
	o.Recovery = recovery(ops, at)
	o.Class = class(h, v, ops, at, end, golden)
	return o
}

// strikeAt is when the last strike was made, and whether all were.
func strikeAt(h *history.History) (at clock.Mono, all bool) {
	armed := 0
	now := moment.Now().String() // is armed by nobody
	for _, e := range h.Events {
		m, ok := e.Body.(*history.Moment)
		if !ok {
			continue
		}
		switch m.What {
		case "armed":
			armed++
		case "struck":
			if m.Moment != now {
				armed--
			}
			at = max(at, m.SignalT)
		}
	}
	return at, at != 0 && armed == 0
}

// recovery is the time from the strike to the first good answer of an attempt
// that ended after it; -1 for never.
func recovery(ops []*opRun, at clock.Mono) time.Duration {
	for _, o := range ops {
		for _, t := range o.tries {
			if t.ret != nil && t.ended > at && t.ret.Outcome == history.OK {
				return t.ended.Sub(at)
			}
		}
	}
	return -1
}

// slow is from when on an operation counts as held up, with all its attempts. It
// is coarse, as are the times that are told: they are to tell an outcome from
// another, not a run from another.
const slow = 5 * time.Second

// class is the outcome in words: the operations that did not go as in the golden
// run, what clients were told and what became of writes; the generations; what
// was wrong.
func class(h *history.History, v check.Verdict, ops []*opRun, at, end clock.Mono, golden int) string {
	var words []string
	for _, o := range ops {
		if text := o.disturbed(at, end); text != "" && !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	if len(words) == 0 {
		words = append(words, "nobody noticed")
	}
	if more := generationsOf(h) - golden; more != 0 {
		words = append(words, fmt.Sprintf("%+d generations", more))
	}
	if keys := lingering(h); len(keys) > 0 {
		words = append(words, "a generation outlives its actor's destruction")
	}
	for _, f := range v.Findings {
		switch f.State {
		case check.Pass:
		case check.Known: // several invariants may see it
			if text := "known " + strings.Join(f.Bugs, ", "); !slices.Contains(words, text) {
				words = append(words, text)
			}
		default:
			words = append(words, fmt.Sprintf("%s %s", f.State, f.Invariant))
		}
	}
	return strings.Join(words, "; ")
}

// disturbed is what happened to the operation after the strike, "" where its
// first attempt was answered well, and in time.
func (o *opRun) disturbed(at, end clock.Mono) string {
	took := time.Duration(o.took(end))
	if o.ended < at || len(o.tries) == 1 && o.good() && took < slow {
		return ""
	}
	text := o.name
	if len(o.tries) > 1 || !o.good() {
		text += " " + o.tries[0].told()
	}
	switch last := o.last(); {
	case !o.good():
		return text + ", stuck"
	case last.Code == codeRepeated:
		text += ", had been applied"
	case o.name == "tick" && len(o.tries) > 1:
		text += ", had not been applied"
	}
	if took >= slow {
		text += ", only after " + bucket(took)
	}
	return text
}

// told is how an attempt ended that was not answered well.
func (t try) told() string {
	switch {
	case t.ret == nil:
		return "cut off"
	case t.ret.Code != "":
		return t.ret.Code
	}
	return string(t.ret.Cause)
}

// bucket is the range of a long time.
func bucket(d time.Duration) string {
	if d < 20*time.Second {
		return "5 to 20 s"
	}
	return "more than 20 s"
}

// costOf adds up what nobody but engine and runtime can be blamed for.
func costOf(h *history.History) Cost {
	from, until := h.Span()
	var spans [][2]clock.Mono
	open := map[string]clock.Mono{}
	end := func(key string, t clock.Mono) {
		if begun, ok := open[key]; ok {
			spans = append(spans, [2]clock.Mono{begun, t})
			delete(open, key)
		}
	}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			open["op "+b.Op] = e.T
		case *history.Return:
			end("op "+b.Op, e.T)
		case *history.Container:
			if b.What == history.ContainerStarted && (b.Role == "engine" || b.Role == "runtime") {
				open["boot "+b.Role] = e.T
			}
		case *history.Health:
			end("boot engine", e.T)
		case *history.Fault:
			switch b.Phase {
			case history.FaultBegun:
				open["fault "+b.Target] = e.T
			default:
				end("fault "+b.Target, e.T)
			}
		}
		if e.Kind == "runtime.listening" {
			end("boot runtime", e.T)
		}
	}
	return Cost{All: until.Sub(from), Engine: union(spans)}
}

// union is how long at least one of the spans lasted.
func union(spans [][2]clock.Mono) (sum time.Duration) {
	slices.SortFunc(spans, func(a, b [2]clock.Mono) int { return int(a[0] - b[0]) })
	var reached clock.Mono
	for _, s := range spans {
		begin := max(s[0], reached)
		if s[1] > begin {
			sum += s[1].Sub(begin)
			reached = s[1]
		}
	}
	return sum
}
