package envoy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
)

func TestConnectSaysWhoItIs(t *testing.T) {
	g := newRig(t, Config{EnvoyKey: "key/1", Version: 7}, nil)
	s := g.startByHTTP(startOf("a", 1, 1))
	assert.Equal(t, "text/event-stream", s.res.Header.Get("Content-Type"))
	assert.Equal(t, "ping", receive(t, s.events, "the first event"))
	c := receive(t, g.e.conns, "a connection")
	for name, want := range map[string]string{"protocol_version": "6", "namespace": "ns", "envoy_key": "key/1", "version": "7", "pool_name": "pool"} {
		assert.Equal(t, want, c.query.Get(name), name)
	}
	assert.Equal(t, "rivet, rivet_token.secret", c.offered)
	assert.Equal(t, wire.Metadata{ActorNames: []wire.ActorName{{Name: "test", Metadata: "{}"}}}, c.next())
	c.send(wire.Ping{TS: 5})
	assert.Equal(t, wire.Pong{TS: 5}, c.next(), "before Init there is a pong but no event")
	c.send(wire.Init{LostThreshold: 1, StopThreshold: 1, MaxResponse: 1})
	c.wantRunning("a", 1)
}

func TestStartByBothWaysStartsOnce(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, s := g.begin()
	assert.Equal(t, "key-a", a.h.Key)
	assert.Equal(t, time.UnixMilli(1000), a.h.CreatedAt)
	c.start("a", 1, 1)
	second := g.startByHTTP(startOf("a", 1, 1))
	c.sync()
	assert.Empty(t, g.actors)
	c.stop("a", 1, 2, wire.StopGoingAway)
	c.stop("a", 1, 2, wire.StopGoingAway)
	e := c.wantStopped("a", 1, wire.StopOK)
	assert.EqualValues(t, 1, e.Checkpoint.Index)
	s.wantStopping()
	second.wantStopping()
	g.startByHTTP(startOf("a", 1, 1)).wantStopping()
	c.sync()
	assert.Equal(t, context.Canceled, a.life.Err())
	assert.Equal(t, ErrStopped, context.Cause(a.life))
	assert.Empty(t, g.actors)
}

func TestStartFails(t *testing.T) {
	for name, start := range map[string]func(context.Context) error{
		"with an error": func(context.Context) error { return errors.New("no disk") },
		"with a panic":  func(context.Context) error { panic("no disk") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, Config{}, func(a *testActor) { a.start = start })
			s := g.startByHTTP(startOf("a", 1, 1))
			e := g.e.acceptInit().wantStopped("a", 1, wire.StopError)
			assert.Contains(t, *e.Body.(wire.StateUpdate).Stopped.Message, "no disk")
			s.wantStopping()
		})
	}
}

func TestStopErrorIsToldAndReasonPassed(t *testing.T) {
	reasons := make(chan wire.StopReason, 1)
	g := newRig(t, Config{}, func(a *testActor) {
		a.stop = func(ctx context.Context, reason wire.StopReason) error {
			deadline, bounded := ctx.Deadline()
			assert.True(t, bounded && time.Until(deadline) <= time.Minute)
			reasons <- reason
			return errors.New("flush failed")
		}
	})
	c, _, _ := g.begin()
	c.stop("a", 1, 2, wire.StopSleepIntent)
	e := c.wantStopped("a", 1, wire.StopError)
	assert.Equal(t, "flush failed", *e.Body.(wire.StateUpdate).Stopped.Message)
	assert.Equal(t, wire.StopSleepIntent, <-reasons)
}

func TestStopOfUnknownActorIsIgnored(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, _, _ := g.begin()
	c.stop("b", 3, 1, wire.StopDestroy)
	c.stop("a", 9, 1, wire.StopDestroy)
	c.sync()
	assert.Subset(t, g.whats(), []string{"unknown#3", "unknown#9"})
}

