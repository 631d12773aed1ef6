package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	view   *View
	points *breakpoint.Set
	out    *bytes.Buffer
	srv    *httptest.Server
	cuts   int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{out: &bytes.Buffer{}}
	r.view = NewView(r.out, "boot-1")
	r.points = breakpoint.NewSet(func(b history.Breakpoint) { r.view.Record("runtime", history.KindBreakpoint, b) })
	r.srv = httptest.NewServer(Handler(r.view, r.points, func() bool { r.cuts++; return r.cuts == 1 }))
	t.Cleanup(r.srv.Close)
	t.Cleanup(r.view.Close) // before the server, which waits for its streams
	return r
}

func (r *rig) do(t *testing.T, method, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.srv.URL+path, nil)
	require.NoError(t, err)
	res, err := r.srv.Client().Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, strings.TrimSpace(string(body))
}

func TestStateFollowsTheEvents(t *testing.T) {
	r := newRig(t)
	_, body := r.do(t, "GET", "/state")
	assert.Contains(t, body, `"connection":null,"actors":[]`)

	r.view.Record("runtime", history.KindEnvoy, history.Envoy{What: "connected", Attempt: 2})
	for _, e := range []history.Actor{
		{Actor: "b", Generation: 1, What: "running"},
		{Actor: "a", Key: "k", Generation: 2, What: "running"},
		{Actor: "a", Key: "k", Generation: 1, What: "running"},
		{Actor: "b", Generation: 1, What: "stopped"},
	} {
		r.view.Record("runtime", history.KindActor, e)
	}
	_, body = r.do(t, "GET", "/state")
	var s State
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	assert.Equal(t, "boot-1", s.BootID)
	assert.Equal(t, &history.Envoy{What: "connected", Attempt: 2}, s.Connection)
	require.Len(t, s.Actors, 2)
	assert.Equal(t, uint32(1), s.Actors[0].Generation)
	assert.Equal(t, uint32(2), s.Actors[1].Generation)
	assert.Len(t, s.Breakpoints, len(breakpoint.Names))
	assert.Equal(t, 5, strings.Count(r.out.String(), "\n"), "all of it was emitted")
}

func TestBreakpointsByHTTP(t *testing.T) {
	r := newRig(t)
	code, _ := r.do(t, "POST", "/breakpoints/on-start/arm?actor=a&deadline=250ms")
	assert.Equal(t, 200, code)
	assert.Contains(t, r.points.States(), breakpoint.State{Name: breakpoint.OnStart, Armed: true})
	_, body := r.do(t, "POST", "/breakpoints/on-start/release")
	assert.Equal(t, `{"released":0}`, body)

	code, body = r.do(t, "POST", "/breakpoints/nowhere/arm")
	assert.Equal(t, 404, code)
	assert.Contains(t, body, "use between-writes, before-commit")
	code, body = r.do(t, "POST", "/breakpoints/on-start/arm?deadline=soon")
	assert.Equal(t, 400, code)
	assert.Equal(t, `deadline="soon": use a duration above zero, as in 500ms`, body)
}

func TestConnectionIsCutByHTTP(t *testing.T) {
	r := newRig(t)
	code, body := r.do(t, "POST", "/connection/cut")
	assert.Equal(t, 200, code)
	assert.Equal(t, `{"cut":true}`, body)
	_, body = r.do(t, "POST", "/connection/cut")
	assert.Equal(t, `{"cut":false}`, body, "there is no connection any more")
	code, _ = r.do(t, "GET", "/connection/cut")
	assert.Equal(t, 405, code, "what does something is no GET")
	assert.Equal(t, 2, r.cuts)
}

func TestEventsAreStreamed(t *testing.T) {
	r := newRig(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.srv.URL+"/events", nil)
	require.NoError(t, err)
	res, err := r.srv.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // read only

	r.points.Arm(breakpoint.OnStop, "a", 0)
	line, err := bufio.NewReader(res.Body).ReadBytes('\n')
	require.NoError(t, err)
	e, ok := history.ParseEvent(line)
	require.True(t, ok)
	assert.Equal(t, &history.Breakpoint{Name: "on-stop", Actor: "a", What: "armed"}, e.Body)
}

// A follower that does not read is cut off, and holds up nobody.
func TestSlowFollower(t *testing.T) {
	r := newRig(t)
	c := r.view.subscribe()
	for range backlog + 1 {
		r.view.Record("runtime", history.KindActor, history.Actor{Actor: "a", What: "request"})
	}
	n := 0
	for range c {
		n++
	}
	assert.Equal(t, backlog, n)
	r.view.unsubscribe(c)
}
