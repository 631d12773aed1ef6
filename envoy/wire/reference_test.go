package wire

// The messages that the published codec wrote to testdata/reference-v8.txt, in
// the same order.

var (
	refID      = MessageID{Gateway: [4]byte{1, 2, 3, 4}, Request: [4]byte{5, 6, 7, 8}, Index: 513}
	refHeaders = []Header{{"b", "2"}, {"a", "1"}}
	refAbort   = AbortReason{Kind: AbortHandlerError, Detail: ptr("d")}
	refMeta    = KVMetadata{Version: []byte("v"), UpdatedAt: -2}
	refValues  = []Value{Null{}, Integer(-5), Float(1.5), Text("é"), Blob{0, 255}}
	refResult  = ExecuteResult{Columns: []string{"x", "y"}, Rows: [][]Value{refValues, {}}, Changes: 3, LastInsertRowID: ptr(int64(-1))}
	refErr     = &SQLError{"g", "c", "m"}
	refDirty   = []DirtyPage{{1, []byte("p")}}
)

func keys(s ...string) [][]byte {
	out := [][]byte{}
	for _, k := range s {
		out = append(out, []byte(k))
	}
	return out
}

func kvReply(r KVResult) ToRuntime            { return KVResponse{RequestID: 7, Result: r} }
func kvAsk(op KVOp) ToEngine                  { return KVRequest{ActorID: "a", RequestID: 7, Op: op} }
func tunnelDown(part ToRuntimePart) ToRuntime { return ToRuntimeTunnel{ID: refID, Part: part} }
func tunnelUp(part ToEnginePart) ToEngine     { return ToEngineTunnel{ID: refID, Part: part} }

var referenceToRuntime = []ToRuntime{
	Init{15000, 1800000, 20971520},
	Commands{
		{Checkpoint{"a1", 2, 3}, StartActor{
			Config:      ActorConfig{Name: "n", Key: ptr("k"), CreatedAt: 4, Input: []byte{}},
			Hibernating: []HibernatingRequest{{refID.Gateway, refID.Request}},
			Preloaded: &PreloadedKV{
				Entries: []PreloadedEntry{{[]byte("k"), []byte{}, refMeta}},
				GetKeys: keys("k", "l"), Prefixes: keys("p"),
			},
		}},
		{Checkpoint{"a2", 4294967295, -1}, StartActor{
			Config: ActorConfig{Name: "n", CreatedAt: 4}, Hibernating: []HibernatingRequest{},
		}},
		{Checkpoint{"a3", 1, 2}, StopActor{StopLost}},
	},
	AckEvents{[]Checkpoint{{"a1", 2, 3}, {"a2", 1, 0}}},
	kvReply(KVError{"no"}),
	kvReply(KVGetResult{keys("a"), keys("1"), []KVMetadata{refMeta}}),
	kvReply(KVListResult{keys("a"), keys("1"), []KVMetadata{refMeta}}),
	kvReply(KVPutResult{}),
	kvReply(KVDeleteResult{}),
	kvReply(KVDropResult{}),
	tunnelDown(RequestStart{ActorID: "a", Generation: ptr(uint32(9)), Method: "GET", Path: "/x",
		Headers: refHeaders, Body: []byte("body"), ResponseStream: true}),
	tunnelDown(RequestChunk{[]byte("c"), true}),
	tunnelDown(RequestAbort{ptr("a"), ptr(uint32(9)), refAbort}),
	tunnelDown(RequestBodyCancel{}),
	tunnelDown(ResponseBodyWindow{65536}),
	tunnelDown(WebSocketOpen{ActorID: "a", Path: "/w", Headers: refHeaders}),
	tunnelDown(WebSocketMessage{[]byte("d"), true}),
	tunnelDown(WebSocketClose{ptr(uint16(4001)), ptr("bye")}),
	Ping{5},
	GetPagesResponse{RequestID: 8, OK: &Pages{[]FetchedPage{{1, []byte("p")}, {Page: 2}}, ptr(uint64(6))}},
	CommitResponse{RequestID: 8, OK: &Committed{}},
	CommitStageBeginResponse{RequestID: 8, OK: &StageBegun{6}},
	CommitStageSegmentResponse{RequestID: 8, OK: &StagedSegment{4096}},
	CommitFinalizeResponse{RequestID: 8, OK: &Committed{ptr(uint64(6))}},
	ExecResponse{RequestID: 8, OK: &QueryResult{[]string{"x"}, [][]Value{refValues}}},
	ExecuteResponse{RequestID: 8, OK: &refResult},
	ExecuteBatchResponse{RequestID: 8, OK: &BatchResult{[]ExecuteResult{refResult}}},
	GetPagesResponse{RequestID: 8, Err: refErr},
	CommitResponse{RequestID: 8, Err: refErr},
	CommitStageBeginResponse{RequestID: 8, Err: refErr},
	CommitStageSegmentResponse{RequestID: 8, Err: refErr},
	CommitFinalizeResponse{RequestID: 8, Err: refErr},
	ExecResponse{RequestID: 8, Err: refErr},
	ExecuteResponse{RequestID: 8, Err: refErr},
	ExecuteBatchResponse{RequestID: 8, Err: refErr},
}

