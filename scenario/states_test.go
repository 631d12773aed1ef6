package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

// struck is a fault that lands as err says.
type struck struct{ err error }

func (s struck) Strike(context.Context, fault.Target) (history.Exit, error) {
	return history.Exit{Code: 137}, s.err
}
func (struck) String() string { return "SIGKILL" }

func TestStayDown(t *testing.T) {
	f := StayDown(struck{}, 30*time.Millisecond)
	assert.Equal(t, "SIGKILL, and down for 30ms", f.String())
	begun := clock.Now()
	exit, err := f.Strike(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, 137, exit.Code)
	assert.GreaterOrEqual(t, clock.Now().Sub(begun), 30*time.Millisecond)

	missed := errors.New("no such process")
	_, err = StayDown(struck{missed}, time.Hour).Strike(t.Context(), nil)
	require.ErrorIs(t, err, missed, "what did not land is down for nothing")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	_, err = StayDown(struck{}, time.Hour).Strike(ctx, nil)
	require.EqualError(t, err, "Ctrl-C")
}

func TestStatesHaveNamesAndActorsOfTheirOwn(t *testing.T) {
	names, keys := map[string]bool{}, map[string]bool{}
	for _, p := range []Part{Asleep(time.Second), OpenWebSocket(), Streaming(), AlarmDue{After: time.Second}} {
		names[p.String()] = true
		warm, more := p.Actors()
		require.Len(t, warm, 1)
		keys[warm[0]] = true
		assert.Zero(t, more)
		assert.NotEmpty(t, p.Invariants())
	}
	assert.Len(t, names, 4)
	assert.Len(t, keys, 4, "so that several states can be in one trial")
	assert.Equal(t, "an alarm of an actor asleep for 1s, due 2s after the fault", AlarmDue{After: 2 * time.Second, Asleep: time.Second}.String())
	assert.Len(t, AlarmDue{Asleep: time.Second}.Invariants(), 2, "that it slept is part of the proof")
	assert.Len(t, AlarmDue{}.Invariants(), 1)
}

func TestLifeOf(t *testing.T) {
	ts := int64(5)
	assert.Equal(t, "sleep_ts 5, connectable_ts none", lifeOf(rivet.Actor{SleepTS: &ts}))
}

// answering is a stage on whose gateway h answers.
func answering(t *testing.T, h http.HandlerFunc) *Stage {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w, err := history.Create(filepath.Join(t.TempDir(), "history.jsonl"), history.Header{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.Close()) })
	return &Stage{
		Counter: &workload.Counter{Gateway: &probe.Gateway{Base: srv.URL, Recorder: w, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}},
		History: w, Actors: []probe.Target{{Actor: "a", Key: "k"}},
		Sweep: probe.Sweep{Timeout: time.Second, Bound: 10 * time.Second},
	}
}

// A new stream is asked for until one comes whole.
func TestStreamAgain(t *testing.T) {
	var asked atomic.Int32
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for i := range shortStream {
			_, _ = fmt.Fprintf(w, "chunk %d\n", i+1)
		}
	})
	require.NoError(t, s.streamAgain(t.Context(), clock.Now().Add(10*time.Second)))
	assert.Equal(t, int32(3), asked.Load())
	// One that is past its deadline is asked for once, so that it is known why.
	asked.Store(0)
	require.NoError(t, s.streamAgain(t.Context(), clock.Now()))
	assert.Equal(t, int32(1), asked.Load())
}

// An actor whose alarm wakes it is asked at a whole second, and not at all
// where its bound has passed.
func TestAskLate(t *testing.T) {
	var asked []int64
	s := answering(t, func(http.ResponseWriter, *http.Request) {})
	s.History.Subscribe(func(e history.Event) {
		if b, ok := e.Body.(*history.Invoke); ok {
			asked = append(asked, b.DelayNS)
		}
	})
	require.NoError(t, s.askLate(t.Context(), clock.Now().Add(-2900*time.Millisecond)))
	assert.Equal(t, []int64{int64(3 * time.Second)}, asked)
	require.NoError(t, s.askLate(t.Context(), clock.Now().Add(-9500*time.Millisecond)))
	assert.Len(t, asked, 1)
}
