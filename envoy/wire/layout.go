package wire

import "github.com/killpoint/killpoint/internal/bare"

// Each function here is the layout of one struct, for reading and writing.

// The least sizes, in bytes, of what lists hold.
const (
	leastData        = 1
	leastCheckpoint  = 1 + 4 + 8
	leastEvent       = leastCheckpoint + 2
	leastCommand     = leastCheckpoint + 2
	leastPair        = 1 + 1
	leastMetadata    = 1 + 8
	leastPreloaded   = leastPair + leastMetadata
	leastHibernating = 4 + 4
)

// The unions, their variants in the order of their tags in V8.
var (
	toRuntimeUnion = bare.NewUnion(
		bare.Case[ToRuntime]("init", initFields),
		bare.Case[ToRuntime]("commands", commandsFields),
		bare.Case[ToRuntime]("ack-events", ackEventsFields),
		bare.Case[ToRuntime]("kv-response", kvResponseFields),
		bare.Case[ToRuntime]("tunnel", toRuntimeTunnelFields),
		bare.Case[ToRuntime]("ping", pingFields),
		bare.Case[ToRuntime]("get-pages-response", getPagesResponseFields),
		bare.Case[ToRuntime]("commit-response", commitResponseFields),
		bare.Case[ToRuntime]("commit-stage-begin-response", commitStageBeginResponseFields).Since(uint16(V8)),
		bare.Case[ToRuntime]("commit-stage-segment-response", commitStageSegmentResponseFields).Since(uint16(V8)),
		bare.Case[ToRuntime]("commit-finalize-response", commitFinalizeResponseFields).Since(uint16(V8)),
		bare.Case[ToRuntime]("exec-response", execResponseFields),
		bare.Case[ToRuntime]("execute-response", executeResponseFields),
		bare.Case[ToRuntime]("execute-batch-response", executeBatchResponseFields),
	)
	toEngineUnion = bare.NewUnion(
		bare.Case[ToEngine]("metadata", metadataFields),
		bare.Case[ToEngine]("events", eventsFields),
		bare.Case[ToEngine]("ack-commands", ackCommandsFields),
		bare.Void[ToEngine, Stopping]("stopping"),
		bare.Case[ToEngine]("pong", pongFields),
		bare.Case[ToEngine]("kv-request", kvRequestFields),
		bare.Case[ToEngine]("tunnel", toEngineTunnelFields),
		bare.Case[ToEngine]("get-pages-request", getPagesRequestFields),
		bare.Case[ToEngine]("commit-request", commitRequestFields),
		bare.Case[ToEngine]("commit-stage-begin-request", commitStageBeginRequestFields).Since(uint16(V8)),
		bare.Case[ToEngine]("commit-stage-segment-request", commitStageSegmentRequestFields).Since(uint16(V8)),
		bare.Case[ToEngine]("commit-finalize-request", commitFinalizeRequestFields).Since(uint16(V8)),
		bare.Case[ToEngine]("exec-request", execRequestFields),
		bare.Case[ToEngine]("execute-request", executeRequestFields),
		bare.Case[ToEngine]("execute-batch-request", executeBatchRequestFields),
	)
	toRuntimePartUnion = bare.NewUnion(
		bare.Case[ToRuntimePart]("request-start", requestStartFields),
		bare.Case[ToRuntimePart]("request-chunk", requestChunkFields),
		bare.Case[ToRuntimePart]("request-abort", requestAbortFields),
		bare.Void[ToRuntimePart, RequestBodyCancel]("request-body-cancel").Since(uint16(V8)),
		bare.Case[ToRuntimePart]("response-body-window", responseBodyWindowFields).Since(uint16(V8)),
		bare.Case[ToRuntimePart]("websocket-open", webSocketOpenFields),
		bare.Case[ToRuntimePart]("websocket-message", webSocketMessageFields),
		bare.Case[ToRuntimePart]("websocket-close", webSocketCloseFields),
	)
	toEnginePartUnion = bare.NewUnion(
		bare.Case[ToEnginePart]("response-start", responseStartFields),
		bare.Case[ToEnginePart]("response-chunk", responseChunkFields),
		bare.Case[ToEnginePart]("response-abort", responseAbortFields),
		bare.Case[ToEnginePart]("request-body-window", requestBodyWindowFields).Since(uint16(V8)),
		bare.Void[ToEnginePart, RequestBodyCancel]("request-body-cancel").Since(uint16(V8)),
		bare.Case[ToEnginePart]("websocket-opened", webSocketOpenedFields),
		bare.Case[ToEnginePart]("websocket-message", webSocketMessageFields),
		bare.Case[ToEnginePart]("websocket-ack", webSocketAckFields),
		bare.Case[ToEnginePart]("websocket-closed", webSocketClosedFields),
	)
	commandUnion = bare.NewUnion(
		bare.Case[CommandBody]("start", startActorFields),
		bare.Case[CommandBody]("stop", stopActorFields),
	)
	eventUnion = bare.NewUnion(
		bare.Case[EventBody]("intent", intentFields),
		bare.Case[EventBody]("state", stateUpdateFields),
		bare.Case[EventBody]("alarm", setAlarmFields),
	)
)

