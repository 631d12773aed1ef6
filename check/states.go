package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/window"
)

// AsleepWhenStruck: the actor of that key ran, had ended by the fault, and was
// started again only after it. Else the trial proved nothing of a sleeping
// actor. It never fails: that such an actor answers again is for
// [AnswersWithin].
func AsleepWhenStruck(key string) Invariant {
	return Invariant{Name: "asleep-when-struck", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		ran, stopped := clock.Mono(0), clock.Mono(0)
		woken := history.Event{}
		for _, e := range h.ByTime() {
			b, ok := e.Body.(*history.Actor)
			switch {
			case !ok || b.Key != key:
			case e.T < o.FaultT && b.What == "start":
				ran, stopped = e.T, 0
			case e.T < o.FaultT && b.What == "stopped":
				stopped = e.T
			case e.T >= o.FaultT && b.What == "running" && woken.T == 0:
				woken = e
			}
		}
		switch {
		case ran == 0:
			return undecided("actor %s never ran before the fault", key)
		case stopped == 0:
			return undecided("actor %s was awake when the fault struck", key)
		case woken.T == 0:
			// That it has to answer is for another invariant.
			return passed("actor %s slept since %v before the fault, and did not run again", key, o.FaultT.Sub(stopped).Round(time.Millisecond))
		}
		return passed("actor %s slept since %v before the fault and ran again %v after /health", key,
			o.FaultT.Sub(stopped).Round(time.Millisecond), woken.T.Sub(o.Healthy).Round(time.Millisecond))
	}}
}

// lasting is an operation that was under way for a time: a WebSocket that was
// held open, or a stream.
type lasting struct {
	inv   *history.Invoke
	ret   *history.Return // nil where it never returned
	so    probe.Progress
	begun mark
	ended mark
}

// lastings are the operations of that name, in the order of their beginning.
func lastings(h *history.History, name string) []*lasting {
	var all []*lasting
	open := map[string]*lasting{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Name == name {
				open[b.Op] = &lasting{inv: b, begun: mark{e.T, e.Seq}}
				all = append(all, open[b.Op])
			}
		case *history.Return:
			if l := open[b.Op]; l != nil && l.ret == nil {
				l.ret, l.ended = b, mark{e.T, e.Seq}
				_ = valueInto(b.Value, &l.so) // without one, no part came
			}
		}
	}
	return all
}

// valueInto reads the value of a return as JSON gives it.
func valueInto(value, out any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, out)
}

func (l *lasting) witness() []uint64 {
	if l.ret == nil {
		return []uint64{l.begun.seq}
	}
	return []uint64{l.begun.seq, l.ended.seq}
}

// struck reports whether the operation was under way when the fault struck:
// parts of it had come, and it had not returned.
func (l *lasting) struck(o *window.Outage) bool {
	first := l.begun.t.Add(time.Duration(l.so.FirstNS))
	return l.ret != nil && l.so.Got > 0 && first < o.FaultT && l.ended.t > o.FaultT
}

// underWay are the operations that were when the fault struck, and a finding
// where none was.
func underWay(h *history.History, o *window.Outage, name string) ([]*lasting, Finding) {
	var out []*lasting
	all := lastings(h, name)
	for _, l := range all {
		if l.struck(o) {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		return nil, undecided("none of %d operations %s was under way when the fault struck, and returned after it", len(all), name)
	}
	return out, Finding{}
}

// SocketEndSeen: each WebSocket (an operation of that name) that a client held open when the fault struck
// either ended, so that the client knew, or still carried a ping and its pong
// after the restart. What must not be is silence: a client that waits on a
// WebSocket which nobody serves any more.
func SocketEndSeen(name string) Invariant {
	return Invariant{Name: "websocket-end-seen", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		held, none := underWay(h, o, name)
		var all findings
		for _, l := range held {
			all.add(socketEnd(h, o, l))
		}
		if len(held) == 0 {
			return none
		}
		return all.sum("%s", all[0].Summary)
	}}
}

func socketEnd(h *history.History, o *window.Outage, l *lasting) Finding {
	after := l.ended.t.Sub(o.FaultT).Round(time.Millisecond)
	noise := window.NoiseBetween(h, o.Healthy, l.ended.t)
	switch {
	case l.ret.Outcome == history.OK:
		return passed("the WebSocket to actor %s went on over the restart", l.inv.Key)
	case l.ret.Cause == history.CauseTimeout && noise.TooNoisy():
		return undecided("no pong came on the WebSocket to actor %s, on a busy host (%v)", l.inv.Key, noise)
	case l.ret.Cause == history.CauseTimeout:
		return failed(l.witness(), "the WebSocket to actor %s (%s) stayed open and silent: no close, and no pong until %v after /health", l.inv.Key, l.inv.Actor, l.ended.t.Sub(o.Healthy).Round(time.Millisecond))
	case l.ret.Cause == history.CauseStopped:
		return undecided("the harness closed the WebSocket to actor %s itself", l.inv.Key)
	case l.ret.Cause == history.CauseUnreadable:
		return failed(l.witness(), "on the WebSocket to actor %s (%s) came what is no pong: %s", l.inv.Key, l.inv.Actor, l.ret.Detail)
	case l.ret.Status != 0:
		return passed("the WebSocket to actor %s was closed %v after the fault: %d %s", l.inv.Key, after, l.ret.Status, l.ret.Code)
	}
	return passed("the WebSocket to actor %s broke %v after the fault, without a close", l.inv.Key, after)
}

