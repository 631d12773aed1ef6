package history_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

func create(t *testing.T) (*history.Writer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "history.jsonl")
	w, err := history.Create(path, history.Header{Run: "r1", Trial: "t1", Seed: 7})
	require.NoError(t, err)
	return w, path
}

func TestReturnTellsHowItEnded(t *testing.T) {
	r := history.Return{Outcome: history.Fail, Cause: history.CauseStatus, Status: 503, Code: "guard.actor_ready_timeout", Detail: "no actor"}
	assert.Equal(t, `fail, cause "status", status 503 guard.actor_ready_timeout: no actor`, r.String())
}

// Every kind comes back as the type it went in as: a kind without an entry in
// the table of bodies would come back raw, and every reader would miss it.
func TestEveryKindRoundTrips(t *testing.T) {
	bodies := map[history.Kind]any{
		history.KindSettings:   &history.Settings{"engine": "2.3.19"},
		history.KindPlan:       &history.Plan{Steps: []string{"a", "b"}},
		history.KindStep:       &history.Step{N: 1, State: history.StepFailed, Error: "no"},
		history.KindClock:      &history.Clock{BootID: "x", BoundNS: 5},
		history.KindInvoke:     &history.Invoke{Op: "1", Client: "c", Name: "tick", Via: "http", DelayNS: 9},
		history.KindReturn:     &history.Return{Op: "1", Outcome: history.Info, Cause: history.CauseTimeout, Generation: -1},
		history.KindContainer:  &history.Container{Role: "engine", Incarnation: 2, What: history.ContainerStarted},
		history.KindExit:       &history.Exit{Role: "engine", Code: 137, ToDeathNS: -1, Source: "pidfd"},
		history.KindHealth:     &history.Health{What: "ok", Version: "2.3.19"},
		history.KindFault:      &history.Fault{Kind: "kill", Target: "engine#1", Phase: history.FaultLanded},
		history.KindEnvoy:      &history.Envoy{What: "closed", Code: 1011, Reason: "ws.going_away"},
		history.KindActor:      &history.Actor{Actor: "a", Generation: 3, What: "running"},
		history.KindHeartbeat:  &history.Heartbeat{Actor: "a", Beat: 4},
		history.KindBreakpoint: &history.Breakpoint{Name: "before-commit", What: "reached"},
		history.KindFrame:      &history.Frame{N: 1, Type: "commands", What: "held"},
		history.KindLog:        &history.Log{Role: "engine", Line: "panic"},
		history.KindNoise:      &history.Noise{Busy: 0.5},
		history.KindEnd:        &history.End{State: history.EndComplete},
	}
	w, path := create(t)
	for kind, body := range bodies {
		w.Record("p", kind, body)
	}
	require.NoError(t, w.Close())

	h, err := history.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, h.Events, len(bodies))
	for _, e := range h.Events {
		assert.Equal(t, bodies[e.Kind], e.Body, "kind %s", e.Kind)
		assert.Positive(t, e.T)
	}
	assert.Equal(t, "r1", h.Header.Run)
	assert.Equal(t, uint64(7), h.Header.Seed)
	assert.NotEmpty(t, h.Header.BootID)
}

func TestConcurrentRecordersLeaveNoGapAndKeepTheirOrder(t *testing.T) {
	w, path := create(t)
	var wg sync.WaitGroup
	const writers, each = 8, 200
	for range writers {
		wg.Go(func() {
			for range each {
				w.Record("p", history.KindLog, &history.Log{Line: "x"})
			}
		})
	}
	wg.Wait()
	require.NoError(t, w.Close())
	h, err := history.ReadFile(path) // refuses a gap in Seq
	require.NoError(t, err)
	require.Len(t, h.Events, writers*each)
	for i := 1; i < len(h.Events); i++ {
		require.LessOrEqual(t, h.Events[i-1].T, h.Events[i].T, "what happens now is stamped in the order it is written")
	}
}

func TestLateEventsAreOrderedByTheirOwnStamp(t *testing.T) {
	w, path := create(t)
	early := clock.Now()
	w.Record("harness", history.KindLog, &history.Log{Line: "second"})
	w.RecordAt(early, "runtime#1", history.KindLog, &history.Log{Line: "first"})
	require.NoError(t, w.Close())
	h, err := history.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "runtime#1", h.ByTime()[0].Party)
	assert.Equal(t, "harness", h.Events[0].Party, "Events keep the order of arrival")
}

// What was recorded is in the file before Close: a harness that is killed
// leaves it.
func TestRecordedIsStoredAtOnce(t *testing.T) {
	w, path := create(t)
	w.Record("p", history.KindLog, &history.Log{Line: "x"})
	h, err := history.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, h.Events, 1)
	assert.False(t, h.Complete(), "no end: the trial was cut off")
	w.Record("p", history.KindEnd, &history.End{State: history.EndComplete})
	require.NoError(t, w.Close())
	h, err = history.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, h.Complete())
}

