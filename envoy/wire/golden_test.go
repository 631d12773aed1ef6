package wire

import (
	"bufio"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// golden is a recorded frame. The files in testdata hold two lines a frame:
// direction ("to-runtime", "to-engine", or "start", the body of POST /start)
// and what it is, then its bytes. "engine" files were recorded from the running
// engine of the release in their name, which refused none of the frames to it.
// "reference" files were written by the published codec.
type golden struct {
	file      string
	line      int
	direction string
	what      string
	version   Version
	bytes     []byte
}

// goldens reads the files that a pattern matches. Lines may be long.
func goldens(t testing.TB, pattern string) []golden {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	var all []golden
	for _, file := range files {
		all = append(all, readGoldens(t, file)...)
	}
	return all
}

func readGoldens(t testing.TB, file string) []golden {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // only read
	version := V6
	if strings.HasSuffix(file, "v8.txt") {
		version = V8
	}
	var all []golden
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		g := golden{file: filepath.Base(file), line: n, version: version}
		g.direction, g.what, _ = strings.Cut(lines.Text(), " ")
		require.True(t, lines.Scan(), "%s:%d: no bytes follow", file, n)
		n++
		g.bytes, err = hex.DecodeString(lines.Text())
		require.NoError(t, err, "%s:%d", file, n)
		all = append(all, g)
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, all, file)
	return all
}

// again decodes the frame and encodes it again.
func (g golden) again() (msg any, frame []byte, err error) {
	switch g.direction {
	case "to-engine":
		m, err := DecodeToEngine(g.version, g.bytes)
		if err != nil {
			return nil, nil, err
		}
		frame, err = EncodeToEngine(g.version, m)
		return m, frame, err
	case "start":
		v, m, err := DecodeStart(g.bytes)
		if err != nil {
			return nil, nil, err
		}
		frame, err = EncodeStart(v, m)
		return m, frame, err
	}
	m, err := DecodeToRuntime(g.version, g.bytes)
	if err != nil {
		return nil, nil, err
	}
	frame, err = EncodeToRuntime(g.version, m)
	return m, frame, err
}

func TestRecordedFrames(t *testing.T) {
	seen := map[string]int{}
	for _, g := range goldens(t, "engine-*.txt") {
		msg, frame, err := g.again()
		require.NoError(t, err, "%s:%d %s %s", g.file, g.line, g.direction, g.what)
		require.Equal(t, g.bytes, frame, "%s:%d %s %s", g.file, g.line, g.direction, g.what)
		kind, _, _ := strings.Cut(g.what, " ")
		require.Equal(t, kind, Kind(msg), "%s:%d", g.file, g.line)
		seen[g.file]++
	}
	require.Len(t, seen, 3, "a release is missing")
}

// TestReferenceFrames compares with the published codec, which wrote every
// variant there is in version 8.
func TestReferenceFrames(t *testing.T) {
	frames := goldens(t, "reference-v8.txt")
	require.Len(t, frames, len(referenceToRuntime)+len(referenceToEngine))
	for i, g := range frames {
		msg, frame, err := g.again()
		require.NoError(t, err, "%s:%d %s", g.file, g.line, g.what)
		require.Equal(t, g.bytes, frame, "%s:%d %s", g.file, g.line, g.what)
		var want any
		if n := len(referenceToRuntime); i < n {
			want = referenceToRuntime[i]
		} else {
			want = referenceToEngine[i-n]
		}
		require.Equal(t, want, msg, "%s:%d %s", g.file, g.line, g.what)
	}
}

// find returns the nth recorded frame whose description begins with what.
func find(t testing.TB, file, direction, what string, nth int) any {
	t.Helper()
	for _, g := range goldens(t, file) {
		if g.direction == direction && strings.HasPrefix(g.what, what) {
			if nth--; nth < 0 {
				msg, _, err := g.again()
				require.NoError(t, err)
				return msg
			}
		}
	}
	require.FailNow(t, "no such frame", "%s %s %s", file, direction, what)
	return nil
}

func TestRecordedMeaning(t *testing.T) {
	for _, file := range []string{"engine-2.3.5-v6.txt", "engine-2.3.19-v6.txt", "engine-2.3.19-v8.txt"} {
		t.Run(file, func(t *testing.T) {
			require.Equal(t, Init{LostThreshold: 15_000, StopThreshold: 1_800_000, MaxResponse: 20 << 20},
				find(t, file, "to-runtime", "init", 0))
			start := find(t, file, "start", "commands", 0).(Commands)
			require.Len(t, start, 1)
			id := start[0].Checkpoint.ActorID
			require.Len(t, id, 30)
			require.Equal(t, Checkpoint{ActorID: id, Generation: 1}, start[0].Checkpoint)
			body := start[0].Body.(StartActor)
			require.Equal(t, ActorConfig{Name: "counter", Key: ptr("room-1"), CreatedAt: body.Config.CreatedAt,
				Input: []byte("hello")}, body.Config)
			require.Equal(t, Commands{{Checkpoint{id, 1, 1}, StopActor{StopSleepIntent}}},
				find(t, file, "to-runtime", "commands", 0))
			got := find(t, file, "to-runtime", "kv-response", 1).(KVResponse)
			require.Equal(t, [][]byte{[]byte("c"), []byte("a"), []byte("b")}, got.Result.(KVGetResult).Keys)
			require.Equal(t, [][]byte{[]byte("three"), []byte("1"), {}}, got.Result.(KVGetResult).Values)
			require.Equal(t, ExecuteResponse{RequestID: 103, OK: &ExecuteResult{
				Columns: []string{"id", "f", "s", "b"},
				Rows: [][]Value{
					{Integer(-7), Null{}, Text(""), Null{}}, // an empty blob comes back as NULL
					{Integer(1), Float(1.5), Text("é"), Blob{0, 255}},
				},
			}}, withoutCounts(find(t, file, "to-runtime", "execute-response", 2).(ExecuteResponse)))
			require.Equal(t, &SQLError{"core", "internal_error",
				"failed to prepare sqlite exec statement: no such table: nowhere"},
				find(t, file, "to-runtime", "exec-response", 1).(ExecResponse).Err)
			woken := find(t, file, "start", "commands | start while a WebSocket", 0).(Commands)
			require.Len(t, woken[0].Body.(StartActor).Hibernating, 1)
		})
	}
	request := find(t, "engine-2.3.19-v8.txt", "to-runtime", "request-start", 0).(ToRuntimeTunnel).Part.(RequestStart)
	require.Equal(t, "GET", request.Method)
	require.Equal(t, "/request/hello?x=1", request.Path)
	require.Equal(t, ptr(uint32(1)), request.Generation)
	abort := find(t, "engine-2.3.19-v8.txt", "to-runtime", "request-abort", 1).(ToRuntimeTunnel).Part.(RequestAbort)
	require.Equal(t, AbortCancelled, abort.Reason.Kind)
}

// withoutCounts leaves out what a SELECT says of the statement before it.
func withoutCounts(r ExecuteResponse) ExecuteResponse {
	r.OK.Changes, r.OK.LastInsertRowID = 0, nil
	return r
}

func ptr[T any](x T) *T { return &x }
