package explore

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/spec"
	"github.com/killpoint/killpoint/workload"
)

// atCommit loses a write where the engine is killed before a COMMIT.
func atCommit(_ spec.Trial, at moment.FrameAt, _ int) bool {
	return at.Type == "exec-request" && at.Side == moment.BeforeDelivery
}

var lost = Want{State: check.Fail, Invariant: "ledger"}

func failing(nth int, ops ...workload.Op) spec.Trial {
	t := workloadOf(ops...)
	t.Strikes = []spec.Strike{{
		At:     moment.Frame("exec-request/commit", nth, moment.BeforeDelivery).On("envoy", "to-engine").Of("golden"),
		Target: spec.OnEngine, Fault: "kill",
	}}
	return t
}

// The fewest operations that still fail are found, and the frame is counted
// without those of what was left out.
func TestShrinkFindsTheFewest(t *testing.T) {
	w := &world{loses: atCommit}
	trial := failing(3, "create", "tick", "getCount", "wait:100ms", "tick", "stream:5", "tick", "ledger")
	var tried []Tried
	s := Shrink{Trial: trial, Want: lost, Dir: t.TempDir(), Carry: w.carry, Times: 4, Done: func(x Tried) { tried = append(tried, x) }}
	got, err := s.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []workload.Op{"tick"}, got.Trial.Ops)
	at, _ := got.Trial.Strikes[0].At.AtFrame()
	assert.Equal(t, 1, at.Nth)
	assert.Equal(t, Rate{Met: 4, Of: 4}, got.Rate)
	assert.Equal(t, "4 of 4 (100 %, 95 % interval 40 to 100 %)", got.Rate.String())
	assert.True(t, has(t, got.Dir, spec.FileName))
	require.NotEmpty(t, tried)
	assert.Equal(t, "nothing", tried[0].What)
	assert.True(t, tried[0].Met)
	assert.Equal(t, len(tried), got.Tried)
	assert.Less(t, got.Carried, 40)
}

// What the failure needs stays.
func TestShrinkKeepsWhatIsNeeded(t *testing.T) {
	w := &world{loses: func(tr spec.Trial, at moment.FrameAt, op int) bool {
		return atCommit(tr, at, op) && op == 1 && len(tr.Ops) > 2 && tr.Ops[2].Name() == workload.OpStream
	}}
	trial := failing(2, "tick", "tick", "stream:7", "getCount")
	got, err := Shrink{Trial: trial, Want: lost, Dir: t.TempDir(), Carry: w.carry, Times: 1}.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []workload.Op{"tick", "tick", "stream:1"}, got.Trial.Ops)
	at, _ := got.Trial.Strikes[0].At.AtFrame()
	assert.Equal(t, 2, at.Nth)
}

func TestShrinkLeavesOutStrikesAndTimes(t *testing.T) {
	// Only a wait counts, which may be as short as 30 ms.
	w := &world{loses: func(tr spec.Trial, _ moment.FrameAt, _ int) bool {
		arg, found := strings.CutPrefix(string(tr.Ops[0]), "wait:")
		d, err := time.ParseDuration(arg)
		return found && err == nil && d >= 30*time.Millisecond
	}}
	trial := workloadOf("wait:200ms", "tick")
	trial.Strikes = []spec.Strike{
		{At: moment.After(moment.OpAnswered, time.Second), Target: spec.OnEngine, Fault: "kill"},
		{At: moment.After(moment.EngineHealthy, time.Second), Target: spec.OnEngine, Fault: "kill"},
	}
	got, err := Shrink{Trial: trial, Want: lost, Dir: t.TempDir(), Carry: w.carry, Times: 1}.Run(t.Context())
	require.NoError(t, err)
	require.Len(t, got.Trial.Strikes, 1)
	assert.Equal(t, moment.After(moment.EngineHealthy, 0), got.Trial.Strikes[0].At)
	assert.Equal(t, []workload.Op{"wait:50ms"}, got.Trial.Ops)
}

func TestNothingToShrink(t *testing.T) {
	got, err := Shrink{Trial: failing(1, "tick"), Want: lost, Dir: t.TempDir(), Carry: (&world{}).carry}.Run(t.Context())
	require.ErrorIs(t, err, ErrGone)
	require.ErrorContains(t, err, "in none of 2 runs was there a fail of ledger")
	assert.Equal(t, 2, got.Carried)
}

func TestShrinkEndsWithTheHarness(t *testing.T) {
	broken := errors.New("no daemon")
	w := &world{loses: atCommit, before: func(_ context.Context, n int, _ spec.Trial) error {
		if n == 3 {
			return broken
		}
		return nil
	}}
	got, err := Shrink{Trial: failing(2, "tick", "tick", "ledger"), Want: lost, Dir: t.TempDir(), Carry: w.carry}.Run(t.Context())
	require.ErrorIs(t, err, broken)
	assert.NotEmpty(t, got.Trial.Ops, "the smallest so far is kept")
}

