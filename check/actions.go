package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// ActionRow is what a client met that asked by an action after the restart,
// through the hold on the actor that Probe names. The row's Delay is when it
// asked first, from the first good /health.
type ActionRow struct {
	Probe, Action string
	window.Row
}

func (r ActionRow) String() string { return strings.TrimPrefix(r.Probe, actionPrefix) + " " + r.Action }

const actionPrefix = "action/"

// Actions are the action probes of a history, in the order of their names.
// Clients that asked on after a probe belong to it.
func Actions(h *history.History, o *window.Outage) []ActionRow {
	type kind struct{ probe, action, key string }
	type attempt struct {
		row   *ActionRow
		begun clock.Mono // of the probe itself; 0 for those that asked on
	}
	rows, ops := map[kind]*ActionRow{}, map[string]attempt{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if !strings.HasPrefix(b.Probe, actionPrefix) || e.T < o.Healthy {
				continue
			}
			k := kind{b.Probe, b.Name, b.Key}
			if row := rows[k]; row != nil {
				ops[b.Op] = attempt{row: row}
				continue
			}
			rows[k] = &ActionRow{Probe: b.Probe, Action: b.Name, Row: window.Row{
				Delay: e.T.Sub(o.Healthy), Timeout: time.Duration(b.TimeoutNS), Took: -1,
				Actor: b.Actor, Key: b.Key, Class: window.CutOff, Generation: -1, AnsweredAt: -1,
			}}
			ops[b.Op] = attempt{rows[k], e.T}
		case *history.Return:
			a, ok := ops[b.Op]
			if !ok {
				continue
			}
			if a.begun != 0 {
				a.row.Took = e.T.Sub(a.begun)
				a.row.Class, a.row.Status, a.row.Code, a.row.Cause = window.Classify(b, a.row.Took), b.Status, b.Code, b.Cause
			}
			if b.Outcome == history.OK && a.row.AnsweredAt < 0 {
				a.row.AnsweredAt, a.row.Generation = e.T.Sub(o.Healthy), b.Generation
			}
		}
	}
	out := make([]ActionRow, 0, len(rows))
	for _, row := range rows {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b ActionRow) int {
		return cmp.Or(cmp.Compare(a.Probe, b.Probe), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Key, b.Key))
	})
	return out
}

// ActionsAnswer: every action probe got a good answer within bound of the first
// good /health, to itself or to one that its client sent after it. Clients of a
// restart that is only slow are held, or ask again, and get one; those of an
// actor that is lost do not. It is inconclusive where none was sent, or one only
// after the bound, because what it waited for had not come.
func ActionsAnswer(bound time.Duration) Invariant {
	return Invariant{Name: "actions-answer-within-bound", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		rows := Actions(h, o)
		if len(rows) == 0 {
			return undecided("no action probe was sent")
		}
		var all findings
		said := make([]string, 0, len(rows))
		for _, row := range rows {
			all.add(row.answers(h, o, bound))
			said = append(said, fmt.Sprintf("%s sent at %v, answered at %v", row, row.Delay.Round(time.Millisecond), row.AnsweredAt.Round(time.Millisecond)))
		}
		return all.sum("%s", strings.Join(said, "; "))
	}}
}

func (r ActionRow) answers(h *history.History, o *window.Outage, bound time.Duration) Finding {
	if r.Delay >= bound {
		return undecided("%s was sent only %v after /health, which is not before the bound of %v: what it waited for, such as a heartbeat, had not come", r, r.Delay.Round(time.Millisecond), bound)
	}
	return answersWithin(h, o, r.Row, bound)
}

// BeatVsAnswer sets an actor's own heartbeat after the restart beside its first
// good answer to a client. Instants are on the history's clock, 0 where the
// thing never came.
type BeatVsAnswer struct {
	Actor, Key string
	// BeatAt is its first good beat since the engine was started again.
	BeatAt clock.Mono
	// AskedAt is when a client first asked it since the first good /health, and
	// AnsweredAt when one first got a good answer. It may have been ready at any
	// time before it was asked.
	AskedAt, AnsweredAt clock.Mono
}

// Waited is how long a client had to wait for an answer although the actor beat
// already. It is not known where the answer came before the beat, or where one
// of them never came.
func (b BeatVsAnswer) Waited() (d time.Duration, known bool) {
	if b.BeatAt == 0 || b.AnsweredAt == 0 || b.AnsweredAt < b.BeatAt {
		return 0, false
	}
	return b.AnsweredAt.Sub(max(b.BeatAt, b.AskedAt)), true
}

// BeatsVsAnswers are the actors that were probed after the restart, by key. Of
// a heartbeat that predicts readiness, what [BeatVsAnswer.Waited] says is never
// long.
func BeatsVsAnswers(h *history.History, o *window.Outage) []BeatVsAnswer {
	h = addressed(h)
	of := map[string]*BeatVsAnswer{}
	ops, beats := map[string]*BeatVsAnswer{}, map[string]clock.Mono{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Heartbeat:
			if b.Error == "" && e.T > o.StartT && beats[b.Actor] == 0 {
				beats[b.Actor] = e.T
			}
		case *history.Invoke:
			if b.Probe == "" || b.Actor == "" || e.T < o.Healthy {
				continue
			}
			if of[b.Actor] == nil {
				of[b.Actor] = &BeatVsAnswer{Actor: b.Actor, Key: b.Key, AskedAt: e.T}
			}
			ops[b.Op] = of[b.Actor]
		case *history.Return:
			if a := ops[b.Op]; a != nil && b.Outcome == history.OK && a.AnsweredAt == 0 {
				a.AnsweredAt = e.T
			}
		}
	}
	out := make([]BeatVsAnswer, 0, len(of))
	for _, a := range of {
		a.BeatAt = beats[a.Actor]
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b BeatVsAnswer) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Actor, b.Actor)) })
	return out
}

// addressed is the history with the actor's id in the operations that asked for
// it by its key alone, before anybody knew it: the id that others of that key
// have. Where none has, it stays away.
func addressed(h *history.History) *history.History {
	ids, some := map[string]string{}, false
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Invoke); ok {
			if b.Actor != "" && b.Key != "" {
				ids[b.Key] = b.Actor
			}
			some = some || b.Actor == "" && b.Key != ""
		}
	}
	if !some {
		return h
	}
	out := *h
	out.Events = slices.Clone(h.Events)
	for i, e := range out.Events {
		if b, ok := e.Body.(*history.Invoke); ok && b.Actor == "" && ids[b.Key] != "" {
			named := *b
			named.Actor = ids[b.Key]
			out.Events[i].Body = &named
		}
	}
	return &out
}
