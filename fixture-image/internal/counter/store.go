package counter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/envoy"
)

// Database is the part of [envoy.DB] that the counter needs.
type Database interface {
	Exec(ctx context.Context, sql string) (*envoy.Result, error)
	Query(ctx context.Context, sql string, params ...any) (*envoy.Result, error)
	Begin(ctx context.Context) (Transaction, error)
}

// Transaction is the part of [envoy.Tx] that the counter needs.
type Transaction interface {
	Query(ctx context.Context, sql string, params ...any) (*envoy.Result, error)
	Commit(ctx context.Context) error
	Rollback(ctx context.Context) error
}

// database makes a Database of an envoy.DB.
type database struct{ *envoy.DB }

func (d database) Begin(ctx context.Context) (Transaction, error) {
	tx, err := d.DB.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return tx, nil
}

const schema = `
CREATE TABLE IF NOT EXISTS counter (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	count INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
	op TEXT PRIMARY KEY,
	count INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	payload BLOB NOT NULL,
	generation INTEGER NOT NULL,
	at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS heartbeat (
	beat INTEGER PRIMARY KEY,
	generation INTEGER NOT NULL,
	at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS alarms (
	id INTEGER PRIMARY KEY,
	due INTEGER NOT NULL,
	set_by INTEGER NOT NULL,
	fired_at INTEGER,
	fired_by INTEGER
);`

// Steps of a write, as its error names them.
const (
	stepBegin  = "begin"
	stepWrite  = "write"
	stepHold   = "hold"
	stepCommit = "commit"
)

// writeError is a write that failed, or of which it is not known whether it
// did.
type writeError struct {
	op   string
	step string
	// unknown: it may have been committed. Otherwise it certainly was not.
	unknown bool
	err     error
}

func (e *writeError) Error() string {
	known := "it was not applied"
	if e.unknown {
		known = "it is unknown whether it was applied"
	}
	return fmt.Sprintf("operation %s failed at its %s, %s: %v", e.op, e.step, known, e.err)
}

func (e *writeError) Unwrap() error { return e.err }

// errRepeated refuses an operation whose id is in the ledger already.
var errRepeated = errors.New("the operation was applied before")

// store is the counter's data. Every write carries the generation that made
// it, so that a stale one shows.
type store struct {
	db         Database
	generation uint32
	// between runs in add's transaction when the event is inserted and the
	// count is not up. nil: nothing does.
	between func(context.Context) error
}

// open makes the tables and returns the alarms that are set, the next one
// first; one request for both.
func (s *store) open(ctx context.Context) ([]alarm, error) {
	res, err := s.db.Exec(ctx, schema+`
SELECT id, due FROM alarms WHERE fired_at IS NULL ORDER BY due, id;`)
	if err != nil {
		return nil, fmt.Errorf("create the counter's tables: %w", err)
	}
	var pending []alarm
	for i, row := range res.Rows {
		n, err := integers(row, 2)
		if err != nil {
			return nil, fmt.Errorf("read the alarms that are set: row %d: %w", i, err)
		}
		pending = append(pending, alarm{id: n[0], due: time.UnixMilli(n[1])})
	}
	return pending, nil
}

// addAlarm stores an alarm and returns its id.
func (s *store) addAlarm(ctx context.Context, due time.Time) (int64, error) {
	res, err := s.db.Query(ctx, `INSERT INTO alarms (due, set_by) VALUES (?, ?) RETURNING id`, due.UnixMilli(), s.generation)
	if err != nil {
		return 0, &writeError{op: "setAlarm", step: stepWrite, unknown: !certain(err), err: err}
	}
	n, err := onlyRow(res, 1)
	if err != nil {
		return 0, &writeError{op: "setAlarm", step: stepWrite, unknown: true, err: fmt.Errorf("read the alarm's id: %w", err)}
	}
	return n[0], nil
}

// fired is when an alarm was marked as fired, and by which generation.
type fired struct {
	at time.Time
	by uint32
}

// fireAlarm marks an alarm as fired, unless it is, and returns the mark.
func (s *store) fireAlarm(ctx context.Context, id int64) (fired, error) {
	res, err := s.db.Query(ctx, `
		UPDATE alarms SET fired_at = coalesce(fired_at, ?), fired_by = coalesce(fired_by, ?)
		WHERE id = ? RETURNING fired_at, fired_by`, time.Now().UnixMilli(), s.generation, id)
	if err != nil {
		return fired{}, fmt.Errorf("mark alarm %d as fired: %w", id, err)
	}
	n, err := onlyRow(res, 2)
	if err != nil {
		return fired{}, fmt.Errorf("mark alarm %d as fired: %w", id, err)
	}
	return fired{at: time.UnixMilli(n[0]), by: uint32(n[1])}, nil
}