func initFields(c *bare.Codec, m *Init) {
	c.I64("lost-threshold", &m.LostThreshold)
	c.I64("stop-threshold", &m.StopThreshold)
	c.U64("max-response", &m.MaxResponse)
}

func commandsFields(c *bare.Codec, m *Commands) {
	bare.List(c, "", (*[]Command)(m), leastCommand, func(c *bare.Codec, m *Command) {
		c.In("checkpoint", func() { checkpointFields(c, &m.Checkpoint) })
		commandUnion.Visit(c, "", &m.Body)
	})
}

func checkpointFields(c *bare.Codec, m *Checkpoint) {
	c.Str("actor-id", &m.ActorID)
	c.U32("generation", &m.Generation)
	c.I64("index", &m.Index)
}

func startActorFields(c *bare.Codec, m *StartActor) {
	c.Str("name", &m.Config.Name)
	bare.Opt(c, "key", &m.Config.Key, (*bare.Codec).Str)
	c.I64("created-at", &m.Config.CreatedAt)
	c.OptData("input", &m.Config.Input)
	bare.List(c, "hibernating", &m.Hibernating, leastHibernating, func(c *bare.Codec, m *HibernatingRequest) {
		c.Fixed("gateway", m.Gateway[:])
		c.Fixed("request", m.Request[:])
	})
	bare.OptStruct(c, "preloaded", &m.Preloaded, preloadedFields)
}

func preloadedFields(c *bare.Codec, m *PreloadedKV) {
	bare.List(c, "entries", &m.Entries, leastPreloaded, func(c *bare.Codec, m *PreloadedEntry) {
		c.Data("key", &m.Key)
		c.Data("value", &m.Value)
		kvMetadataFields(c, &m.Metadata)
	})
	dataList(c, "get-keys", &m.GetKeys)
	dataList(c, "prefixes", &m.Prefixes)
}

func stopActorFields(c *bare.Codec, m *StopActor) {
	bare.Enum(c, "reason", &m.Reason, stopReasons)
}

func checkpointList(c *bare.Codec, p *[]Checkpoint) {
	bare.List(c, "", p, leastCheckpoint, checkpointFields)
}

func ackEventsFields(c *bare.Codec, m *AckEvents)     { checkpointList(c, &m.Checkpoints) }
func ackCommandsFields(c *bare.Codec, m *AckCommands) { checkpointList(c, &m.Checkpoints) }

func pingFields(c *bare.Codec, m *Ping) { c.I64("ts", &m.TS) }
func pongFields(c *bare.Codec, m *Pong) { c.I64("ts", &m.TS) }

func metadataFields(c *bare.Codec, m *Metadata) {
	bare.OptList(c, "actor-names", &m.ActorNames, leastPair, func(c *bare.Codec, m *ActorName) {
		c.Str("name", &m.Name)
		c.Str("metadata", &m.Metadata)
	})
	bare.Opt(c, "metadata", &m.Metadata, (*bare.Codec).Str)
}

func eventsFields(c *bare.Codec, m *Events) {
	bare.List(c, "", (*[]Event)(m), leastEvent, func(c *bare.Codec, m *Event) {
		c.In("checkpoint", func() { checkpointFields(c, &m.Checkpoint) })
		eventUnion.Visit(c, "", &m.Body)
	})
}

func intentFields(c *bare.Codec, m *Intent) { bare.Enum(c, "intent", m, intents) }

// stateUpdateFields: a union of void (running) and one struct (stopped) has
// the bytes of an optional.
func stateUpdateFields(c *bare.Codec, m *StateUpdate) {
	bare.OptStruct(c, "stopped", &m.Stopped, func(c *bare.Codec, m *Stopped) {
		bare.Enum(c, "code", &m.Code, stopCodes)
		bare.Opt(c, "message", &m.Message, (*bare.Codec).Str)
	})
}

func setAlarmFields(c *bare.Codec, m *SetAlarm) { bare.Opt(c, "at", &m.At, (*bare.Codec).I64) }

func messageIDFields(c *bare.Codec, m *MessageID) {
	c.Fixed("gateway", m.Gateway[:])
	c.Fixed("request", m.Request[:])
	c.U16("index", &m.Index)
}

