package tap

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

func kill(target string, held Held) *Strike {
	return &Strike{Target: target, Signal: "SIGKILL", Held: held}
}

// The engine floods the runtime. It is killed as its 50th frame arrives: of
// those behind it, which it sent too, none reaches the runtime.
func TestWhatADeadEngineSentNeverArrives(t *testing.T) {
	for held, want := range map[Held]int{Deliver: 50, Drop: 49} {
		t.Run(string(held), func(t *testing.T) {
			v := spawn(t, "engine")
			r := newRig(t, upstreamEngine(v.addr))
			r.announce("engine", v)
			runtime := r.dial(connectPath)
			r.arm(Rule{ID: "k", Match: Match{Type: "ping", Nth: 50}, When: Before, Do: DoStrike, Strike: kill("engine", held)})
			runtime.send(websocket.BinaryMessage, toEngine(t, wire.Stopping{}))
			out := r.final("k")
			assert.Equal(t, Done, out.State, out.Error)
			assert.Equal(t, held, out.Held)
			assert.Equal(t, "signal: killed", v.dead(t))

			got := runtime.rest()
			require.Len(t, got, want, "all before it, and not one behind it")
			assert.Equal(t, toRuntime(t, wire.Ping{TS: int64(want)}), got[want-1])
			err := receive(t, runtime.end, "the end")
			assert.True(t, websocket.IsCloseError(err, websocket.CloseAbnormalClosure), "no close frame: %v", err)

			assert.Less(t, out.ArrivedT, out.SignalT)
			assert.LessOrEqual(t, out.SignalT, out.SignaledT)
			assert.Less(t, out.SignalT, out.DiedT)
			assert.Equal(t, 1, out.Severed)
			assert.Positive(t, out.Lost, "it was sending when it died")
			r.close()
			lost := r.frames(func(f *history.Frame) bool { return f.What == "lost" })
			assert.Len(t, lost, out.Lost)
		})
	}
}

// The runtime sends a hundred frames at once and waits. It is killed at the
// 30th: the other 70 are lost, and counted.
func TestWhatADeadRuntimeSentNeverArrives(t *testing.T) {
	for held, want := range map[Held]int{Deliver: 30, Drop: 29} {
		t.Run(string(held), func(t *testing.T) {
			r := newRig(t)
			v := spawn(t, "runtime", r.tap.Addresses().Envoy)
			r.announce("runtime", v)
			engine := r.engine.accept()
			r.arm(Rule{ID: "h", Match: Match{Type: "pong"}, When: Before, Do: DoHold})
			r.arm(Rule{ID: "k", Match: Match{Type: "pong", Nth: 30}, When: Before, Do: DoStrike, Strike: kill("runtime", held)})
			engine.send(websocket.BinaryMessage, toRuntime(t, wire.Ping{}))
			r.wait("h", Armed)
			require.Equal(t, "sent", v.line(t)) // all of it is in the tap's buffers
			_, err := r.client.Release(bounded(t), "h", Deliver)
			require.NoError(t, err)
			out := r.final("k")
			assert.Equal(t, Done, out.State, out.Error)
			assert.Equal(t, sends-30, out.Lost)
			assert.Equal(t, "signal: killed", v.dead(t))
			got := engine.rest()
			require.Len(t, got, want)
			assert.Equal(t, toEngine(t, wire.Pong{TS: int64(want)}), got[want-1])
		})
	}
}

// After: the frame is the last that its receiver gets.
func TestStrikeAfterDelivery(t *testing.T) {
	v := spawn(t, "engine")
	r := newRig(t, upstreamEngine(v.addr))
	r.announce("engine", v)
	runtime := r.dial(connectPath)
	r.arm(Rule{ID: "k", Match: Match{Type: "ping", Nth: 7}, When: After, Do: DoStrike, Strike: kill("engine", "")})
	runtime.send(websocket.BinaryMessage, toEngine(t, wire.Stopping{}))
	out := r.final("k")
	assert.Equal(t, Done, out.State, out.Error)
	assert.Equal(t, Deliver, out.Held)
	assert.Len(t, runtime.rest(), 7)
}

// A frame to the engine cannot be delivered when that is dead.
func TestHeldFrameForTheDead(t *testing.T) {
	v := spawn(t, "engine")
	r := newRig(t, upstreamEngine(v.addr))
	r.announce("engine", v)
	runtime := r.dial(connectPath)
	r.arm(Rule{ID: "k", Match: commit(0), When: Before, Do: DoStrike, Strike: kill("engine", Deliver)})
	runtime.say("BEGIN", "COMMIT", "SELECT 1")
	out := r.final("k")
	assert.Equal(t, Done, out.State, out.Error)
	assert.Equal(t, Drop, out.Held)
	assert.Contains(t, r.frame("exec-request/commit dropped").Error, "the engine is dead")
	runtime.ended()
}

