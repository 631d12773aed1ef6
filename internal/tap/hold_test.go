package tap

import (
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

// commit selects the nth COMMIT.
func commit(nth int) Match { return Match{Type: "exec-request", Detail: "commit", Nth: nth} }

// say sends statements as requests 0, 1, 2, ...
func (p *peer) say(statements ...string) {
	for i, sql := range statements {
		p.send(websocket.BinaryMessage, exec_(p.t, uint32(i), "a", sql))
	}
}

func (p *peer) hears(statements ...string) {
	p.t.Helper()
	for i, sql := range statements {
		assert.Equal(p.t, exec_(p.t, uint32(i), "a", sql), p.next(sql))
	}
}

func TestHoldBefore(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	r.arm(Rule{ID: "h", Match: commit(2), When: Before, Do: DoHold})
	runtime.say("COMMIT", "BEGIN", "commit;", "SELECT 1")
	reached := r.wait("h", Armed)
	assert.Equal(t, Reached, reached.State)
	assert.Equal(t, 2, reached.Matched)
	assert.NotZero(t, reached.ArrivedT)
	engine.hears("COMMIT", "BEGIN")
	// The other direction is free: when this has passed, what is held would have
	// too.
	engine.send(websocket.BinaryMessage, executed(t, 0))
	runtime.next("an answer")
	engine.nothing("what is held, and what is behind it, waits")

	out, err := r.client.Release(bounded(t), "h", Deliver)
	require.NoError(t, err)
	assert.Equal(t, Done, out.State)
	assert.Equal(t, Deliver, out.Held)
	assert.Equal(t, exec_(t, 2, "a", "commit;"), engine.next("the held frame"))
	assert.Equal(t, exec_(t, 3, "a", "SELECT 1"), engine.next("the one behind it"))
	r.frame("exec-request/select delivered")
	of := func(f *history.Frame) bool { return f.N == reached.Frame }
	assert.Equal(t, []string{"exec-request/commit arrived", "exec-request/commit held", "exec-request/commit delivered"}, r.frames(of))
}

func TestHeldFrameIsDropped(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	r.arm(Rule{ID: "h", Match: commit(0), When: Before, Do: DoHold})
	runtime.say("BEGIN", "COMMIT", "SELECT 1")
	r.wait("h", Armed)
	out, err := r.client.Release(bounded(t), "h", Drop)
	require.NoError(t, err)
	assert.Equal(t, Drop, out.Held)
	engine.hears("BEGIN")
	assert.Equal(t, exec_(t, 2, "a", "SELECT 1"), engine.next("what is behind it"))
	r.frame("exec-request/commit dropped")
}

func TestHoldAfter(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	r.arm(Rule{ID: "h", Match: commit(0), When: After, Do: DoHold})
	runtime.say("COMMIT", "SELECT 1")
	r.wait("h", Armed)
	engine.hears("COMMIT")
	engine.send(websocket.BinaryMessage, executed(t, 0))
	runtime.next("its answer, which is not held")
	engine.nothing("what is behind it waits")
	out, err := r.client.Release(bounded(t), "h", "")
	require.NoError(t, err)
	assert.Equal(t, Done, out.State)
	assert.Equal(t, exec_(t, 1, "a", "SELECT 1"), engine.next("what is behind it"))
	r.close()
	var order []string
	for _, e := range r.out.events {
		switch b := e.Body.(type) {
		case *history.TapRule:
			order = append(order, b.What)
		case *history.Frame:
			if b.Detail == "commit" && b.Direction == "to-engine" {
				order = append(order, b.What)
			}
		}
	}
	assert.Equal(t, []string{"armed", "arrived", "delivered", "reached", "held", "done"}, order, "who is told that it is reached knows it delivered")
}

func TestHoldExpires(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	r.arm(Rule{ID: "h", Match: commit(0), When: Before, Do: DoHold, Deadline: 20 * time.Millisecond})
	runtime.say("COMMIT")
	engine.hears("COMMIT")
	assert.Equal(t, Expired, r.final("h").State)
	_, err := r.client.Release(bounded(t), "h", Deliver)
	assert.ErrorContains(t, err, `rule "h" holds no frame: it is to hold, and expired`)
}

func TestHoldOnAConnectionThatIsCut(t *testing.T) {
	r := newRig(t)
	runtime, _ := r.connect()
	r.arm(Rule{ID: "h", Match: commit(0), When: Before, Do: DoHold})
	runtime.say("COMMIT")
	r.wait("h", Armed)
	n, err := r.client.Cut(bounded(t), WireEnvoy)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	runtime.ended()
	out, err := r.client.Release(bounded(t), "h", Deliver)
	require.NoError(t, err)
	assert.Equal(t, Drop, out.Held, "there is nowhere to deliver it to")
	assert.NotEmpty(t, out.Error)
}

func TestDisarm(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	ctx := bounded(t)
	r.arm(Rule{ID: "never", Match: commit(9), When: Before, Do: DoHold})
	r.arm(Rule{ID: "h", Match: commit(0), When: Before, Do: DoHold})
	runtime.say("COMMIT")
	r.wait("h", Armed)
	out, err := r.client.Disarm(ctx, "h")
	require.NoError(t, err)
	assert.Equal(t, Done, out.State)
	engine.hears("COMMIT")
	out, err = r.client.Disarm(ctx, "never")
	require.NoError(t, err)
	assert.Equal(t, Outcome{ID: "never", State: Armed, Matched: 1}, out, "it says how far it came")
	_, err = r.client.Wait(ctx, "never", Armed)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusNotFound, refused.Status)
}

