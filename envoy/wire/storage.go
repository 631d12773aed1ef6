package wire

// KVRequest asks for an operation on an actor's KV. It carries no generation:
// the engine cannot tell an old generation's request from a new one's.
type KVRequest struct {
	ActorID   string
	RequestID uint32 // chosen by the runtime, repeated in the response
	Op        KVOp
}

// KVOp is [KVGet], [KVList], [KVPut], [KVDelete], [KVDeleteRange] or [KVDrop].
type KVOp interface{ kvOp() }

// KVGet reads keys.
type KVGet struct{ Keys [][]byte }

// KVList reads the pairs that a query matches, in the order of their keys.
type KVList struct {
	Query   KVQuery
	Reverse *bool
	Limit   *uint64
}

// KVQuery is [KVAll], [KVRange] or [KVPrefix].
type KVQuery interface{ kvQuery() }

// KVAll matches every key.
type KVAll struct{}

// KVRange matches the keys from Start to End, without End if Exclusive.
type KVRange struct {
	Start, End []byte
	Exclusive  bool
}

// KVPrefix matches the keys that begin with Key.
type KVPrefix struct{ Key []byte }

// KVPut writes Values[i] under Keys[i], all or none.
type KVPut struct{ Keys, Values [][]byte }

// KVDelete deletes keys.
type KVDelete struct{ Keys [][]byte }

// KVDeleteRange deletes the keys from Start up to, not including, End.
type KVDeleteRange struct{ Start, End []byte }

// KVDrop deletes everything.
type KVDrop struct{}

// KVResponse answers a [KVRequest].
type KVResponse struct {
	RequestID uint32
	Result    KVResult
}

// KVResult is [KVError], [KVGetResult], [KVListResult], [KVPutResult],
// [KVDeleteResult] (of a delete range too) or [KVDropResult].
type KVResult interface{ kvResult() }

// KVError says that the operation failed.
type KVError struct{ Message string }

// KVGetResult holds the pairs that exist, not necessarily in the order asked
// for: Values[i] and Metadata[i] belong to Keys[i].
type KVGetResult struct {
	Keys, Values [][]byte
	Metadata     []KVMetadata
}

// KVListResult holds the pairs that matched, as in [KVGetResult].
type KVListResult struct {
	Keys, Values [][]byte
	Metadata     []KVMetadata
}

// KVMetadata tells which engine version wrote a value, and when.
type KVMetadata struct {
	Version   []byte
	UpdatedAt int64 // Unix milliseconds
}

// KVPutResult says that a put is stored.
type KVPutResult struct{}

// KVDeleteResult says that a delete is stored.
type KVDeleteResult struct{}

// KVDropResult says that a drop is stored.
type KVDropResult struct{}

// Value is an SQL value, as a parameter or in a row: [Null], [Integer],
// [Float], [Text] or [Blob].
type Value interface{ value() }

// The kinds of [Value]. An empty Blob is bound as one, but the engine sends it
// back as Null in a row (measured on 2.3.5 and 2.3.19).
type (
	Null    struct{}
	Integer int64
	Float   float64
	Text    string
	Blob    []byte
)

// ExecRequest runs one or more statements without parameters.
type ExecRequest struct {
	RequestID  uint32 // chosen by the runtime, repeated in the response
	Namespace  string // the namespace's name, although the schema calls it an id
	ActorID    string
	Generation uint64
	SQL        string
}

// ExecuteRequest runs one statement.
type ExecuteRequest struct {
	RequestID  uint32
	Namespace  string // as in [ExecRequest]
	ActorID    string
	Generation uint64
	SQL        string
	Params     []Value // nil: none given, which the wire tells from an empty list
}

// ExecuteBatchRequest runs statements in one transaction: all take effect, or
// none and the answer is an error. BEGIN among them fails (measured on 2.3.19).
type ExecuteBatchRequest struct {
	RequestID  uint32
	Namespace  string // as in [ExecRequest]
	ActorID    string
	Generation uint64
	Statements []Statement
}

// Statement is one statement of a batch.
type Statement struct {
	SQL    string
	Params []Value // as in [ExecuteRequest]
}

// SQLError is the engine's refusal of an SQL request.
type SQLError struct{ Group, Code, Message string }

// ExecResponse answers an [ExecRequest]. Of OK and Err exactly one is set, as
// in all SQL responses.
type ExecResponse struct {
	RequestID uint32
	OK        *QueryResult
	Err       *SQLError
}

// QueryResult is what the last statement returned.
type QueryResult struct {
	Columns []string
	Rows    [][]Value
}

