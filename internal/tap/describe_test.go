package tap

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
)

func ptr[T any](v T) *T { return &v }

// TestAccounts follows one connection: what a frame says may depend on those
// before it.
func TestAccounts(t *testing.T) {
	q := newAcquaintance()
	d := q.dialogue(wire.V8)
	id := wire.MessageID{Gateway: [4]byte{1}, Request: [4]byte{2}}
	socket := wire.MessageID{Gateway: [4]byte{1}, Request: [4]byte{3}}
	at := func(actor string, generation uint32) wire.Checkpoint {
		return wire.Checkpoint{ActorID: actor, Generation: generation}
	}
	stop := func(r wire.StopReason) wire.Command {
		return wire.Command{Checkpoint: at("a", 2), Body: wire.StopActor{Reason: r}}
	}
	event := func(b wire.EventBody) wire.Event { return wire.Event{Checkpoint: at("a", 2), Body: b} }
	refused := &wire.SQLError{Group: "g", Code: "c", Message: "m"}
	for _, x := range []struct {
		msg         any
		typ, detail string
		actor, key  string
		generation  uint32
	}{
		{wire.Init{}, "init", "", "", "", 0},
		{wire.ExecRequest{RequestID: 1, ActorID: "a", Generation: 1, SQL: "BEGIN"}, "exec-request", "begin", "a", "", 1},
		{startOf("a", "room", 2), "commands", "start", "a", "room", 2},
		{wire.Commands{stop(wire.StopGoingAway)}, "commands", "stop-going-away", "a", "room", 2},
		{wire.Commands{stop(wire.StopSleepIntent), startOf("b", "hall", 1)[0], stop(wire.StopSleepIntent)}, "commands", "stop-sleep-intent+start", "", "", 0},
		{wire.AckCommands{Checkpoints: []wire.Checkpoint{at("a", 2)}}, "ack-commands", "", "a", "room", 2},
		{wire.Events{event(wire.StateUpdate{})}, "events", "running", "a", "room", 2},
		{wire.Events{event(wire.IntentSleep), event(wire.IntentStop)}, "events", "intent-sleep+intent-stop", "a", "room", 2},
		{wire.Events{event(wire.StateUpdate{Stopped: &wire.Stopped{}})}, "events", "stopped", "a", "room", 2},
		{wire.Events{event(wire.StateUpdate{Stopped: &wire.Stopped{Code: wire.StopError}})}, "events", "stopped-error", "a", "room", 2},
		{wire.Events{event(wire.SetAlarm{At: ptr(int64(1))})}, "events", "alarm", "a", "room", 2},
		{wire.Events{event(wire.SetAlarm{})}, "events", "alarm-clear", "a", "room", 2},
		{wire.KVRequest{ActorID: "a", RequestID: 7, Op: wire.KVPut{}}, "kv-request", "put", "a", "room", 0},
		{wire.ExecuteRequest{RequestID: 8, ActorID: "a", Generation: 2, SQL: " \n( SELECT 1)"}, "execute-request", "select", "a", "room", 2},
		{wire.KVResponse{RequestID: 7, Result: wire.KVPutResult{}}, "kv-response", "put", "a", "room", 0},
		{wire.ExecuteResponse{RequestID: 8, Err: refused}, "execute-response", "select-error", "a", "room", 2},
		{wire.ExecuteResponse{RequestID: 8, Err: refused}, "execute-response", "error", "", "", 0}, // nobody asked
		{wire.ExecResponse{RequestID: 1, OK: &wire.QueryResult{}}, "exec-response", "begin", "a", "room", 1},
		{wire.KVRequest{ActorID: "a", RequestID: 9, Op: wire.KVDeleteRange{}}, "kv-request", "delete-range", "a", "room", 0},
		{wire.KVResponse{RequestID: 9, Result: wire.KVError{Message: "no"}}, "kv-response", "delete-range-error", "a", "room", 0},
		{wire.ExecuteBatchRequest{RequestID: 10, ActorID: "b", Generation: 1, Statements: []wire.Statement{{SQL: "INSERT"}, {SQL: "UPDATE x"}, {SQL: "insert"}}},
			"execute-batch-request", "insert+update", "b", "hall", 1},
		{wire.CommitRequest{RequestID: 11, ActorID: "b", ExpectedGeneration: ptr(uint64(1))}, "commit-request", "", "b", "hall", 1},
		{wire.CommitResponse{RequestID: 11, Err: refused}, "commit-response", "error", "b", "hall", 1},

		{wire.ToRuntimeTunnel{ID: id, Part: wire.RequestStart{ActorID: "a", Generation: ptr(uint32(2)), Method: "POST", Path: "/action/tick?x=1"}},
			"request-start", "POST /action/tick", "a", "room", 2},
		{wire.ToRuntimeTunnel{ID: id, Part: wire.RequestChunk{Body: []byte{}}}, "request-chunk", "POST /action/tick", "a", "room", 2},
		{wire.ToEngineTunnel{ID: id, Part: wire.ResponseStart{Status: 503, Stream: true}}, "response-start", "503", "a", "room", 2},
		{wire.ToEngineTunnel{ID: id, Part: wire.ResponseChunk{Body: []byte{}, Finish: true}}, "response-chunk", "POST /action/tick", "a", "room", 2},
		{wire.ToRuntimeTunnel{ID: id, Part: wire.RequestAbort{}}, "request-abort", "", "", "", 0}, // it was over
		{wire.ToRuntimeTunnel{ID: socket, Part: wire.WebSocketOpen{ActorID: "a", Path: "/connect"}}, "websocket-open", "/connect", "a", "room", 0},
		{wire.ToEngineTunnel{ID: socket, Part: wire.WebSocketMessage{Data: []byte{}}}, "websocket-message", "/connect", "a", "room", 0},
		{wire.ToEngineTunnel{ID: socket, Part: wire.WebSocketClosed{Hibernate: true}}, "websocket-closed", "/connect", "a", "room", 0},
		{wire.ToRuntimeTunnel{ID: socket, Part: wire.WebSocketClose{}}, "websocket-close", "/connect", "a", "room", 0},
		{wire.ToRuntimeTunnel{ID: socket, Part: wire.WebSocketClose{}}, "websocket-close", "", "", "", 0},
	} {
		var got account
		switch m := x.msg.(type) {
		case wire.ToEngine:
			b, err := wire.EncodeToEngine(wire.V8, m)
			require.NoError(t, err)
			got = d.toEngine(b)
		case wire.ToRuntime:
			b, err := wire.EncodeToRuntime(wire.V8, m)
			require.NoError(t, err)
			got = d.toRuntime(b)
		}
		want := account{typ: x.typ, detail: x.detail, key: x.key, generation: x.generation}
		if x.actor != "" {
			want.actors = []string{x.actor}
		}
		if len(got.actors) > 1 {
			got.actors, got.generation = nil, 0
		}
		assert.Equal(t, want, got, "%+v", x.msg)
	}
	assert.Len(t, d.requests, 1, "what was answered is forgotten")
	assert.Empty(t, q.tunnels)
}