func TestHigherGenerationAbortsTheOld(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, old, s := g.begin()
	c.start("a", 2, 1)
	got := []wire.Event{c.event(), c.event()}
	assert.Contains(t, got, running("a", 2))
	s.wantStopping()
	assert.Equal(t, ErrSuperseded, context.Cause(old.life))
	c.start("a", 1, 7) // late: the engine has moved on
	c.sync()
	assert.Contains(t, g.whats(), "outdated#1")
	require.ErrorIs(t, old.h.Sleep(), ErrNotSent)
	require.ErrorIs(t, old.h.KV().Put(t.Context()), ErrNotSent)
}

func TestIntentsAndAlarms(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	at := time.UnixMilli(123456)
	ms := at.UnixMilli()
	require.NoError(t, a.h.SetAlarm(at))
	require.NoError(t, a.h.SetAlarm(time.Time{}))
	require.NoError(t, a.h.Sleep())
	require.NoError(t, a.h.Destroy())
	for i, want := range []wire.EventBody{wire.SetAlarm{At: &ms}, wire.SetAlarm{}, wire.IntentSleep, wire.IntentStop} {
		assert.Equal(t, wire.Event{Checkpoint: wire.Checkpoint{ActorID: "a", Generation: 1, Index: int64(i + 1)}, Body: want}, c.event())
	}
}

func TestEventsAreSentAgainUntilAcknowledged(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	c.start("gone", 4, 1)
	c.wantRunning("gone", 4)
	c.stop("gone", 4, 2, wire.StopDestroy)
	stopped := c.wantStopped("gone", 4, wire.StopOK)
	c.cut()

	c = g.e.accept()
	require.NoError(t, a.h.Sleep())
	c.send(wire.Init{LostThreshold: 1000, StopThreshold: 1000, MaxResponse: 1000})
	sleep := wire.Event{Checkpoint: wire.Checkpoint{ActorID: "a", Generation: 1, Index: 1}, Body: wire.IntentSleep}
	assert.Equal(t, wire.Events{running("a", 1), running("gone", 4), stopped, sleep}, c.next())
	c.send(wire.AckEvents{Checkpoints: []wire.Checkpoint{
		{ActorID: "a", Generation: 1, Index: 0}, {ActorID: "gone", Generation: 4, Index: 1}, {ActorID: "else", Generation: 1, Index: 9},
	}})
	c.start("a", 1, 1) // replayed by the engine after its restart
	c.sync()
	c.cut()

	c = g.e.acceptInit()
	assert.Equal(t, wire.Events{sleep}, c.next())
	c.sync()
	assert.Len(t, g.actors, 1, "only the actor that is gone: a was taken by begin")
}

func TestForgetStopped(t *testing.T) {
	g := newRig(t, Config{ForgetStopped: true}, nil)
	c, _, _ := g.begin()
	c.start("b", 1, 1)
	c.wantRunning("b", 1)
	c.stop("b", 1, 2, wire.StopSleepIntent)
	c.wantStopped("b", 1, wire.StopOK)
	assert.Equal(t, "sent once", g.rec.await(t, "forgotten", 1).Reason)
	c.cut()
	c = g.e.acceptInit()
	assert.Equal(t, wire.Events{running("a", 1)}, c.next())
	c.sync()
}

// A Stopped that falls between two connections is on none of them.
func TestForgetStoppedWithoutAConnection(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, Config{ForgetStopped: true}, func(a *testActor) {
		a.stop = func(context.Context, wire.StopReason) error { <-release; return nil }
	})
	c, _, _ := g.begin()
	c.stop("a", 1, 2, wire.StopSleepIntent)
	g.rec.await(t, "sleep", 1)
	c.cut()
	c = g.e.accept()
	close(release)
	assert.Equal(t, "not sent", g.rec.await(t, "forgotten", 1).Reason)
	c.send(wire.Init{LostThreshold: 1000, StopThreshold: 1000, MaxResponse: 1000})
	c.sync()
}

func TestKeptStoppedIsNotForgotten(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, _, s := g.begin()
	c.stop("a", 1, 2, wire.StopSleepIntent)
	c.wantStopped("a", 1, wire.StopOK)
	s.wantStopping() // the generation has ended
	assert.NotContains(t, g.whats(), "forgotten#1")
}