func toRuntimeTunnelFields(c *bare.Codec, m *ToRuntimeTunnel) {
	messageIDFields(c, &m.ID)
	toRuntimePartUnion.Visit(c, "", &m.Part)
}

func toEngineTunnelFields(c *bare.Codec, m *ToEngineTunnel) {
	messageIDFields(c, &m.ID)
	toEnginePartUnion.Visit(c, "", &m.Part)
}

func requestStartFields(c *bare.Codec, m *RequestStart) {
	c.Str("actor-id", &m.ActorID)
	generation(c, &m.Generation)
	c.Str("method", &m.Method)
	c.Str("path", &m.Path)
	headers(c, &m.Headers)
	c.OptData("body", &m.Body)
	c.Bool("stream", &m.Stream)
	if sinceV8(c, "response-stream", m.ResponseStream) {
		c.Bool("response-stream", &m.ResponseStream)
	}
}

func requestChunkFields(c *bare.Codec, m *RequestChunk) {
	c.Data("body", &m.Body)
	c.Bool("finish", &m.Finish)
}

func requestAbortFields(c *bare.Codec, m *RequestAbort) {
	if sinceV8(c, "actor-id", m.ActorID != nil) {
		bare.Opt(c, "actor-id", &m.ActorID, (*bare.Codec).Str)
	}
	generation(c, &m.Generation)
	abortReason(c, &m.Reason)
}

func responseBodyWindowFields(c *bare.Codec, m *ResponseBodyWindow) {
	c.U64("consumed", &m.Consumed)
}

func requestBodyWindowFields(c *bare.Codec, m *RequestBodyWindow) {
	c.U64("consumed", &m.Consumed)
}

func responseStartFields(c *bare.Codec, m *ResponseStart) {
	c.U16("status", &m.Status)
	headers(c, &m.Headers)
	c.OptData("body", &m.Body)
	c.Bool("stream", &m.Stream)
}

func responseChunkFields(c *bare.Codec, m *ResponseChunk) {
	c.Data("body", &m.Body)
	c.Bool("finish", &m.Finish)
}

func responseAbortFields(c *bare.Codec, m *ResponseAbort) { abortReason(c, &m.Reason) }

func webSocketOpenFields(c *bare.Codec, m *WebSocketOpen) {
	c.Str("actor-id", &m.ActorID)
	generation(c, &m.Generation)
	c.Str("path", &m.Path)
	headers(c, &m.Headers)
}

func webSocketOpenedFields(c *bare.Codec, m *WebSocketOpened) {
	c.Bool("can-hibernate", &m.CanHibernate)
}

func webSocketMessageFields(c *bare.Codec, m *WebSocketMessage) {
	c.Data("data", &m.Data)
	c.Bool("binary", &m.Binary)
}

func webSocketAckFields(c *bare.Codec, m *WebSocketAck) { c.U16("index", &m.Index) }

func webSocketCloseFields(c *bare.Codec, m *WebSocketClose) {
	bare.Opt(c, "code", &m.Code, (*bare.Codec).U16)
	bare.Opt(c, "reason", &m.Reason, (*bare.Codec).Str)
}

func webSocketClosedFields(c *bare.Codec, m *WebSocketClosed) {
	bare.Opt(c, "code", &m.Code, (*bare.Codec).U16)
	bare.Opt(c, "reason", &m.Reason, (*bare.Codec).Str)
	c.Bool("hibernate", &m.Hibernate)
}

func headers(c *bare.Codec, p *[]Header) {
	bare.List(c, "headers", p, leastPair, func(c *bare.Codec, m *Header) {
		c.Str("name", &m.Name)
		c.Str("value", &m.Value)
	})
}

func generation(c *bare.Codec, p **uint32) {
	if sinceV8(c, "generation", *p != nil) {
		bare.Opt(c, "generation", p, (*bare.Codec).U32)
	}
}

func abortReason(c *bare.Codec, m *AbortReason) {
	if sinceV8(c, "reason", *m != AbortReason{}) {
		bare.Enum(c, "kind", &m.Kind, abortKinds)
		bare.Opt(c, "detail", &m.Detail, (*bare.Codec).Str)
	}
}

func dataList(c *bare.Codec, field string, p *[][]byte) {
	bare.List(c, field, p, leastData, func(c *bare.Codec, p *[]byte) { c.Data("", p) })
}

// sinceV8 says whether the message has a field that came with V8. A field that
// is set and cannot be written is an error.
func sinceV8(c *bare.Codec, field string, set bool) bool {
	if c.Version >= uint16(V8) {
		return true
	}
	if set && c.Writing() {
		c.Fail(field, errV8Field)
	}
	return false
}
