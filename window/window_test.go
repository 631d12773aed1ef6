package window_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/window"
)

func TestOutage(t *testing.T) {
	b := (&ht.Builder{}).Restart(1000, 1010, 1100, 1160)
	b.Op(1160, 2160, ht.Probe("a", 0), ht.TimedOut())
	b.Op(1410, 3660, ht.Probe("b", 250*time.Millisecond), ht.OK("b", 2))
	b.Op(2210, 3560, ht.Recovery("a"), ht.OK("a", 2))
	b.Op(4160, 4175, ht.Probe("c", 3*time.Second), ht.OK("c", 2))
	b.Op(4300, 4301, ht.Recovery("a"), ht.OK("a", 2)) // a later answer changes nothing
	o, err := window.Read(b.End(5000))
	require.NoError(t, err)

	require.Len(t, o.Rows, 3)
	a, bb, c := o.Rows[0], o.Rows[1], o.Rows[2]
	assert.Equal(t, window.TimedOut, a.Class)
	assert.Equal(t, time.Second, a.Took)
	assert.Equal(t, 2400*time.Millisecond, a.AnsweredAt)
	assert.Equal(t, window.Held, bb.Class, "a request held for 2.25 s is no success at once")
	assert.Equal(t, 2250*time.Millisecond, bb.Took)
	assert.Equal(t, window.Answered, c.Class)
	assert.Equal(t, int64(2), c.Generation)

	assert.Equal(t, 2560*time.Millisecond, o.Window())
	assert.Equal(t, 2660*time.Millisecond, o.WindowAll(), "the third actor was asked at 3 s and kept nobody waiting")
	assert.Equal(t, 2400*time.Millisecond, o.HealthGap())
}

func TestWhereNobodyHadToWaitTheWindowEndsWithTheFirstAnswer(t *testing.T) {
	b := (&ht.Builder{}).Restart(0, 1, 2, 3)
	b.Op(3, 9, ht.Probe("a", 0), ht.OK("a", 1)).Op(5003, 5008, ht.Probe("b", 5*time.Second), ht.OK("b", 1))
	o, err := window.Read(b.End(6000))
	require.NoError(t, err)
	assert.Equal(t, 9*time.Millisecond, o.Window())
	assert.Equal(t, 9*time.Millisecond, o.WindowAll())
}

func TestAnActorThatNeverAnswersLeavesTheWindowOpen(t *testing.T) {
	b := (&ht.Builder{}).Restart(0, 1, 2, 3)
	b.Op(3, 1003, ht.Probe("a", 0), ht.TimedOut())
	b.Op(4, 10, ht.Probe("b", 1), ht.OK("b", 1))
	o, err := window.Read(b.End(2000))
	require.NoError(t, err)
	assert.Equal(t, time.Duration(-1), o.WindowAll())
	assert.Equal(t, time.Duration(-1), o.HealthGapAll())
	assert.Equal(t, 10*time.Millisecond, o.Window())
	assert.Negative(t, o.Rows[0].AnsweredAt)
}

func TestAProbeWithoutAnEndIsCutOff(t *testing.T) {
	b := (&ht.Builder{}).Restart(0, 1, 2, 3)
	b.Op(3, -1, ht.Probe("a", 0), history.Return{})
	o, err := window.Read(&b.H)
	require.NoError(t, err)
	assert.Equal(t, window.CutOff, o.Rows[0].Class)
	assert.Negative(t, o.Rows[0].Took)
}

// Of several faults the window begins with the first, and the delays count
// from the last recovery: what was asked between them is no probe of the sweep.
func TestSeveralFaultsOnTheEngine(t *testing.T) {
	b := (&ht.Builder{}).Restart(0, 1, 2, 3)
	b.Op(10, 20, ht.Probe("a", 0), ht.OK("a", 1))
	b.Restart(5000, 5001, 5002, 5003)
	b.Op(5003, 5013, ht.Probe("b", 0), ht.OK("b", 1))
	o, err := window.Read(b.End(9000))
	require.NoError(t, err)
	require.Len(t, o.Strikes, 2)
	assert.NotEqual(t, o.Strikes[0].ExitT, o.Strikes[1].ExitT, "each has the exit that it caused")
	assert.Equal(t, o.Strikes[1].ExitT, o.ExitT)
	require.Len(t, o.Rows, 1)
	assert.Equal(t, "b", o.Rows[0].Actor)
	assert.Equal(t, 10*time.Millisecond, o.HealthGap())
	assert.Equal(t, 5013*time.Millisecond, o.Window())
}

