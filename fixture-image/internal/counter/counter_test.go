package counter

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/rivetkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func (w *world) call(t *testing.T, name string, args ...any) (map[string]any, error) {
	t.Helper()
	out, err := w.actions()[name](t.Context(), args)
	m, _ := out.(map[string]any)
	return m, err
}

// until reads events up to the first of type T that fits.
func until[T any](t *testing.T, w *world, fits func(T) bool) T {
	t.Helper()
	late := time.After(5 * time.Second)
	var seen []any
	for {
		select {
		case e := <-w.events:
			if b, ok := e.(T); ok && fits(b) {
				return b
			}
			seen = append(seen, e)
		case <-late:
			t.Fatalf("no fitting %T within 5 s; seen: %v", *new(T), seen)
		}
	}
}

func actorEvent(what string) func(history.Actor) bool {
	return func(a history.Actor) bool { return a.What == what }
}

func TestTickIsOneTransaction(t *testing.T) {
	w := newWorld(Config{})
	out, err := w.call(t, "tick", int64(16), "op-1")
	require.NoError(t, err)
	assert.Equal(t, int64(1), out["count"])
	assert.Equal(t, "op-1", out["op"])
	assert.Equal(t, uint32(3), out["generation"])
	assert.Equal(t, []string{"BEGIN", "COMMIT"}, w.db.steps())

	out, err = w.call(t, "tick")
	require.NoError(t, err)
	assert.Equal(t, int64(2), out["count"])
	assert.NotEmpty(t, out["op"], "an id is made where none is given")

	ledger, err := w.store.ledger(t.Context())
	require.NoError(t, err)
	require.Len(t, ledger, 2)
	first := ledger[0].(map[string]any)
	assert.Equal(t, "op-1", first["op"])
	assert.Equal(t, int64(16), first["bytes"])
	assert.Equal(t, int64(4096), ledger[1].(map[string]any)["bytes"])
	assert.Equal(t, int64(3), first["generation"])
}

func TestRepeatedOperationIsRefused(t *testing.T) {
	w := newWorld(Config{})
	_, err := w.call(t, "tick", int64(1), "same")
	require.NoError(t, err)
	_, err = w.call(t, "tick", int64(1), "same")
	var e *rivetkit.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "user.operation_repeated", e.Name())
	assert.Equal(t, http.StatusConflict, e.Status)
	assert.Equal(t, map[string]any{"op": "same"}, e.Metadata)
	n, err := w.store.count(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int64(1), n, "nothing was applied twice")
	assert.Equal(t, []string{"BEGIN", "COMMIT", "BEGIN", "ROLLBACK"}, w.db.steps())
}

// The original hid a failed COMMIT behind the ROLLBACK that failed after it.
func TestFirstErrorIsKept(t *testing.T) {
	broken := errors.New("the disk is full")
	worse := errors.New("no transaction to roll back")
	for word, step := range map[string]string{"COMMIT": "commit", "INTO counter": "write", "SELECT count": "write"} {
		w := newWorld(Config{})
		w.db.fail = map[string]error{word: broken, "ROLLBACK": worse}
		_, err := w.store.add(t.Context(), "op", nil, func(context.Context) error { return nil })
		require.ErrorIs(t, err, broken)
		require.ErrorIs(t, err, worse)
		assert.Less(t, strings.Index(err.Error(), broken.Error()), strings.Index(err.Error(), worse.Error()), "the first error comes first")
		var failed *writeError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, step, failed.step)
	}
}

func TestErrorsTellWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		name, word string
		err        error
		code       string
	}{
		{"commit in flight when the connection died", "COMMIT", envoy.ErrConnectionLost, "outcome_unknown"},
		{"commit cut by its own context", "COMMIT", context.Canceled, "outcome_unknown"},
		{"commit never sent", "COMMIT", envoy.ErrNotSent, "not_applied"},
		{"transaction gone", "COMMIT", envoy.ErrTxLost, "not_applied"},
		{"commit refused", "COMMIT", &envoy.SQLError{Group: "sqlite", Code: "busy"}, "not_applied"},
		{"statement in flight when the connection died", "INTO events", envoy.ErrConnectionLost, "not_applied"},
		{"begin in flight when the connection died", "BEGIN", envoy.ErrConnectionLost, "not_applied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(Config{})
			w.db.fail = map[string]error{c.word: c.err}
			_, err := w.call(t, "tick", nil, "op-9")
			var e *rivetkit.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "user."+c.code, e.Name())
			assert.Equal(t, map[string]any{"op": "op-9"}, e.Metadata)
			noted := until(t, w, actorEvent("write"))
			assert.Equal(t, "op-9", noted.Reason)
			assert.Equal(t, e.Message, noted.Error)
		})
	}
}

