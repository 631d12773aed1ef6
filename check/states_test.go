package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// struckAt is a restart whose fault begins at 1000 ms, kills at 1100, and whose
// engine is healthy at 2000.
func struckAt() *ht.Builder { return (&ht.Builder{}).Restart(1000, 1100, 1900, 2000) }

// word adds a word of the actor with key k.
func word(b *ht.Builder, ms int, what string) *ht.Builder {
	return b.At(ms, history.KindActor, &history.Actor{Actor: "a", Key: "k", Generation: 1, What: what})
}

func TestAsleepWhenStruck(t *testing.T) {
	type said struct {
		ms   int
		what string
	}
	for name, c := range map[string]struct {
		words []said
		want  check.State
	}{
		"asleep, then woken":      {[]said{{10, "start"}, {500, "stopped"}, {2100, "start"}, {2150, "running"}}, check.Pass},
		"never ran":               {[]said{{2100, "start"}, {2150, "running"}}, check.Inconclusive},
		"awake":                   {[]said{{10, "start"}, {1200, "stopped"}, {2150, "running"}}, check.Inconclusive},
		"awake again":             {[]said{{10, "start"}, {500, "stopped"}, {600, "start"}, {2150, "running"}}, check.Inconclusive},
		"asleep, and never woken": {[]said{{10, "start"}, {500, "stopped"}}, check.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			b := struckAt()
			for _, w := range c.words {
				word(b, w.ms, w.what)
			}
			b.Actor(100, "other", 1, "start") // another actor's words say nothing
			assert.Equal(t, c.want, one(t, b.End(9000), check.AsleepWhenStruck("k")).State)
		})
	}
}

// progress is the value of a lasting operation, as a history that was read back
// gives it.
func progress(got int, firstMS float64, clean bool) map[string]any {
	return map[string]any{"got": float64(got), "of": 9.0, "first_ns": firstMS * 1e6, "last_ns": firstMS * 1e6, "clean": clean}
}

func TestSocketEndSeen(t *testing.T) {
	open := progress(1, 10, false)
	for name, c := range map[string]struct {
		returned int
		ret      history.Return
		want     check.State
		says     string
	}{
		"closed":            {1050, history.Return{Outcome: history.Fail, Cause: history.CauseStatus, Status: 1011, Code: "ws.going_away", Value: open}, check.Pass, "closed 50ms after the fault: 1011 ws.going_away"},
		"cut":               {1100, history.Return{Outcome: history.Fail, Cause: history.CauseReset, Value: open}, check.Pass, "broke 100ms after the fault"},
		"goes on":           {2100, history.Return{Outcome: history.OK, AnsweredBy: "a", Value: open}, check.Pass, "went on over the restart"},
		"silence":           {5000, history.Return{Outcome: history.Fail, Cause: history.CauseTimeout, Value: open}, check.Fail, "stayed open and silent"},
		"nonsense":          {5000, history.Return{Outcome: history.Fail, Cause: history.CauseUnreadable, Value: open}, check.Fail, "no pong"},
		"the trial's end":   {5000, history.Return{Outcome: history.Fail, Cause: history.CauseStopped, Value: open}, check.Inconclusive, "the harness closed"},
		"over before":       {900, history.Return{Outcome: history.Fail, Cause: history.CauseReset, Value: open}, check.Inconclusive, "none of 1"},
		"never open":        {1100, history.Return{Outcome: history.Fail, Cause: history.CauseReset}, check.Inconclusive, "none of 1"},
		"open too late":     {1100, history.Return{Outcome: history.Fail, Cause: history.CauseReset, Value: progress(1, 1000, false)}, check.Inconclusive, "none of 1"},
		"it never returned": {-1, history.Return{}, check.Inconclusive, "none of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := struckAt().Op(100, c.returned, history.Invoke{Name: "held", Actor: "a"}, c.ret).
				Op(100, 1100, history.Invoke{Name: "other", Actor: "a"}, history.Return{Outcome: history.OK, Value: open}).End(9000)
			f := one(t, h, check.SocketEndSeen("held"))
			assert.Equal(t, c.want, f.State)
			assert.Contains(t, f.Summary, c.says)
		})
	}
}