func TestCutConnectionReconnects(t *testing.T) {
	g := newRig(t, Config{}, nil)
	assert.False(t, g.r.CutConnection(), "no start came yet")
	c, a, _ := g.begin()
	assert.True(t, g.r.CutConnection())
	var closed *websocket.CloseError
	require.ErrorAs(t, receive(t, c.closed, "the end of the connection"), &closed)
	assert.Equal(t, websocket.CloseAbnormalClosure, closed.Code, "there was no close frame")
	end := g.rec.awaitEnvoy(t, "closed", 1)
	assert.Equal(t, errCut.Error(), end.Error)
	assert.Zero(t, end.Code)
	c = g.e.acceptInit()
	assert.Equal(t, wire.Events{running("a", 1)}, c.next())
	g.rec.awaitEnvoy(t, "init", 2)
	assert.NoError(t, a.life.Err())
}

func TestEvictionEndsForGood(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, s := g.begin()
	c.close(1000, "ws.eviction#ray")
	s.wantStopping()
	assert.Equal(t, errEvicted, context.Cause(a.life))
	g.rec.awaitEnvoy(t, "evicted", 1)
	g.e.noConnection(50 * time.Millisecond)
	res := g.startByHTTP(startOf("a", 2, 1)).res
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.ErrorIs(t, a.h.KV().Drop(t.Context()), ErrNotSent)
}

func TestOtherClosesReconnect(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	for i, reason := range []string{"ws.going_away#ray", "namespace.not_found", ""} {
		code := 1011
		if reason == "" {
			code = 1000
		}
		c.close(code, reason)
		c = g.e.acceptInit()
		assert.Equal(t, wire.Events{running("a", 1)}, c.next())
		closed := g.rec.awaitEnvoy(t, "closed", i+1)
		assert.Equal(t, code, closed.Code)
		assert.Equal(t, reason, closed.Reason)
		g.rec.awaitEnvoy(t, "backoff", i+1)
	}
	assert.NoError(t, a.life.Err())
}

func TestBrokenFrameReconnects(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, _, _ := g.begin()
	require.NoError(t, c.ws.WriteMessage(2, []byte{0xff, 0xff}))
	g.e.acceptInit()
	assert.Contains(t, g.rec.awaitEnvoy(t, "closed", 1).Error, "read a message of the engine")
}

func TestRefusedHandshakeIsReported(t *testing.T) {
	g := newRig(t, Config{}, nil)
	g.e.srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such pool", http.StatusTeapot) })
	g.startByHTTP(startOf("a", 1, 1))
	closed := g.rec.awaitEnvoy(t, "closed", 1)
	assert.Contains(t, closed.Error, "418")
	assert.Contains(t, closed.Error, "no such pool")
	g.rec.awaitEnvoy(t, "dialing", 3)
}

func TestCommandsAreAcknowledged(t *testing.T) {
	times := defaultTiming
	times.ack = 10 * time.Millisecond
	g := newRig(t, Config{times: times}, nil)
	c, _, _ := g.begin()
	want := wire.Checkpoint{ActorID: "a", Generation: 1, Index: 1}
	assert.Equal(t, wire.AckCommands{Checkpoints: []wire.Checkpoint{want}}, c.next())
	c.stop("a", 1, 2, wire.StopDestroy)
	c.wantStopped("a", 1, wire.StopOK)
	want.Index = 2
	assert.Equal(t, wire.AckCommands{Checkpoints: []wire.Checkpoint{want}}, c.next())
}

func TestCommandsAreAcknowledgedAtOnce(t *testing.T) {
	g := newRig(t, Config{AckEvery: AckAtOnce}, nil)
	g.startByHTTP(startOf("a", 1, 1))
	c := g.e.acceptInit()
	want := wire.Checkpoint{ActorID: "a", Generation: 1, Index: 1}
	assert.ElementsMatch(t, []wire.ToEngine{
		wire.Events{running("a", 1)}, wire.AckCommands{Checkpoints: []wire.Checkpoint{want}},
	}, []wire.ToEngine{c.next(), c.next()}, "the start came before there was a connection")
	c.stop("a", 1, 2, wire.StopDestroy)
	want.Index = 2
	stopped := running("a", 1)
	stopped.Checkpoint.Index = 1
	stopped.Body = wire.StateUpdate{Stopped: &wire.Stopped{Code: wire.StopOK}}
	assert.ElementsMatch(t, []wire.ToEngine{
		wire.Events{stopped}, wire.AckCommands{Checkpoints: []wire.Checkpoint{want}},
	}, []wire.ToEngine{c.next(), c.next()})
}

