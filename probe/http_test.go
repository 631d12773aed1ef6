package probe_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorded runs fn against a gateway at base and returns the history.
func recorded(t *testing.T, base string, fn func(*probe.Gateway)) *history.History {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	w, err := history.Create(path, history.Header{})
	require.NoError(t, err)
	transport := &http.Transport{DisableKeepAlives: true}
	fn(&probe.Gateway{Base: base, Token: "dev", Client: &http.Client{Transport: transport}, Recorder: w})
	require.NoError(t, w.Close())
	h, err := history.ReadFile(path)
	require.NoError(t, err)
	return h
}

func do(t *testing.T, base string, r probe.Request) history.Return {
	t.Helper()
	var ret history.Return
	h := recorded(t, base, func(g *probe.Gateway) { ret = g.Do(t.Context(), r) })
	require.Len(t, h.Events, 2, "an operation is its invoke and its return")
	assert.Equal(t, ret.Op, h.Events[0].Body.(*history.Invoke).Op)
	assert.Equal(t, ret.Op, h.Events[1].Body.(*history.Return).Op)
	return ret
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// raw accepts one connection at a time and does with it what fn does.
func raw(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fn(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func TestAnswers(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/gateway/act1/request/health", r.URL.Path)
		assert.Equal(t, "Bearer dev", r.Header.Get("Authorization"))
		w.Header().Set(probe.HeaderActor, "act1")
		w.Header().Set(probe.HeaderGeneration, "3")
		_, _ = w.Write([]byte(`{"n":5}`))
	})
	ret := do(t, url, probe.Request{Actor: "act1", Path: "/health", Decode: func(b []byte) (any, error) {
		var v map[string]any
		return v, json.Unmarshal(b, &v)
	}})
	assert.Equal(t, history.OK, ret.Outcome)
	assert.Equal(t, "act1", ret.AnsweredBy)
	assert.Equal(t, int64(3), ret.Generation)
	assert.Equal(t, map[string]any{"n": 5.0}, ret.Value)
}

func TestErrorAnswers(t *testing.T) {
	cases := []struct {
		name     string
		status   int
		header   http.Header
		body     string
		readOnly bool
		noEffect string
		outcome  history.Outcome
		code     string
	}{
		{name: "the engine's error shape", status: 503, body: `{"group":"guard","code":"actor_ready_timeout","message":"m"}`, outcome: history.Info, code: "guard.actor_ready_timeout"},
		{name: "an error in the header", status: 503, header: http.Header{"X-Rivet-Error": {"envoy.actor_not_found"}}, body: "Actor not found", outcome: history.Info, code: "envoy.actor_not_found"},
		{name: "400 of the engine: unsure", status: 400, body: `{"group":"guard","code":"x"}`, outcome: history.Info, code: "guard.x"},
		{name: "400 of the actor: no effect", status: 400, header: http.Header{probe.HeaderActor: {"a"}}, body: `{"group":"user","code":"bad"}`, outcome: history.Fail, code: "user.bad"},
		{name: "a 4xx that stands for an effect", status: 409, header: http.Header{probe.HeaderActor: {"a"}}, body: `{"group":"user","code":"repeated"}`, noEffect: "user.bad", outcome: history.Info, code: "user.repeated"},
		{name: "a 5xx by which the actor vouches for none", status: 500, header: http.Header{probe.HeaderActor: {"a"}}, body: `{"group":"user","code":"bad"}`, noEffect: "user.bad", outcome: history.Fail, code: "user.bad"},
		{name: "the same code, not from the actor", status: 500, body: `{"group":"user","code":"bad"}`, noEffect: "user.bad", outcome: history.Info, code: "user.bad"},
		{name: "read only: nothing to be unsure of", status: 500, body: "oops", readOnly: true, outcome: history.Fail},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.header {
					w.Header()[k] = v
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})
			r := probe.Request{Actor: "a", ReadOnly: c.readOnly}
			if c.noEffect != "" {
				r.NoEffect = func(code string) bool { return code == c.noEffect }
			}
			ret := do(t, url, r)
			assert.Equal(t, c.outcome, ret.Outcome)
			assert.Equal(t, history.CauseStatus, ret.Cause)
			assert.Equal(t, c.status, ret.Status)
			assert.Equal(t, c.code, ret.Code)
		})
	}
}

