package wire

import "github.com/killpoint/killpoint/internal/bare"

// The least sizes, in bytes, of what lists hold.
const (
	leastValue     = 1
	leastRow       = 1
	leastPage      = 4
	leastFetched   = 4 + 1
	leastDirty     = 4 + 1
	leastStatement = 1 + 1
	leastResult    = 1 + 1 + 8 + 1
)

var (
	kvOpUnion = bare.NewUnion(
		bare.Case[KVOp]("get", func(c *bare.Codec, m *KVGet) { dataList(c, "keys", &m.Keys) }),
		bare.Case[KVOp]("list", kvListFields),
		bare.Case[KVOp]("put", func(c *bare.Codec, m *KVPut) {
			dataList(c, "keys", &m.Keys)
			dataList(c, "values", &m.Values)
		}),
		bare.Case[KVOp]("delete", func(c *bare.Codec, m *KVDelete) { dataList(c, "keys", &m.Keys) }),
		bare.Case[KVOp]("delete-range", func(c *bare.Codec, m *KVDeleteRange) {
			c.Data("start", &m.Start)
			c.Data("end", &m.End)
		}),
		bare.Void[KVOp, KVDrop]("drop"),
	)
	kvQueryUnion = bare.NewUnion(
		bare.Void[KVQuery, KVAll]("all"),
		bare.Case[KVQuery]("range", func(c *bare.Codec, m *KVRange) {
			c.Data("start", &m.Start)
			c.Data("end", &m.End)
			c.Bool("exclusive", &m.Exclusive)
		}),
		bare.Case[KVQuery]("prefix", func(c *bare.Codec, m *KVPrefix) { c.Data("key", &m.Key) }),
	)
	kvResultUnion = bare.NewUnion(
		bare.Case[KVResult]("error", func(c *bare.Codec, m *KVError) { c.Str("message", &m.Message) }),
		bare.Case[KVResult]("get", func(c *bare.Codec, m *KVGetResult) {
			kvPairs(c, &m.Keys, &m.Values, &m.Metadata)
		}),
		bare.Case[KVResult]("list", func(c *bare.Codec, m *KVListResult) {
			kvPairs(c, &m.Keys, &m.Values, &m.Metadata)
		}),
		bare.Void[KVResult, KVPutResult]("put"),
		bare.Void[KVResult, KVDeleteResult]("delete"),
		bare.Void[KVResult, KVDropResult]("drop"),
	)
	valueUnion = bare.NewUnion(
		bare.Void[Value, Null]("null"),
		bare.Case[Value]("integer", func(c *bare.Codec, m *Integer) { c.I64("", (*int64)(m)) }),
		bare.Case[Value]("float", func(c *bare.Codec, m *Float) { c.F64BigEndian("", (*float64)(m)) }),
		bare.Case[Value]("text", func(c *bare.Codec, m *Text) { c.Str("", (*string)(m)) }),
		bare.Case[Value]("blob", func(c *bare.Codec, m *Blob) { c.Data("", (*[]byte)(m)) }),
	)
)

func kvRequestFields(c *bare.Codec, m *KVRequest) {
	c.Str("actor-id", &m.ActorID)
	c.U32("request-id", &m.RequestID)
	kvOpUnion.Visit(c, "", &m.Op)
}

func kvListFields(c *bare.Codec, m *KVList) {
	kvQueryUnion.Visit(c, "query", &m.Query)
	bare.Opt(c, "reverse", &m.Reverse, (*bare.Codec).Bool)
	bare.Opt(c, "limit", &m.Limit, (*bare.Codec).U64)
}

func kvResponseFields(c *bare.Codec, m *KVResponse) {
	c.U32("request-id", &m.RequestID)
	kvResultUnion.Visit(c, "", &m.Result)
}

func kvPairs(c *bare.Codec, keys, values *[][]byte, metadata *[]KVMetadata) {
	dataList(c, "keys", keys)
	dataList(c, "values", values)
	bare.List(c, "metadata", metadata, leastMetadata, kvMetadataFields)
}