func TestArguments(t *testing.T) {
	w := newWorld(Config{})
	for _, args := range [][]any{
		{"many"}, {int64(-1)}, {int64(maxPayload + 1)}, {nil, int64(7)}, {nil, ""}, {nil, strings.Repeat("x", maxOp+1)},
	} {
		_, err := w.call(t, "tick", args...)
		var e *rivetkit.Error
		require.ErrorAs(t, err, &e, args)
		assert.Equal(t, "actor.invalid_request", e.Name())
	}
	assert.Empty(t, w.db.steps(), "refused before a transaction")
	out, err := w.call(t, "tick", 12.9)
	require.NoError(t, err, "a fraction of a byte is dropped")
	assert.Equal(t, int64(1), out["count"])
}

func TestCommitDuringEngineRestartHolds(t *testing.T) {
	w := newWorld(Config{CommitHold: time.Minute})
	done := make(chan error, 1)
	go func() {
		_, err := w.commitDuringRestart(t.Context(), []any{int64(8), "op-c"})
		done <- err
	}()
	until(t, w, func(b history.Breakpoint) bool { return b.What == "reached" && b.Name == "before-commit" })
	assert.Equal(t, []string{"BEGIN"}, w.db.steps(), "all is written and COMMIT is not sent")
	assert.Equal(t, 1, w.cfg.Breakpoints.Release(breakpoint.BeforeCommit))
	require.NoError(t, <-done)
	assert.Equal(t, []string{"BEGIN", "COMMIT"}, w.db.steps())
}

// What is armed between the writes holds when the event is inserted and the
// count is not up.
func TestTickHoldsBetweenItsWrites(t *testing.T) {
	w := newWorld(Config{})
	w.cfg.Breakpoints.Arm(breakpoint.BetweenWrites, "actor-1", time.Minute)
	done := make(chan error, 1)
	go func() {
		_, err := w.actions()["tick"](context.Background(), []any{int64(8), "op-b"})
		done <- err
	}()
	until(t, w, func(b history.Breakpoint) bool { return b.What == "reached" && b.Name == "between-writes" })
	assert.Equal(t, []string{"BEGIN"}, w.db.steps())
	late := errors.New("too late")
	w.db.fail = map[string]error{"INTO events": late, "INTO counter": late}
	assert.Equal(t, 1, w.cfg.Breakpoints.Release(breakpoint.BetweenWrites))
	err := <-done
	require.ErrorContains(t, err, "count up: too late")
	assert.Equal(t, []string{"BEGIN", "ROLLBACK"}, w.db.steps())
}

func TestCommitDuringEngineRestartGoesOn(t *testing.T) {
	w := newWorld(Config{CommitHold: time.Millisecond})
	_, err := w.call(t, "commitDuringEngineRestart", int64(8), "op-c")
	require.NoError(t, err)
	until(t, w, func(b history.Breakpoint) bool { return b.What == "expired" })
}

// What ends while it is held is rolled back, and known not to be applied.
func TestHeldWriteThatIsAborted(t *testing.T) {
	w := newWorld(Config{CommitHold: time.Minute})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.commitDuringRestart(ctx, nil)
		done <- err
	}()
	until(t, w, func(b history.Breakpoint) bool { return b.What == "reached" })
	cancel(errors.New("aborted"))
	var e *rivetkit.Error
	require.ErrorAs(t, <-done, &e)
	assert.Equal(t, "user.not_applied", e.Name())
	assert.Equal(t, []string{"BEGIN", "ROLLBACK"}, w.db.steps())
}

func TestLife(t *testing.T) {
	for _, beat := range []Heartbeat{HeartbeatNone, HeartbeatSQLite, HeartbeatKV} {
		t.Run(string(beat), func(t *testing.T) {
			w := newWorld(Config{Heartbeat: beat})
			require.NoError(t, w.Start(t.Context()))
			until(t, w, actorEvent("wake"))
			if beat != HeartbeatNone {
				h := until(t, w, func(h history.Heartbeat) bool { return h.Beat == 3 })
				assert.Equal(t, history.Heartbeat{Actor: "actor-1", Generation: 3, Beat: 3, TookNS: h.TookNS}, h)
			}
			require.NoError(t, w.Stop(t.Context(), wire.StopSleepIntent))
			until(t, w, actorEvent("stop-hook"))
			assert.Empty(t, w.events, "nothing beats after Stop")
		})
	}
}