func TestAckIntervalIsASetting(t *testing.T) {
	g := newRig(t, Config{AckEvery: 10 * time.Millisecond}, nil)
	c, _, _ := g.begin()
	assert.Equal(t, wire.AckCommands{Checkpoints: []wire.Checkpoint{{ActorID: "a", Generation: 1, Index: 1}}}, c.next())
}

// What is not acknowledged is left to the interval of Rivet's client.
func TestCommandsAreAcknowledgedLazily(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, _, _ := g.begin()
	c.stop("a", 1, 2, wire.StopDestroy)
	c.wantStopped("a", 1, wire.StopOK)
	c.sync()
	assert.Equal(t, 5*time.Minute, g.r.cfg.times.ack)
}

func TestLostThresholdStopsActors(t *testing.T) {
	times := defaultTiming
	asked := make(chan error, 1)
	g := newRig(t, Config{times: times, Reconnect: FastPolicy(300 * time.Millisecond)}, func(a *testActor) {
		a.stop = func(ctx context.Context, reason wire.StopReason) error {
			assert.Equal(t, wire.StopLost, reason)
			asked <- a.h.KV().Drop(ctx)
			return nil
		}
	})
	s := g.startByHTTP(startOf("a", 1, 1))
	c := g.e.accept()
	c.send(wire.Init{LostThreshold: 30, StopThreshold: 60_000, MaxResponse: 1})
	c.wantRunning("a", 1)
	a := receive(t, g.actors, "the actor")
	waiting := make(chan error, 1)
	c.cut()
	g.rec.awaitEnvoy(t, "backoff", 1)
	go func() { waiting <- a.h.KV().Drop(t.Context()) }()
	s.wantStopping()
	assert.ErrorIs(t, receive(t, waiting, "the request that waited"), ErrNotSent)
	assert.ErrorIs(t, receive(t, asked, "the request of Stop"), ErrNotSent)

	c = g.e.acceptInit()
	events := c.next().(wire.Events)
	require.Len(t, events, 2)
	stopped := events[1].Body.(wire.StateUpdate).Stopped
	assert.Equal(t, wire.StopError, stopped.Code)
	assert.Equal(t, "actor lost due to timeout", *stopped.Message)
	assert.Contains(t, g.whats(), "lost#1")
}

// What the engine was not told before the lost threshold passed it never is.
func TestLostThresholdDropsActors(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, Config{Lost: LostDrop, Reconnect: FastPolicy(300 * time.Millisecond)}, func(a *testActor) {
		a.start = func(context.Context) error {
			if a.h.ID == "slow" {
				<-release
			}
			return nil
		}
	})
	s := g.startByHTTP(startOf("a", 1, 1))
	c := g.e.accept()
	c.send(wire.Init{LostThreshold: 30, StopThreshold: 60_000, MaxResponse: 1})
	c.wantRunning("a", 1)
	c.start("slow", 1, 1)
	c.sync()
	c.cut()
	s.wantStopping()

	c = g.e.acceptInit()
	c.sync() // neither running nor Stopped is sent again
	c.request("slow", http.MethodGet, "/", nil)
	refused, ok := c.part(0).(wire.ResponseStart)
	require.True(t, ok)
	assert.EqualValues(t, http.StatusServiceUnavailable, refused.Status, "its start is under way, and forgotten already")
	close(release)
	c.wantRunning("slow", 1) // sent, as there is a connection
	c.wantStopped("slow", 1, wire.StopError)
	c.cut()

	c = g.e.acceptInit()
	c.sync() // but not kept
	c.start("a", 1, 1)
	c.start("a", 2, 1)
	c.wantRunning("a", 2) // the replay of generation 1 is not carried out
}

