package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/window"
)

func connected(b *ht.Builder, ms int) *ht.Builder {
	return b.At(ms, history.KindEnvoy, &history.Envoy{What: "connected"})
}

// phases are those that took time, in milliseconds. All together are the
// window.
func phases(t *testing.T, h *history.History) map[window.Phase]int {
	t.Helper()
	o, err := window.Read(h)
	require.NoError(t, err)
	sum, out := time.Duration(0), map[window.Phase]int{}
	for _, p := range window.Phases(h, o) {
		sum += p.Took
		if p.Took != 0 {
			out[p.Phase] = int(p.Took.Milliseconds())
		}
	}
	assert.Equal(t, o.Window(), sum, "the phases add up to the window")
	return out
}

func TestPhasesAfterAStop(t *testing.T) {
	b := (&ht.Builder{}).Life(0, 10, "a", 1).Life(0, 10, "b", 1).Op(500, 510, ht.Probe("b", 0), ht.OK("b", 1))
	connected(b, 20).Restart(1000, 6000, 6100, 6400).Actor(3000, "a", 1, "stop") // the old engine's
	b.Op(6400, -1, ht.Probe("b", 0), history.Return{})                           // never answered
	b.Op(6500, 7500, ht.Probe("a", 100*time.Millisecond), ht.TimedOut()).Op(7500, 7900, ht.Recovery("a"), ht.OK("a", 2))
	connected(b, 7400).Stopped(7430, 7440, "a", 1).Actor(7450, "a", 1, "lost").Stopped(7420, 7421, "b", 1)
	b.Life(7500, 7800, "a", 2).Life(7490, 7495, "b", 2).Actor(7950, "a", 2, "stop")
	connected(b, 7960)
	assert.Equal(t, map[window.Phase]int{
		window.Draining: 5000, window.Down: 100, window.Booting: 300, window.Reconnecting: 1000,
		window.Replay: 30, window.Placement: 70, window.Starting: 300, window.Answering: 100,
	}, phases(t, b.End(9000)))
}

// After a kill the generation goes on: there is nothing to place and to start.
func TestPhasesAfterAKill(t *testing.T) {
	b := (&ht.Builder{}).Life(0, 10, "a", 1)
	connected(b, 20).Restart(1000, 1040, 1100, 1300)
	connected(b, 2200).Op(1300, 2300, ht.Probe("a", 0), ht.OK("a", 1))
	assert.Equal(t, map[window.Phase]int{
		window.Draining: 40, window.Down: 60, window.Booting: 200, window.Reconnecting: 900, window.Answering: 100,
	}, phases(t, b.End(9000)))
}

// The connection that serves is the last one: one that was lost again only
// prolonged the wait for it.
func TestThePhaseOfTheReconnectEndsWithTheLastConnection(t *testing.T) {
	b := (&ht.Builder{}).Restart(1000, 1040, 1100, 1300)
	connected(b, 1400)
	connected(b, 2000).Op(1300, 2300, ht.Probe("a", 0), ht.OK("a", 1))
	assert.Equal(t, 700, phases(t, b.End(9000))[window.Reconnecting])
}

// A runtime that is back before /health is seen ok is not waited for.
func TestWhatHappensAtTheSameTimeCountsToTheEarlierPhase(t *testing.T) {
	b := (&ht.Builder{}).Restart(1000, 1040, 1100, 1300)
	connected(b, 1250).Life(1260, 1290, "a", 2).Op(1300, 1310, ht.Probe("a", 0), ht.OK("a", 2))
	assert.Equal(t, map[window.Phase]int{window.Draining: 40, window.Down: 60, window.Booting: 200, window.Answering: 10}, phases(t, b.End(9000)))
}

func TestWhatTheHistoryLacksIsUnattributed(t *testing.T) {
	restart := func() *ht.Builder {
		return (&ht.Builder{}).Restart(1000, 1040, 1100, 1300).Op(1300, 2300, ht.Probe("a", 0), ht.OK("a", 2))
	}
	b := restart().Life(2000, 2100, "a", 2)
	assert.Equal(t, 1000, phases(t, b.End(9000))[window.Unattributed], "no connection")

	b = connected(restart(), 1800).Actor(2000, "a", 2, "start")
	got := phases(t, b.End(9000))
	assert.Equal(t, [2]int{200, 300}, [2]int{got[window.Placement], got[window.Unattributed]}, "a start without a running")

	b = connected(restart(), 1800).Life(1900, 1950, "a", 2).Actor(2000, "a", 3, "start")
	got = phases(t, b.End(9000))
	assert.Equal(t, [2]int{200, 300}, [2]int{got[window.Placement], got[window.Unattributed]}, "the last start without a running")

	b = connected(restart(), 1800).Actor(2000, "a", 1, "stop")
	got = phases(t, b.End(9000))
	assert.Equal(t, [2]int{200, 300}, [2]int{got[window.Replay], got[window.Unattributed]}, "a stop without a start")
}

// The time in which nobody waited for an answer is nobody's.
func TestTimeInWhichNobodyAskedIsAPhaseOfItsOwn(t *testing.T) {
	b := (&ht.Builder{}).Restart(1000, 1040, 1100, 1300)
	connected(b, 1400).Op(4300, 4305, ht.Probe("a", 3*time.Second), ht.OK("a", 1))
	got := phases(t, b.End(9000))
	assert.Equal(t, [2]int{2900, 5}, [2]int{got[window.Unasked], got[window.Answering]})
}