func TestNthCountsFromTheArming(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	runtime.say("COMMIT")
	engine.hears("COMMIT")
	r.arm(Rule{ID: "d", Match: commit(2), When: Before, Do: DoDrop})
	runtime.say("COMMIT", "COMMIT", "COMMIT")
	engine.hears("COMMIT")
	assert.Equal(t, exec_(t, 2, "a", "COMMIT"), engine.next("the third"), "of three the second is dropped, once")
	out := r.final("d")
	assert.Equal(t, Drop, out.Held)
	assert.Equal(t, 3, await(r, "the drop", func(f *history.Frame) bool { return f.What == "dropped" }).Nth, "of all")
}

func TestDelay(t *testing.T) {
	for _, when := range []When{Before, After} {
		r := newRig(t)
		runtime, engine := r.connect()
		r.arm(Rule{ID: "d", Match: commit(0), When: when, Do: DoDelay, Delay: 50 * time.Millisecond})
		begun := time.Now()
		runtime.say("COMMIT", "SELECT 1")
		engine.next("the delayed")
		if when == Before {
			assert.Greater(t, time.Since(begun), 50*time.Millisecond)
		}
		engine.next("what is behind it")
		assert.Greater(t, time.Since(begun), 50*time.Millisecond)
		assert.Equal(t, Done, r.final("d").State)
	}
}

func TestDuplicate(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	r.arm(Rule{ID: "d", Match: commit(0), When: Before, Do: DoDuplicate})
	runtime.say("COMMIT", "SELECT 1")
	engine.hears("COMMIT")
	engine.hears("COMMIT")
	assert.Equal(t, exec_(t, 1, "a", "SELECT 1"), engine.next("what is behind it"))
	r.frame("exec-request/commit duplicated")

	r.arm(Rule{ID: "c", Match: Match{Type: "connect-call"}, When: Before, Do: DoDuplicate})
	r.connect()
	out := r.final("c")
	assert.Equal(t, Failed, out.State)
	assert.Equal(t, Deliver, out.Held)
	assert.ErrorContains(t, errorOf(out), "a connect-call cannot be doubled")
}

func TestCut(t *testing.T) {
	for when, delivered := range map[When]int{Before: 1, After: 2} {
		t.Run(string(when), func(t *testing.T) {
			r := newRig(t)
			runtime, engine := r.connect()
			r.arm(Rule{ID: "c", Match: commit(0), When: when, Do: DoCut})
			runtime.say("BEGIN", "COMMIT")
			assert.Len(t, engine.rest(), delivered)
			for _, p := range []*peer{runtime, engine} {
				err := receive(t, p.end, "the end")
				assert.False(t, websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseNoStatusReceived), "%v", err)
			}
			out := r.final("c")
			assert.Equal(t, Done, out.State)
			assert.Equal(t, 1, out.Severed)
			again, _ := r.connect()
			again.say("COMMIT") // a rule is done once
			r.frame("exec-request/commit delivered")
		})
	}
}

// Of two rules for one frame the second fails, rather than take the next one.
func TestOneRuleAFrame(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	r.arm(Rule{ID: "first", Match: commit(0), When: Before, Do: DoDrop})
	r.arm(Rule{ID: "second", Match: Match{Type: "exec-request"}, When: Before, Do: DoDrop})
	runtime.say("COMMIT", "COMMIT")
	engine.next("the second")
	assert.Equal(t, Done, r.final("first").State)
	out := r.final("second")
	assert.Equal(t, Failed, out.State)
	assert.ErrorContains(t, errorOf(out), `was taken by rule "first"`)
}

func TestMatch(t *testing.T) {
	r := newRig(t)
	runtime, engine := r.connect()
	for _, c := range []wire.Commands{startOf("a1", "one", 1), startOf("a2", "two", 1)} {
		engine.send(websocket.BinaryMessage, toRuntime(t, c))
		runtime.next("the start")
	}
	both := toEngine(t, wire.Events{
		{Checkpoint: wire.Checkpoint{ActorID: "a1", Generation: 1}, Body: wire.StateUpdate{}},
		{Checkpoint: wire.Checkpoint{ActorID: "a2", Generation: 1}, Body: wire.IntentSleep},
	})
	for name, m := range map[string]Match{
		"anything":      {},
		"direction":     {Direction: "to-engine"},
		"wire":          {Wire: WireEnvoy},
		"detail":        {Detail: "running+intent-sleep"},
		"first actor":   {Actor: "a1"},
		"second actor":  {Actor: "a2"},
		"key":           {Key: "two"},
		"all":           {Wire: WireEnvoy, Direction: "to-engine", Type: "events", Detail: "running+intent-sleep", Actor: "a1", Key: "one"},
		"not this wire": {Wire: WireGateway},
		"nor direction": {Direction: "to-runtime"},
		"nor actor":     {Actor: "a3"},
		"nor key":       {Key: "three"},
		"nor number":    {Frame: 1},
		"nor detail":    {Detail: "running"},
	} {
		r.arm(Rule{ID: name, Match: m, When: Before, Do: DoDrop})
		runtime.send(websocket.BinaryMessage, both)
		if name[:3] != "not" && name[:3] != "nor" {
			assert.Equal(t, Done, r.final(name).State, name)
			continue
		}
		engine.next("a frame that does not match")
		out, err := r.client.Disarm(bounded(t), name)
		require.NoError(t, err)
		assert.Equal(t, Armed, out.State, name)
	}
	s, err := r.client.State(bounded(t))
	require.NoError(t, err)
	r.arm(Rule{ID: "number", Match: Match{Frame: s.Frames + 2}, When: Before, Do: DoDrop})
	runtime.say("ONE", "TWO", "THREE")
	engine.hears("ONE")
	assert.Equal(t, exec_(t, 2, "a", "THREE"), engine.next("the third"))
}

type outcomeError string

func (e outcomeError) Error() string { return string(e) }

func errorOf(o Outcome) error { return outcomeError(o.Error) }