// StreamNotCutSilently: no streamed answer to an operation of that name ended as
// a whole one does with chunks missing, or with other chunks than the actor
// sends, and none that was under way when the fault struck stood still with its
// client told nothing, until so long after the first good /health. That it
// breaks off is what a fault does.
func StreamNotCutSilently(name string, within time.Duration) Invariant {
	return Invariant{Name: "stream-not-cut-silently", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		for _, l := range lastings(h, name) {
			if l.ret != nil && l.ret.Cause == history.CauseUnreadable {
				return failed(l.witness(), "the stream from actor %s (%s) was not what it sends: %s", l.inv.Key, l.inv.Actor, l.ret.Detail)
			}
		}
		struck, none := underWay(h, o, name)
		var all findings
		for _, l := range struck {
			all.add(streamEnd(h, o, l, within))
		}
		if len(struck) == 0 {
			return none
		}
		return all.sum("%s", all[0].Summary)
	}}
}

func streamEnd(h *history.History, o *window.Outage, l *lasting, within time.Duration) Finding {
	last := l.begun.t.Add(time.Duration(l.so.LastNS))
	silent := l.ended.t.Sub(last).Round(time.Millisecond)
	noise := window.NoiseBetween(h, max(last, o.FaultT), l.ended.t)
	// A client whose patience ended, or whom the harness took away.
	waited := l.ret.Cause == history.CauseTimeout || l.ret.Cause == history.CauseStopped
	switch {
	case l.ret.Outcome == history.OK:
		return passed("the stream from actor %s came whole, over the restart", l.inv.Key)
	case waited && last >= o.Healthy:
		return passed("the stream from actor %s went on over the restart", l.inv.Key)
	case waited && l.ended.t < o.Healthy.Add(within):
		return undecided("the stream from actor %s stood still after %d of %d chunks, and its client left %v after /health, before the bound of %v",
			l.inv.Key, l.so.Got, l.so.Of, l.ended.t.Sub(o.Healthy).Round(time.Millisecond), within)
	case waited && noise.TooNoisy():
		return undecided("the stream from actor %s did not end, on a busy host (%v)", l.inv.Key, noise)
	case waited:
		return failed(l.witness(), "the stream from actor %s (%s) stood still after %d of %d chunks, and its client was told nothing for %v", l.inv.Key, l.inv.Actor, l.so.Got, l.so.Of, silent)
	}
	return passed("the stream from actor %s broke off %v after the fault, with %d of %d chunks, %v after the last of them",
		l.inv.Key, l.ended.t.Sub(o.FaultT).Round(time.Millisecond), l.so.Got, l.so.Of, silent)
}

// WorksAgain: an operation of that name that was sent after the first good
// /health succeeded within the bound of it.
func WorksAgain(name string, within time.Duration) Invariant {
	return Invariant{Name: name + "-works-again", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		_, end := h.Span()
		noise := window.NoiseBetween(h, o.Healthy, o.Healthy.Add(within))
		var last *lasting
		for _, l := range lastings(h, name) {
			if l.begun.t < o.Healthy {
				continue
			}
			if last = l; l.ret != nil && l.ret.Outcome == history.OK {
				break
			}
		}
		switch {
		case last == nil:
			return undecided("no %s was sent after /health", name)
		case last.ret != nil && last.ret.Outcome == history.OK && last.ended.t <= o.Healthy.Add(within):
			return passed("%s worked again %v after /health", name, last.ended.t.Sub(o.Healthy).Round(time.Millisecond))
		case end < o.Healthy.Add(within):
			return undecided("%s had not worked again when the trial ended, %v after /health", name, end.Sub(o.Healthy).Round(time.Millisecond))
		case noise.TooNoisy():
			return undecided("%s did not work again within %v, on a busy host (%v)", name, within, noise)
		}
		return failed(last.witness(), "%s to actor %s (%s) did not work again within %v of /health", name, last.inv.Key, last.inv.Actor, within)
	}}
}

