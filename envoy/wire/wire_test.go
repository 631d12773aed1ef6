package wire

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// frame puts bytes together: numbers are single bytes, strings are themselves.
func frame(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func TestDecodeRefuses(t *testing.T) {
	checkpoint := frame(1, "a", 1, 0, 0, 0, make([]byte, 8))
	for name, c := range map[string]struct {
		frame  []byte
		err    error
		field  string
		offset int
	}{
		"nothing":                {nil, ErrTruncated, "", 0},
		"unknown message":        {frame(11), ErrTag, "", 0},
		"message of version 8":   {frame(13), ErrTag, "", 0},
		"cut number":             {frame(5, 1, 2), ErrTruncated, "ping.ts", 1},
		"trailing":               {frame(5, make([]byte, 8), 0), ErrTrailing, "message", 9},
		"unknown command":        {frame(1, 1, checkpoint, 2, 0), ErrTag, "commands[0]", 16},
		"unknown stop reason":    {frame(1, 1, checkpoint, 1, 5), ErrTag, "commands[0].stop.reason", 17},
		"string over the end":    {frame(1, 1, checkpoint, 0, 9, "abc"), ErrTooLong, "commands[0].start.name", 17},
		"string not UTF-8":       {frame(1, 1, 1, 0xff, make([]byte, 20)), ErrUTF8, "commands[0].checkpoint.actor-id", 2},
		"optional neither":       {frame(1, 1, checkpoint, 0, 1, "n", 2), ErrBool, "commands[0].start.key", 19},
		"more than can be":       {frame(1, 3, checkpoint, 1, 0, checkpoint, 1, 0), ErrTooLong, "commands", 1},
		"over-long length":       {frame(1, 0x80, 0), ErrVarint, "commands", 1},
		"length over 64 bits":    {frame(1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), ErrVarint, "commands", 1},
		"length without an end":  {frame(1, "\xff\xff"), ErrTruncated, "commands", 1},
		"length of ten and more": {frame(1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), ErrVarint, "commands", 1},
		"unknown SQL result":     {frame(8, 0, 0, 0, 0, 2), ErrTag, "exec-response.result", 5},
		"unknown SQL value":      {frame(8, 0, 0, 0, 0, 0, 0, 1, 2, 0, 7), ErrTag, "exec-response.ok.rows[0][1]", 10},
	} {
		t.Run(name, func(t *testing.T) {
			msg, err := DecodeToRuntime(V6, c.frame)
			require.Nil(t, msg)
			require.ErrorIs(t, err, c.err)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.field, e.Field)
			require.Equal(t, c.offset, e.Offset)
		})
	}
}

func TestDecodeStartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		body []byte
		err  error
	}{
		"nothing":         {nil, ErrTruncated},
		"half a version":  {frame(6), ErrTruncated},
		"version only":    {frame(6, 0), ErrTruncated},
		"unknown version": {frame(7, 0, 1, 0), ErrVersion},
		"trailing":        {frame(6, 0, 1, 0, 0), ErrTrailing},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := DecodeStart(c.body)
			require.ErrorIs(t, err, c.err)
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		version Version
		msg     ToRuntime
		err     error
		field   string
	}{
		"version 7":                {7, Ping{}, ErrVersion, "version"},
		"nil":                      {V8, nil, ErrMissing, ""},
		"a pointer":                {V8, &Ping{}, ErrMissing, ""},
		"no part":                  {V8, ToRuntimeTunnel{}, ErrMissing, "tunnel"},
		"no command":               {V8, Commands{{}}, ErrMissing, "commands[0]"},
		"no result":                {V8, ExecResponse{}, ErrMissing, "exec-response.result"},
		"result and error":         {V8, ExecResponse{OK: &QueryResult{}, Err: &SQLError{}}, ErrMissing, "exec-response.result"},
		"unknown reason":           {V8, Commands{{Body: StopActor{Reason: 5}}}, ErrTag, "commands[0].stop.reason"},
		"not UTF-8":                {V8, AckEvents{[]Checkpoint{{ActorID: "\xff"}}}, ErrUTF8, "ack-events[0].actor-id"},
		"message new in version 8": {V6, CommitFinalizeResponse{OK: &Committed{}}, ErrVersion, ""},
		"part new in version 8":    {V6, ToRuntimeTunnel{Part: RequestBodyCancel{}}, ErrVersion, "tunnel"},
		"field new in version 8": {V6, ToRuntimeTunnel{Part: RequestStart{Generation: ptr(uint32(1))}}, ErrVersion,
			"tunnel.request-start.generation"},
		"reason new in version 8": {V6, ToRuntimeTunnel{Part: RequestAbort{Reason: AbortReason{Kind: AbortCancelled}}},
			ErrVersion, "tunnel.request-abort.reason"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := EncodeToRuntime(c.version, c.msg)
			require.Nil(t, b)
			require.ErrorIs(t, err, c.err)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.field, e.Field)
		})
	}
}

func TestErrorSaysWhere(t *testing.T) {
	_, err := DecodeToRuntime(V6, frame(1, 1, 1, "a", make([]byte, 12), 1, 9))
	require.EqualError(t, err, "commands[0].stop.reason at byte 17: unknown tag: 9 of 5")
}

// A frame of ten bytes that claims 2^40 elements costs nothing to refuse.
func TestClaimsAreNotAllocated(t *testing.T) {
	claim := binary.AppendUvarint(nil, 1<<40)
	for name, decode := range map[string]func() error{
		"commands": func() error { _, err := DecodeToRuntime(V8, frame(1, claim, 0, 0, 0)); return err },
		"events":   func() error { _, err := DecodeToEngine(V8, frame(1, claim, 0, 0, 0)); return err },
		"blob":     func() error { _, err := DecodeToRuntime(V8, frame(3, 0, 0, 0, 0, 0, claim)); return err },
		"pages":    func() error { _, err := DecodeToEngine(V8, frame(7, 0, 0, 0, 0, 0, claim)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			used := allocated(func() { err = decode() })
			require.ErrorIs(t, err, ErrTooLong)
			require.Less(t, used, uint64(16<<10), "bytes allocated")
		})
	}
}

// allocated is how many bytes the process allocates while f runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestKind(t *testing.T) {
	require.Equal(t, "commands", Kind(Commands{}))
	require.Equal(t, "kv-request", Kind(KVRequest{}))
	require.Equal(t, "request-start", Kind(ToRuntimeTunnel{Part: RequestStart{}}))
	require.Equal(t, "websocket-message", Kind(ToEngineTunnel{Part: WebSocketMessage{}}))
	require.Empty(t, Kind(nil))
	require.Empty(t, Kind(ToRuntimeTunnel{}))
	require.Empty(t, Kind("commands"))
}

func TestNames(t *testing.T) {
	require.Equal(t, "going-away", StopGoingAway.String())
	require.Equal(t, "stop-reason(9)", StopReason(9).String())
	require.Equal(t, "error", StopError.String())
	require.Equal(t, "stop", IntentStop.String())
	require.Equal(t, "internal-error", AbortInternalError.String())
	require.Equal(t, "v8", V8.String())
	for i := range stopReasons {
		require.NotContains(t, i.String(), "(")
	}
}