// ExecuteResponse answers an [ExecuteRequest].
type ExecuteResponse struct {
	RequestID uint32
	OK        *ExecuteResult
	Err       *SQLError
}

// ExecuteResult is what a statement returned and changed. After a statement
// that changes nothing, Changes and LastInsertRowID are those of an earlier one.
type ExecuteResult struct {
	Columns         []string
	Rows            [][]Value
	Changes         int64
	LastInsertRowID *int64
}

// ExecuteBatchResponse answers an [ExecuteBatchRequest].
type ExecuteBatchResponse struct {
	RequestID uint32
	OK        *BatchResult
	Err       *SQLError
}

// BatchResult holds one result for each statement.
type BatchResult struct{ Results []ExecuteResult }

// GetPagesRequest reads pages of an actor's SQLite database.
type GetPagesRequest struct {
	RequestID          uint32
	ActorID            string
	Pages              []uint32
	ExpectedGeneration *uint64
	ExpectedHeadTxID   *uint64
}

// GetPagesResponse answers a [GetPagesRequest].
type GetPagesResponse struct {
	RequestID uint32
	OK        *Pages
	Err       *SQLError
}

// Pages are pages as of the transaction HeadTxID.
type Pages struct {
	Pages    []FetchedPage
	HeadTxID *uint64
}

// FetchedPage is a page that was asked for; Bytes is nil where it does not
// exist.
type FetchedPage struct {
	Page  uint32
	Bytes []byte
}

// DirtyPage is a page to be written.
type DirtyPage struct {
	Page  uint32
	Bytes []byte
}

// CommitRequest commits pages of an actor's SQLite database.
type CommitRequest struct {
	RequestID          uint32
	ActorID            string
	DirtyPages         []DirtyPage
	DBSize             uint32 // in pages, after the commit
	Now                int64  // Unix milliseconds
	ExpectedGeneration *uint64
	ExpectedHeadTxID   *uint64
}

// CommitResponse answers a [CommitRequest].
type CommitResponse struct {
	RequestID uint32
	OK        *Committed
	Err       *SQLError
}

// Committed names the transaction that a commit became.
type Committed struct{ HeadTxID *uint64 }

// CommitStageBeginRequest begins a commit that is too large for one message.
// V8 only.
type CommitStageBeginRequest struct {
	RequestID          uint32
	ActorID            string
	ExpectedGeneration *uint64
	ExpectedHeadTxID   *uint64
}

// CommitStageBeginResponse answers a [CommitStageBeginRequest]. V8 only.
type CommitStageBeginResponse struct {
	RequestID uint32
	OK        *StageBegun
	Err       *SQLError
}

// StageBegun names the transaction to stage pages for.
type StageBegun struct{ TxID uint64 }

// CommitStageSegmentRequest stages a segment of a commit. V8 only.
type CommitStageSegmentRequest struct {
	RequestID          uint32
	ActorID            string
	ExpectedGeneration *uint64
	TxID               uint64
	FirstPage          uint32
	DirtyPages         []DirtyPage
}

// CommitStageSegmentResponse answers a [CommitStageSegmentRequest]. V8 only.
type CommitStageSegmentResponse struct {
	RequestID uint32
	OK        *StagedSegment
	Err       *SQLError
}

// StagedSegment says how many bytes are staged.
type StagedSegment struct{ Bytes uint64 }

// CommitFinalizeRequest commits what was staged. V8 only.
type CommitFinalizeRequest struct {
	RequestID          uint32
	ActorID            string
	ExpectedGeneration *uint64
	TxID               uint64
	DBSize             uint32 // in pages, after the commit
	Now                int64  // Unix milliseconds
	SegmentFirstPages  []uint32
}

// CommitFinalizeResponse answers a [CommitFinalizeRequest]. V8 only.
type CommitFinalizeResponse struct {
	RequestID uint32
	OK        *Committed
	Err       *SQLError
}

func (KVGet) kvOp()         {}
func (KVList) kvOp()        {}
func (KVPut) kvOp()         {}
func (KVDelete) kvOp()      {}
func (KVDeleteRange) kvOp() {}
func (KVDrop) kvOp()        {}

func (KVAll) kvQuery()    {}
func (KVRange) kvQuery()  {}
func (KVPrefix) kvQuery() {}

func (KVError) kvResult()        {}
func (KVGetResult) kvResult()    {}
func (KVListResult) kvResult()   {}
func (KVPutResult) kvResult()    {}
func (KVDeleteResult) kvResult() {}
func (KVDropResult) kvResult()   {}

func (Null) value()    {}
func (Integer) value() {}
func (Float) value()   {}
func (Text) value()    {}
func (Blob) value()    {}
