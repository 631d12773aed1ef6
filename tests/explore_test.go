package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/explore"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/spec"
	"github.com/killpoint/killpoint/workload"
)

// short is a workload without what a killed engine's leases block for half a
// minute: to sleep, and to destroy.
func short() spec.Trial {
	return spec.Trial{Name: "short", Engine: engines()[0], Ops: []workload.Op{workload.OpCreate, workload.OpTick, workload.OpTick, workload.OpKVPut, workload.OpKVGet, workload.OpGetCount}}
}

// exploring explores a sample of the short workload's frames by the command line.
func exploring(t *testing.T, dir string, env ...string) *child {
	t.Helper()
	require.NoError(t, short().Write(filepath.Dir(dir)))
	c := newCommand(t, "explore", "--trial", filepath.Join(filepath.Dir(dir), spec.FileName), "--targets", "engine", "--faults", "kill",
		"--places", "frames", "--sample", "8", "--seed", sampleSeed, "--jobs", "2", "--out", dir)
	c.cmd.Env = append(os.Environ(), env...)
	c.start(t)
	return c
}

// sampleSeed draws a sample without the frames of the actor's start, where a killed
// engine's leases cost half a minute each.
const sampleSeed = "42"

// outcomes are those of the points that are done.
func outcomes(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "points", "*", "outcome.json"))
	require.NoError(t, err)
	return found
}

// An exploration that is interrupted leaves nothing but what it has done, and
// goes on from there to the end.
func TestInterruptedExplorationGoesOn(t *testing.T) {
	t.Parallel()
	session(t)
	cli, dir := docker(t), filepath.Join(t.TempDir(), "x")
	c := exploring(t, dir)
	id := c.session(t)
	c.until(t, "2 of 8 points", commandBound)
	require.NoError(t, c.cmd.Process.Signal(os.Interrupt))
	assert.Equal(t, exitInterrupted, c.wait(t, time.Minute).ExitCode(), c.said())
	assert.Empty(t, leftovers(t, cli, id), "left when the process has ended")
	done := outcomes(t, dir)
	for _, path := range done {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(b), `"state": "failed"`, "the harness could not carry it out, and would try it again")
	}
	require.GreaterOrEqual(t, len(done), 2)
	require.Less(t, len(done), 8)
	assert.FileExists(t, filepath.Join(dir, "exploration.md"))

	c = callCommand(t, "explore", "--resume", "--out", dir, "--jobs", "2")
	assert.Zero(t, c.wait(t, commandBound).ExitCode(), c.said())
	assert.Contains(t, c.said(), "8 of 8 points covered")
	assert.Contains(t, c.said(), fmt.Sprintf("This run carried out %d ", 8-len(done)))
	assert.Len(t, outcomes(t, dir), 8)
}

// A daemon that stops answering in the middle of an exploration ends it with a
// clear error, and what was done is kept.
func TestDaemonGoingAwayEndsTheExploration(t *testing.T) {
	t.Parallel()
	session(t)
	cli, dir := docker(t), filepath.Join(t.TempDir(), "x")
	p := startProxy(t, cli.DaemonHost())
	c := exploring(t, dir, "DOCKER_HOST="+p.host())
	id := c.session(t)
	c.until(t, "1 of 8 points", commandBound)
	p.goAway()
	assert.Equal(t, exitEnvironment, c.wait(t, time.Minute).ExitCode(), c.said())
	assert.Contains(t, c.said(), "no Docker daemon answers at "+p.host())
	assert.NotEmpty(t, outcomes(t, dir))
	awaitNothing(t, cli, id, killedBound)
}

// exitEnvironment is the command line's exit code where Docker is missing.
const exitEnvironment = 69

// instants are the planted bugs that depend on an instant, each with a strike
// there. The others do their harm whenever a connection or a generation ends, or
// without any strike.
var instants = []struct {
	bug, meant, at string
	side           moment.Side
}{
	{"ack-before-commit", "ledger-keeps-acked-writes", "execute-request/commit", moment.BeforeDelivery},
	{"apply-retry-twice", "applied-once", "execute-response/commit", moment.BeforeDelivery},
}

// A bug that depends on an instant is found by a strike there, and the fixture
// as it is stands that.
func TestPlantedBugsAtTheirInstants(t *testing.T) {
	sess := session(t)
	for _, bug := range instants {
		for _, planted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", bug.bug, planted), func(t *testing.T) {
				t.Parallel()
				trial := short()
				trial.Strikes = []spec.Strike{{At: moment.Frame(bug.at, 1, bug.side).Of(workload.GoldenKey), Target: spec.OnEngine, Fault: "kill"}}
				if planted {
					trial.Runtime.Bug = bug.bug
				}
				v, err := explore.Runner{Session: sess, Name: run.ID}.Run(run.ctx, trial, filepath.Join(t.TempDir(), "trial"))
				require.NoError(t, err)
				want := check.Pass
				if planted {
					want = check.Fail
				}
				assert.Equal(t, want, stateOf(v, bug.meant), "%v", v)
			})
		}
	}
}

func stateOf(v check.Verdict, invariant string) check.State {
	for _, f := range v.Findings {
		if f.Invariant == invariant {
			return f.State
		}
	}
	return ""
}
