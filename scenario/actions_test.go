package scenario

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

// namer names actors after their keys, as the engine's API would by ids.
type namer struct{}

func (namer) GetOrCreateActor(_ context.Context, _ string, r rivet.ActorRequest) (rivet.Actor, bool, error) {
	return rivet.Actor{ID: "id-" + r.Key}, false, nil
}

// stage is one whose gateway answers every action, and the way to its history.
func stage(t *testing.T, bound time.Duration) (*Stage, func() *history.History) {
	t.Helper()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, workload.Tick) {
			_, _ = w.Write([]byte(`{"output":{"count":1}}`))
		} else {
			_, _ = w.Write([]byte(`{"output":1}`))
		}
	}))
	t.Cleanup(gateway.Close)
	path := filepath.Join(t.TempDir(), "history.jsonl")
	w, err := history.Create(path, history.Header{})
	require.NoError(t, err)
	s := &Stage{
		History: w, made: &made{}, Sweep: probe.Sweep{Timeout: time.Second, Bound: bound},
		Counter: &workload.Counter{API: namer{}, Namespace: "n", Pool: "p", Timeout: time.Second, Gateway: &probe.Gateway{Base: gateway.URL, Recorder: w}},
	}
	return s, func() *history.History {
		require.NoError(t, w.Close())
		h, err := history.ReadFile(path)
		require.NoError(t, err)
		return h
	}
}

// asked are the probes of a history, by their clients, and how long after the
// origin they were sent.
func asked(h *history.History) map[string]time.Duration {
	sent := map[string]time.Duration{}
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Invoke); ok && b.Probe != "" {
			sent[b.Client] = time.Duration(b.DelayNS)
		}
	}
	return sent
}

// begun is the part of action probes on a stage, after its Begin.
func begun(t *testing.T, s *Stage, when Timing) Course {
	t.Helper()
	part := ActionProbes(when)
	keys, more := part.Actors()
	assert.Len(t, keys, 3)
	assert.Equal(t, 1, more)
	for _, key := range keys {
		s.Actors = append(s.Actors, probe.Target{Actor: "id-" + key, Key: key})
	}
	course, err := part.Begin(t.Context(), s)
	require.NoError(t, err)
	return course
}

func TestActionProbesAskAtOnce(t *testing.T) {
	s, read := stage(t, time.Minute)
	course := begun(t, s, Immediately)
	require.NoError(t, course.Recovered(t.Context(), clock.Now()))
	require.NoError(t, course.End(t.Context()))
	assert.Equal(t, []probe.Target{{Actor: "id-action-new-key-tick", Key: "action-new-key-tick"}}, s.made.all, "its ledger is read back")
	h := read()
	assert.Len(t, asked(h), 4)
	first := h.Events[0].Body.(*history.Invoke)
	assert.Equal(t, "action-same-handle-getCount", first.Key)
	assert.Empty(t, first.Probe, "the handle's use before the fault is no probe")
}

// Each probe follows its own actor's beat, and that of a new key any; where none
// comes, the probe is sent at the bound.
func TestActionProbesFollowTheHeartbeat(t *testing.T) {
	const bound = 300 * time.Millisecond
	s, read := stage(t, bound)
	course := begun(t, s, AfterHeartbeat)
	beat := func(actor, err string) {
		s.History.Record("runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: actor, Error: err})
	}
	beat("id-action-same-handle-tick", "") // before the restart
	s.History.Record("harness", history.KindContainer, &history.Container{Role: "engine", Incarnation: 2, What: history.ContainerStarting})
	beat("id-action-same-handle-tick", "no connection")
	beat("id-action-fresh-handle-getCount", "")
	require.NoError(t, course.Recovered(t.Context(), clock.Now()))
	require.NoError(t, course.End(t.Context()))
	sent := asked(read())
	require.Len(t, sent, 4)
	for client, delay := range sent {
		late := strings.Contains(client, "same-handle")
		assert.Equal(t, late, delay >= bound, "%s was sent after %v", client, delay)
	}
}

func TestPulse(t *testing.T) {
	s, _ := stage(t, time.Minute)
	p := watchPulse(s.History)
	beaten := func(actor string) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return closed(p.of(actor))
	}
	assert.False(t, beaten("a"))
	before := clock.Now()
	s.History.Record("runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: "a"})
	s.History.Record("runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: "a"})
	assert.True(t, beaten("a"))
	assert.True(t, beaten(anyActor))
	assert.False(t, beaten("b"))
	start := func(role string) {
		s.History.Record("harness", history.KindContainer, &history.Container{Role: role, What: history.ContainerStarting})
	}
	start("runtime")
	assert.True(t, beaten("a"), "only the engine's start counts")
	start("engine")
	assert.False(t, beaten("a"))
	s.History.RecordAt(before, "runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: "a"})
	assert.False(t, beaten("a"), "an old one that came late")
	s.History.Record("runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: "a"})
	assert.True(t, beaten("a"))
}

func TestBeatingWaitsForTheSecondBeat(t *testing.T) {
	s, _ := stage(t, time.Minute)
	s.Actors = []probe.Target{{Actor: "a", Key: "beating"}}
	beating := func(ctx context.Context) error {
		_, err := Beating(time.Second).Begin(ctx, s)
		return err
	}
	done := make(chan error, 1)
	go func() { done <- beating(t.Context()) }()
	for beat := int64(2); ; beat++ { // from its second on, whenever the part begins to watch
		s.History.Record("runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: "b", Beat: beat})
		s.History.Record("runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: "a", Beat: beat})
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(time.Millisecond):
			continue
		}
		break
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	go func() { done <- beating(ctx) }()
	for {
		s.History.Record("runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: "a", Beat: 1})
		s.History.Record("runtime#1", history.KindHeartbeat, &history.Heartbeat{Actor: "a", Beat: 2, Error: "no"})
		select {
		case err := <-done:
			require.Error(t, err, "neither a first beat nor a failed one")
			return
		case <-time.After(time.Millisecond):
		}
	}
}
