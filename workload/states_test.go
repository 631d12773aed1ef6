package workload_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// serving runs fn with a counter whose actors answer by h, and returns the
// history.
func serving(t *testing.T, h http.HandlerFunc, fn func(*workload.Counter)) *history.History {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	w, err := history.Create(path, history.Header{})
	require.NoError(t, err)
	fn(&workload.Counter{
		Timeout: 5 * time.Second,
		Gateway: &probe.Gateway{Base: srv.URL, Recorder: w, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}},
	})
	require.NoError(t, w.Close())
	read, err := history.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, read.Events, 2)
	return read
}

var target = probe.Target{Actor: "a", Key: "k"}

func TestSetAlarm(t *testing.T) {
	h := serving(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/gateway/a/request/action/setAlarm", r.URL.Path)
		var in struct{ Args []any }
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.NoError(t, json.Unmarshal(b, &in))
		assert.Equal(t, []any{1500.0}, in.Args, "in milliseconds")
		w.Header().Set(probe.HeaderActor, "a")
		_, _ = io.WriteString(w, `{"output":{"alarm":3,"due":1795418351896}}`)
	}, func(c *workload.Counter) {
		ret := c.SetAlarm(t.Context(), target, 1500*time.Millisecond)
		assert.Equal(t, history.OK, ret.Outcome)
		assert.Equal(t, workload.Alarm{Alarm: 3, DelayNS: 1.5e9}, ret.Value)
	})
	assert.Equal(t, workload.SetAlarm, h.Events[0].Body.(*history.Invoke).Name)
	assert.Equal(t, map[string]any{"alarm": 3.0, "delay_ns": 1.5e9}, h.Events[1].Body.(*history.Return).Value, "as check reads it")
}

// An alarm without a number is none that anybody could follow.
func TestSetAlarmUnreadable(t *testing.T) {
	for _, bad := range []string{`{"output":{}}`, `{"output":null}`, `{"output":{"alarm":"x"}}`, `no`} {
		serving(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, bad) }, func(c *workload.Counter) {
			ret := c.SetAlarm(t.Context(), target, time.Second)
			assert.Equal(t, history.CauseUnreadable, ret.Cause, bad)
			assert.Equal(t, history.Info, ret.Outcome, bad)
		})
	}
}

func TestStream(t *testing.T) {
	last := 0
	h := serving(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/gateway/a/request/stream?chunks=2&interval=50", r.URL.RequestURI())
		w.Header().Set(probe.HeaderActor, "a")
		_, _ = fmt.Fprint(w, "chunk 1\nchunk 2\n")
	}, func(c *workload.Counter) {
		ret := c.Stream(t.Context(), target, 2, 50*time.Millisecond, 5*time.Second, func(n int) { last = n })
		assert.Equal(t, history.OK, ret.Outcome)
	})
	assert.Equal(t, 2, last)
	inv := h.Events[0].Body.(*history.Invoke)
	assert.Equal(t, workload.Stream, inv.Name)
	assert.Equal(t, "k", inv.Key)
}

func TestHoldSocketRefused(t *testing.T) {
	h := serving(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/gateway/a/websocket/", r.URL.Path)
		w.WriteHeader(http.StatusServiceUnavailable)
	}, func(c *workload.Counter) {
		_, err := c.HoldSocket(t.Context(), target)
		var none *probe.NoSocketError
		require.ErrorAs(t, err, &none)
		require.ErrorContains(t, err, "actor k (a)")
	})
	assert.Equal(t, workload.HeldSocket, h.Events[0].Body.(*history.Invoke).Name)
}
