package scenario

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// What cannot be carried out is refused before anything is made.
func TestRunRefusesWhatCannotBe(t *testing.T) {
	kill, load := fault.Kill(), UnderLoad(workload.Load{})
	for want, s := range map[string]Scenario{
		`scenario "x" has 1 faults that follow another (Then), and none that is the first (Fault)`: {
			Then: []Later{{Fault: kill}},
		},
		`scenario "x", part "an actor that stops while the engine is down": it waits for the engine to be down: the scenario needs a fault`: {
			Parts: []Part{StopHeld()},
		},
		`scenario "x", part "action probes, after-heartbeat": no actor would beat: the scenario needs a heartbeat`: {
			Fault: kill, Heartbeat: "none", Parts: []Part{ActionProbes(AfterHeartbeat)},
		},
		`scenario "x", part "transaction held before its COMMIT": the fault must strike as soon as it has begun: it has to be the last of the parts`: {
			Fault: kill, Parts: []Part{CommitHeld(), load},
		},
		`scenario "x", part "an alarm of a running actor, due 1s after the fault": the fault must strike as soon as it has begun: it has to be the last of the parts`: {
			Fault: kill, Parts: []Part{AlarmDue{After: time.Second}, load},
		},
		`scenario "x" says when or whom to strike (At, On), and not with what (Fault)`: {
			On: Runtime,
		},
		`scenario "x": strike the runtimes: SIGKILL: target "runtimes": want engine, runtime or both`: {
			Fault: kill, On: "runtimes",
		},
		`scenario "x": strike engine and runtime in the same moment: SIGKILL, by the Docker API: the executioner cannot deliver this fault: use one of package fault`: {
			Fault: fault.ByDocker(kill), On: Both,
		},
		`scenario "x": strike the engine at event:engine-healthy: SIGKILL: it has both a time after the last fault and a moment: want one of them`: {
			Fault: kill, Then: []Later{{After: time.Second, At: moment.After(moment.EngineHealthy, 0), Fault: kill}},
		},
		`scenario "x": strike the engine at breakpoint:on-start, the frame dropped: SIGKILL: it drops a frame, and its moment is none`: {
			Fault: kill, At: moment.Breakpoint("on-start"), Drop: true,
		},
		`scenario "x" sweeps up to a delay of 2s with a bound of 2s, which must be above it`: {
			Fault: kill, Sweep: probe.Sweep{Delays: []time.Duration{2 * time.Second, 0}, Timeout: time.Second, Bound: 2 * time.Second},
		},
	} {
		s.Name = "x"
		dir := filepath.Join(t.TempDir(), "trial")
		trial, err := s.Run(t.Context(), nil, "r", dir, nil)
		require.EqualError(t, err, want)
		assert.Equal(t, check.Inconclusive, trial.Verdict.State)
		assert.NoDirExists(t, dir)
	}
}

func TestValidLetsPassWhatCanBe(t *testing.T) {
	kill, load := fault.Kill(), UnderLoad(workload.Load{})
	for _, s := range []Scenario{
		{},
		{Fault: kill, Then: []Later{{Fault: kill}}},
		{Fault: kill, Parts: []Part{StopHeld()}},
		{Fault: kill, Heartbeat: "kv", Parts: []Part{ActionProbes(AfterHeartbeat)}},
		{Fault: kill, Parts: []Part{ActionProbes(Immediately)}},
		{Fault: kill, Parts: []Part{load, CommitHeld()}},
		{Fault: kill, Parts: []Part{load, AlarmDue{}}},
		{Fault: kill, Sweep: probe.Sweep{Delays: []time.Duration{time.Second}, Bound: 2 * time.Second}},
	} {
		require.NoError(t, s.valid(), "%+v", s)
	}
}