func TestSilenceIsATimeout(t *testing.T) {
	release := make(chan struct{})
	url := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ret := do(t, url, probe.Request{Actor: "a", Timeout: 30 * time.Millisecond})
	assert.Equal(t, history.CauseTimeout, ret.Cause)
	assert.Equal(t, history.Info, ret.Outcome, "the request may still take effect")
}

func TestNoListenerIsRefusedForSure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	ret := do(t, url, probe.Request{Actor: "a"})
	assert.Equal(t, history.CauseRefused, ret.Cause)
	assert.Equal(t, history.Fail, ret.Outcome)
}

// What docker-proxy does while its container is down.
func TestAcceptedAndClosedIsRefusedButUnsure(t *testing.T) {
	url := raw(t, func(net.Conn) {})
	ret := do(t, url, probe.Request{Actor: "a"})
	assert.Equal(t, history.CauseRefused, ret.Cause)
	assert.Equal(t, history.Info, ret.Outcome)
	assert.Equal(t, history.Fail, do(t, url, probe.Request{Actor: "a", ReadOnly: true}).Outcome)
}

func TestCutInTheMiddleOfAnAnswerIsAReset(t *testing.T) {
	url := raw(t, func(c net.Conn) {
		_, _ = bufio.NewReader(c).ReadString('\n')
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
	})
	ret := do(t, url, probe.Request{Actor: "a"})
	assert.Equal(t, history.CauseReset, ret.Cause)
	assert.Equal(t, history.Info, ret.Outcome)
}

func TestAnEndedTrialIsNoTimeout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	recorded(t, url, func(g *probe.Gateway) {
		ret := g.Do(ctx, probe.Request{Actor: "a", Timeout: time.Minute})
		assert.Equal(t, history.CauseStopped, ret.Cause)
	})
}

func TestAnAnswerThatCannotBeReadIsNotOK(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	r := probe.Request{Actor: "a", Decode: func(b []byte) (any, error) {
		var v any
		return v, json.Unmarshal(b, &v)
	}}
	ret := do(t, url, r)
	assert.Equal(t, history.Info, ret.Outcome)
	assert.Equal(t, history.CauseUnreadable, ret.Cause)
	assert.Contains(t, ret.Detail, "<html>")
	r.ReadOnly = true
	assert.Equal(t, history.Fail, do(t, url, r).Outcome, "a read has no effect to be unsure of")
}

// An answer that is cut off must not look like a whole one.
func TestAnAnswerThatIsTooLongIsNotOK(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) })
	ret := do(t, url, probe.Request{Actor: "a", Decode: func(b []byte) (any, error) { return len(b), nil }})
	assert.Equal(t, history.CauseUnreadable, ret.Cause)
	assert.Contains(t, ret.Detail, "longer than 1048576 bytes")
}

// Each delay has its probe, on its own actor, not before its time, and an
// actor without an answer is asked on until it gives one.
func TestSweep(t *testing.T) {
	var refusals atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gateway/b/request/health" && refusals.Add(1) <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	sweep := probe.Sweep{Delays: []time.Duration{0, 60 * time.Millisecond}, Timeout: time.Second, Bound: 10 * time.Second}
	origin := clock.Now()
	h := recorded(t, url, func(g *probe.Gateway) {
		err := sweep.Run(t.Context(), g, origin, []probe.Target{{Actor: "a"}, {Actor: "b"}}, probe.Request{Path: "/health", ReadOnly: true})
		require.NoError(t, err)
	})
	count := map[string]int{}
	for _, e := range h.Events {
		if inv, ok := e.Body.(*history.Invoke); ok {
			count[inv.Probe+" "+inv.Actor]++
			if inv.Probe == probe.ProbeName {
				assert.Equal(t, map[string]time.Duration{"a": 0, "b": 60 * time.Millisecond}[inv.Actor], time.Duration(inv.DelayNS))
			}
			assert.GreaterOrEqual(t, e.T.Sub(origin), time.Duration(inv.DelayNS))
		}
	}
	assert.Equal(t, map[string]int{"sweep a": 1, "sweep b": 1, "recovery b": 2}, count)
}