func kvMetadataFields(c *bare.Codec, m *KVMetadata) {
	c.Data("version", &m.Version)
	c.I64("updated-at", &m.UpdatedAt)
}

func execRequestFields(c *bare.Codec, m *ExecRequest) {
	sqlTarget(c, &m.RequestID, &m.Namespace, &m.ActorID, &m.Generation)
	c.Str("sql", &m.SQL)
}

func executeRequestFields(c *bare.Codec, m *ExecuteRequest) {
	sqlTarget(c, &m.RequestID, &m.Namespace, &m.ActorID, &m.Generation)
	c.Str("sql", &m.SQL)
	params(c, &m.Params)
}

func executeBatchRequestFields(c *bare.Codec, m *ExecuteBatchRequest) {
	sqlTarget(c, &m.RequestID, &m.Namespace, &m.ActorID, &m.Generation)
	bare.List(c, "statements", &m.Statements, leastStatement, func(c *bare.Codec, m *Statement) {
		c.Str("sql", &m.SQL)
		params(c, &m.Params)
	})
}

func sqlTarget(c *bare.Codec, request *uint32, namespace, actor *string, generation *uint64) {
	c.U32("request-id", request)
	c.Str("namespace", namespace)
	c.Str("actor-id", actor)
	c.U64("generation", generation)
}

func params(c *bare.Codec, p *[]Value) {
	bare.OptList(c, "params", p, leastValue, valueFields)
}

func valueFields(c *bare.Codec, p *Value) { valueUnion.Visit(c, "", p) }

func execResponseFields(c *bare.Codec, m *ExecResponse) {
	response(c, &m.RequestID, &m.OK, &m.Err, func(c *bare.Codec, m *QueryResult) {
		table(c, &m.Columns, &m.Rows)
	})
}

func executeResponseFields(c *bare.Codec, m *ExecuteResponse) {
	response(c, &m.RequestID, &m.OK, &m.Err, executeResultFields)
}

func executeBatchResponseFields(c *bare.Codec, m *ExecuteBatchResponse) {
	response(c, &m.RequestID, &m.OK, &m.Err, func(c *bare.Codec, m *BatchResult) {
		bare.List(c, "results", &m.Results, leastResult, executeResultFields)
	})
}

func executeResultFields(c *bare.Codec, m *ExecuteResult) {
	table(c, &m.Columns, &m.Rows)
	c.I64("changes", &m.Changes)
	bare.Opt(c, "last-insert-row-id", &m.LastInsertRowID, (*bare.Codec).I64)
}

func table(c *bare.Codec, columns *[]string, rows *[][]Value) {
	bare.List(c, "columns", columns, leastData, func(c *bare.Codec, p *string) { c.Str("", p) })
	bare.List(c, "rows", rows, leastRow, func(c *bare.Codec, row *[]Value) {
		bare.List(c, "", row, leastValue, valueFields)
	})
}

func getPagesRequestFields(c *bare.Codec, m *GetPagesRequest) {
	c.U32("request-id", &m.RequestID)
	c.Str("actor-id", &m.ActorID)
	pageNumbers(c, "pages", &m.Pages)
	optU64(c, "expected-generation", &m.ExpectedGeneration)
	optU64(c, "expected-head-txid", &m.ExpectedHeadTxID)
}

func getPagesResponseFields(c *bare.Codec, m *GetPagesResponse) {
	response(c, &m.RequestID, &m.OK, &m.Err, func(c *bare.Codec, m *Pages) {
		bare.List(c, "pages", &m.Pages, leastFetched, func(c *bare.Codec, m *FetchedPage) {
			c.U32("page", &m.Page)
			c.OptData("bytes", &m.Bytes)
		})
		optU64(c, "head-txid", &m.HeadTxID)
	})
}

func commitRequestFields(c *bare.Codec, m *CommitRequest) {
	c.U32("request-id", &m.RequestID)
	c.Str("actor-id", &m.ActorID)
	dirtyPages(c, &m.DirtyPages)
	c.U32("db-size", &m.DBSize)
	c.I64("now", &m.Now)
	optU64(c, "expected-generation", &m.ExpectedGeneration)
	optU64(c, "expected-head-txid", &m.ExpectedHeadTxID)
}