func TestWhatIsNotTheEnginesIsNoLandmark(t *testing.T) {
	b := &ht.Builder{}
	b.At(0, history.KindFault, &history.Fault{Kind: "kill", Target: "runtime#1", Phase: history.FaultBegun})
	b.At(1, history.KindFault, &history.Fault{Kind: "kill", Target: "runtime#1", Phase: history.FaultLanded})
	b.Restart(1000, 1010, 1100, 1160)
	b.At(1005, history.KindExit, &history.Exit{Role: "runtime", Incarnation: 1})
	b.At(1050, history.KindContainer, &history.Container{Role: "runtime", What: history.ContainerStarting})
	b.At(1060, history.KindContainer, &history.Container{Role: "engine", What: history.ContainerRemoved})
	b.At(1150, history.KindHealth, &history.Health{What: "starting"})
	o, err := window.Read(b.End(2000))
	require.NoError(t, err)
	assert.Equal(t, 10*time.Millisecond, o.ExitT.Sub(o.FaultT))
	assert.Equal(t, 100*time.Millisecond, o.StartT.Sub(o.FaultT))
	assert.Equal(t, 160*time.Millisecond, o.Healthy.Sub(o.FaultT))
	assert.Equal(t, o.ExitT, o.Strikes[0].LandedT)
}