func TestReplay(t *testing.T) {
	n := 0
	w := &world{
		loses: func(spec.Trial, moment.FrameAt, int) bool { n++; return n%2 == 1 },
	}
	var lines []string
	r := Replay{Trial: failing(1, "tick"), Want: lost, Times: 5, Dir: t.TempDir(), Carry: w.carry, Done: func(_ int, rep Repetition) { lines = append(lines, rep.Line()) }}
	rate, err := r.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Rate{Met: 3, Of: 5}, rate)
	assert.Equal(t, "fail: ledger: a write is gone; recovery 12ms", lines[0])

	r.Trial, r.Dir = failing(2, "tick"), t.TempDir()
	rate, err = r.Run(t.Context())
	require.NoError(t, err, "a moment that does not come is no failure of the harness")
	assert.Equal(t, Rate{Of: 5, NotReached: 5}, rate)
	assert.Contains(t, rate.String(), "5 did not reach their strikes")
	assert.Equal(t, "not reached", lines[9])

	r.Want, r.Trial, r.Dir = Want{State: check.Pass}, workloadOf("tick"), t.TempDir()
	rate, err = r.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Rate{Met: 5, Of: 5}, rate, "a trial without strikes")
}

func TestReplaySideBySide(t *testing.T) {
	const jobs = 3
	var mu sync.Mutex
	running, most := 0, 0
	all := make(chan struct{}) // closed when as many run as may
	w := &world{loses: atCommit, before: func(ctx context.Context, _ int, _ spec.Trial) error {
		mu.Lock()
		if running++; running == jobs && most < jobs {
			close(all)
		}
		most = max(most, running)
		mu.Unlock()
		select {
		case <-all:
		case <-ctx.Done():
		}
		mu.Lock()
		defer mu.Unlock()
		running--
		return nil
	}}
	seen := map[int]bool{}
	r := Replay{Trial: failing(1, "tick"), Want: lost, Times: 8, Jobs: jobs, Dir: t.TempDir(), Carry: w.carry, Done: func(n int, _ Repetition) { seen[n] = true }}
	rate, err := r.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 8, rate.Of)
	assert.Len(t, seen, 8)
	assert.Equal(t, jobs, most)

	broken := errors.New("no daemon")
	w = &world{loses: atCommit, before: func(ctx context.Context, n int, _ spec.Trial) error {
		if n == 2 {
			return broken
		}
		<-ctx.Done() // the others end with the one that could not be carried out
		return context.Cause(ctx)
	}}
	r.Carry, r.Dir = w.carry, t.TempDir()
	_, err = r.Run(t.Context())
	require.ErrorIs(t, err, broken)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	rate, err = r.Run(over)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, rate.Of)
}

func TestWants(t *testing.T) {
	v := check.Verdict{State: check.Fail, Findings: []check.Finding{{Invariant: "a", State: check.Inconclusive}, {Invariant: "b", State: check.Fail}}}
	w := WantOf(v)
	assert.Equal(t, Want{check.Fail, "b"}, w)
	assert.Equal(t, "fail of b", w.String())
	assert.True(t, w.Met(v))
	assert.False(t, w.Met(check.Verdict{State: check.Fail, Findings: []check.Finding{{Invariant: "a", State: check.Fail}}}))
	p := WantOf(check.Verdict{State: check.Pass})
	assert.Equal(t, "pass", p.String())
	assert.False(t, p.Met(v))
}

// What is printed is a test that compiles.
func TestThePrintedTestCompiles(t *testing.T) {
	full := failing(2, "create", "tick", "stream:2@other")
	full.Engine, full.Seed, full.Bound, full.Patience = "2.3.19", 7, 90*time.Second, 1500*time.Millisecond
	full.Runtime = spec.Runtime{Image: "x", Reconnect: "fast:5ms", Protocol: 8, Heartbeat: "kv", Bug: "b", Env: map[string]string{"A": "1", "B": "2"}}
	full.Strikes[0].Held = spec.Drop
	full.Strikes = append(full.Strikes,
		spec.Strike{At: moment.Breakpoint("before-commit").Of("golden"), Target: spec.OnRuntime, Fault: "pause:20ms"},
		spec.Strike{At: moment.After(moment.EngineHealthy, 250*time.Microsecond).Again(2), Target: spec.OnEngine, Fault: "stop:1s"},
		spec.Strike{Target: spec.OnEngine, Fault: "kill"},
	)
	for name, trial := range map[string]spec.Trial{"full": full, "plain": workloadOf("tick")} {
		src, err := Shrunk{Trial: trial, Want: lost, Rate: Rate{Met: 9, Of: 10}}.GoTest()
		require.NoError(t, err)
		dir, err := os.MkdirTemp(".", "printed-")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
		require.NoError(t, os.WriteFile(filepath.Join(dir, "shrunk_test.go"), []byte(src), 0o600))
		out, err := exec.CommandContext(t.Context(), "go", "vet", "./"+dir).CombinedOutput()
		require.NoError(t, err, "%s: %s\n%s", name, out, src)
	}
	src, err := Shrunk{Trial: full, Want: lost}.GoTest()
	require.NoError(t, err)
	for _, part := range []string{
		`At: moment.Frame("exec-request/commit", 2, moment.BeforeDelivery).On("envoy", "to-engine").Of("golden"), Target: "engine", Fault: "kill", Held: "drop"`,
		`At: moment.After("engine-healthy", 250*time.Microsecond).Again(2)`, "Bound:", "90 * time.Second", "1500 * time.Millisecond",
	} {
		assert.Contains(t, src, part)
	}
}

func TestDurationLiterals(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0", time.Second: "time.Second", time.Minute: "time.Minute", 90 * time.Second: "90 * time.Second", 7: "7 * time.Nanosecond"} {
		assert.Equal(t, want, durationLiteral(d))
	}
}
