package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/internal/historytest"
)

// at is a time of a built history as bodies hold it.
func at(ms int) clock.Mono {
	return clock.Mono(time.Second).Add(time.Duration(ms) * time.Millisecond)
}

func frameEvent(n uint64, direction, what string) *history.Frame {
	return &history.Frame{N: n, Wire: "envoy", Direction: direction, Type: "execute-request", What: what}
}

// heldAt is a history in which the engine was killed at 102 ms, at frame 7, which
// was held at 100, and died at 110. more adds to it.
func heldAt(more func(*historytest.Builder)) *history.History {
	const text = "frame:execute-request#1@before"
	b := &historytest.Builder{}
	b.At(0, history.KindMoment, &history.Moment{Moment: text, What: "armed", Target: "engine"})
	b.At(100, history.KindFrame, frameEvent(7, "to-engine", "arrived"))
	b.At(110, history.KindExit, &history.Exit{Role: "engine", Incarnation: 1, Signal: "SIGKILL", By: "executioner", SignalT: at(102), Code: 137})
	b.At(111, history.KindMoment, &history.Moment{
		Moment: text, What: "struck", Target: "engine", Way: "executioner", Frame: 7, ReachedT: at(100), SignalT: at(102), DiedT: at(110),
	})
	more(b)
	return b.End(300)
}

func TestMomentHeld(t *testing.T) {
	for name, tt := range map[string]struct {
		more func(*historytest.Builder)
		want check.State
		says string
	}{
		"the world stood still": {func(b *historytest.Builder) {
			b.At(90, history.KindFrame, frameEvent(6, "to-runtime", "arrived"))
			b.At(91, history.KindFrame, frameEvent(6, "to-runtime", "delivered"))
			b.At(112, history.KindFrame, frameEvent(7, "to-engine", "delivered"))
		}, check.Pass, "1 of 1 strikes"},
		"a frame crossed between signal and death": {func(b *historytest.Builder) {
			b.At(99, history.KindFrame, frameEvent(6, "to-runtime", "arrived"))
			b.At(105, history.KindFrame, frameEvent(6, "to-runtime", "delivered"))
		}, check.Fail, "between the signal"},
		"the dead spoke": {func(b *historytest.Builder) {
			b.At(99, history.KindFrame, frameEvent(6, "to-runtime", "arrived"))
			b.At(115, history.KindFrame, frameEvent(6, "to-runtime", "delivered"))
		}, check.Fail, "of the engine was delivered 5ms after its death"},
		"to the dead is no word of it": {func(b *historytest.Builder) {
			b.At(99, history.KindFrame, frameEvent(6, "to-engine", "arrived"))
			b.At(115, history.KindFrame, frameEvent(6, "to-engine", "delivered"))
		}, check.Pass, "1 of 1"},
		"the next incarnation speaks": {func(b *historytest.Builder) {
			b.At(200, history.KindFrame, frameEvent(8, "to-runtime", "arrived"))
			b.At(201, history.KindFrame, frameEvent(8, "to-runtime", "delivered"))
		}, check.Pass, "1 of 1"},
		"another moment is still armed": {func(b *historytest.Builder) {
			b.At(120, history.KindMoment, &history.Moment{Moment: "event:engine-healthy", What: "armed"})
		}, check.Inconclusive, "event:engine-healthy was armed"},
		"another moment was missed": {func(b *historytest.Builder) {
			b.At(120, history.KindMoment, &history.Moment{Moment: "event:engine-healthy", What: "missed"})
		}, check.Inconclusive, "did not come"},
		"its exit is nobody's strike": {func(b *historytest.Builder) {
			for _, e := range b.H.Events {
				if x, ok := e.Body.(*history.Exit); ok {
					x.SignalT = at(50)
				}
			}
		}, check.Inconclusive, "no exit of the engine"},
		"the frame is missing": {func(b *historytest.Builder) {
			for _, e := range b.H.Events {
				if f, ok := e.Body.(*history.Frame); ok {
					f.N = 9
				}
			}
		}, check.Inconclusive, "frame 7"},
	} {
		t.Run(name, func(t *testing.T) {
			f := check.MomentHeld().Check(heldAt(tt.more))
			assert.Equal(t, tt.want, f.State, f.Summary)
			assert.Contains(t, f.Summary, tt.says)
		})
	}
	f := check.MomentHeld().Check((&historytest.Builder{}).End(1))
	assert.Equal(t, check.Inconclusive, f.State)
}