func commitResponseFields(c *bare.Codec, m *CommitResponse) {
	response(c, &m.RequestID, &m.OK, &m.Err, committedFields)
}

func committedFields(c *bare.Codec, m *Committed) { optU64(c, "head-txid", &m.HeadTxID) }

func commitStageBeginRequestFields(c *bare.Codec, m *CommitStageBeginRequest) {
	c.U32("request-id", &m.RequestID)
	c.Str("actor-id", &m.ActorID)
	optU64(c, "expected-generation", &m.ExpectedGeneration)
	optU64(c, "expected-head-txid", &m.ExpectedHeadTxID)
}

func commitStageBeginResponseFields(c *bare.Codec, m *CommitStageBeginResponse) {
	response(c, &m.RequestID, &m.OK, &m.Err, func(c *bare.Codec, m *StageBegun) { c.U64("txid", &m.TxID) })
}

func commitStageSegmentRequestFields(c *bare.Codec, m *CommitStageSegmentRequest) {
	c.U32("request-id", &m.RequestID)
	c.Str("actor-id", &m.ActorID)
	optU64(c, "expected-generation", &m.ExpectedGeneration)
	c.U64("txid", &m.TxID)
	c.U32("first-page", &m.FirstPage)
	dirtyPages(c, &m.DirtyPages)
}

func commitStageSegmentResponseFields(c *bare.Codec, m *CommitStageSegmentResponse) {
	response(c, &m.RequestID, &m.OK, &m.Err, func(c *bare.Codec, m *StagedSegment) { c.U64("bytes", &m.Bytes) })
}

func commitFinalizeRequestFields(c *bare.Codec, m *CommitFinalizeRequest) {
	c.U32("request-id", &m.RequestID)
	c.Str("actor-id", &m.ActorID)
	optU64(c, "expected-generation", &m.ExpectedGeneration)
	c.U64("txid", &m.TxID)
	c.U32("db-size", &m.DBSize)
	c.I64("now", &m.Now)
	pageNumbers(c, "segment-first-pages", &m.SegmentFirstPages)
}

func commitFinalizeResponseFields(c *bare.Codec, m *CommitFinalizeResponse) {
	response(c, &m.RequestID, &m.OK, &m.Err, committedFields)
}

func pageNumbers(c *bare.Codec, field string, p *[]uint32) {
	bare.List(c, field, p, leastPage, func(c *bare.Codec, p *uint32) { c.U32("", p) })
}

func dirtyPages(c *bare.Codec, p *[]DirtyPage) {
	bare.List(c, "dirty-pages", p, leastDirty, func(c *bare.Codec, m *DirtyPage) {
		c.U32("page", &m.Page)
		c.Data("bytes", &m.Bytes)
	})
}

func optU64(c *bare.Codec, field string, p **uint64) {
	bare.Opt(c, field, p, (*bare.Codec).U64)
}

// response visits the answer to an SQL request: its number, then a union of
// what it brought and an error, of which the struct holds one.
func response[T any](c *bare.Codec, request *uint32, ok **T, err **SQLError, fields func(*bare.Codec, *T)) {
	c.U32("request-id", request)
	if c.Writing() && (*ok == nil) == (*err == nil) {
		c.Fail("result", bare.ErrMissing)
		return
	}
	failed := boolTag(*err != nil)
	bare.Enum(c, "result", &failed, 2)
	if !c.OK() {
		return
	}
	if failed == 0 {
		one(c, "ok", ok, fields)
	} else {
		one(c, "error", err, sqlErrorFields)
	}
}

func one[T any](c *bare.Codec, name string, p **T, fields func(*bare.Codec, *T)) {
	if !c.Writing() {
		*p = new(T)
	}
	c.In(name, func() { fields(c, *p) })
}

func boolTag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func sqlErrorFields(c *bare.Codec, m *SQLError) {
	c.Str("group", &m.Group)
	c.Str("code", &m.Code)
	c.Str("message", &m.Message)
}