func TestAnEarlierRestartIsAPhaseOfItsOwn(t *testing.T) {
	b := (&ht.Builder{}).Restart(1000, 1040, 1100, 1300)
	b.At(2000, history.KindFault, &history.Fault{Kind: "kill", Target: "engine#2", Phase: history.FaultBegun})
	b.At(2050, history.KindExit, &history.Exit{Role: "engine", Incarnation: 2})
	b.At(2050, history.KindFault, &history.Fault{Kind: "kill", Target: "engine#2", Phase: history.FaultLanded})
	b.At(2100, history.KindContainer, &history.Container{Role: "engine", Incarnation: 3, What: history.ContainerStarting})
	b.At(2300, history.KindHealth, &history.Health{What: "ok"})
	connected(b, 2400).Op(2300, 2500, ht.Probe("a", 0), ht.OK("a", 1))
	assert.Equal(t, map[window.Phase]int{
		window.Earlier: 1000, window.Draining: 50, window.Down: 50, window.Booting: 200, window.Reconnecting: 100, window.Answering: 100,
	}, phases(t, b.End(9000)))
}

// frames is the same restart as a tap saw it, with a runtime that says nothing.
func frames(b *ht.Builder) *ht.Builder {
	frame := func(ms int, wire, direction, kind, detail, actor string, what string) {
		b.At(ms, history.KindFrame, &history.Frame{Wire: wire, Direction: direction, Type: kind, Detail: detail, Actor: actor, Generation: 2, What: what})
	}
	frame(1990, "envoy", "to-runtime", "init", "", "", "arrived")
	frame(2000, "envoy", "to-runtime", "init", "", "", "delivered")
	frame(2005, "envoy", "to-runtime", "commands", "stop-going-away", "b", "delivered")
	frame(2010, "envoy", "to-runtime", "commands", "stop-going-away", "", "delivered")
	frame(2040, "serverless", "to-runtime", "start-call", "", "b", "delivered")
	frame(2050, "serverless", "to-runtime", "start-call", "", "a", "arrived")
	frame(2060, "serverless", "to-runtime", "start-call", "", "a", "delivered")
	frame(2100, "envoy", "to-engine", "events", "running", "a", "arrived")
	return b
}

// A runtime that is not the fixture says nothing of itself; the wire does.
func TestThePhasesOfARuntimeThatSaysNothing(t *testing.T) {
	b := frames((&ht.Builder{}).Restart(1000, 1040, 1100, 1300)).Op(1300, 2300, ht.Probe("a", 0), ht.OK("a", 2))
	assert.Equal(t, map[window.Phase]int{
		window.Draining: 40, window.Down: 60, window.Booting: 200, window.Reconnecting: 700,
		window.Replay: 10, window.Placement: 50, window.Starting: 40, window.Answering: 200,
	}, phases(t, b.End(9000)))
}

// Where both tell, the runtime does: it is nearer to what happens.
func TestTheRuntimeItselfIsBelievedFirst(t *testing.T) {
	b := frames((&ht.Builder{}).Restart(1000, 1040, 1100, 1300)).Op(1300, 2300, ht.Probe("a", 0), ht.OK("a", 2))
	connected(b, 1998).Actor(2012, "a", 1, "stop").Life(2062, 2098, "a", 2)
	got := phases(t, b.End(9000))
	assert.Equal(t, [4]int{698, 14, 50, 36}, [4]int{got[window.Reconnecting], got[window.Replay], got[window.Placement], got[window.Starting]})
}

func TestWhereNobodyAnsweredThereAreNoPhases(t *testing.T) {
	h := (&ht.Builder{}).Restart(0, 1, 2, 3).Op(3, 1003, ht.Probe("a", 0), ht.TimedOut()).End(9000)
	o, err := window.Read(h)
	require.NoError(t, err)
	assert.Empty(t, window.Phases(h, o))
}

// Whatever a history holds and lacks, no phase is negative, and together they
// are the window.
func TestPhasesAlwaysAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := (&ht.Builder{}).Restart(1000, 1040, 1100, 1300)
		for range rapid.IntRange(0, 12).Draw(t, "events") {
			at := rapid.IntRange(900, 4000).Draw(t, "at")
			if rapid.Bool().Draw(t, "on the wire") {
				b.At(at, history.KindFrame, &history.Frame{
					Wire: "envoy", What: "delivered", Actor: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "whose"),
					Type:   rapid.SampledFrom([]string{"init", "commands", "start-call", "events"}).Draw(t, "type"),
					Detail: rapid.SampledFrom([]string{"start", "stop-lost", "running"}).Draw(t, "detail"),
				})
				continue
			}
			if what := rapid.SampledFrom([]string{"connected", "start", "running", "stop", "lost"}).Draw(t, "what"); what == "connected" {
				connected(b, at)
			} else {
				b.Actor(at, "a", rapid.Uint32Range(1, 3).Draw(t, "generation"), what)
			}
		}
		asked := rapid.IntRange(1300, 3000).Draw(t, "asked")
		b.Op(asked, asked+rapid.IntRange(0, 900).Draw(t, "took"), ht.Probe("a", 0), ht.OK("a", 1))
		h := b.End(9000)
		o, err := window.Read(h)
		require.NoError(t, err)
		sum := time.Duration(0)
		for _, p := range window.Phases(h, o) {
			require.GreaterOrEqual(t, p.Took, time.Duration(0), p.Phase)
			sum += p.Took
		}
		require.Equal(t, o.Window(), sum)
	})
}
