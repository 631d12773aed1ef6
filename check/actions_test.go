package check

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/window"
)

const actionBound = 5 * time.Second

// byAction is the invoke of an action probe; the actor of a new key is "".
func byAction(kind, action, actor, key string) history.Invoke {
	return history.Invoke{Probe: kind, Name: action, Actor: actor, Key: key, TimeoutNS: int64(time.Second)}
}

// back is an engine that was back at 100 ms.
func back() *ht.Builder { return (&ht.Builder{}).Restart(0, 10, 20, 100) }

func readOutage(t *testing.T, h *history.History) *window.Outage {
	t.Helper()
	o, err := window.Read(h)
	require.NoError(t, err)
	return o
}

func TestActionsAreReadWithThoseThatAskOn(t *testing.T) {
	h := back().
		Op(50, 60, byAction(probe.SameHandle, "tick", "a", "ka"), ht.OK("a", 1)). // before /health
		Op(100, 1100, byAction(probe.SameHandle, "tick", "a", "ka"), ht.TimedOut()).
		Op(1150, 2150, byAction(probe.SameHandle, "tick", "a", "ka"), ht.TimedOut()).
		Op(2150, 2200, byAction(probe.SameHandle, "tick", "a", "ka"), ht.OK("a", 2)).
		Op(300, 310, byAction(probe.NewKey, "tick", "", "kn"), ht.OK("n", 1)).
		Op(100, 120, ht.Probe("s", 0), ht.OK("s", 2)). // the sweep's
		Op(400, -1, byAction(probe.FreshHandle, "getCount", "f", "kf"), history.Return{}).
		End(9000)
	rows := Actions(h, readOutage(t, h))
	require.Len(t, rows, 3)
	assert.Equal(t, "fresh-handle getCount", rows[0].String())
	assert.Equal(t, window.CutOff, rows[0].Class)
	assert.Equal(t, ActionRow{Probe: probe.NewKey, Action: "tick", Row: window.Row{
		Delay: 200 * time.Millisecond, Timeout: time.Second, Key: "kn", Class: window.Answered,
		Took: 10 * time.Millisecond, Status: 200, Generation: 1, AnsweredAt: 210 * time.Millisecond,
	}}, rows[1])
	assert.Equal(t, window.TimedOut, rows[2].Class, "the probe's own, not that of one that asked on")
	assert.Equal(t, time.Second, rows[2].Took)
	assert.Equal(t, 2100*time.Millisecond, rows[2].AnsweredAt)
	assert.Equal(t, int64(2), rows[2].Generation)
}

func TestActionsAnswer(t *testing.T) {
	good := byAction(probe.SameHandle, "getCount", "a", "ka")
	for name, c := range map[string]struct {
		h    *history.History
		want State
		says string
	}{
		"none":                {back().Op(100, 110, ht.Probe("s", 0), ht.OK("s", 2)).End(9000), Inconclusive, "no action probe"},
		"at once":             {back().Op(100, 110, good, ht.OK("a", 2)).End(9000), Pass, "same-handle getCount sent at 0s, answered at 10ms"},
		"slow is not lost":    {back().Op(100, 1100, good, ht.TimedOut()).Op(1150, 2000, good, ht.OK("a", 2)).End(9000), Pass, ""},
		"too slow":            {back().Op(100, 5101, good, ht.OK("a", 2)).End(9000), Fail, "only 5.001s"},
		"never":               {back().Op(100, 110, good, ht.OK("a", 2)).Op(100, 1100, byAction(probe.NewKey, "tick", "", "kn"), ht.TimedOut()).End(9000), Fail, "kn"},
		"cut off":             {back().Op(100, 1100, good, ht.TimedOut()).End(2000), Inconclusive, "when the trial ended"},
		"sent too late":       {back().Op(5100, 5110, good, ht.OK("a", 2)).End(9000), Inconclusive, "same-handle getCount was sent only 5s"},
		"no outage":           {(&ht.Builder{}).Op(100, 110, good, ht.OK("a", 2)).End(9000), Inconclusive, "lacks a fault"},
		"slow on a busy host": {back().Op(100, 5101, good, ht.OK("a", 2)).At(600, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 0.99}).End(9000), Inconclusive, "busy host"},
	} {
		f := ActionsAnswer(actionBound).Check(c.h)
		assert.Equal(t, c.want, f.State, "%s: %s", name, f.Summary)
		assert.Contains(t, f.Summary, c.says, name)
		if f.State == Fail {
			assert.Len(t, f.Witness, 2, name)
		}
	}
}