func TestLostThresholdKeepsActors(t *testing.T) {
	g := newRig(t, Config{Lost: LostKeep, Reconnect: FastPolicy(150 * time.Millisecond)}, nil)
	g.startByHTTP(startOf("a", 1, 1))
	c := g.e.accept()
	c.send(wire.Init{LostThreshold: 10, StopThreshold: 60_000, MaxResponse: 1})
	c.wantRunning("a", 1)
	a := receive(t, g.actors, "the actor")
	c.cut()
	g.rec.awaitEnvoy(t, "backoff", 1)
	waiting := make(chan error, 1)
	go func() { waiting <- a.h.KV().Drop(t.Context()) }()
	c = g.e.acceptInit() // 140 ms after the threshold
	assert.Equal(t, wire.Events{running("a", 1)}, c.next())
	kv, ok := c.next().(wire.KVRequest)
	require.True(t, ok, "the request that waited is sent")
	c.send(wire.KVResponse{RequestID: kv.RequestID, Result: wire.KVDropResult{}})
	require.NoError(t, receive(t, waiting, "the request that waited"))
	assert.NoError(t, a.life.Err())
}

func TestShortOutageLosesNothing(t *testing.T) {
	g := newRig(t, Config{}, nil)
	g.startByHTTP(startOf("a", 1, 1))
	a := receive(t, g.actors, "the actor")
	for range 5 {
		c := g.e.accept()
		c.send(wire.Init{LostThreshold: 50, StopThreshold: 60_000, MaxResponse: 1})
		assert.IsType(t, wire.Events{}, c.next())
		c.cut()
	}
	c := g.e.acceptInit()
	assert.IsType(t, wire.Events{}, c.next())
	// The timer of none of the outages may fire now.
	g.e.noConnection(120 * time.Millisecond)
	assert.NoError(t, a.life.Err())
}

func TestNoReconnectDialsAgainForAStart(t *testing.T) {
	g := newRig(t, Config{Reconnect: NoReconnect()}, nil)
	c, a, _ := g.begin()
	c.cut()
	g.rec.awaitEnvoy(t, "gave-up", 1)
	require.ErrorIs(t, a.h.KV().Drop(t.Context()), ErrNotSent)
	g.startByHTTP(startOf("a", 2, 1))
	c = g.e.acceptInit()
	// Of generation 1, running and stopped; of 2, running: in one message or
	// more, depending on which came first, Init or the start.
	var got []wire.Event
	for len(got) < 3 {
		got = append(got, c.next().(wire.Events)...)
	}
	assert.Equal(t, running("a", 1), got[0])
	assert.Contains(t, got, running("a", 2))
}

func TestStartWhileGivingUpDialsAgain(t *testing.T) {
	policy := &pausingPolicy{asked: make(chan struct{}), release: make(chan struct{})}
	g := newRig(t, Config{Reconnect: policy}, nil)
	c, _, _ := g.begin()
	c.cut()
	receive(t, policy.asked, "the policy to be asked")
	g.startByHTTP(startOf("b", 1, 1))
	close(policy.release)
	g.e.acceptInit()
}

// pausingPolicy gives up, but not before it is released.
type pausingPolicy struct{ asked, release chan struct{} }

func (p *pausingPolicy) Delay(int, time.Duration) (time.Duration, bool) {
	close(p.asked)
	<-p.release
	return 0, false
}

func (p *pausingPolicy) String() string { return "pausing" }

func TestDrain(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, _, s := g.begin()
	c.start("b", 1, 1)
	c.wantRunning("b", 1)
	done := make(chan error, 1)
	go func() { done <- g.r.Drain(t.Context()) }()
	assert.Equal(t, wire.Stopping{}, c.next())
	assert.Equal(t, http.StatusBadRequest, g.startByHTTP(startOf("c", 1, 1)).res.StatusCode)
	c.stop("a", 1, 2, wire.StopGoingAway)
	c.passFence("a")
	c.wantStopped("a", 1, wire.StopOK)
	s.wantStopping()
	select {
	case err := <-done:
		assert.Fail(t, "Drain returned while an actor lives", "%v", err)
	case <-time.After(30 * time.Millisecond):
	}
	c.stop("b", 1, 2, wire.StopGoingAway)
	c.passFence("b")
	c.wantStopped("b", 1, wire.StopOK)
	err := receive(t, c.closed, "the close")
	assert.Contains(t, err.Error(), "1000")
	assert.Contains(t, err.Error(), "envoy.shutdown")
	require.NoError(t, receive(t, done, "Drain"))
	g.rec.awaitEnvoy(t, "drained", 1)
	g.e.noConnection(30 * time.Millisecond)
	require.Error(t, g.r.Drain(t.Context()), "a second time")
}

