package leaving_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/leaving"
)

// began is a history with an engine that serves and an actor that runs.
func began() *ht.Builder {
	b := &ht.Builder{}
	b.At(0, history.KindSettings, &history.Settings{"drain grace": "3s"})
	b.At(1, history.KindContainer, &history.Container{Role: "engine", Name: "engine", Incarnation: 1, What: history.ContainerStarting})
	return b.At(50, history.KindHealth, &history.Health{What: "ok"}).Life(60, 70, "a", 1)
}

func read(t *testing.T, b *ht.Builder) *leaving.Exit {
	t.Helper()
	x, err := leaving.Read(b.End(99_000))
	require.NoError(t, err)
	return x
}

func TestReadExit(t *testing.T) {
	b := began().Op(900, 950, ht.Tick("a", "before"), ht.OK("a", 1)).
		Op(990, 11_000, ht.Tick("a", "open"), history.Return{Outcome: history.Info, Cause: history.CauseRefused}).
		Closed(1020, "ws.going_away#abc").Actor(1030, "a", 1, "stop").Leaving(1000, 11_000, 137, true).
		Actor(11_210, "a", 1, "stop").Life(11_220, 11_230, "a", 2).
		Op(11_201, 11_260, ht.Probe("a", 0), ht.OK("a", 2))
	x := read(t, b)
	assert.Equal(t, 10*time.Second, x.Took)
	assert.Equal(t, 137, x.Code)
	assert.True(t, x.Killed)
	assert.False(t, x.Starting)
	assert.Equal(t, 20*time.Millisecond, x.Closed)
	assert.Equal(t, "ws.going_away", x.Reason)
	assert.Equal(t, []int{1, 1}, []int{x.Stops, x.Replayed})
	assert.Equal(t, []int{0, 1}, []int{x.Kept, x.Moved})
	assert.Equal(t, 100*time.Millisecond, x.Serves)
	assert.Equal(t, 60*time.Millisecond, x.Answers)
	require.Len(t, x.Clients, 1)
	assert.Equal(t, "| w | SIGTERM, grace 10s | 10000 ms | 137, grace ended | tick, open until it was killed | closed after 20 ms, ws.going_away | 1, 1 | tick: a reset before a byte of an answer after 10000 ms | 0, 1 | 100 ms, 60 ms |\n", x.Row("w"))
}

// What the engine took its time for is told from the history, or not at all.
func TestWaited(t *testing.T) {
	held := func(b *ht.Builder, end int) *ht.Builder {
		return b.Op(990, end, ht.Tick("a", "open"), ht.Unknown())
	}
	for want, b := range map[string]*ht.Builder{
		"nothing":                       began().Leaving(1000, 1080, 0, false),
		"its next look, after a second": began().Leaving(1000, 2040, 0, false),
		"nothing: every actor had been told to stop":          began().Actor(1020, "a", 1, "stop").Leaving(1000, 1050, 0, false),
		"the pool's drain grace, 3s":                          began().Leaving(1000, 4060, 0, false),
		"tick, open until it left":                            held(began(), 21_000).Leaving(1000, 21_000, 0, false),
		"tick, open until it was killed":                      held(began(), -1).Leaving(1000, 11_000, 137, true),
		"tick, which ended 9s after the signal":               held(began(), 10_000).Leaving(1000, 11_000, 0, false),
		"something that does not show":                        held(began(), 3000).Leaving(1000, 11_000, 0, false),
		"the pool's drain grace, 3s, but its own ended first": began().Leaving(1000, 2000, 137, true),
		"nothing: the signal came before it handled any, and PID 1 has no default action": (&ht.Builder{}).
			At(900, history.KindContainer, &history.Container{Role: "engine", Name: "engine", Incarnation: 1, What: history.ContainerStarting}).
			Leaving(1000, 11_000, 137, true),
	} {
		assert.Equal(t, want, read(t, b).Waited())
	}
	kill := began().Restart(1000, 1020, 1100, 1300)
	assert.Equal(t, "nothing: it had no say", read(t, kill).Waited())
}

// Told are only generations that ran, and only before the engine's end.
func TestAllTold(t *testing.T) {
	left := func(b *ht.Builder) bool { return read(t, b.Leaving(1000, 1500, 0, false)).AllTold }
	assert.True(t, left(began().Actor(1020, "a", 1, "stop")))
	assert.True(t, left(began().Life(80, 90, "b", 1).Actor(1020, "a", 1, "stop").Actor(1030, "b", 1, "stop")))
	assert.False(t, left(began()), "nobody was told")
	assert.False(t, left(began().Life(80, 90, "b", 1).Actor(1020, "a", 1, "stop")), "one of two was told")
	assert.False(t, left(began().Actor(1600, "a", 1, "stop")), "told by the next engine")
	assert.False(t, left(began().Stopped(500, 510, "a", 1)), "it did not run any more")
}

// The same generation goes on after a kill.
func TestKept(t *testing.T) {
	x := read(t, began().Restart(1000, 1020, 1100, 1300).Op(1301, 1310, ht.Probe("a", 0), ht.OK("a", 1)))
	assert.Equal(t, []int{1, 0}, []int{x.Kept, x.Moved})
	assert.Equal(t, leaving.Never, x.Closed)
	assert.Contains(t, x.Row("w"), "| SIGKILL | 20 ms | 137 |")
}

func TestNoExit(t *testing.T) {
	_, err := leaving.Read(began().End(100))
	require.Error(t, err)
}
