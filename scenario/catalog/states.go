package catalog

import (
	"time"

	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
)

// downFor is how long the engine stays down where an alarm has to fall due
// meanwhile: its own restart is over in some 200 ms, which is less than what a
// fault takes to land on a busy host, where a drain of 5 s can take 5.4 s.
const downFor = 2 * time.Second

// What a killed engine leaves behind, in both releases. The workflow of an actor
// is leased to an engine until 6 s after the actor fell asleep, and again from
// 16 s before an alarm of it is due. A lease outlives its engine by 30 s, in
// which nothing wakes the actor; after SIGTERM it is given back. So an actor that
// is to be asleep, and no more, sleeps for longer than 6 s before a kill; and the
// alarm of one that sleeps must be late: measured, by 30 to 32 s.
const (
	sleepsSound = 9 * time.Second
	leaseOver   = 40 * time.Second
)

// actorStates restart the engine under an actor that is more than idle: it
// sleeps, holds a WebSocket, sends a stream, or has an alarm that falls due while
// the engine is down. Whoever watches sleep only reads, as a write would keep an
// actor awake.
func actorStates() []Entry {
	// Nearly all answer within 1.5 s of /health. In 1 of 16 trials of asleep/stop it
	// took 14 s: the old engine had begun its work anew after the SIGTERM, and the
	// new one left a part to it until 20 s after the old one's last sign.
	const grace, bound = 5 * time.Second, 25 * time.Second
	stop, kill := fault.Stop(grace), fault.Kill()
	// An engine leaves grace after its SIGTERM, or of SIGKILL at once: in the
	// middle of what follows the alarm is due.
	stopDown, killDown := scenario.StayDown(stop, downFor), scenario.StayDown(kill, downFor)
	var entries []Entry
	for _, v := range []struct {
		name     string
		fault    fault.Fault
		part     scenario.Part
		protocol int
		bound    time.Duration
	}{
		{"asleep/stop", stop, scenario.Asleep(0), 0, bound},
		{"asleep/kill", kill, scenario.Asleep(sleepsSound), 0, bound},
		{"websocket/stop", stop, scenario.OpenWebSocket(), 0, bound},
		{"websocket/kill", kill, scenario.OpenWebSocket(), 0, bound},
		{"streaming/stop", stop, scenario.Streaming(), 8, bound},
		{"streaming/kill", kill, scenario.Streaming(), 8, bound},
		{"alarm/stop", stopDown, scenario.AlarmDue{After: grace + downFor/2, Within: bound}, 0, bound},
		{"alarm/kill", killDown, scenario.AlarmDue{After: downFor / 2, Within: bound}, 0, bound},
		{"alarm-asleep/stop", stopDown, scenario.AlarmDue{After: grace + downFor/2, Asleep: time.Second, Within: bound}, 0, bound},
		{"alarm-asleep/kill", killDown, scenario.AlarmDue{After: downFor / 2, Asleep: time.Second, Within: leaseOver}, 0, leaseOver + 5*time.Second},
	} {
		e := Entry{Group: "actor-state", Variant: v.name, Test: "TestActorState", build: func(Options) scenario.Scenario {
			return scenario.Scenario{
				Fault:     v.fault,
				Reconnect: "fast",
				Protocol:  v.protocol,
				Parts:     []scenario.Part{v.part},
				Sweep:     probe.Sweep{Delays: fewDelays, Timeout: time.Second, Bound: v.bound},
			}
		}}
		if v.protocol == 8 {
			e.Skip = noStreams
		}
		entries = append(entries, e)
	}
	return entries
}

// noStreams says why the engine cannot stream answers. One that is no pinned
// release is taken to be new.
func noStreams(engine string) string {
	if engine == "2.3.5" || engine == "2.3.11" {
		return "streamed answers need protocol 8 and the gateway that came with 2.3.17"
	}
	return ""
}