func TestBeatsVsAnswers(t *testing.T) {
	h := back().
		Beat(5, "held", 1, "").  // before the engine's start
		Beat(90, "held", 2, ""). // it needs no /health
		Op(100, 600, byAction(probe.SameHandle, "tick", "held", "k1"), ht.OK("held", 2)).
		Beat(150, "late", 2, "no connection").
		Beat(200, "late", 2, "").
		Op(300, 1300, byAction(probe.SameHandle, "tick", "late", "k2"), ht.TimedOut()).
		Op(1350, 1400, byAction(probe.SameHandle, "tick", "late", "k2"), ht.OK("late", 2)).
		Op(100, 400, byAction(probe.SameHandle, "tick", "first", "k3"), ht.OK("first", 2)).
		Beat(500, "first", 2, "").
		Op(100, 200, byAction(probe.SameHandle, "tick", "dumb", "k4"), ht.TimedOut()).
		Op(100, 200, byAction(probe.NewKey, "tick", "", "k5"), ht.OK("new", 1)).
		Op(700, 710, history.Invoke{Name: "ledger", Actor: "new", Key: "k5"}, ht.Book()).
		Beat(150, "new", 1, "").
		End(9000)
	o := readOutage(t, h)
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	type row struct {
		beat, asked, answered time.Duration // since /health, at 100 ms; -1 never
		waited                time.Duration
		known                 bool
	}
	want := map[string]row{
		"held":  {at(-10), 0, at(500), at(500), true},
		"late":  {at(100), at(200), at(1300), at(1100), true},
		"first": {at(400), 0, at(300), 0, false},
		"dumb":  {-1, 0, -1, 0, false},
		"new":   {at(50), 0, at(100), at(50), true},
	}
	since := func(d int64) time.Duration {
		if d == 0 {
			return -1
		}
		return time.Duration(d - int64(o.Healthy))
	}
	got := map[string]row{}
	for _, b := range BeatsVsAnswers(h, o) {
		waited, known := b.Waited()
		got[b.Actor] = row{since(int64(b.BeatAt)), since(int64(b.AskedAt)), since(int64(b.AnsweredAt)), waited, known}
	}
	assert.Equal(t, want, got)
}

// Who asked by a key alone asked the actor that others call by that key: the
// answer must come from it, and its ledger is that of the writes.
func TestAKeyStandsForItsActor(t *testing.T) {
	build := func(by string) *history.History {
		return addressed(back().
			Op(100, 200, history.Invoke{Op: "w", Probe: probe.NewKey, Name: "tick", Key: "k"}, ht.OK(by, 1)).
			Op(300, 310, history.Invoke{Name: "ledger", Actor: "n", Key: "k"}, ht.Book("w")).
			End(9000))
	}
	assert.Equal(t, Pass, LedgerKeeps("tick", "ledger").Check(build("n")).State)
	assert.Equal(t, Fail, RightActor().Check(build("other")).State)
	// Nobody knows whose key that was.
	h := back().Op(100, 200, history.Invoke{Name: "tick", Key: "k"}, ht.OK("n", 1)).End(9000)
	assert.Equal(t, h, addressed(h))
	// The history that was read stays as it is.
	h = back().Op(100, 200, history.Invoke{Name: "tick", Key: "k"}, ht.OK("n", 1)).
		Op(300, 310, history.Invoke{Name: "ledger", Actor: "n", Key: "k"}, ht.Book()).End(9000)
	named := addressed(h)
	assert.NotEqual(t, h, named)
	assert.Empty(t, h.Events[5].Body.(*history.Invoke).Actor)
	assert.Equal(t, "n", named.Events[5].Body.(*history.Invoke).Actor)
}