func TestAbortEndsTheHeartbeat(t *testing.T) {
	w := newWorld(Config{Heartbeat: HeartbeatSQLite, SleepAfter: time.Hour})
	ctx, cancel := context.WithCancelCause(t.Context())
	require.NoError(t, w.Start(ctx))
	cancel(envoy.ErrSuperseded)
	e := until(t, w, actorEvent("abort-hook"))
	assert.Equal(t, envoy.ErrSuperseded.Error(), e.Error)
}

func TestHeartbeatErrorIsRecorded(t *testing.T) {
	w := newWorld(Config{Heartbeat: HeartbeatSQLite})
	w.db.fail = map[string]error{"COMMIT": envoy.ErrConnectionLost}
	require.NoError(t, w.Start(t.Context()))
	h := until(t, w, func(history.Heartbeat) bool { return true })
	assert.Zero(t, h.Beat)
	assert.Contains(t, h.Error, "heartbeat failed at its commit, it is unknown whether it was applied")
	require.NoError(t, w.Stop(t.Context(), wire.StopGoingAway))
}

func TestStartFailsWithoutTables(t *testing.T) {
	w := newWorld(Config{Heartbeat: HeartbeatSQLite})
	broken := errors.New("read only")
	w.db.fail = map[string]error{"CREATE TABLE": broken}
	require.ErrorIs(t, w.Start(t.Context()), broken)
}

func TestSleepsWhenIdle(t *testing.T) {
	w := newWorld(Config{SleepAfter: 10 * time.Millisecond, Heartbeat: HeartbeatKV})
	require.NoError(t, w.Start(t.Context()))
	<-w.slept // heartbeats do not count as activity
	require.NoError(t, w.Stop(t.Context(), wire.StopSleepIntent))
}

func TestDoesNotSleepWhileARequestIsOpen(t *testing.T) {
	i := &idle{after: time.Millisecond, sleep: func() { t.Error("slept during a request") }}
	end := i.begin()
	i.start()
	assert.Nil(t, i.timer)
	i.stop()
	end()
	assert.Nil(t, i.timer, "nor after the end")
}

func (w *world) get(method, path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(`{"args":[]}`)))
	return rec
}

func TestHTTP(t *testing.T) {
	w := newWorld(Config{})
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/health", 200, `{"ok":true,"actor":"actor-1","key":"k","generation":3}` + "\n"},
		{"GET", "/request/health", 200, `{"ok":true,"actor":"actor-1","key":"k","generation":3}` + "\n"},
		{"POST", "/action/whoami", 200, `{"output":{"actor":"actor-1","generation":3,"key":"k"}}`},
		{"POST", "/action/getCount", 200, `{"output":0}`},
		{"POST", "/action/ledger", 200, `{"output":[]}`},
		{"GET", "/request/stream?chunks=3&interval=1", 200, "chunk 1\nchunk 2\nchunk 3\n"},
		{"GET", "/stream?chunks=1&interval=60000", 200, "chunk 1\n"},
		{"POST", "/action/alarms", 200, `{"output":[]}`},
		{"GET", "/stream?chunks=-1", 400, "chunks=\"-1\": use a number from 0 to 100000\n"},
		{"GET", "/stream?interval=x", 400, "interval=\"x\": use a number from 0 to 60000\n"},
		{"GET", "/elsewhere", 404, `{"actor":{"actorId":"actor-1","generation":3,"key":"k"},"code":"not_found","group":"actor","message":"no action at /elsewhere"}`},
	} {
		rec := w.get(c.method, c.path)
		assert.Equal(t, c.status, rec.Code, c.path)
		assert.Equal(t, c.body, rec.Body.String(), c.path)
		assert.Equal(t, "3", rec.Header().Get("X-Killpoint-Generation"), c.path)
		assert.Equal(t, "actor-1", rec.Header().Get("X-Killpoint-Actor"), c.path)
	}
	assert.Equal(t, "GET /health", until(t, w, actorEvent("request")).Reason)
}

