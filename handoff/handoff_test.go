package handoff_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/handoff"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// rolling is a handoff of two actors: the old runtime is told at 100, their
// generations end at 112 and 114, the new ones run at 151 and 161, the old one is
// gone at 130.
func rolling() *ht.Builder {
	b := (&ht.Builder{}).Routed(1, "runtime#1").
		On(2, "runtime#1", "a", 1, "start", "running").On(2, "runtime#1", "b", 1, "start", "running").
		Routed(90, "runtime#2").StopOf(100, 130, "runtime#1", 1, 143)
	b.On(110, "runtime#1", "a", 1, "stop", "stop-hook", "stopped").On(112, "runtime#1", "b", 1, "stop", "stop-hook", "stopped")
	return b.On(150, "runtime#2", "a", 2, "start", "running").On(160, "runtime#2", "b", 2, "start", "running")
}

func read(t *testing.T, b *ht.Builder) *handoff.Handoff {
	t.Helper()
	d, err := handoff.Read(b.End(900))
	require.NoError(t, err)
	return d
}

func TestReadHandoff(t *testing.T) {
	b := rolling()
	b.Op(50, 55, ht.Flow("a", "calm"), ht.OK("a", 1))
	b.Op(105, 250, ht.Flow("a", "held"), ht.OK("a", 2))
	b.Op(109, 113, ht.Flow("a", "refused"), ht.NotApplied("a"))
	b.Op(120, 220, ht.Flow("b", "silent"), ht.Unknown())
	b.Op(155, 156, ht.Flow("a", "again"), ht.Repeated("a"))
	b.Op(300, 301, ht.Flow("b", "after"), ht.OK("b", 2))
	b.Op(310, -1, ht.Flow("b", "open"), history.Return{})
	b.Write(108, "a", 1, "held", "").Write(200, "a", 2, "held", "repeated")
	b.Op(50, 60, ht.Tick("a", "another client's"), ht.OK("a", 1))
	d := read(t, b)

	assert.Equal(t, "runtime#1", d.Old)
	assert.Equal(t, "runtime#2", d.New)
	assert.Equal(t, 30*time.Millisecond, d.Left.Sub(d.Told))
	assert.Equal(t, 143, d.Exit.Code)
	require.Len(t, d.Moves, 2)
	assert.Equal(t, handoff.Move{Actor: "a", Key: "key-a", From: 1, To: 2, Ended: d.Told.Add(12 * time.Millisecond), Ran: d.Told.Add(51 * time.Millisecond)}, d.Moves[0])
	assert.Equal(t, 39*time.Millisecond, d.Moves[0].Gap())

	got := map[string]string{}
	for _, r := range d.Requests {
		got[r.Op] = string(r.Phase) + ", " + string(r.Class)
	}
	assert.Equal(t, map[string]string{
		"calm": "before, at once", "held": "draining, held", "refused": "draining, failed", "silent": "moving, failed",
		"again": "moving, failed", "after": "after, at once", "open": "after, open",
	}, got)
	assert.Equal(t, 2, d.Doubled(), "held was carried out by both generations, again was answered as a repetition")
	assert.Equal(t, "held", d.Worst().Op)
	assert.Equal(t, 5*time.Millisecond, d.Quantile(0.5))
	assert.Equal(t, "| x | 7 | 2 | 1 | 4 | 2 | 5 ms | 145 ms | 145 ms | gone 30 ms after it was told, code 143 | 39 ms to 47 ms |\n", d.Row("x"))
}

// Of each failed request the text says what its actor went through.
func TestWhy(t *testing.T) {
	b := rolling()
	b.Op(109, 113, ht.Flow("a", "refused"), ht.NotApplied("a"))
	b.Op(120, 220, ht.Flow("b", "silent"), ht.Unknown())
	b.Op(115, 116, ht.Flow("a", "nobody"), history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 503, Code: "guard.actor_ready_timeout"})
	b.Op(400, 402, ht.Flow("a", "odd"), history.Return{Outcome: history.Info, Cause: history.CauseReset})
	b.Op(403, 404, ht.Flow("c", "stranger"), history.Return{Outcome: history.Info, Cause: history.CauseRefused})
	want := map[string]string{
		"refused":  "500 user.not_applied|generation 1 on runtime#1 served, was told to stop (going-away) after 1.0 ms, had ended after 3.0 ms|true",
		"silent":   "silence until its patience ended|generation 2 on runtime#2, ran after 41.0 ms|true",
		"nobody":   "503 guard.actor_ready_timeout|no generation served: 1 on runtime#1 had ended 3.0 ms before|true",
		"odd":      "an answer that broke off|generation 2 on runtime#2 served|false",
		"stranger": "no connection, or one that was closed|no generation of its actor is known|true",
	}
	d := read(t, b)
	for _, r := range d.Requests {
		explained := map[bool]string{true: "true", false: "false"}[r.Explained]
		assert.Equal(t, want[r.Op], r.Answer()+"|"+r.Why+"|"+explained, r.Op)
	}
	text := d.Failures("x")
	assert.Contains(t, text, "| tick refused | key-a | 9 ms | draining | 4 ms | 500 user.not_applied |")
	assert.Contains(t, text, "| tick silent | key-b | 20 ms | moving | 100 ms |")
}

// A process that was killed takes its generations along, and an actor that never
// runs again has no end of its gap.
func TestKilledAndLost(t *testing.T) {
	b := (&ht.Builder{}).Routed(1, "runtime#1").On(2, "runtime#1", "a", 1, "start", "running").Routed(90, "runtime#2").
		StopOf(100, 130, "runtime#1", 1, 137)
	d := read(t, b)
	require.Len(t, d.Moves, 1)
	assert.Equal(t, d.Left, d.Moves[0].Ended)
	assert.Negative(t, d.Moves[0].Gap())
	assert.Contains(t, d.Row("x"), "1 of 1 never came back")
}

func TestLateStarts(t *testing.T) {
	b := rolling().On(150, "runtime#1", "c", 1, "start")
	assert.Empty(t, read(t, b).Late, "it was under way")
	b = rolling().On(350, "runtime#1", "c", 1, "start")
	assert.Len(t, read(t, b).Late, 1)
}

func TestNoHandoff(t *testing.T) {
	_, err := handoff.Read((&ht.Builder{}).Routed(1, "runtime#1").End(2))
	require.ErrorIs(t, err, handoff.ErrNone)
}
