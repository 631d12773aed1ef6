package envoy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/killpoint/killpoint/envoy/wire"
)

// DB is an actor's SQLite database, which the engine holds. All of a
// generation's statements run on one SQLite connection there, so a DB runs
// them one at a time, and none of others while a transaction is open.
type DB struct {
	g    *generation
	turn chan struct{} // holds a token while nobody uses the database
}

func newDB(g *generation) *DB {
	db := &DB{g: g, turn: make(chan struct{}, 1)}
	db.turn <- struct{}{}
	return db
}

// Statement is one statement of [DB.Batch], with values for its parameters.
type Statement struct {
	SQL    string
	Params []any // as for [DB.Query]
}

// Result is what a statement returned and changed. Values are nil, int64,
// float64, string or []byte.
type Result struct {
	Columns         []string
	Rows            [][]any
	Changes         int64  // 0 from Exec, which is not told
	LastInsertRowID *int64 // nil where the engine gives none
}

// Exec runs one or more statements without parameters and returns what the
// last one did.
func (db *DB) Exec(ctx context.Context, sql string) (*Result, error) {
	return inTurn(ctx, db, "sql exec", func() (*Result, error) {
		res, _, err := db.exec(ctx, anySession, sql)
		return res, err
	})
}

// Query runs one statement. Parameters may be nil, bool, any integer or float,
// string or []byte.
func (db *DB) Query(ctx context.Context, sql string, params ...any) (*Result, error) {
	return inTurn(ctx, db, "sql query", func() (*Result, error) {
		res, _, err := db.execute(ctx, anySession, sql, params)
		return res, err
	})
}

// Batch runs statements one after the other in one request, and returns a
// result for each.
func (db *DB) Batch(ctx context.Context, stmts ...Statement) ([]*Result, error) {
	return inTurn(ctx, db, "sql batch", func() ([]*Result, error) { return db.batch(ctx, stmts) })
}

// Begin opens a transaction, waiting until no other uses the DB. It is bound
// to the connection on which it began: after a reconnect all its statements
// fail with [ErrTxLost], and nothing of it is committed. Rollback must be
// called whatever happens, as in
//
//	defer tx.Rollback(ctx)
//
// and does nothing after a successful Commit.
func (db *DB) Begin(ctx context.Context) (*Tx, error) {
	if err := db.acquire(ctx); err != nil {
		return nil, fmt.Errorf("sql begin: %w", err)
	}
	_, session, err := db.execute(ctx, anySession, "BEGIN", nil)
	if err != nil {
		// It may have begun: others must not slip into it.
		tx := &Tx{db: db, session: session}
		return nil, errors.Join(fmt.Errorf("sql begin: %w", err), tx.undo(ctx, err))
	}
	return &Tx{db: db, session: session}, nil
}

// Tx is an open transaction. It is not for concurrent use.
type Tx struct {
	db      *DB
	session uint64
	done    bool
}

// Query runs one statement in the transaction, as [DB.Query].
func (tx *Tx) Query(ctx context.Context, sql string, params ...any) (*Result, error) {
	if tx.done {
		return nil, fmt.Errorf("sql query in a transaction: %w", ErrTxDone)
	}
	res, _, err := tx.db.execute(ctx, tx.session, sql, params)
	if err != nil {
		return nil, fmt.Errorf("sql query in a transaction: %w", err)
	}
	return res, nil
}

// Commit commits. After [ErrConnectionLost] it is unknown whether it did;
// after any other error it did not, unless ctx ended while it was in flight.
func (tx *Tx) Commit(ctx context.Context) error {
	if tx.done {
		return fmt.Errorf("sql commit: %w", ErrTxDone)
	}
	if _, _, err := tx.db.execute(ctx, tx.session, "COMMIT", nil); err != nil {
		return fmt.Errorf("sql commit: %w", err)
	}
	tx.release()
	return nil
}

// rollbackTimeout bounds a rollback, which does not heed the end of its ctx:
// that is often the reason for it.
const rollbackTimeout = 5 * time.Second

// Rollback ends the transaction and lets others use the DB. Where the
// connection is gone there is nothing to roll back and it succeeds; after a
// successful Commit it does nothing. It is sent even if ctx has ended, and
// waits for 5 s at most.
func (tx *Tx) Rollback(ctx context.Context) error {
	if tx.done {
		return nil
	}
	defer tx.release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_, _, err := tx.db.execute(ctx, tx.session, "ROLLBACK", nil)
	if err == nil || errors.Is(err, ErrTxLost) || errors.Is(err, ErrConnectionLost) {
		return nil
	}
	return fmt.Errorf("sql rollback: %w", err)
}

// undo frees the DB after a BEGIN that failed with cause.
func (tx *Tx) undo(ctx context.Context, cause error) error {
	var refused *SQLError
	if tx.session == 0 || errors.As(cause, &refused) {
		tx.release()
		return nil
	}
	return tx.Rollback(ctx)
}

func (tx *Tx) release() {
	tx.done = true
	tx.db.turn <- struct{}{}
}

// settleTimeout bounds how long a generation that stops waits for what still
// uses its database.
const settleTimeout = 5 * time.Second

// settle waits until the transaction or statement under way is over, and keeps
// others from beginning. Otherwise Stopped would overtake the ROLLBACK of a
// transaction that the generation's end cut in half, and a statement of it that
// the engine still had to carry out could take effect by itself.
func (db *DB) settle() {
	timer := time.NewTimer(settleTimeout)
	defer timer.Stop()
	select {
	case <-db.turn:
	case <-timer.C:
	case <-db.g.ctx.Done():
	}
}

func (db *DB) acquire(ctx context.Context) error {
	select {
	case <-db.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the database, which another transaction holds: %w: %w", ErrNotSent, context.Cause(ctx))
	case <-db.g.ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(db.g.ctx))
	}
}

