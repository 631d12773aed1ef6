package scenario

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

func invariantNames(all []check.Invariant) (out []string) {
	for _, i := range all {
		out = append(out, i.Name)
	}
	return out
}

// A script is judged by what its operations can show.
func TestScriptIsJudgedByWhatItDoes(t *testing.T) {
	golden := Scenario{Parts: []Part{Script{Ops: workload.Golden()}}}
	assert.Equal(t, []string{
		"script-done", "no-panic", "single-live-generation", "right-actor", "ledger-keeps-acked-writes", "linearizable",
		"applied-once", "kv-keeps-acked-puts", "stops-writing", "old-generation-silent",
	}, invariantNames(golden.Judges()))
	made := Scenario{Parts: []Part{Script{Ops: []workload.Op{workload.OpCreate}}}}
	assert.Equal(t, []string{"script-done", "no-panic", "single-live-generation"}, invariantNames(made.Judges()))
	made.Fault = fault.Kill()
	assert.Equal(t, []string{"fault-landed", "engine-stays-up"}, invariantNames(made.Judges())[:2])
	made.On = Runtime
	assert.Equal(t, "script-done", invariantNames(made.Judges())[0], "of an engine that is not struck there is no outage")
}

func TestScriptRefusesWhatCannotBe(t *testing.T) {
	script := Script{Ops: []workload.Op{"tick"}}
	for want, s := range map[string]Scenario{
		"it has no operations":                 {Parts: []Part{Script{}}},
		`operation "tikc" is unknown`:          {Parts: []Part{Script{Ops: []workload.Op{"tikc"}}}},
		"want no sweep and no other part":      {Parts: []Part{script, OneWrite()}},
		"a script goes on with nothing beside": {Parts: []Part{script}, Sweep: probe.Sweep{Delays: []time.Duration{0}, Bound: time.Second}},
	} {
		_, err := s.Run(t.Context(), nil, "r", filepath.Join(t.TempDir(), "trial"), nil)
		require.ErrorContains(t, err, want)
	}
	_, more := Script{Ops: []workload.Op{"tick", "tick@b"}}.Actors()
	assert.Equal(t, 6, more)
}

// A script that is stuck is over: what that means is for the verdict to say.
func TestScriptThatIsStuckIsOver(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s.Counter.API, s.made = namer{}, &made{}
	course, err := (Script{Ops: []workload.Op{"getCount"}, Patience: time.Second, Bound: time.Millisecond}).begin(t.Context(), s, nil)
	require.NoError(t, err)
	<-course.Over
	require.NoError(t, course.Recovered(t.Context(), 0))
	require.NoError(t, course.End(t.Context()))
	require.Len(t, s.made.all, 1, "what it made is read back")
}

func TestScriptEndsWithTheTrial(t *testing.T) {
	held := make(chan struct{})
	s := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not see that the client is gone
		close(held)
		<-r.Context().Done()
	})
	s.Counter.API, s.made = namer{}, &made{}
	course, err := (Script{Ops: []workload.Op{"getCount"}, Patience: time.Minute, Bound: time.Minute}).begin(t.Context(), s, nil)
	require.NoError(t, err)
	<-held
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	require.EqualError(t, course.Recovered(ctx, 0), "Ctrl-C")
	require.NoError(t, course.End(t.Context()))
	<-course.Over
	require.EqualError(t, course.Recovered(t.Context(), 0), "the trial has ended")
}

// Frames are on their way until the runtime has ended what was destroyed.
func TestEndsOfWhatWasDestroyed(t *testing.T) {
	w, err := history.Create(filepath.Join(t.TempDir(), "history.jsonl"), history.Header{})
	require.NoError(t, err)
	defer w.Close() //nolint:errcheck // nothing is read from it
	x := watchEnds(w)
	none := func() bool { x.mu.Lock(); defer x.mu.Unlock(); return closed(x.none) }
	record := func(kind history.Kind, body any) { w.Record("test", kind, body) }
	assert.True(t, none())
	record(history.KindActor, &history.Actor{Actor: "a", Generation: 1, What: "start"})
	assert.True(t, none(), "it runs, as it should")
	record(history.KindInvoke, &history.Invoke{Op: "1", Name: workload.Destroy, Actor: "a"})
	record(history.KindReturn, &history.Return{Op: "1", Outcome: history.Info})
	assert.True(t, none(), "nobody knows whether it is destroyed")
	record(history.KindReturn, &history.Return{Op: "1", Outcome: history.OK})
	assert.False(t, none())
	x.await(t.Context(), time.Millisecond)
	record(history.KindActor, &history.Actor{Actor: "a", Generation: 1, What: "stopped"})
	assert.True(t, none())
	record(history.KindActor, &history.Actor{Actor: "a", Generation: 2, What: "start"})
	assert.False(t, none())
	record(history.KindExit, &history.Exit{Role: "runtime"})
	assert.True(t, none(), "it went with its process")
	x.await(t.Context(), time.Hour)
}
