package wire

import (
	"reflect"

	"pgregory.net/rapid"
)

// generator makes messages that a version can say.
type generator struct {
	rapid.MakeConfig
	version Version
}

// messages returns generators for both directions.
func messages(v Version) (toRuntime *rapid.Generator[ToRuntime], toEngine *rapid.Generator[ToEngine]) {
	g := &generator{version: v}
	g.Types = map[reflect.Type]*rapid.Generator[any]{
		reflect.TypeFor[StopReason](): upTo(stopReasons),
		reflect.TypeFor[Intent]():     upTo(intents),
		reflect.TypeFor[StopCode]():   upTo(stopCodes),
		reflect.TypeFor[AbortKind]():  upTo(abortKinds),
	}
	optData := optional(rapid.SliceOf(rapid.Byte()))
	g.Fields = map[reflect.Type]map[string]*rapid.Generator[any]{
		reflect.TypeFor[ActorConfig]():   {"Input": optData},
		reflect.TypeFor[FetchedPage]():   {"Bytes": optData},
		reflect.TypeFor[RequestStart]():  {"Body": optData},
		reflect.TypeFor[ResponseStart](): {"Body": optData},
		reflect.TypeFor[Metadata]():      {"ActorNames": optional(rapid.SliceOf(rapid.Make[ActorName]()))},
	}
	if v < V8 {
		g.withoutV8Fields()
	}
	g.variants()
	return g.toRuntime(), g.toEngine()
}

func (g *generator) withoutV8Fields() {
	noGeneration := rapid.Just[any]((*uint32)(nil))
	g.Fields[reflect.TypeFor[RequestStart]()]["Generation"] = noGeneration
	g.Fields[reflect.TypeFor[RequestStart]()]["ResponseStream"] = rapid.Just[any](false)
	g.Fields[reflect.TypeFor[WebSocketOpen]()] = map[string]*rapid.Generator[any]{"Generation": noGeneration}
	g.Types[reflect.TypeFor[RequestAbort]()] = rapid.Just[any](RequestAbort{})
	g.Types[reflect.TypeFor[ResponseAbort]()] = rapid.Just[any](ResponseAbort{})
}

// variants registers the generators of unions, the innermost first.
func (g *generator) variants() {
	oneOf[Value](g, of[Null](g), of[Integer](g), of[Float](g), of[Text](g), of[Blob](g))
	values := rapid.Custom(func(t *rapid.T) []Value {
		return drawSlice[Value](t, g.Types[reflect.TypeFor[Value]()])
	})
	g.Fields[reflect.TypeFor[ExecuteRequest]()] = map[string]*rapid.Generator[any]{"Params": optional(values)}
	g.Fields[reflect.TypeFor[Statement]()] = map[string]*rapid.Generator[any]{"Params": optional(values)}

	oneOf[KVQuery](g, of[KVAll](g), of[KVRange](g), of[KVPrefix](g))
	oneOf[KVOp](g, of[KVGet](g), of[KVList](g), of[KVPut](g), of[KVDelete](g), of[KVDeleteRange](g), of[KVDrop](g))
	oneOf[KVResult](g, of[KVError](g), of[KVGetResult](g), of[KVListResult](g),
		of[KVPutResult](g), of[KVDeleteResult](g), of[KVDropResult](g))
	oneOf[CommandBody](g, of[StartActor](g), of[StopActor](g))
	oneOf[EventBody](g, of[Intent](g), of[StateUpdate](g), of[SetAlarm](g))

	toRuntime := []*rapid.Generator[any]{of[RequestStart](g), of[RequestChunk](g), of[RequestAbort](g),
		of[WebSocketOpen](g), of[WebSocketMessage](g), of[WebSocketClose](g)}
	toEngine := []*rapid.Generator[any]{of[ResponseStart](g), of[ResponseChunk](g), of[ResponseAbort](g),
		of[WebSocketOpened](g), of[WebSocketMessage](g), of[WebSocketAck](g), of[WebSocketClosed](g)}
	if g.version >= V8 {
		toRuntime = append(toRuntime, of[RequestBodyCancel](g), of[ResponseBodyWindow](g))
		toEngine = append(toEngine, of[RequestBodyCancel](g), of[RequestBodyWindow](g))
	}
	oneOf[ToRuntimePart](g, toRuntime...)
	oneOf[ToEnginePart](g, toEngine...)
}

func (g *generator) toRuntime() *rapid.Generator[ToRuntime] {
	all := []*rapid.Generator[any]{
		of[Init](g), of[Commands](g), of[AckEvents](g), of[KVResponse](g), of[ToRuntimeTunnel](g), of[Ping](g),
		reply[GetPagesResponse](g), reply[CommitResponse](g), reply[ExecResponse](g),
		reply[ExecuteResponse](g), reply[ExecuteBatchResponse](g),
	}
	if g.version >= V8 {
		all = append(all, reply[CommitStageBeginResponse](g), reply[CommitStageSegmentResponse](g),
			reply[CommitFinalizeResponse](g))
	}
	return rapid.Map(rapid.OneOf(all...), func(m any) ToRuntime { return m.(ToRuntime) })
}

func (g *generator) toEngine() *rapid.Generator[ToEngine] {
	all := []*rapid.Generator[any]{
		of[Metadata](g), of[Events](g), of[AckCommands](g), of[Stopping](g), of[Pong](g), of[KVRequest](g),
		of[ToEngineTunnel](g), of[GetPagesRequest](g), of[CommitRequest](g), of[ExecRequest](g),
		of[ExecuteRequest](g), of[ExecuteBatchRequest](g),
	}
	if g.version >= V8 {
		all = append(all, of[CommitStageBeginRequest](g), of[CommitStageSegmentRequest](g), of[CommitFinalizeRequest](g))
	}
	return rapid.Map(rapid.OneOf(all...), func(m any) ToEngine { return m.(ToEngine) })
}

func of[T any](g *generator) *rapid.Generator[any] {
	return rapid.MakeCustom[T](g.MakeConfig).AsAny()
}

// reply makes an SQL response, of whose OK and Err one is set.
func reply[T any](g *generator) *rapid.Generator[any] {
	return rapid.Map(rapid.MakeCustom[T](g.MakeConfig), func(m T) any {
		v := reflect.ValueOf(&m).Elem()
		ok, err := v.FieldByName("OK"), v.FieldByName("Err")
		if ok.IsNil() && err.IsNil() {
			err.Set(reflect.ValueOf(&SQLError{Group: "g"}))
		} else if !ok.IsNil() {
			err.SetZero()
		}
		return m
	})
}

func oneOf[T any](g *generator, variants ...*rapid.Generator[any]) {
	g.Types[reflect.TypeFor[T]()] = rapid.OneOf(variants...)
}

func upTo[E ~uint8](end E) *rapid.Generator[any] {
	return rapid.Map(rapid.Uint8Range(0, uint8(end)-1), func(n uint8) any { return E(n) })
}

// optional makes nil, empty and full slices.
func optional[T any](g *rapid.Generator[[]T]) *rapid.Generator[any] {
	return rapid.OneOf(rapid.Just[any]([]T(nil)), rapid.Just[any]([]T{}), g.AsAny())
}

func drawSlice[T any](t *rapid.T, elem *rapid.Generator[any]) []T {
	out := []T{}
	for _, x := range rapid.SliceOfN(elem, 0, 8).Draw(t, "values") {
		out = append(out, x.(T))
	}
	return out
}