// Events are written down in another order than they happened: what counts is
// when they happened.
func TestTheOrderOfTimeCounts(t *testing.T) {
	b := (&ht.Builder{}).Restart(0, 1, 2, 3)
	b.Op(3, 1003, ht.Probe("a", 0), ht.TimedOut()).Op(1100, 2000, ht.Recovery("a"), ht.OK("a", 1))
	h := b.End(3000)
	want, err := window.Read(h)
	require.NoError(t, err)
	slices.Reverse(h.Events)
	got, err := window.Read(h)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// Probes before the fault, or while the engine was down, are not the sweep's.
func TestProbesBeforeTheSweepAreNotIts(t *testing.T) {
	b := (&ht.Builder{}).Op(0, 5, ht.Probe("a", 0), ht.OK("a", 1)).Restart(1000, 1001, 1002, 1003)
	b.Op(1003, 1010, ht.Probe("b", 0), ht.OK("b", 1))
	o, err := window.Read(b.End(2000))
	require.NoError(t, err)
	require.Len(t, o.Rows, 1)
	assert.Equal(t, "b", o.Rows[0].Actor)
	assert.Equal(t, 10*time.Millisecond, o.Window())
}

// Two probes of one actor are two rows, in the order in which they were sent.
func TestEachProbeOfTheSweepHasItsRow(t *testing.T) {
	b := (&ht.Builder{}).Restart(0, 1, 2, 3)
	b.Op(3, 1003, ht.Probe("a", 0), ht.TimedOut()).Op(1100, 1110, ht.Probe("a", 0), ht.OK("a", 1))
	o, err := window.Read(b.End(2000))
	require.NoError(t, err)
	require.Len(t, o.Rows, 2)
	assert.Equal(t, window.TimedOut, o.Rows[0].Class)
	assert.Equal(t, window.Answered, o.Rows[1].Class)
}

func TestBackoffIsWhatTheRuntimeWaitedInTheHealthGap(t *testing.T) {
	wait := func(ms int64) *history.Envoy { return &history.Envoy{What: "backoff", WaitNS: ms * 1e6} }
	b := (&ht.Builder{}).Restart(1000, 1001, 1002, 2000)
	b.At(1100, history.KindEnvoy, wait(500))  // over before /health was ok
	b.At(1700, history.KindEnvoy, wait(800))  // 500 ms of it in the gap
	b.At(2600, history.KindEnvoy, wait(100))  // all of it
	b.At(2900, history.KindEnvoy, wait(5000)) // 100 ms, until the first answer
	b.At(2950, history.KindEnvoy, &history.Envoy{What: "closed"})
	b.Op(2000, 3000, ht.Probe("a", 0), ht.OK("a", 1)).At(4000, history.KindEnvoy, wait(9))
	o, err := window.Read(b.End(5000))
	require.NoError(t, err)
	assert.Equal(t, 700*time.Millisecond, o.Backoff)
}

func TestClassify(t *testing.T) {
	ok := &history.Return{Outcome: history.OK}
	assert.Equal(t, window.Answered, window.Classify(ok, window.AtOnce))
	assert.Equal(t, window.Held, window.Classify(ok, window.AtOnce+1))
	for cause, class := range map[history.Cause]window.Class{
		history.CauseTimeout: window.TimedOut, history.CauseRefused: window.Refused,
		history.CauseReset: window.Errored, history.CauseStatus: window.Errored,
	} {
		assert.Equal(t, class, window.Classify(&history.Return{Outcome: history.Info, Cause: cause}, 0))
	}
}

func TestNoOutageSaysWhatItLacks(t *testing.T) {
	b := &ht.Builder{}
	_, err := window.Read(b.End(1))
	require.ErrorIs(t, err, window.ErrNoOutage)
	require.ErrorContains(t, err, "a fault")

	for n, lacks := range map[int]string{1: "the engine's exit", 3: "the engine's next start", 4: "a healthy engine"} {
		b = (&ht.Builder{}).Restart(0, 1, 2, 3)
		b.H.Events = b.H.Events[:n]
		_, err = window.Read(&b.H)
		require.ErrorContains(t, err, lacks)
	}
}

func TestAHostThatNobodyWatchedIsNotCalledQuiet(t *testing.T) {
	o, err := window.Read((&ht.Builder{}).Restart(0, 1, 2, 3).End(10))
	require.NoError(t, err)
	assert.Equal(t, "not measured", o.Noise.String())
}

// Only the half seconds between the fault and the last answer count.
func TestNoise(t *testing.T) {
	noise := func(busy float64, late time.Duration) *history.Noise {
		return &history.Noise{SpanNS: 500e6, Busy: busy, SchedDelayNS: int64(late)}
	}
	build := func(during *history.Noise) window.Noise {
		b := (&ht.Builder{}).At(500, history.KindNoise, noise(1, time.Second))
		b.Restart(1000, 1001, 1002, 1003)
		b.Op(1003, 1800, ht.Probe("a", 0), ht.OK("a", 1))
		b.At(1500, history.KindNoise, during).At(9000, history.KindNoise, noise(1, time.Second))
		o, err := window.Read(b.End(9001))
		require.NoError(t, err)
		return o.Noise
	}
	quiet := build(noise(0.2, time.Millisecond))
	assert.False(t, quiet.TooNoisy())
	assert.InDelta(t, 0.2, quiet.Busy, 1e-9)
	assert.True(t, build(noise(0.9, time.Millisecond)).TooNoisy())
	assert.True(t, build(noise(0.1, window.MaxSchedDelay+1)).TooNoisy())
	assert.True(t, build(&history.Noise{SpanNS: 500e6, Steal: 0.5}).TooNoisy())
}

// A half second that began before the last answer counts, also where it ended
// after it; where an actor never answered, all of the rest does.
func TestNoiseCountsUpToTheLastAnswer(t *testing.T) {
	busyAt := func(ms int, ret history.Return) bool {
		b := (&ht.Builder{}).Restart(1000, 1001, 1002, 1003).Op(1003, 1800, ht.Probe("a", 0), ret)
		b.At(ms, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 1})
		o, err := window.Read(b.End(9000))
		require.NoError(t, err)
		return o.Noise.TooNoisy()
	}
	assert.True(t, busyAt(2299, ht.OK("a", 1)))
	assert.False(t, busyAt(2301, ht.OK("a", 1)))
	assert.True(t, busyAt(8000, ht.TimedOut()))
}

func TestNoiseBetween(t *testing.T) {
	b := &ht.Builder{}
	b.At(500, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 1, SchedDelayNS: 3e6})
	b.At(1000, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 0, SchedDelayNS: 1e6})
	h := b.End(2000)
	at := func(ms int) clock.Mono { return clock.Mono(time.Second).Add(time.Duration(ms) * time.Millisecond) }
	assert.InDelta(t, 0.5, window.NoiseBetween(h, at(0), at(2000)).Busy, 1e-9)
	quiet := window.NoiseBetween(h, at(501), at(2000))
	assert.Zero(t, quiet.Busy)
	assert.Equal(t, time.Millisecond, quiet.SchedDelay)
	assert.Zero(t, window.NoiseBetween(h, at(1001), at(2000)).Span, "nothing was measured")
}

// An engine that the cell's removal ended did not die of the fault.
func TestTheTeardownIsNoEndOfAFault(t *testing.T) {
	b := (&ht.Builder{}).Restart(0, 10, 20, 100)
	b.H.Events[1].Body.(*history.Exit).By = "teardown"
	_, err := window.Read(b.End(200))
	assert.ErrorIs(t, err, window.ErrNoOutage)
}