func TestRequestsWithoutALastWordAreForgotten(t *testing.T) {
	d := newAcquaintance().dialogue(wire.V6)
	for i := range tunnelsMax + 1 {
		d.open(tunnel{request: [4]byte{byte(i), byte(i >> 8), byte(i >> 16)}}, asked{})
	}
	assert.Len(t, d.tunnels, 1)
}

// FuzzMessages: a WebSocket's messages come out as the bytes that went in.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{0x82, 0x05, 1, 2, 3, 4, 5})
	f.Add([]byte{0x82, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{0x02, 0x01, 1, 0x89, 0x00, 0x80, 0x01, 2, 0x88, 0x02, 0x03, 0xe8})
	f.Add([]byte{0x82, 126, 0, 1, 7, 0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 7})
	f.Add([]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &messages{r: bufio.NewReader(bytes.NewReader(b))}
		total := 0
		for {
			m, err := in.next()
			if err != nil {
				return
			}
			total += m.size
			require.LessOrEqual(t, total, len(b))
			var raw bytes.Buffer
			require.NoError(t, m.writeTo(&raw))
			require.Equal(t, m.size, raw.Len())
			again, err := (&messages{r: bufio.NewReader(&raw)}).next()
			require.NoError(t, err)
			require.Equal(t, m.payload, again.payload)
			closeDetail(m.payload)
		}
	})
}

// FuzzEvents: a stream's events, put together, are the stream, however it was
// cut on its way.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("event: ping\ndata:\n\nevent: stopping\ndata:\n\n"), 3)
	f.Add([]byte(": comment\r\n\r\nevent:x\r\rdata: 1\n\r\n\r"), 1)
	f.Add([]byte("\n\n\nrest"), 2)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		whole := split(t, b, len(b)+1)
		cut := split(t, b, max(1, size&15))
		require.Equal(t, whole, cut)
		var joined []byte
		for i, e := range whole {
			joined = append(joined, e.raw...)
			require.NotEmpty(t, e.raw)
			require.True(t, e.name != "fragment" || i == len(whole)-1 || e.name == eventName(e.raw))
		}
		require.Equal(t, string(b), string(joined))
	})
}

// split reads the events of a stream that comes in pieces.
func split(t *testing.T, b []byte, size int) (events []streamEvent) {
	s := &eventSplitter{r: &pieces{b, size}}
	for {
		e, err := s.next()
		if err != nil {
			return events
		}
		events = append(events, e)
		require.LessOrEqual(t, len(events), len(b))
	}
}

type pieces struct {
	left []byte
	size int
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, errClosed
	}
	n := copy(to, p.left[:min(p.size, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

func TestEvents(t *testing.T) {
	for stream, want := range map[string][]string{
		"":                                       nil,
		"event: ping\ndata:\n\n":                 {"ping"},
		"event: ping\n\nevent: stopping\r\n\r\n": {"ping", "stopping"},
		"data: x\r\rid: 1\n\n":                   {"message", "message"},
		": keep alive\n\n":                       {"comment"},
		"event: ping\n":                          {"fragment"},
		"event: ping\n\r":                        {"fragment"},
		"event: ping\n\r\nevent: half":           {"ping", "fragment"},
		"event:a\nevent: b\n\n":                  {"b"},
	} {
		var got []string
		for _, e := range split(t, []byte(stream), 1) {
			got = append(got, e.name)
		}
		assert.Equal(t, want, got, "%q", stream)
	}
}

// FuzzHead: what is read as a head is what was there.
func FuzzHead(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nrest"))
	f.Add([]byte("\r\nGET / HTTP/1.1\nHost: x\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, err := readHead(bufio.NewReaderSize(bytes.NewReader(b), 16))
		if err != nil {
			return
		}
		require.True(t, bytes.Contains(b, head))
		out := without(head, "host")
		require.LessOrEqual(t, len(out), len(head))
		require.True(t, bytes.HasSuffix(head, []byte("\n")))
	})
}

func TestWithout(t *testing.T) {
	assert.Equal(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		string(without([]byte("GET / HTTP/1.1\r\nHost: x\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"), "Sec-WebSocket-Extensions")))
}