// An actor that is told to stop by a drain answers what is in flight first, takes
// nothing new, and only then stops: its stop hook finds no request at work.
func TestDrainFinishesRequests(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	stopped := make(chan struct{})
	g := newRig(t, Config{}, func(a *testActor) {
		a.serve = func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-release
			assert.NoError(t, r.Context().Err(), "the request is cut short")
			io.WriteString(w, "done") //nolint:errcheck // its answer is checked
		}
		a.stop = func(context.Context, wire.StopReason) error { close(stopped); return nil }
	})
	c, _, s := g.begin()
	c.request("a", "GET", "/", nil)
	receive(t, entered, "the request")
	done := make(chan error, 1)
	go func() { done <- g.r.Drain(t.Context()) }()
	assert.Equal(t, wire.Stopping{}, c.next())
	c.stop("a", 1, 2, wire.StopGoingAway)
	c.sync()
	g.rec.await(t, "stop", 1)
	c.request("a", "GET", "/late", nil)
	assert.EqualValues(t, 503, c.part(0).(wire.ResponseStart).Status, "it takes nothing new")
	select {
	case <-stopped:
		assert.Fail(t, "the actor stopped before its request was answered")
	case <-time.After(30 * time.Millisecond):
	}
	close(release)
	assert.Equal(t, "done", string(c.part(0).(wire.ResponseStart).Body))
	c.passFence("a")
	receive(t, stopped, "the stop hook")
	c.wantStopped("a", 1, wire.StopOK)
	s.wantStopping()
	require.NoError(t, receive(t, done, "Drain"))
	assert.Contains(t, receive(t, c.closed, "the close").Error(), "envoy.shutdown")
}

// What does not end within the drain's grace is aborted, and no stop hook runs.
func TestDrainAbortsRequestsAfterItsGrace(t *testing.T) {
	entered := make(chan struct{})
	g := newRig(t, Config{}, func(a *testActor) {
		a.serve = func(_ http.ResponseWriter, r *http.Request) { close(entered); <-r.Context().Done() }
		a.stop = func(context.Context, wire.StopReason) error { t.Error("the stop hook ran"); return nil }
	})
	c, _, s := g.begin()
	c.request("a", "GET", "/", nil)
	receive(t, entered, "the request")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.r.Drain(ctx) }()
	assert.Equal(t, wire.Stopping{}, c.next())
	c.stop("a", 1, 2, wire.StopGoingAway)
	c.sync()
	g.rec.await(t, "stop", 1)
	cancel()
	assert.EqualValues(t, 503, c.part(0).(wire.ResponseStart).Status, "the caller is told")
	c.wantStopped("a", 1, wire.StopError)
	s.wantStopping()
	require.ErrorContains(t, receive(t, done, "Drain"), "these actors have not stopped: [a#1]")
}

// Nobody can be answered without a connection: a drain that loses it waits for no
// request.
func TestDrainWithoutConnectionWaitsForNoRequest(t *testing.T) {
	entered, stopped := make(chan struct{}), make(chan struct{})
	g := newRig(t, Config{}, func(a *testActor) {
		a.serve = func(_ http.ResponseWriter, r *http.Request) { close(entered); <-r.Context().Done() }
		a.stop = func(context.Context, wire.StopReason) error { close(stopped); return nil }
	})
	c, _, s := g.begin()
	c.request("a", "GET", "/", nil)
	receive(t, entered, "the request")
	done := make(chan error, 1)
	go func() { done <- g.r.Drain(t.Context()) }()
	assert.Equal(t, wire.Stopping{}, c.next())
	c.stop("a", 1, 2, wire.StopGoingAway)
	c.sync()
	g.rec.await(t, "stop", 1)
	c.cut()
	receive(t, stopped, "the stop hook")
	s.wantStopping()
	require.NoError(t, receive(t, done, "Drain"))
}