func TestRefusals(t *testing.T) {
	const head = `{"format":"killpoint-history","version":1}` + "\n"
	const one = `{"seq":1,"t":5,"party":"p","kind":"log","body":{"line":"x"}}` + "\n"
	cases := []struct {
		name, text string
		line       int
		is         error
	}{
		{"empty", "", 1, history.ErrFormat},
		{"not json", "hello\n", 1, history.ErrFormat},
		{"other format", `{"format":"x","version":1}` + "\n", 1, history.ErrFormat},
		{"later version", `{"format":"killpoint-history","version":2}` + "\n", 1, history.ErrVersion},
		{"cut in the header", `{"format":"killpoint`, 1, history.ErrTruncated},
		{"cut in an event", head + one + `{"seq":2,"t"`, 3, history.ErrTruncated},
		{"cut at the newline", head + strings.TrimSuffix(one, "\n"), 2, history.ErrTruncated},
		{"event lost", head + strings.Replace(one, `"seq":1`, `"seq":2`, 1), 2, history.ErrSequence},
		{"event twice", head + one + one, 3, history.ErrSequence},
		{"garbage in the middle", head + one + "\x00\x00\n" + one, 3, nil},
		{"no kind", head + `{"seq":1,"t":5}` + "\n", 2, nil},
		{"no body", head + `{"seq":1,"t":5,"kind":"log"}` + "\n", 2, nil},
		{"body of another shape", head + `{"seq":1,"t":5,"kind":"log","body":[1]}` + "\n", 2, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := history.Read("h.jsonl", strings.NewReader(c.text))
			var le *history.LineError
			require.ErrorAs(t, err, &le)
			assert.Equal(t, c.line, le.Line)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			assert.Contains(t, err.Error(), "h.jsonl:")
		})
	}
}

func TestALineWithoutEndDoesNotTakeAllMemory(t *testing.T) {
	_, err := history.Read("h", bytes.NewReader(bytes.Repeat([]byte("x"), 33<<20)))
	var le *history.LineError
	require.ErrorAs(t, err, &le)
	assert.Equal(t, 1, le.Line)
}

// The rig cuts log lines at 4 MiB, and JSON may write one byte as six: such a
// line can be read back, and what could not be is never written.
func TestALongLineIsReadBackOrRefused(t *testing.T) {
	w, path := create(t)
	line := strings.Repeat("x", 5<<20)
	w.Record("runtime#1", history.KindLog, &history.Log{Line: line})
	require.NoError(t, w.Err())
	w.Record("runtime#1", history.KindLog, &history.Log{Line: strings.Repeat(line, 7)})
	require.Error(t, w.Close())
	h, err := history.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, h.Events, 1)
	assert.Len(t, h.Events[0].Body.(*history.Log).Line, len(line))
}

// A kind of a later version is kept, not refused: only Version says that an
// old reader would misread.
func TestUnknownKindsAreKeptRaw(t *testing.T) {
	h, err := history.Read("h", strings.NewReader(
		`{"format":"killpoint-history","version":1}`+"\n"+
			`{"seq":1,"t":5,"party":"p","kind":"weather","body":{"rain":true}}`+"\n"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"rain":true}`, string(h.Events[0].Body.(json.RawMessage)))
}

// A write that fails (a full disk, an event that cannot be encoded) ends the
// history there, and Close says so.
func TestAFailedWriteIsToldOnClose(t *testing.T) {
	w, _ := create(t)
	w.Record("p", history.KindLog, func() {})
	w.Record("p", history.KindLog, &history.Log{})
	require.Error(t, w.Err())
	require.Error(t, w.Close())
}

func TestCreateNeverOverwrites(t *testing.T) {
	w, path := create(t)
	require.NoError(t, w.Close())
	_, err := history.Create(path, history.Header{})
	require.ErrorIs(t, err, os.ErrExist)
}

func TestEmitterAndParseEvent(t *testing.T) {
	var out bytes.Buffer
	e := history.NewEmitter(&out)
	e.Record("runtime", history.KindActor, &history.Actor{Actor: "a", What: "wake"})
	e.Record("runtime", history.KindLog, make(chan int))
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	require.Len(t, lines, 2)
	ev, ok := history.ParseEvent(lines[0])
	require.True(t, ok)
	assert.Equal(t, &history.Actor{Actor: "a", What: "wake"}, ev.Body)
	for _, line := range []string{"", "panic: x", "{", `{"a":1}`, `{"kind":"log","body":{}}`, string(lines[1])} {
		_, ok := history.ParseEvent([]byte(line))
		assert.False(t, ok, "%q is no event", line)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"format":"killpoint-history","version":1}` + "\n" + `{"seq":1,"t":5,"kind":"log","body":{}}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := history.Read("f", bytes.NewReader(b))
		if err != nil {
			var le *history.LineError
			if !errors.As(err, &le) || le.Line < 1 {
				t.Fatalf("an error without a line: %v", err)
			}
			return
		}
		for i, e := range h.Events {
			if e.Seq != uint64(i+1) || e.Body == nil {
				t.Fatalf("event %d accepted broken: %+v", i, e)
			}
		}
	})
}