// Nothing passes on any wire while a strike waits, and all of it does then.
func TestGateIsShutForAllWires(t *testing.T) {
	r := newRig(t)
	r.serverless = serverlessFake
	runtime, engine := r.connect()
	_, other := r.connect()
	sleeper := spawn(t, "sleeper")
	r.arm(Rule{ID: "k", Match: commit(0), When: Before, Do: DoStrike, Strike: &Strike{Target: "engine", Signal: "SIGTERM"}})
	runtime.say("COMMIT")
	r.wait("k", Armed) // no engine was announced: the strike waits
	other.send(websocket.BinaryMessage, toRuntime(t, wire.Ping{TS: 1}))
	answered := make(chan string, 1)
	go func() { answered <- r.get("/api/rivet/health") }()
	r.frame("health-call arrived")
	r.frame("ping arrived")
	assert.Empty(t, r.frames(func(f *history.Frame) bool { return f.What == "delivered" && f.N > 4 }))
	engine.nothing("the frame is held")

	r.announce("engine", sleeper)
	out := r.final("k")
	assert.Equal(t, Done, out.State, out.Error)
	engine.hears("COMMIT")
	r.frame("ping delivered")
	assert.Equal(t, "ok", receive(t, answered, "the answer"))
	assert.Equal(t, "signal: terminated", sleeper.dead(t))
	assert.Zero(t, out.Severed, "a signal that may not kill severs nothing")
}

// What a caller sent that is dead by the time the gate opens is not passed on,
// although its connection was accepted in time.
func TestConnectionOfTheDead(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	r.arm(Rule{ID: "k", Match: commit(0), When: Before, Do: DoStrike, Strike: &Strike{Target: "engine", Signal: "SIGURG"}})
	runtime.say("COMMIT")
	r.wait("k", Armed) // the gate is shut while the strike waits for its target
	dead, err := net.Dial("tcp", r.tap.Addresses().Envoy)
	require.NoError(t, err)
	_, err = fmt.Fprintf(dead, "GET /health HTTP/1.1\r\nHost: engine\r\n\r\n")
	require.NoError(t, err)
	r.frame("http-call/GET /health arrived")
	require.NoError(t, dead.Close())
	r.announce("engine", spawn(t, "sleeper"))
	assert.Contains(t, r.frame("http-call/GET /health lost").Error, "was dead")
	engine.hears("COMMIT")
}

func TestStrikeWithoutAFrame(t *testing.T) {
	v := spawn(t, "engine")
	r := newRig(t, upstreamEngine(v.addr))
	runtime := r.dial(connectPath)
	r.frame("connect-answer/101 delivered")
	r.arm(Rule{ID: "h", Match: commit(0), When: Before, Do: DoHold})
	runtime.say("COMMIT")
	r.wait("h", Armed)
	r.announce("engine", v)
	out, err := r.client.Strike(bounded(t), *kill("engine", ""))
	require.NoError(t, err)
	assert.Equal(t, Done, out.State, out.Error)
	assert.Equal(t, 1, out.Severed)
	assert.NotZero(t, out.DiedT)
	runtime.ended()
	held := r.final("h")
	assert.Equal(t, Done, held.State)
	assert.Equal(t, Drop, held.Held)
	assert.Contains(t, held.Error, "severed")
	await(r, "the death", func(e *history.TapStrike) bool { return e.What == "died" && e.Target == "engine#1" })
}

// Connections made after a strike are like any other, and the next rule is for
// them: killed again in the recovery.
func TestKilledAgain(t *testing.T) {
	first := spawn(t, "engine")
	r := newRig(t, upstreamEngine(first.addr))
	r.announce("engine", first)
	runtime := r.dial(connectPath)
	r.arm(Rule{ID: "one", Match: Match{Type: "ping", Nth: 3}, When: Before, Do: DoStrike, Strike: kill("engine", Drop)})
	r.arm(Rule{ID: "two", Match: Match{Type: "ping", Nth: 5}, When: Before, Do: DoStrike, Strike: kill("engine", Deliver)})
	runtime.send(websocket.BinaryMessage, toEngine(t, wire.Stopping{}))
	require.Equal(t, Done, r.final("one").State)
	assert.Len(t, runtime.rest(), 2)

	second := spawn(t, "engine")
	r.tap.cfg.Engine = second.addr // in its container it has the same address
	runtime = r.dial(connectPath)
	runtime.send(websocket.BinaryMessage, toEngine(t, wire.Stopping{}))
	reached := r.wait("two", Armed)
	assert.Equal(t, Reached, reached.State, "it waits for its target: the dead one is none")
	r.announce("engine", second)
	out := r.final("two")
	assert.Equal(t, Done, out.State, out.Error)
	assert.Len(t, runtime.rest(), 2, "what the first strike lost was not counted: 3 and 2 are 5")
	assert.Equal(t, "signal: killed", second.dead(t))
}