func TestDrainThatTakesTooLong(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, s := g.begin()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.r.Drain(ctx) }()
	assert.Equal(t, wire.Stopping{}, c.next())
	cancel()
	c.wantStopped("a", 1, wire.StopError)
	s.wantStopping()
	err := receive(t, done, "Drain")
	require.ErrorIs(t, err, context.Canceled)
	assert.Contains(t, err.Error(), "a#1")
	assert.Error(t, a.life.Err())
	assert.Contains(t, receive(t, c.closed, "the close").Error(), "envoy.shutdown")
}

func TestDrainWithoutConnectionStopsItself(t *testing.T) {
	for name, cut := range map[string]func(*rig, *fakeConn){
		"lost before": func(g *rig, c *fakeConn) { c.cut(); g.rec.awaitEnvoy(g.t, "backoff", 1) },
		"lost while":  nil,
		"before Init": func(g *rig, c *fakeConn) { c.cut(); g.e.accept() },
	} {
		t.Run(name, func(t *testing.T) {
			reasons := make(chan wire.StopReason, 1)
			backOff := time.Hour
			if name == "before Init" {
				backOff = time.Millisecond
			}
			g := newRig(t, Config{Reconnect: FastPolicy(backOff)}, func(a *testActor) {
				a.stop = func(_ context.Context, reason wire.StopReason) error { reasons <- reason; return nil }
			})
			c, _, s := g.begin()
			if cut != nil {
				cut(g, c)
			}
			done := make(chan error, 1)
			go func() { done <- g.r.Drain(t.Context()) }()
			if cut == nil {
				assert.Equal(t, wire.Stopping{}, c.next())
				c.cut()
			}
			require.NoError(t, receive(t, done, "Drain"))
			assert.Equal(t, wire.StopGoingAway, <-reasons)
			s.wantStopping()
		})
	}
}

func TestCloseAbortsEverything(t *testing.T) {
	entered := make(chan struct{})
	left := make(chan error, 1)
	g := newRig(t, Config{}, func(a *testActor) {
		a.serve = func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
			left <- context.Cause(r.Context())
		}
	})
	c, _, _ := g.begin()
	c.request("a", "GET", "/", nil)
	receive(t, entered, "the request")
	require.NoError(t, g.r.Close())
	assert.Equal(t, ErrClosed, <-left)
	assert.Equal(t, http.StatusBadRequest, g.startByHTTP(startOf("a", 5, 1)).res.StatusCode)
	require.Error(t, g.r.Drain(t.Context()))
	require.NoError(t, g.r.Close())
}

func TestCloseNamesCodeThatDoesNotEnd(t *testing.T) {
	times := defaultTiming
	times.closeGrace, times.handlers = 20*time.Millisecond, time.Millisecond
	release := make(chan struct{})
	g := newRig(t, Config{times: times}, func(a *testActor) {
		a.stop = func(context.Context, wire.StopReason) error { <-release; return nil }
	})
	c, _, _ := g.begin()
	c.stop("a", 1, 2, wire.StopDestroy)
	g.rec.await(t, "stop", 1)
	assert.ErrorContains(t, g.r.Close(), "a#1")
	close(release)
}

func TestStartIsRefused(t *testing.T) {
	g := newRig(t, Config{Namespace: "ns", Pool: "pool", Endpoint: "http://127.0.0.1:1"}, nil)
	good, err := wire.EncodeStart(wire.V6, wire.Commands{startOf("a", 1, 1)})
	require.NoError(t, err)
	stop, err := wire.EncodeStart(wire.V6, wire.Commands{{Checkpoint: wire.Checkpoint{ActorID: "a"}, Body: wire.StopActor{}}})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		body     []byte
		ns, pool string
		code     string
	}{
		"empty":           {nil, "ns", "pool", "invalid"},
		"cut off":         {good[:len(good)-1], "ns", "pool", "invalid"},
		"a stop":          {stop, "ns", "pool", "invalid"},
		"no namespace":    {good, "", "pool", "invalid"},
		"other namespace": {good, "x", "pool", "mismatch"},
		"other pool":      {good, "ns", "x", "mismatch"},
		"too long":        {bytes.Repeat([]byte{0}, maxStart+1), "ns", "pool", "incoming_too_long"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, g.front.URL+BasePath+"/start", bytes.NewReader(c.body))
			require.NoError(t, err)
			req.Header.Set("X-Rivet-Namespace-Name", c.ns)
			req.Header.Set("X-Rivet-Pool-Name", c.pool)
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, http.StatusBadRequest, res.StatusCode)
			assert.Contains(t, string(body), `"code":"`+c.code+`"`)
		})
	}
	assert.Empty(t, g.actors)
}

