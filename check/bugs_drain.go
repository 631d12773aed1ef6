package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// DrainAwaitsAnswer: at SIGTERM the engine closes the runtimes' connections
// first and then waits for the requests that it holds, whose answers can come by
// those connections only (guard-core: server.rs). Each is given up after all
// retries, 434 s; the port accepts connections meanwhile and answers nothing.
var DrainAwaitsAnswer = KnownBug{
	Name: "drain-awaits-lost-answer",
	Says: "an engine that is asked to leave while a client waits for an answer cuts the answer's way back, and then waits for it",
	Ends: "the client's patience, SIGKILL, or 434 s; an idle WebSocket's ping timeout, 30 s",
	Sees: []string{"drain-ends-within-bound"},
	Mark: drainsThatAwait,
	Allows: func(h *history.History) *history.History {
		struck := drainsThatAwait(h)[""]
		return omitting(h, func(e history.Event) bool {
			_, fault := e.Body.(*history.Fault)
			return fault && slices.Contains(struck, e.Seq)
		})
	},
}

// DrainEndsWithin: each time the engine was asked to leave by a stop, it had
// left by itself within the bound. One that was killed before is inconclusive:
// give a stop a longer grace than the bound, and the bound more than the pool's
// drain grace, which an engine takes even where nothing goes on.
func DrainEndsWithin(bound time.Duration) Invariant {
	return Invariant{Name: "drain-ends-within-bound", Check: func(h *history.History) Finding {
		var all findings
		for _, d := range drains(h) {
			all.add(d.endsWithin(bound))
		}
		return all.sum("%d drains ended within %v", len(all), bound)
	}}
}

// drain is one time that the engine was asked to leave.
type drain struct {
	target   string
	told     mark
	left     mark // 0: never
	killed   bool // by SIGKILL, or by something else than the stop
	observed clock.Mono
}

func (d *drain) endsWithin(bound time.Duration) Finding {
	end := d.left.t
	if end == 0 {
		end = d.observed
	}
	took := end.Sub(d.told.t).Round(time.Millisecond)
	seqs := []uint64{d.told.seq}
	if d.left.seq != 0 {
		seqs = append(seqs, d.left.seq)
	}
	switch {
	case took > bound && d.left.t == 0:
		return failed(seqs, "%s had not left %v after it was asked to, when the trial ended, bound %v", d.target, took, bound)
	case took > bound && d.killed:
		return failed(seqs, "%s had not left %v after it was asked to, when it was killed, bound %v", d.target, took, bound)
	case took > bound:
		return failed(seqs, "%s left %v after it was asked to, bound %v", d.target, took, bound)
	case d.left.t == 0 || d.killed:
		return undecided("%s was watched for only %v of the %v that it has to leave", d.target, took, bound)
	}
	return passed("%s left after %v", d.target, took)
}

// drains are all stops of the engine.
func drains(h *history.History) []*drain {
	_, last := h.Span()
	var out []*drain
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Fault:
			if b.Kind == "stop" && b.Phase == history.FaultBegun && strings.HasPrefix(b.Target, "engine#") {
				out = append(out, &drain{target: b.Target, told: mark{e.T, e.Seq}, observed: last})
			}
		case *history.Exit:
			for _, d := range out {
				if d.left.t == 0 && b.Role == "engine" && d.target == fmt.Sprintf("engine#%d", b.Incarnation) {
					d.left, d.killed = mark{e.T, e.Seq}, b.Signal == "SIGKILL" || b.Code == killedCode
				}
			}
		}
	}
	return out
}

// lastMoment is how long before its exit an engine may give up the last
// request that it waited for.
const lastMoment = time.Second

// drainsThatAwait finds the drains in which the engine closed a runtime's
// connection as going away while an operation was open that stayed so to the
// end of the engine. What is struck is the engine.
func drainsThatAwait(h *history.History) map[string][]uint64 {
	var seqs []uint64
	for _, d := range drains(h) {
		end := d.left.t
		if end == 0 {
			end = d.observed
		}
		cut := goingAway(h, d.told.t, end)
		if cut.t == 0 {
			continue
		}
		for _, op := range openOps(h, d.told.t, end.Add(-lastMoment)) {
			seqs = append(seqs, d.told.seq, op, cut.seq)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	slices.Sort(seqs)
	return map[string][]uint64{"": slices.Compact(seqs)}
}

// goingAway is the first time between from and to that an engine which leaves
// closed a runtime's connection.
func goingAway(h *history.History, from, to clock.Mono) mark {
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Envoy)
		if ok && b.What == "closed" && strings.HasPrefix(b.Reason, "ws.going_away") && e.T >= from && e.T <= to {
			return mark{e.T, e.Seq}
		}
	}
	return mark{}
}

// openOps are the invokes of the operations that were under way from from to
// to at the least.
func openOps(h *history.History, from, to clock.Mono) []uint64 {
	began := map[string]mark{}
	var ops []string
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if e.T < from {
				began[b.Op] = mark{e.T, e.Seq}
				ops = append(ops, b.Op)
			}
		case *history.Return:
			if e.T < to {
				delete(began, b.Op)
			}
		}
	}
	var out []uint64
	for _, op := range ops {
		if m, ok := began[op]; ok {
			out = append(out, m.seq)
		}
	}
	return out
}