// inTurn runs f while nobody else uses the database.
func inTurn[T any](ctx context.Context, db *DB, what string, f func() (T, error)) (T, error) {
	var none T
	if err := db.acquire(ctx); err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { db.turn <- struct{}{} }()
	res, err := f()
	if err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	return res, nil
}

func (db *DB) exec(ctx context.Context, session uint64, sql string) (*Result, uint64, error) {
	msg, session, err := db.g.call(ctx, session, func(id uint32) wire.ToEngine {
		return wire.ExecRequest{RequestID: id, Namespace: db.g.r.namespace(), ActorID: db.g.ID, Generation: uint64(db.g.Generation), SQL: sql}
	})
	if err != nil {
		return nil, session, err
	}
	res, ok := msg.(wire.ExecResponse)
	switch {
	case ok && res.Err != nil:
		return nil, session, (*SQLError)(res.Err)
	case ok && res.OK != nil:
		return &Result{Columns: res.OK.Columns, Rows: rowsOf(res.OK.Rows)}, session, nil
	}
	return nil, session, unexpected(msg)
}

func (db *DB) execute(ctx context.Context, session uint64, sql string, params []any) (*Result, uint64, error) {
	values, err := valuesOf(params)
	if err != nil {
		return nil, 0, err
	}
	msg, session, err := db.g.call(ctx, session, func(id uint32) wire.ToEngine {
		return wire.ExecuteRequest{RequestID: id, Namespace: db.g.r.namespace(), ActorID: db.g.ID, Generation: uint64(db.g.Generation), SQL: sql, Params: values}
	})
	if err != nil {
		return nil, session, err
	}
	res, ok := msg.(wire.ExecuteResponse)
	switch {
	case ok && res.Err != nil:
		return nil, session, (*SQLError)(res.Err)
	case ok && res.OK != nil:
		return resultOf(*res.OK), session, nil
	}
	return nil, session, unexpected(msg)
}

func (db *DB) batch(ctx context.Context, stmts []Statement) ([]*Result, error) {
	batch := make([]wire.Statement, len(stmts))
	for i, s := range stmts {
		values, err := valuesOf(s.Params)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		batch[i] = wire.Statement{SQL: s.SQL, Params: values}
	}
	msg, _, err := db.g.call(ctx, anySession, func(id uint32) wire.ToEngine {
		return wire.ExecuteBatchRequest{RequestID: id, Namespace: db.g.r.namespace(), ActorID: db.g.ID, Generation: uint64(db.g.Generation), Statements: batch}
	})
	if err != nil {
		return nil, err
	}
	res, ok := msg.(wire.ExecuteBatchResponse)
	switch {
	case ok && res.Err != nil:
		return nil, (*SQLError)(res.Err)
	case ok && res.OK != nil && len(res.OK.Results) == len(stmts):
		out := make([]*Result, len(stmts))
		for i, one := range res.OK.Results {
			out[i] = resultOf(one)
		}
		return out, nil
	}
	return nil, unexpected(msg)
}

func unexpected(msg wire.ToRuntime) error {
	return fmt.Errorf("the engine answered with an unexpected %s", wire.Kind(msg))
}

func resultOf(r wire.ExecuteResult) *Result {
	return &Result{Columns: r.Columns, Rows: rowsOf(r.Rows), Changes: r.Changes, LastInsertRowID: r.LastInsertRowID}
}

func rowsOf(rows [][]wire.Value) [][]any {
	out := make([][]any, len(rows))
	for i, row := range rows {
		out[i] = make([]any, len(row))
		for j, v := range row {
			out[i][j] = goValue(v)
		}
	}
	return out
}

func goValue(v wire.Value) any {
	switch v := v.(type) {
	case wire.Integer:
		return int64(v)
	case wire.Float:
		return float64(v)
	case wire.Text:
		return string(v)
	case wire.Blob:
		return nonNil(v)
	}
	return nil
}

// valuesOf are the values of parameters; nil where there are none.
func valuesOf(params []any) ([]wire.Value, error) {
	if len(params) == 0 {
		return nil, nil
	}
	out := make([]wire.Value, len(params))
	for i, p := range params {
		v, err := valueOf(p)
		if err != nil {
			return nil, fmt.Errorf("parameter %d: %w: %w", i+1, err, ErrNotSent)
		}
		out[i] = v
	}
	return out, nil
}

func valueOf(p any) (wire.Value, error) {
	switch p := p.(type) {
	case nil:
		return wire.Null{}, nil
	case string:
		return wire.Text(p), nil
	case []byte:
		return wire.Blob(nonNil(p)), nil
	case bool:
		if p {
			return wire.Integer(1), nil
		}
		return wire.Integer(0), nil
	case float64:
		return wire.Float(p), nil
	case float32:
		return wire.Float(p), nil
	}
	return integerOf(p)
}

func integerOf(p any) (wire.Value, error) {
	switch p := p.(type) {
	case int:
		return wire.Integer(p), nil
	case int64:
		return wire.Integer(p), nil
	case int32:
		return wire.Integer(p), nil
	case int16:
		return wire.Integer(p), nil
	case int8:
		return wire.Integer(p), nil
	case uint8:
		return wire.Integer(p), nil
	case uint16:
		return wire.Integer(p), nil
	case uint32:
		return wire.Integer(p), nil
	case uint:
		return unsigned(uint64(p))
	case uint64:
		return unsigned(p)
	}
	return nil, fmt.Errorf("a %T is no SQL value", p)
}

func unsigned(p uint64) (wire.Value, error) {
	if p > math.MaxInt64 {
		return nil, fmt.Errorf("%d is over the largest SQL integer", p)
	}
	return wire.Integer(p), nil
}