func TestSweepGivesUpAtItsBound(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	sweep := probe.Sweep{Delays: []time.Duration{0}, Timeout: time.Second, Bound: 3 * probe.RecoveryPause}
	h := recorded(t, url, func(g *probe.Gateway) {
		require.NoError(t, sweep.Run(t.Context(), g, clock.Now(), []probe.Target{{Actor: "a"}}, probe.Request{ReadOnly: true}))
	})
	assert.LessOrEqual(t, len(h.Events), 2*5)
	assert.GreaterOrEqual(t, len(h.Events), 2*2, "at least one recovery probe")
}

// After a probe that was held the next one follows at once; only those that
// come back quickly are spaced.
func TestRecoveryDoesNotPauseAfterAHeldProbe(t *testing.T) {
	var n atomic.Int32
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if n.Add(1) <= 4 {
			<-r.Context().Done() // held until the client gives up
		}
	})
	const timeout = 2 * probe.RecoveryPause
	sweep := probe.Sweep{Delays: []time.Duration{0}, Timeout: timeout, Bound: 10 * time.Second}
	h := recorded(t, url, func(g *probe.Gateway) {
		require.NoError(t, sweep.Run(t.Context(), g, clock.Now(), []probe.Target{{Actor: "a"}}, probe.Request{ReadOnly: true}))
	})
	require.Len(t, h.Events, 2*5)
	least := time.Hour
	for i := 2; i < len(h.Events); i += 2 { // the least gap: a busy host may lengthen any of them
		least = min(least, h.Events[i].T.Sub(h.Events[i-1].T))
	}
	assert.Less(t, least, probe.RecoveryPause/2)
}

func TestASweepThatCannotBeJudgedIsRefused(t *testing.T) {
	ds := func(ds ...time.Duration) []time.Duration { return ds }
	for want, c := range map[string]struct {
		sweep   probe.Sweep
		targets []probe.Target
	}{
		"2 delays over 1 actors": {probe.Sweep{Delays: ds(0, 1), Timeout: 1, Bound: 9}, []probe.Target{{}}},
		"asks actor k (a) twice": {probe.Sweep{Delays: ds(0, 1), Timeout: 1, Bound: 9}, []probe.Target{{Actor: "a", Key: "k"}, {Actor: "a", Key: "k"}}},
		"client timeout of 0s":   {probe.Sweep{Delays: ds(0), Bound: 9}, []probe.Target{{}}},
		"bound of 9ns":           {probe.Sweep{Delays: ds(9), Timeout: 1, Bound: 9}, []probe.Target{{}}},
		"delay of -1ns":          {probe.Sweep{Delays: ds(-1), Timeout: 1, Bound: 9}, []probe.Target{{}}},
	} {
		require.ErrorContains(t, c.sweep.Run(t.Context(), nil, 0, c.targets, probe.Request{}), want)
	}
}

func TestSweepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := recorded(t, "http://127.0.0.1:1", func(g *probe.Gateway) {
		err := probe.Sweep{Delays: []time.Duration{0, 0, 0, time.Hour}, Timeout: time.Second, Bound: 2 * time.Hour}.Run(ctx, g, clock.Now(), []probe.Target{{Actor: "a"}, {Actor: "b"}, {Actor: "c"}, {Actor: "d"}}, probe.Request{})
		require.ErrorIs(t, err, context.Canceled)
	})
	assert.Empty(t, h.Events, "a probe that was never sent leaves no trace")
}