func TestSecondEndpointIsRefused(t *testing.T) {
	g := newRig(t, Config{}, nil)
	g.begin()
	other := *g
	other.e = newFakeEngine(t)
	assert.Equal(t, http.StatusBadRequest, other.startByHTTP(startOf("b", 1, 1)).res.StatusCode)
}

func TestHealthAndMetadata(t *testing.T) {
	g := newRig(t, Config{Version: 3, Protocol: wire.V8}, nil)
	get := func(path string) (int, string) {
		res, err := http.Get(g.front.URL + BasePath + path)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode, strings.TrimSpace(string(body))
	}
	status, body := get("/metadata")
	assert.Equal(t, 200, status)
	assert.JSONEq(t, `{"runtime":"rivetkit","version":"killpoint","envoyProtocolVersion":8,"actorNames":{"test":{"metadata":{}}},"envoy":{"kind":{"serverless":{}},"version":3}}`, body)
	status, _ = get("/health")
	assert.Equal(t, 200, status)
	c, _, _ := g.begin()
	status, body = get("/health")
	assert.Equal(t, 503, status, "connected but not pinged: %s", body)
	c.sync()
	status, _ = get("/health")
	assert.Equal(t, 200, status)
	status, _ = get("/else")
	assert.Equal(t, 404, status)
}

func TestBadConfig(t *testing.T) {
	ok := func(*Handle) Actor { return nil }
	for name, c := range map[string]Config{
		"no New":         {},
		"short key":      {New: ok, EnvoyKey: "ab"},
		"long key":       {New: ok, EnvoyKey: strings.Repeat("a", 129)},
		"protocol":       {New: ok, Protocol: 7},
		"scheme":         {New: ok, Endpoint: "ftp://x"},
		"no host":        {New: ok, Endpoint: "http://"},
		"not a url":      {New: ok, Endpoint: "http://[::1"},
		"no scheme here": {New: ok, Endpoint: "localhost:6420"},
		"ack":            {New: ok, AckEvery: -2},
		"lost policy":    {New: ok, Lost: "forget"},
	} {
		_, err := New(c)
		assert.ErrorContains(t, err, "configure the runtime", name)
	}
	r, err := New(Config{New: ok})
	require.NoError(t, err)
	assert.Len(t, r.cfg.EnvoyKey, 32)
	assert.Equal(t, wire.V6, r.cfg.Protocol)
	assert.Equal(t, LostStop, r.cfg.Lost)
	require.NoError(t, r.Close())
}

func TestHandleRecords(t *testing.T) {
	g := newRig(t, Config{}, nil)
	_, a, _ := g.begin()
	a.h.Record(history.KindHeartbeat, history.Heartbeat{Actor: "a", Beat: 3})
	got := awaitEvent(t, g.rec, "the heartbeat", func(history.Heartbeat) bool { return true })
	assert.EqualValues(t, 3, got.Beat)
}

func TestEventsKeepTheirOrder(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	const workers, each = 4, 100
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				assert.NoError(t, a.h.SetAlarm(time.UnixMilli(1)))
			}
		})
	}
	for range 3 {
		c.cut()
		c = g.e.acceptInit()
	}
	wg.Wait()
	c.cut()
	c = g.e.acceptInit()
	events := c.next().(wire.Events)
	require.Len(t, events, 1+workers*each)
	for i, e := range events {
		assert.EqualValues(t, i, e.Checkpoint.Index)
	}
}
