package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Every kind has words of its own; who adds one adds its case here.
func TestEveryKindIsToldInWords(t *testing.T) {
	tell := newTeller(&history.History{Events: []history.Event{
		{Seq: 1, T: clock.Mono(time.Second), Kind: history.KindInvoke, Body: &history.Invoke{Op: "op1", Name: "tick", Actor: "x1", Key: "counter-00"}},
	}})
	for _, c := range []struct {
		body any
		want string
	}{
		{&history.Invoke{Op: "op1", Client: "c1", Name: "tick", Actor: "x1", Via: "http"}, "op1 is asked: tick of actor counter-00 (x1), by c1, over http"},
		{&history.Invoke{Op: "op2", Name: "health", Actor: "x2", Probe: "sweep", DelayNS: 25e7}, "op2 is asked: health of actor x2, a sweep probe at 250 ms"},
		{&history.Invoke{Op: "op3", Name: "tick", Actor: "x1", RetryOf: "op1"}, "op3 is asked: tick of actor counter-00 (x1), again for op1"},
		{&history.Return{Op: "op1", Outcome: history.OK, Status: 200, Value: 7.0, AnsweredBy: "x1", Generation: 2}, "op1 ended ok: tick of actor counter-00 (x1), after 500 ms, status 200, value 7, generation 2"},
		{&history.Return{Op: "op1", Outcome: history.OK, AnsweredBy: "x2", Generation: -1}, "op1 ended ok: tick of actor counter-00 (x1), after 500 ms, answered by ANOTHER ACTOR, actor x2"},
		{&history.Return{Op: "op1", Outcome: history.Info, Cause: history.CauseTimeout, Generation: -1, Detail: "Post http://127.0.0.1"}, "op1 ended info (unknown whether it took effect): tick of actor counter-00 (x1), after 500 ms, the client's patience ended"},
		{&history.Return{Op: "op9", Outcome: history.Fail, Cause: history.CauseStatus, Status: 503, Code: "guard.x", Generation: -1, Detail: "shed"}, "op9 ended fail (certainly without effect), status 503, code guard.x, shed"},
		{&history.Actor{Actor: "x1", Generation: 2, What: "panic", Reason: "tick", Error: "boom\nstack"}, "actor counter-00 (x1), generation 2: panic, tick, error boom"},
		{&history.Heartbeat{Actor: "x1", Generation: 1, Beat: 4, TookNS: 3e6}, "actor counter-00 (x1), generation 1: beat 4, took 3 ms"},
		{&history.Breakpoint{Name: "before-commit", Actor: "x1", Generation: 1, What: "reached"}, "actor counter-00 (x1), generation 1: breakpoint before-commit reached"},
		{&history.Breakpoint{Name: "in-drain", What: "armed"}, "breakpoint in-drain: armed"},
		{&history.Fault{Kind: "stop", Target: "engine#1", Phase: history.FaultLanded, Way: "docker-api", Detail: "SIGTERM"}, "the fault, stop of engine#1: landed, by docker-api, SIGTERM"},
		{&history.Exit{Role: "engine", Incarnation: 1, Signal: "SIGKILL", By: "harness", GraceEnded: true, Code: 137}, "engine#1 ended: SIGKILL by harness when its grace had ended, exit code 137"},
		{&history.Exit{Role: "runtime", Incarnation: 2, OOM: true, Code: 1}, "runtime#2 ended: left by itself, out of memory, exit code 1"},
		{&history.Container{Role: "engine", Incarnation: 2, What: history.ContainerStarting}, "engine#2: starting"},
		{&history.Log{Role: "engine", Incarnation: 1, Stream: "stderr", Line: "panic: \x1b[31mred"}, "stderr of engine#1: panic:  [31mred"},
		{&history.Step{N: 3, State: history.StepFailed, Error: "no engine\nits log"}, "step 3: failed, no engine"},
		{&history.End{State: history.EndFailed, Error: "no engine"}, "the trial ended: failed, no engine"},
		{&history.Health{What: "ok"}, "/health: ok"},
		{&history.Envoy{What: "backoff", Attempt: 2, WaitNS: 1200e6}, "its connection to the engine: backoff, try 2, waits 1200 ms"},
		{&history.Envoy{What: "closed", Code: 1000, Reason: "going away", Error: "eof"}, "its connection to the engine: closed, code 1000, going away, error eof"},
		{&history.Frame{N: 7, Direction: "to-engine", Type: "Stopped", Bytes: 12, What: "held"}, "frame 7 to-engine, Stopped of 12 bytes: held"},
		{&history.Frame{N: 8, Wire: "envoy", Direction: "to-engine", Type: "execute-request", Detail: "commit", Actor: "x1", Generation: 2, Nth: 3, Bytes: 9, What: "lost", Error: "reset"}, "envoy frame 8 to-engine, execute-request commit of 9 bytes: lost, actor counter-00 (x1), generation 2, the 3. of its kind, error reset"},
		{&history.Front{What: "call", To: "runtime#2", Method: "POST", Path: "/start", Status: 200, TookNS: 5e6}, "the front: call, to runtime#2, POST /start, status 200, took 5 ms"},
		{&history.Shutdown{What: history.ShutdownDrained, TookNS: 9e6}, "on its way out: drained, took 9 ms"},
		{&history.TapTarget{Target: "engine", Party: "engine#2", PID: 7, What: "died"}, "the executioner's target engine#2, process 7: died"},
		{&history.TapRule{Rule: "rule-1", Do: "strike", When: "before", What: "done", Frame: 7, Held: "drop"}, "rule-1, strike before the delivery: done, frame 7, then drop"},
		{&history.TapStrike{Frame: 7, Target: "engine#1", Signal: "SIGKILL", What: "severed", Severed: 3, Lost: 1}, "SIGKILL of engine#1: severed, at frame 7, connections severed 3, frames lost 1"},
		{&history.Moment{Moment: "frame:x#1", What: "struck", Target: "engine", Way: "executioner", Frame: 7, Held: "drop"}, "the moment frame:x#1 for engine: struck, by executioner, frame 7, then drop"},
		{&history.Clock{BootID: "b", BoundNS: 5}, "clock: boot_id b, bound_ns 5, offset_ns 0"},
		{&history.Noise{SpanNS: 5, Busy: 0.5}, "noise: busy 0.5, sched_delay_ns 0, span_ns 5, steal 0"},
		{&history.Plan{Steps: []string{"one"}}, `plan: steps ["one"]`},
		{&history.Settings{"engine": "2.3.19"}, "settings: engine 2.3.19"},
	} {
		kind := history.Kind(strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", c.body), "*history.")))
		got := tell.words(history.Event{Seq: 2, T: clock.Mono(1500 * time.Millisecond), Kind: kind, Body: c.body})
		assert.Equal(t, c.want, got)
	}
}

// A kind that this version does not know is told by its fields.
func TestAnUnknownKindIsToldByItsFields(t *testing.T) {
	var e history.Event
	assert.NoError(t, e.UnmarshalJSON([]byte(`{"seq":1,"t":1,"kind":"runtime.bug","body":{"bug":"two-live-generations","actor":"x","n":3}}`)))
	assert.Equal(t, "runtime.bug: actor x, bug two-live-generations, n 3", newTeller(&history.History{}).words(e))
	assert.NoError(t, e.UnmarshalJSON([]byte(`{"seq":1,"t":1,"kind":"new","body":[1]}`)))
	assert.Equal(t, "new", newTeller(&history.History{}).words(e))
}

func TestALongAnswerIsCut(t *testing.T) {
	var ledger []any
	for range 100 {
		ledger = append(ledger, "op1")
	}
	ledger = append(ledger, "op2")
	assert.Equal(t, `101 entries, the last ["op1","op1","op1","op1","op2"]`, value(ledger))
	assert.Equal(t, `["op2"]`, value(ledger[100:]))
	assert.Len(t, []rune(value(strings.Repeat("ä", 1000))), widest+len(" ..."))
}

func TestAPathIsQuotedForAShell(t *testing.T) {
	assert.Equal(t, "/tmp/a-b/history.jsonl", quoted("/tmp/a-b/history.jsonl"))
	assert.Equal(t, `'/tmp/my run/it'\''s/history.jsonl'`, quoted("/tmp/my run/it's/history.jsonl"))
}