// The breakpoint comes after the first chunk and before the second.
func TestStreamHeldInTheMiddle(t *testing.T) {
	w := newWorld(Config{})
	w.cfg.Breakpoints.Arm(breakpoint.MidStream, "", time.Minute)
	body, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer out.Close() //nolint:errcheck // a pipe's end never fails to close
		w.ServeHTTP(&flusher{out}, httptest.NewRequest("GET", "/stream?chunks=3&interval=0", nil))
	}()
	chunk := make([]byte, len("chunk 1\n"))
	_, err := io.ReadFull(body, chunk)
	require.NoError(t, err)
	assert.Equal(t, "chunk 1\n", string(chunk))
	until(t, w, func(b history.Breakpoint) bool { return b.What == "reached" && b.Name == "mid-stream" })
	assert.Equal(t, 1, w.cfg.Breakpoints.Release(breakpoint.MidStream))
	rest, err := io.ReadAll(body)
	require.NoError(t, err)
	assert.Equal(t, "chunk 2\nchunk 3\n", string(rest), "later chunks are not held")
	<-done
}

func TestHeldStreamEndsWithItsRequest(t *testing.T) {
	w := newWorld(Config{})
	w.cfg.Breakpoints.Arm(breakpoint.MidStream, "", time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	rec := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
			w.ServeHTTP(rec, httptest.NewRequest("GET", "/stream", nil).WithContext(ctx))
		}, "an answer that was cut must not end as a whole one does")
	}()
	until(t, w, func(b history.Breakpoint) bool { return b.What == "reached" })
	cancel()
	<-done
	until(t, w, func(b history.Breakpoint) bool { return b.What == "abandoned" })
	assert.Equal(t, "chunk 1\n", rec.Body.String())
}

// flusher is a response that is read while it is written.
type flusher struct{ io.Writer }

func (*flusher) Header() http.Header { return http.Header{} }
func (*flusher) WriteHeader(int)     {}
func (*flusher) Flush()              {}

func TestSleepActionAnswersFirst(t *testing.T) {
	w := newWorld(Config{})
	ctx, answered := context.WithCancel(t.Context()) // as the runtime ends a request's
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest("POST", "/action/sleep", strings.NewReader(`{"args":[]}`)).WithContext(ctx))
	assert.Equal(t, `{"output":{"actor":"actor-1","generation":3,"key":"k"}}`, rec.Body.String())
	assert.Empty(t, w.slept, "the answer is not sent yet")
	answered()
	assert.Equal(t, "action", until(t, w, actorEvent("sleep-asked")).Reason)
	<-w.slept
}

func TestSleepActionOfAConnection(t *testing.T) {
	w := newWorld(Config{})
	s := &script{}
	c := &connection{Socket: s}
	_, err := w.sleep(context.WithValue(t.Context(), connectionKey{}, c), nil)
	require.NoError(t, err)
	assert.Empty(t, w.slept, "the answer is not sent yet")
	require.NoError(t, c.Write(t.Context(), []byte("answer"), false))
	assert.Equal(t, []string{"answer"}, s.heard)
	<-w.slept
	require.NoError(t, c.Write(t.Context(), []byte("another"), false))
	assert.Empty(t, w.slept, "it asks once")
}

// script is a socket that says its lines and keeps what it hears.
type script struct {
	lines [][]byte
	heard []string
}

func (s *script) Read(context.Context) ([]byte, bool, error) {
	if len(s.lines) == 0 {
		return nil, false, io.EOF
	}
	line := s.lines[0]
	s.lines = s.lines[1:]
	return line, line[0] == 0, nil
}

func (s *script) Write(_ context.Context, b []byte, _ bool) error {
	s.heard = append(s.heard, string(b))
	return nil
}

func (s *script) Close(uint16, string) error { return nil }

func TestWebSocket(t *testing.T) {
	s := &script{lines: [][]byte{
		[]byte(`{"type":"ping"}`), []byte(`{"type":"ping","sentAt":17}`), []byte(`{"type":"other"}`), []byte(`ping`), {0, 1, 255},
	}}
	newWorld(Config{}).echo(s)
	assert.Equal(t, []string{
		`{"type":"pong","actor":"actor-1","key":"k","generation":3}`,
		`{"type":"pong","actor":"actor-1","key":"k","generation":3,"sentAt":17}`,
		`{"type":"other"}`, `ping`, "\x00\x01\xff",
	}, s.heard)
}

func TestParseHeartbeat(t *testing.T) {
	_, err := ParseHeartbeat("redis")
	assert.EqualError(t, err, `heartbeat "redis": use none, sqlite or kv`)
}