// alarms are all alarms in the order in which they were set, each with its id,
// when it is due and when it fired, in milliseconds since 1970, and the
// generations that set and fired it; nil where it has not fired.
func (s *store) alarms(ctx context.Context) ([]any, error) {
	res, err := s.db.Query(ctx, `SELECT id, due, set_by, fired_at, fired_by FROM alarms ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read the alarms: %w", err)
	}
	out := make([]any, len(res.Rows))
	for i, row := range res.Rows {
		if len(row) != 5 {
			return nil, fmt.Errorf("read the alarms: row %d has %d columns, not 5", i, len(row))
		}
		out[i] = map[string]any{"alarm": row[0], "due": row[1], "set_by": row[2], "fired_at": row[3], "fired_by": row[4]}
	}
	return out, nil
}

// onlyRow is the one row of n integers that a statement returned.
func onlyRow(res *envoy.Result, n int) ([]int64, error) {
	if len(res.Rows) != 1 {
		return nil, fmt.Errorf("the engine returned %d rows where one belongs", len(res.Rows))
	}
	return integers(res.Rows[0], n)
}

func integers(row []any, n int) ([]int64, error) {
	if len(row) != n {
		return nil, fmt.Errorf("the engine returned %d columns where %d belong", len(row), n)
	}
	out := make([]int64, n)
	for i, v := range row {
		var ok bool
		if out[i], ok = v.(int64); !ok {
			return nil, fmt.Errorf("the engine returned a %T where an integer belongs", v)
		}
	}
	return out, nil
}

// add applies the operation op in one transaction and returns the count after
// it, read inside. hold runs when all is written and COMMIT is not sent.
func (s *store) add(ctx context.Context, op string, payload []byte, hold func(context.Context) error) (int64, error) {
	return s.transact(ctx, op, hold, func(tx Transaction) (int64, error) {
		res, err := tx.Query(ctx, `
			INSERT INTO events (op, count, bytes, payload, generation, at)
			VALUES (?, coalesce((SELECT count FROM counter), 0) + 1, ?, ?, ?, ?)
			ON CONFLICT (op) DO NOTHING`, op, len(payload), payload, s.generation, time.Now().UnixMilli())
		if err != nil {
			return 0, fmt.Errorf("insert the event: %w", err)
		}
		if res.Changes == 0 {
			return 0, errRepeated
		}
		if s.between != nil {
			if err := s.between(ctx); err != nil {
				return 0, err
			}
		}
		if _, err := tx.Query(ctx, `
			INSERT INTO counter (id, count) VALUES (1, 1)
			ON CONFLICT (id) DO UPDATE SET count = count + 1`); err != nil {
			return 0, fmt.Errorf("count up: %w", err)
		}
		return scalar(tx.Query(ctx, `SELECT count FROM counter`))
	})
}

// beat adds a row to the heartbeat and returns its number, read inside the
// transaction.
func (s *store) beat(ctx context.Context) (int64, error) {
	pass := func(context.Context) error { return nil }
	return s.transact(ctx, "heartbeat", pass, func(tx Transaction) (int64, error) {
		if _, err := tx.Query(ctx, `
			INSERT INTO heartbeat (beat, generation, at)
			SELECT coalesce(max(beat), 0) + 1, ?, ? FROM heartbeat`, s.generation, time.Now().UnixMilli()); err != nil {
			return 0, fmt.Errorf("insert the beat: %w", err)
		}
		return scalar(tx.Query(ctx, `SELECT max(beat) FROM heartbeat`))
	})
}

// transact runs write in a transaction. Its error is a *writeError that keeps
// the first failure first: a ROLLBACK that fails too is joined to it.
func (s *store) transact(ctx context.Context, op string, hold func(context.Context) error, write func(Transaction) (int64, error)) (int64, error) {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return 0, &writeError{op: op, step: stepBegin, err: err}
	}
	n, err := write(tx)
	if err != nil {
		return 0, undo(ctx, tx, &writeError{op: op, step: stepWrite, err: err})
	}
	if err := hold(ctx); err != nil {
		return 0, undo(ctx, tx, &writeError{op: op, step: stepHold, err: err})
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, undo(ctx, tx, &writeError{op: op, step: stepCommit, unknown: !certain(err), err: err})
	}
	return n, nil
}

// undo rolls back after e, and frees the database for others.
func undo(ctx context.Context, tx Transaction, e *writeError) error {
	if err := tx.Rollback(ctx); err != nil {
		e.err = errors.Join(e.err, fmt.Errorf("then roll back: %w", err))
	}
	return e
}

// certain says that a COMMIT which failed with err did not take effect.
func certain(err error) bool {
	var refused *envoy.SQLError
	return errors.Is(err, envoy.ErrNotSent) || errors.Is(err, envoy.ErrTxLost) || errors.Is(err, envoy.ErrTxDone) || errors.As(err, &refused)
}

// scalar is the one integer that a query returned.
func scalar(res *envoy.Result, err error) (int64, error) {
	if err != nil {
		return 0, fmt.Errorf("read the count: %w", err)
	}
	n, err := onlyRow(res, 1)
	if err != nil {
		return 0, fmt.Errorf("read the count: %w", err)
	}
	return n[0], nil
}

func (s *store) count(ctx context.Context) (int64, error) {
	return scalar(s.db.Query(ctx, `SELECT coalesce((SELECT count FROM counter), 0)`))
}

// ledger is all events in the order in which they were applied, each with
// its operation id, the count after it, its payload's size in bytes, the
// generation that wrote it and when, in milliseconds since 1970.
func (s *store) ledger(ctx context.Context) ([]any, error) {
	res, err := s.db.Query(ctx, `SELECT op, count, bytes, generation, at FROM events ORDER BY count, rowid`)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	out := make([]any, len(res.Rows))
	for i, row := range res.Rows {
		if len(row) != 5 {
			return nil, fmt.Errorf("read the ledger: row %d has %d columns, not 5", i, len(row))
		}
		out[i] = map[string]any{"op": row[0], "count": row[1], "bytes": row[2], "generation": row[3], "at": row[4]}
	}
	return out, nil
}
