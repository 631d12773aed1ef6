package catalog

import (
	"slices"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
)

// SweepBound is the bound of the sweeps of idle-restart, and so above each of
// their delays.
const SweepBound = 15 * time.Second

// Delays are those of the original investigation.
var Delays = []time.Duration{
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

// idleRestart restarts an engine whose actors are idle and shows what their
// users see, second by second, from its first good /health.
func idleRestart() []Entry {
	stop, kill := fault.Stop(5*time.Second), fault.Kill()
	var entries []Entry
	for _, v := range []struct {
		name      string
		fault     fault.Fault
		reconnect string
		via       probe.Via
		timeout   time.Duration
		expect    check.Invariant
	}{
		{"stop/rivet/1s", stop, "rivet", probe.ViaHTTP, time.Second, raceAfterStop},
		{"stop/rivet/5s", stop, "rivet", probe.ViaHTTP, 5 * time.Second, raceAfterStop},
		{"stop/rivet/websocket", stop, "rivet", probe.ViaWebSocket, time.Second, raceAfterStop},
		{"kill/rivet/1s", kill, "rivet", probe.ViaHTTP, time.Second, raceAfterKill},
		{"kill/fast/1s", kill, "fast", probe.ViaHTTP, time.Second, noRaceWhenFast},
	} {
		entries = append(entries, Entry{
			Group: "idle-restart", Variant: v.name, Test: "TestIdleRestart", Apart: true,
			build: func(o Options) scenario.Scenario {
				return scenario.Scenario{
					Fault:      v.fault,
					Reconnect:  v.reconnect,
					Sweep:      probe.Sweep{Via: v.via, Delays: o.delays(), Timeout: v.timeout, Bound: SweepBound},
					Repeats:    max(o.Repeats, 1),
					Invariants: o.expected(v.expect),
				}
			},
		})
	}
	return entries
}

func (o Options) delays() []time.Duration {
	if len(o.Delays) == 0 {
		return Delays
	}
	return o.Delays
}

// expected holds a trial to its race only where somebody asks at once: of later
// probes alone nobody could say how long the others would have waited. And only
// the fixture is known to have the race.
func (o Options) expected(race check.Invariant) []check.Invariant {
	if slices.Min(o.delays()) > 0 || o.RuntimeImage != "" {
		return nil
	}
	return []check.Invariant{race}
}