func TestBreakpointHeld(t *testing.T) {
	for name, tt := range map[string]struct {
		steps []string
		want  check.State
	}{
		"held":           {[]string{"armed", "reached"}, check.Pass},
		"never reached":  {[]string{"armed"}, check.Inconclusive},
		"its time ended": {[]string{"armed", "reached", "expired"}, check.Inconclusive},
	} {
		b := &historytest.Builder{}
		for i, s := range tt.steps {
			b.At(10*i, history.KindBreakpoint, &history.Breakpoint{Name: "before-commit", What: s})
		}
		b.At(100, history.KindMoment, &history.Moment{Moment: "breakpoint:before-commit?key=a", What: "struck", Target: "engine", Way: "executioner", SignalT: at(99)})
		f := check.MomentHeld().Check(b.End(200))
		assert.Equal(t, tt.want, f.State, "%s: %s", name, f.Summary)
	}
}

func TestAnswersAgain(t *testing.T) {
	build := func(more func(*historytest.Builder)) *history.History {
		b := &historytest.Builder{}
		b.At(100, history.KindFault, &history.Fault{Kind: "kill", Target: "runtime#1", Phase: history.FaultBegun})
		b.At(110, history.KindFault, &history.Fault{Kind: "kill", Target: "runtime#1", Phase: history.FaultLanded})
		b.At(150, history.KindContainer, &history.Container{Role: "runtime", Incarnation: 2, What: history.ContainerStarted})
		more(b)
		return b.End(5000)
	}
	for name, tt := range map[string]struct {
		more func(*historytest.Builder)
		want check.State
	}{
		"at once": {func(b *historytest.Builder) {
			b.Op(160, 200, historytest.Probe("a", 0), historytest.OK("a", 1))
		}, check.Pass},
		"at a later try": {func(b *historytest.Builder) {
			b.Op(160, 700, historytest.Probe("a", 0), historytest.TimedOut())
			b.Op(800, 900, historytest.Recovery("a"), historytest.OK("a", 1))
		}, check.Pass},
		"too late": {func(b *historytest.Builder) {
			b.Op(160, 1700, historytest.Probe("a", 0), historytest.OK("a", 1))
		}, check.Fail},
		"never": {func(b *historytest.Builder) {
			b.Op(160, 700, historytest.Probe("a", 0), historytest.TimedOut())
		}, check.Fail},
		"only before": {func(b *historytest.Builder) {
			b.Op(20, 40, historytest.Probe("a", 0), historytest.OK("a", 1))
		}, check.Inconclusive},
	} {
		f := check.AnswersAgain(time.Second).Check(build(tt.more))
		assert.Equal(t, tt.want, f.State, "%s: %s", name, f.Summary)
	}
	f := check.AnswersAgain(time.Second).Check((&historytest.Builder{}).End(1))
	assert.Equal(t, check.Inconclusive, f.State, "nothing was struck")
}

func TestCommitCut(t *testing.T) {
	build := func(ledger []any, outcome history.Outcome) *history.History {
		b := &historytest.Builder{}
		b.Op(10, 120, history.Invoke{Op: "w1", Client: "write", Name: "tick", Actor: "a"}, history.Return{Outcome: outcome, Generation: -1})
		b.At(100, history.KindMoment, &history.Moment{What: "struck", SignalT: at(100)})
		b.Op(200, 210, history.Invoke{Name: "ledger", Actor: "a"}, history.Return{Outcome: history.OK, Value: ledger, AnsweredBy: "a"})
		return b.End(300)
	}
	for name, tt := range map[string]struct {
		ledger  []any
		told    history.Outcome
		reached bool
		want    check.State
		says    string
	}{
		"never reached, absent":      {[]any{"w0"}, history.Info, false, check.Pass, "absent, its caller was told info"},
		"never reached, durable":     {[]any{"w0", "w1"}, history.Info, false, check.Fail, "never reached the engine"},
		"reached, durable":           {[]any{"w0", "w1"}, history.Info, true, check.Pass, "durable, its caller was told info"},
		"reached, absent":            {[]any{"w0"}, history.Info, true, check.Pass, "absent"},
		"reached, absent, yet acked": {[]any{"w0"}, history.OK, true, check.Fail, "absent, its caller was told ok"},
		"reached, applied twice":     {[]any{"w1", "w1"}, history.Info, true, check.Fail, "applied 2 times"},
		"the ledger cannot be read":  {nil, history.Info, true, check.Inconclusive, "not read"},
	} {
		h := build(tt.ledger, tt.told)
		if tt.ledger == nil {
			h.Events = h.Events[:3]
		}
		f := check.CommitCut("write", "ledger", tt.reached).Check(h)
		assert.Equal(t, tt.want, f.State, "%s: %s", name, f.Summary)
		assert.Contains(t, f.Summary, tt.says, name)
	}
	f := check.CommitCut("nobody", "ledger", true).Check(build([]any{"w1"}, history.OK))
	assert.Equal(t, check.Inconclusive, f.State)
}