func TestTargetThatNeverComes(t *testing.T) {
	r := newRig(t, within(func(x *times) { x.announce = 30 * time.Millisecond }))
	runtime, engine := r.connect()
	r.arm(Rule{ID: "k", Match: commit(0), When: Before, Do: DoStrike, Strike: kill("engine", Drop)})
	runtime.say("COMMIT", "SELECT 1")
	engine.hears("COMMIT", "SELECT 1")
	out := r.final("k")
	assert.Equal(t, Failed, out.State)
	assert.Equal(t, Deliver, out.Held)
	assert.Contains(t, out.Error, "no engine was announced; waited 30ms")
}

// undying is a process that no signal ends.
type undying struct{ process }

func (undying) Signal(unix.Signal) error { return nil }

func TestTargetThatDoesNotDie(t *testing.T) {
	r := newRig(t, within(func(x *times) { x.death = 30 * time.Millisecond }), func(_ *rig, c *Config) {
		open := c.open
		c.open = func(to Target) (process, error) {
			p, err := open(to)
			return undying{p}, err
		}
	})
	runtime, engine := r.connect()
	r.announce("engine", spawn(t, "sleeper"))
	r.arm(Rule{ID: "k", Match: commit(0), When: Before, Do: DoStrike, Strike: kill("engine", Drop)})
	runtime.say("COMMIT", "SELECT 1")
	engine.hears("COMMIT", "SELECT 1")
	out := r.final("k")
	assert.Equal(t, Failed, out.State)
	assert.Contains(t, out.Error, "was sent SIGKILL and is not dead after 30ms")
}

func TestFreezeAndThaw(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	v := spawn(t, "sleeper")
	r.announce("engine", v)
	r.arm(Rule{ID: "s", Match: commit(0), When: Before, Do: DoStrike,
		Strike: &Strike{Target: "engine", Signal: "SIGSTOP", Resume: 30 * time.Millisecond}})
	runtime.say("COMMIT")
	engine.hears("COMMIT")
	assert.Equal(t, Done, r.final("s").State)
	thaw := await(r, "the thaw", func(e *history.TapStrike) bool { return e.Signal == "SIGCONT" })
	assert.Equal(t, "signaled", thaw.What)
	assert.NoError(t, v.cmd.Process.Signal(unix.Signal(0)))
}

func TestGraceEndsInKill(t *testing.T) {
	r := newRig(t)
	v := spawn(t, "stubborn")
	r.announce("engine", v)
	out, err := r.client.Strike(bounded(t), Strike{Target: "engine", Signal: "SIGTERM", Grace: 30 * time.Millisecond})
	require.NoError(t, err)
	assert.Equal(t, Done, out.State, out.Error)
	assert.Zero(t, out.DiedT)
	assert.Equal(t, "signal: killed", v.dead(t))
	await(r, "the kill", func(e *history.TapStrike) bool { return e.Signal == "SIGKILL" && e.What == "signaled" })
	await(r, "the death", func(e *history.TapTarget) bool { return e.What == "died" })
}

func TestBothAtOnce(t *testing.T) {
	engine := spawn(t, "engine")
	r := newRig(t, upstreamEngine(engine.addr))
	runtime := spawn(t, "runtime", r.tap.Addresses().Envoy)
	r.announce("engine", engine)
	r.announce("runtime", runtime)
	out, err := r.client.Strike(bounded(t), Strike{Target: "engine", Both: true, Signal: "SIGKILL"})
	require.NoError(t, err)
	assert.Equal(t, Done, out.State, out.Error)
	assert.Less(t, out.SignaledT.Sub(out.SignalT), 50*time.Millisecond)
	assert.Equal(t, "signal: killed", engine.dead(t))
	assert.Equal(t, "signal: killed", runtime.dead(t))
}
