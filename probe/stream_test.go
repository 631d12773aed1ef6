package probe_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
)

// progressOf reads the value of a return as it stands in the history.
func progressOf(t *testing.T, ret *history.Return) probe.Progress {
	t.Helper()
	b, err := json.Marshal(ret.Value)
	require.NoError(t, err)
	var p probe.Progress
	require.NoError(t, json.Unmarshal(b, &p))
	return p
}

// streamed asks for three chunks and gives what the history says of them, and
// the counts that were called.
func streamed(t *testing.T, base string, timeout time.Duration) (history.Return, probe.Progress, []int) {
	t.Helper()
	var called []int
	h := recorded(t, base, func(g *probe.Gateway) {
		g.Stream(t.Context(), probe.Request{Actor: "a", Path: "/stream", Timeout: timeout}, 3, func(n int) { called = append(called, n) })
	})
	require.Len(t, h.Events, 2)
	ret := h.Events[1].Body.(*history.Return)
	return *ret, progressOf(t, ret), called
}

// chunks serves n of them, and then does what end does.
func chunks(t *testing.T, n int, end func(http.ResponseWriter, *http.Request)) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(probe.HeaderActor, "a")
		w.Header().Set(probe.HeaderGeneration, "2")
		for i := range n {
			_, _ = fmt.Fprintf(w, "chunk %d\n", i+1)
			assert.NoError(t, http.NewResponseController(w).Flush())
		}
		end(w, r)
	})
}

func TestStreamWhole(t *testing.T) {
	ret, got, called := streamed(t, chunks(t, 3, func(http.ResponseWriter, *http.Request) {}), 5*time.Second)
	assert.Equal(t, history.OK, ret.Outcome)
	assert.Equal(t, "a", ret.AnsweredBy)
	assert.Equal(t, int64(2), ret.Generation)
	assert.Equal(t, []int{1, 2, 3}, called)
	assert.Equal(t, 3, got.Got)
	assert.True(t, got.Clean)
	assert.GreaterOrEqual(t, got.LastNS, got.FirstNS)
	assert.Positive(t, got.FirstNS)
}

// What nobody can see who only looks at how the answer ended.
func TestStreamCutSilently(t *testing.T) {
	for name, end := range map[string]func(http.ResponseWriter, *http.Request){
		"between chunks":    func(http.ResponseWriter, *http.Request) {},
		"within a chunk":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("chu")) },
		"before its end":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("chunk 3")) },
		"one chunk too few": func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			ret, got, _ := streamed(t, chunks(t, 2, end), 5*time.Second)
			assert.Equal(t, history.Fail, ret.Outcome)
			assert.Equal(t, history.CauseUnreadable, ret.Cause)
			assert.Equal(t, "the answer ended as if it were whole after 2 of 3 chunks", ret.Detail)
			assert.True(t, got.Clean)
			assert.Equal(t, 2, got.Got)
			assert.Equal(t, 200, ret.Status)
		})
	}
}

func TestStreamWithTooMuch(t *testing.T) {
	url := chunks(t, 4, func(http.ResponseWriter, *http.Request) {})
	ret, got, _ := streamed(t, url, 5*time.Second)
	assert.Equal(t, history.CauseUnreadable, ret.Cause)
	assert.Equal(t, 4, got.Got)
}

func TestStreamCut(t *testing.T) {
	url := chunks(t, 2, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	ret, got, called := streamed(t, url, 5*time.Second)
	assert.Equal(t, history.CauseReset, ret.Cause)
	assert.Equal(t, history.Fail, ret.Outcome)
	assert.False(t, got.Clean)
	assert.Equal(t, 2, got.Got)
	assert.Equal(t, []int{1, 2}, called)
}

func TestStreamThatSkipsAChunk(t *testing.T) {
	url := chunks(t, 1, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("chunk 3\n")) })
	ret, got, _ := streamed(t, url, 5*time.Second)
	assert.Equal(t, history.CauseUnreadable, ret.Cause)
	assert.Contains(t, ret.Detail, "in the place of chunk 2 came \"chunk 3\\n\"")
	assert.Equal(t, 1, got.Got)
	assert.False(t, got.Clean)
}

func TestStreamThatStandsStill(t *testing.T) {
	url := chunks(t, 1, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ret, got, _ := streamed(t, url, 100*time.Millisecond)
	assert.Equal(t, history.CauseTimeout, ret.Cause)
	assert.Equal(t, 1, got.Got)
}

func TestStreamRefused(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Rivet-Error", "guard.actor_ready_timeout")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	ret, got, called := streamed(t, url, 5*time.Second)
	assert.Equal(t, history.CauseStatus, ret.Cause)
	assert.Equal(t, "guard.actor_ready_timeout", ret.Code)
	assert.Equal(t, probe.Progress{Of: 3, FirstNS: -1, LastNS: -1}, got)
	assert.Empty(t, called)
}