// AlarmFires: each alarm that an operation of that name set before the fault, and was due while the
// engine was down, fired once: not before it was due, and within the bound of
// the first good /health. It goes by the fixture's word, which notes an alarm
// after its database says that it fired.
//
// An alarm that was due before the engine was dead, or after it was well, or
// whose setting was not acknowledged, proves nothing.
func AlarmFires(name string, within time.Duration) Invariant {
	return Invariant{Name: "alarm-fires", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		var all findings
		for _, a := range readAlarms(h, name) {
			all.add(a.judge(h, o, within))
		}
		if len(all) == 0 {
			return undecided("no alarm was set")
		}
		return all.sum("%s", all[0].Summary)
	}}
}

// setAlarm is an alarm that was set, and what became of it.
type setAlarm struct {
	*lasting
	value alarmValue
	fired []mark
}

// alarmValue is the value of the action's return: the number by which the
// fixture calls the alarm, and how long after the action it is due.
type alarmValue struct {
	Alarm   int64 `json:"alarm"`
	DelayNS int64 `json:"delay_ns"`
}

func readAlarms(h *history.History, name string) []*setAlarm {
	var all []*setAlarm
	for _, l := range lastings(h, name) {
		a := &setAlarm{lasting: l}
		if l.ret == nil || l.ret.Outcome != history.OK || valueInto(l.ret.Value, &a.value) != nil {
			a.value = alarmValue{}
		}
		all = append(all, a)
	}
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Actor)
		if !ok || b.What != "alarm" {
			continue
		}
		for _, a := range all {
			if a.inv.Actor == b.Actor && strings.HasPrefix(b.Reason, fmt.Sprintf("alarm %d,", a.value.Alarm)) {
				a.fired = append(a.fired, mark{e.T, e.Seq})
			}
		}
	}
	return all
}

// due is when the alarm is due, between the two: the action says for how long
// after it the alarm is set.
func (a *setAlarm) due() (earliest, latest clock.Mono) {
	return a.begun.t.Add(time.Duration(a.value.DelayNS)), a.ended.t.Add(time.Duration(a.value.DelayNS))
}

func (a *setAlarm) judge(h *history.History, o *window.Outage, within time.Duration) Finding {
	if a.value.DelayNS == 0 {
		return undecided("the alarm of actor %s was not set for sure", a.inv.Key)
	}
	earliest, latest := a.due()
	_, end := h.Span()
	by := o.Healthy.Add(within)
	noise := window.NoiseBetween(h, o.Healthy, by)
	switch {
	case len(a.fired) > 1:
		return failed(a.seqs(), "the alarm of actor %s (%s) fired %d times", a.inv.Key, a.inv.Actor, len(a.fired))
	// The two clocks are one, but the due time is cut to the millisecond.
	case len(a.fired) == 1 && a.fired[0].t < earliest.Add(-time.Millisecond):
		return failed(a.seqs(), "the alarm of actor %s (%s) fired %v before it was due", a.inv.Key, a.inv.Actor, earliest.Sub(a.fired[0].t))
	case earliest <= o.ExitT || latest >= o.Healthy:
		return undecided("the alarm of actor %s was due %v after the fault, and the engine was down from %v to %v after it", a.inv.Key,
			latest.Sub(o.FaultT).Round(time.Millisecond), o.ExitT.Sub(o.FaultT).Round(time.Millisecond), o.Healthy.Sub(o.FaultT).Round(time.Millisecond))
	case len(a.fired) == 1 && a.fired[0].t <= by:
		return passed("the alarm of actor %s was due %v after the fault and fired once, %v after /health", a.inv.Key,
			latest.Sub(o.FaultT).Round(time.Millisecond), a.fired[0].t.Sub(o.Healthy).Round(time.Millisecond))
	case len(a.fired) == 0 && end < by:
		return undecided("the alarm of actor %s had not fired when the trial ended, %v after /health, before its bound of %v", a.inv.Key, end.Sub(o.Healthy).Round(time.Millisecond), within)
	case noise.TooNoisy():
		return undecided("the alarm of actor %s did not fire within %v, on a busy host (%v)", a.inv.Key, within, noise)
	case len(a.fired) == 0:
		return failed(a.seqs(), "the alarm of actor %s (%s), due while the engine was down, never fired; bound %v after /health", a.inv.Key, a.inv.Actor, within)
	}
	return failed(a.seqs(), "the alarm of actor %s (%s) fired only %v after /health, bound %v", a.inv.Key, a.inv.Actor, a.fired[0].t.Sub(o.Healthy).Round(time.Millisecond), within)
}

// seqs are the events that show what became of it.
func (a *setAlarm) seqs() []uint64 {
	seqs := a.witness()
	for _, m := range a.fired {
		seqs = append(seqs, m.seq)
	}
	return seqs
}
