package tests

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
)

// delays are those of the original investigation.
var delays = []time.Duration{
	0, 250 * time.Millisecond, 500 * time.Millisecond, 1000 * time.Millisecond, 2000 * time.Millisecond,
	2500 * time.Millisecond, 3000 * time.Millisecond, 3500 * time.Millisecond, 5000 * time.Millisecond,
}

// Expected outages and health gaps. After SIGTERM, Rivet's own client wastes two
// tries on the draining engine and finds the new one at its third, 7 to 8.75 s
// after its connection was closed; the engine is back after about 5.2 s. After
// SIGKILL its first try, at 1 to 1.25 s, finds it. The connection may be closed
// some milliseconds after the signal is asked for, never before. The upper bounds
// of the gap leave room for the re-placement of nine actors and the gateway's
// retry ticks.
var (
	raceAfterStop  = check.HealthGap(7*time.Second, 6*time.Second)
	raceAfterKill  = check.HealthGap(time.Second, 4*time.Second)
	noRaceWhenFast = check.HealthGap(0, time.Second)
)

// TestIdleRestart restarts an engine whose actors are idle and shows what
// their users see, second by second, from its first good /health. Its trials
// run beside each other but not beside the other tests, whose starting of cells
// would keep the host busy.
func TestIdleRestart(t *testing.T) {
	variants := []struct {
		name      string
		fault     fault.Fault
		reconnect string
		via       probe.Via
		timeout   time.Duration
		expect    check.Invariant
	}{
		{"stop/rivet/1s", fault.Stop(5 * time.Second), "rivet", probe.ViaHTTP, time.Second, raceAfterStop},
		{"stop/rivet/5s", fault.Stop(5 * time.Second), "rivet", probe.ViaHTTP, 5 * time.Second, raceAfterStop},
		{"stop/rivet/websocket", fault.Stop(5 * time.Second), "rivet", probe.ViaWebSocket, time.Second, raceAfterStop},
		{"kill/rivet/1s", fault.Kill(), "rivet", probe.ViaHTTP, time.Second, raceAfterKill},
		{"kill/fast/1s", fault.Kill(), "fast", probe.ViaHTTP, time.Second, noRaceWhenFast},
	}
	for _, engine := range engines() {
		for _, v := range variants {
			t.Run(label(engine)+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				carryOutOn(t, engine, "idle-restart", v.name, scenario.Scenario{
					Fault:      v.fault,
					Reconnect:  v.reconnect,
					Sweep:      probe.Sweep{Via: v.via, Delays: run.delays, Timeout: v.timeout, Bound: sweepBound},
					Repeats:    run.repeats,
					Invariants: expected(v.expect),
				})
			})
		}
	}
}

// expected holds a trial to its race only where somebody asks at once: of later
// probes alone nobody could say how long the others would have waited.
func expected(race check.Invariant) []check.Invariant {
	if slices.Min(run.delays) > 0 {
		return nil
	}
	return []check.Invariant{race}
}

// label is how an engine is called in the names of tests: those of a path or an
// image reference hold slashes, which -run takes for levels.
func label(engine string) string { return path.Base(engine) }

// engines are those to test.
func engines() []string {
	list := os.Getenv("KILLPOINT_ENGINES")
	if list == "" {
		list = "2.3.19"
	}
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