func TestStreamNotCutSilently(t *testing.T) {
	short := history.Return{Outcome: history.Fail, Cause: history.CauseUnreadable, Value: progress(5, 10, true), Detail: "5 of 9"}
	reset := history.Return{Outcome: history.Fail, Cause: history.CauseReset, Value: progress(5, 10, false)}
	inv := history.Invoke{Name: "stream", Actor: "a"}
	for name, c := range map[string]struct {
		ret  history.Return
		want check.State
		says string
	}{
		"reset":          {reset, check.Pass, "broke off 100ms after the fault, with 5 of 9 chunks"},
		"whole":          {history.Return{Outcome: history.OK, Value: progress(9, 10, true)}, check.Pass, "came whole"},
		"cut silently":   {short, check.Fail, "5 of 9"},
		"left too early": {history.Return{Outcome: history.Fail, Cause: history.CauseStopped, Value: progress(5, 10, false)}, check.Inconclusive, "its client left -900ms after /health"},
		"no chunk":       {history.Return{Outcome: history.Fail, Cause: history.CauseReset, Value: progress(0, 0, false)}, check.Inconclusive, "none of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := one(t, struckAt().Op(100, 1100, inv, c.ret).End(9000), check.StreamNotCutSilently("stream", 3*time.Second))
			assert.Equal(t, c.want, f.State)
			assert.Contains(t, f.Summary, c.says)
		})
	}
	for _, cause := range []history.Cause{history.CauseTimeout, history.CauseStopped} {
		waited := func(ms int, last float64) check.Finding {
			ret := history.Return{Outcome: history.Fail, Cause: cause, Value: progress(5, 10, false)}
			ret.Value.(map[string]any)["last_ns"] = last * 1e6
			return one(t, struckAt().Op(100, ms, inv, ret).End(9000), check.StreamNotCutSilently("stream", 3*time.Second))
		}
		silence := waited(5100, 200)
		assert.Equal(t, check.Fail, silence.State, cause)
		assert.Contains(t, silence.Summary, "told nothing for 4.8s")
		assert.Equal(t, check.Inconclusive, waited(4900, 200).State, cause)
		assert.Equal(t, check.Pass, waited(5100, 2000).State, "it went on")
	}
	late := struckAt().Op(100, 1100, inv, reset).Op(2100, 2200, inv, short).End(9000)
	f := one(t, late, check.StreamNotCutSilently("stream", 3*time.Second))
	assert.Equal(t, check.Fail, f.State, "nor may a later one be")
	assert.Len(t, f.Witness, 2)
}

func TestWorksAgain(t *testing.T) {
	inv := history.Invoke{Name: "stream", Actor: "a"}
	good, bad := ht.OK("a", 2), history.Return{Outcome: history.Fail, Cause: history.CauseReset}
	for name, c := range map[string]struct {
		b    *ht.Builder
		end  int
		want check.State
	}{
		"the second":      {struckAt().Op(2100, 2200, inv, bad).Op(2300, 2900, inv, good), 9000, check.Pass},
		"too late":        {struckAt().Op(2100, 3100, inv, good), 9000, check.Fail},
		"never":           {struckAt().Op(2100, 2200, inv, bad), 9000, check.Fail},
		"not yet":         {struckAt().Op(2100, 2200, inv, bad), 2500, check.Inconclusive},
		"never asked":     {struckAt(), 9000, check.Inconclusive},
		"asked too early": {struckAt().Op(1950, 2200, inv, good), 9000, check.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			f := one(t, c.b.End(c.end), check.WorksAgain("stream", time.Second))
			assert.Equal(t, c.want, f.State)
			assert.Equal(t, "stream-works-again", f.Invariant)
		})
	}
}

func TestAlarmFires(t *testing.T) {
	inv := history.Invoke{Name: "setAlarm", Actor: "a"}
	set := func(delayMS float64) history.Return {
		return history.Return{Outcome: history.OK, AnsweredBy: "a", Value: map[string]any{"alarm": 7.0, "delay_ns": delayMS * 1e6}}
	}
	fire := func(b *ht.Builder, actor, reason string, at ...int) *ht.Builder {
		for _, ms := range at {
			b.At(ms, history.KindActor, &history.Actor{Actor: actor, Generation: 1, What: "alarm", Reason: reason})
		}
		return b
	}
	const itself = "alarm 7, 3 ms late"
	for name, c := range map[string]struct {
		delayMS float64
		fired   []int
		end     int
		want    check.State
		says    string
	}{
		"once":                {1500, []int{2500}, 9000, check.Pass, "fired once, 500ms after /health"},
		"lost":                {1500, nil, 9000, check.Fail, "never fired"},
		"twice":               {1500, []int{2500, 2600}, 9000, check.Fail, "fired 2 times"},
		"late":                {1500, []int{3500}, 9000, check.Fail, "fired only 1.5s after /health"},
		"early":               {1500, []int{1590}, 9000, check.Fail, "fired 10ms before it was due"},
		"not yet":             {1500, nil, 2500, check.Inconclusive, "had not fired when the trial ended"},
		"due before the dead": {950, []int{1060}, 9000, check.Inconclusive, "was due"},
		"due after /health":   {1995, []int{2200}, 9000, check.Inconclusive, "was due"},
		"due too late, twice": {2995, []int{3200, 3300}, 9000, check.Fail, "fired 2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			b := fire(struckAt().Op(100, 110, inv, set(c.delayMS)), "a", itself, c.fired...)
			fire(fire(b, "b", itself, 2000), "a", "alarm 77, 1 ms late", 2000) // others' alarms
			f := one(t, b.End(c.end), check.AlarmFires("setAlarm", time.Second))
			assert.Equal(t, c.want, f.State)
			assert.Contains(t, f.Summary, c.says)
			if c.want == check.Fail {
				assert.Len(t, f.Witness, 2+len(c.fired))
			}
		})
	}
	unsure := struckAt().Op(100, 110, inv, ht.Unknown()).End(9000)
	assert.Equal(t, check.Inconclusive, one(t, unsure, check.AlarmFires("setAlarm", time.Second)).State)
	none := struckAt().End(9000)
	assert.Equal(t, check.Inconclusive, one(t, none, check.AlarmFires("setAlarm", time.Second)).State)
}