var referenceToEngine = []ToEngine{
	Metadata{[]ActorName{{"z", "{}"}, {"y", "[]"}}, ptr(`{"a":1}`)},
	Metadata{},
	Events{
		{Checkpoint{"a1", 2, 3}, IntentSleep},
		{Checkpoint{"a1", 2, 4}, IntentStop},
		{Checkpoint{"a1", 2, 5}, StateUpdate{}},
		{Checkpoint{"a1", 2, 6}, StateUpdate{&Stopped{StopError, ptr("m")}}},
		{Checkpoint{"a1", 2, 7}, SetAlarm{ptr(int64(8))}},
		{Checkpoint{"a1", 2, 8}, SetAlarm{}},
	},
	AckCommands{[]Checkpoint{{"a1", 2, 3}}},
	Stopping{},
	Pong{5},
	kvAsk(KVGet{keys("a")}),
	kvAsk(KVList{KVAll{}, ptr(true), ptr(uint64(3))}),
	kvAsk(KVList{Query: KVRange{[]byte("a"), []byte("b"), true}}),
	kvAsk(KVList{Query: KVPrefix{[]byte("a")}, Reverse: ptr(false)}),
	kvAsk(KVPut{keys("a"), keys("1")}),
	kvAsk(KVDelete{keys("a")}),
	kvAsk(KVDeleteRange{[]byte("a"), []byte("b")}),
	kvAsk(KVDrop{}),
	tunnelUp(ResponseStart{Status: 200, Headers: refHeaders, Body: []byte{}, Stream: true}),
	tunnelUp(ResponseChunk{[]byte("c"), true}),
	tunnelUp(ResponseAbort{refAbort}),
	tunnelUp(RequestBodyWindow{65536}),
	tunnelUp(RequestBodyCancel{}),
	tunnelUp(WebSocketOpened{true}),
	tunnelUp(WebSocketMessage{[]byte("d"), false}),
	tunnelUp(WebSocketAck{258}),
	tunnelUp(WebSocketClosed{Code: ptr(uint16(1000)), Hibernate: true}),
	GetPagesRequest{8, "a", []uint32{1, 2}, ptr(uint64(3)), nil},
	CommitRequest{8, "a", refDirty, 2, 5, ptr(uint64(3)), ptr(uint64(6))},
	CommitStageBeginRequest{8, "a", ptr(uint64(3)), ptr(uint64(6))},
	CommitStageSegmentRequest{8, "a", ptr(uint64(3)), 7, 64, refDirty},
	CommitFinalizeRequest{8, "a", ptr(uint64(3)), 7, 2, 5, []uint32{0, 64}},
	ExecRequest{8, "ns", "a", 3, "SELECT 1"},
	ExecuteRequest{8, "ns", "a", 3, "SELECT ?", refValues},
	ExecuteRequest{8, "ns", "a", 3, "SELECT 1", nil},
	ExecuteBatchRequest{8, "ns", "a", 3, []Statement{{"A", []Value{}}, {"B", nil}}},
}
