package envoy

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
)

// ask runs f in a goroutine and returns where its error arrives.
func ask(f func() error) chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func TestKV(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	kv := a.h.KV()

	var values [][]byte
	done := ask(func() (err error) {
		values, err = kv.Get(t.Context(), []byte("a"), []byte("b"), []byte("c"))
		return err
	})
	req := c.next().(wire.KVRequest)
	assert.Equal(t, wire.KVRequest{ActorID: "a", RequestID: req.RequestID, Op: wire.KVGet{Keys: [][]byte{[]byte("a"), []byte("b"), []byte("c")}}}, req)
	c.send(wire.KVResponse{RequestID: 4711, Result: wire.KVDropResult{}}) // nobody's
	c.send(wire.KVResponse{RequestID: req.RequestID, Result: wire.KVGetResult{
		Keys: [][]byte{[]byte("c"), []byte("a")}, Values: [][]byte{[]byte("3"), {}},
		Metadata: []wire.KVMetadata{{Version: []byte{}}, {Version: []byte{}}},
	}})
	require.NoError(t, receive(t, done, "get"))
	assert.Equal(t, [][]byte{{}, nil, []byte("3")}, values)

	done = ask(func() error { return kv.Put(t.Context(), KVPair{[]byte("k"), []byte("v")}) })
	req = c.next().(wire.KVRequest)
	assert.Equal(t, wire.KVPut{Keys: [][]byte{[]byte("k")}, Values: [][]byte{[]byte("v")}}, req.Op)
	c.send(wire.KVResponse{RequestID: req.RequestID, Result: wire.KVError{Message: "too large"}})
	err := receive(t, done, "put")
	var refused *KVError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "too large", refused.Message)

	done = ask(func() error { return kv.Delete(t.Context()) })
	req = c.next().(wire.KVRequest)
	c.send(wire.KVResponse{RequestID: req.RequestID, Result: wire.KVPutResult{}})
	assert.ErrorContains(t, receive(t, done, "delete"), "KVPutResult")
}

func TestKVList(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	yes, two := true, uint64(2)
	for _, want := range []struct {
		o  ListOptions
		op wire.KVList
	}{
		{ListOptions{}, wire.KVList{Query: wire.KVAll{}}},
		{ListOptions{Prefix: []byte("p"), Reverse: true, Limit: 2}, wire.KVList{Query: wire.KVPrefix{Key: []byte("p")}, Reverse: &yes, Limit: &two}},
		{ListOptions{Start: []byte("a"), End: []byte("b"), Exclusive: true}, wire.KVList{Query: wire.KVRange{Start: []byte("a"), End: []byte("b"), Exclusive: true}}},
	} {
		var pairs []KVPair
		done := ask(func() (err error) { pairs, err = a.h.KV().List(t.Context(), want.o); return err })
		req := c.next().(wire.KVRequest)
		assert.Equal(t, want.op, req.Op)
		c.send(wire.KVResponse{RequestID: req.RequestID, Result: wire.KVListResult{
			Keys: [][]byte{[]byte("k")}, Values: [][]byte{[]byte("v")}, Metadata: []wire.KVMetadata{{Version: []byte{}}},
		}})
		require.NoError(t, receive(t, done, "list"))
		assert.Equal(t, []KVPair{{[]byte("k"), []byte("v")}}, pairs)
	}
}

func TestRequestInFlightHasAnUnknownOutcome(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	kv := ask(func() error { return a.h.KV().Drop(t.Context()) })
	c.next()
	sql := ask(func() error { _, err := a.h.DB().Query(t.Context(), "SELECT 1"); return err })
	c.next()
	c.cut()
	for _, done := range []chan error{kv, sql} {
		err := receive(t, done, "the request")
		assert.ErrorIs(t, err, ErrConnectionLost)
		assert.NotErrorIs(t, err, ErrNotSent)
	}
	c = g.e.acceptInit()
	assert.IsType(t, wire.Events{}, c.next())
	c.sync() // nothing was sent again
}

func TestRequestWaitsForTheConnection(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	c.cut()
	c = g.e.accept()
	done := ask(func() error { return a.h.KV().Drop(t.Context()) })
	c.send(wire.Ping{TS: 1})
	assert.Equal(t, wire.Pong{TS: 1}, c.next(), "before Init nothing else may be sent")
	c.send(wire.Init{LostThreshold: 9999, StopThreshold: 1, MaxResponse: 1})
	assert.IsType(t, wire.Events{}, c.next(), "events come first")
	req := c.next().(wire.KVRequest)
	c.send(wire.KVResponse{RequestID: req.RequestID, Result: wire.KVDropResult{}})
	require.NoError(t, receive(t, done, "the request"))
}

func TestRequestThatIsNotSent(t *testing.T) {
	g := newRig(t, Config{Reconnect: FastPolicy(time.Hour)}, nil)
	c, a, _ := g.begin()
	c.cut()
	g.rec.awaitEnvoy(t, "backoff", 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := ask(func() error { return a.h.KV().Drop(ctx) })
	mine := errors.New("my own reason")
	cancel(mine)
	err := receive(t, done, "the request")
	assert.ErrorIs(t, err, ErrNotSent)
	assert.ErrorIs(t, err, mine)
}

func TestRequestWhoseContextEndsInFlight(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	ctx, cancel := context.WithCancel(t.Context())
	done := ask(func() error { return a.h.KV().Drop(ctx) })
	req := c.next().(wire.KVRequest)
	cancel()
	err := receive(t, done, "the request")
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, ErrNotSent)
	c.send(wire.KVResponse{RequestID: req.RequestID, Result: wire.KVDropResult{}}) // late
	c.sync()
}

func TestSQLValues(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	var res *Result
	done := ask(func() (err error) {
		res, err = a.h.DB().Query(t.Context(), "Q", nil, true, false, 3, uint8(4), 1.5, float32(2.5), "s", []byte("b"), int64(math.MinInt64))
		return err
	})
	req := c.next().(wire.ExecuteRequest)
	assert.Equal(t, wire.ExecuteRequest{RequestID: req.RequestID, Namespace: "ns", ActorID: "a", Generation: 1, SQL: "Q", Params: []wire.Value{
		wire.Null{}, wire.Integer(1), wire.Integer(0), wire.Integer(3), wire.Integer(4), wire.Float(1.5), wire.Float(2.5), wire.Text("s"), wire.Blob("b"), wire.Integer(math.MinInt64),
	}}, req)
	id := int64(9)
	c.send(wire.ExecuteResponse{RequestID: req.RequestID, OK: &wire.ExecuteResult{
		Columns: []string{"x"}, Rows: [][]wire.Value{{wire.Null{}, wire.Integer(1), wire.Float(2), wire.Text("t"), wire.Blob{}}}, Changes: 2, LastInsertRowID: &id,
	}})
	require.NoError(t, receive(t, done, "the query"))
	assert.Equal(t, &Result{Columns: []string{"x"}, Rows: [][]any{{nil, int64(1), 2.0, "t", []byte{}}}, Changes: 2, LastInsertRowID: &id}, res)

	for _, bad := range []any{struct{}{}, uint64(math.MaxUint64), time.Second} {
		_, err := a.h.DB().Query(t.Context(), "Q", bad)
		assert.ErrorIs(t, err, ErrNotSent, "%T", bad)
	}
	c.sync()
}

func TestSQLErrorAndBatch(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	done := ask(func() error { _, err := a.h.DB().Exec(t.Context(), "X"); return err })
	req := c.next().(wire.ExecRequest)
	c.send(wire.ExecResponse{RequestID: req.RequestID, Err: &wire.SQLError{Group: "sqlite", Code: "x", Message: "m"}})
	var refused *SQLError
	require.ErrorAs(t, receive(t, done, "exec"), &refused)
	assert.Equal(t, SQLError{"sqlite", "x", "m"}, *refused)

	done = ask(func() error {
		_, err := a.h.DB().Batch(t.Context(), Statement{SQL: "A"}, Statement{SQL: "B", Params: []any{1}})
		return err
	})
	batch := c.next().(wire.ExecuteBatchRequest)
	assert.Equal(t, []wire.Statement{{SQL: "A"}, {SQL: "B", Params: []wire.Value{wire.Integer(1)}}}, batch.Statements)
	c.send(wire.ExecuteBatchResponse{RequestID: batch.RequestID, OK: &wire.BatchResult{Results: []wire.ExecuteResult{{Columns: []string{}, Rows: [][]wire.Value{}}}}})
	assert.ErrorContains(t, receive(t, done, "batch"), "unexpected", "one result for two statements")
}

// statement answers the next statement, which must be sql.
func (c *fakeConn) statement(sql string) {
	c.t.Helper()
	req := c.next().(wire.ExecuteRequest)
	assert.Equal(c.t, sql, req.SQL)
	c.send(wire.ExecuteResponse{RequestID: req.RequestID, OK: &wire.ExecuteResult{Columns: []string{}, Rows: [][]wire.Value{}}})
}

func beginTx(t *testing.T, c *fakeConn, a *testActor) *Tx {
	t.Helper()
	var tx *Tx
	done := ask(func() (err error) { tx, err = a.h.DB().Begin(t.Context()); return err })
	c.statement("BEGIN")
	require.NoError(t, receive(t, done, "begin"))
	return tx
}

func TestTransactionKeepsOthersOut(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	tx := beginTx(t, c, a)
	ctx, cancel := context.WithCancel(t.Context())
	other := ask(func() error { _, err := a.h.DB().Query(t.Context(), "OTHER"); return err })
	third := ask(func() error { _, err := a.h.DB().Begin(ctx); return err })
	cancel()
	require.ErrorIs(t, receive(t, third, "the third"), ErrNotSent)
	in := ask(func() error { _, err := tx.Query(t.Context(), "IN"); return err })
	c.statement("IN")
	require.NoError(t, receive(t, in, "the statement"))
	commit := ask(func() error { return tx.Commit(t.Context()) })
	c.statement("COMMIT")
	require.NoError(t, receive(t, commit, "commit"))
	c.statement("OTHER")
	require.NoError(t, receive(t, other, "the other"))
	require.NoError(t, tx.Rollback(t.Context()), "after Commit")
	_, err := tx.Query(t.Context(), "LATE")
	require.ErrorIs(t, err, ErrTxDone)
	require.ErrorIs(t, tx.Commit(t.Context()), ErrTxDone)
}

// The engine would carry out what it still had of the transaction by itself,
// after Stopped took the rest of it away.
func TestStoppedWaitsForTheTransactionUnderWay(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	tx := beginTx(t, c, a)
	c.stop("a", 1, 2, wire.StopGoingAway)
	g.rec.awaitActor(t, "a", "stop", 1)
	in := ask(func() error { _, err := tx.Query(t.Context(), "IN"); return err })
	c.statement("IN")
	require.NoError(t, receive(t, in, "the statement"))
	undone := ask(func() error { return tx.Rollback(t.Context()) })
	c.statement("ROLLBACK")
	require.NoError(t, receive(t, undone, "rollback"))
	c.wantStopped("a", 1, wire.StopOK)
	_, err := a.h.DB().Begin(t.Context())
	require.ErrorIs(t, err, ErrNotSent)
}

func TestTransactionDiesWithItsConnection(t *testing.T) {
	for _, reconnected := range []bool{false, true} {
		g := newRig(t, Config{}, nil)
		c, a, _ := g.begin()
		tx := beginTx(t, c, a)
		c.cut()
		c = g.e.accept()
		if reconnected {
			c.send(wire.Init{LostThreshold: 9999, StopThreshold: 1, MaxResponse: 1})
			assert.IsType(t, wire.Events{}, c.next())
			c.sync()
		}
		_, err := tx.Query(t.Context(), "INSERT")
		require.ErrorIs(t, err, ErrTxLost)
		require.ErrorIs(t, tx.Commit(t.Context()), ErrTxLost)
		require.NoError(t, tx.Rollback(t.Context()))
		if !reconnected {
			c.send(wire.Init{LostThreshold: 9999, StopThreshold: 1, MaxResponse: 1})
			assert.IsType(t, wire.Events{}, c.next())
		}
		done := ask(func() error { _, err := a.h.DB().Query(t.Context(), "NEXT"); return err })
		c.statement("NEXT") // and nothing of the transaction before it
		require.NoError(t, receive(t, done, "the next"))
	}
}

func TestCommitInFlightHasAnUnknownOutcome(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	tx := beginTx(t, c, a)
	done := ask(func() error { return tx.Commit(t.Context()) })
	assert.Equal(t, "COMMIT", c.next().(wire.ExecuteRequest).SQL)
	c.cut()
	err := receive(t, done, "commit")
	require.ErrorIs(t, err, ErrConnectionLost)
	assert.NotErrorIs(t, err, ErrTxLost)
	require.NoError(t, tx.Rollback(t.Context()))
}

func TestBeginThatFailsLetsOthersIn(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	done := ask(func() error { _, err := a.h.DB().Begin(t.Context()); return err })
	req := c.next().(wire.ExecuteRequest)
	c.send(wire.ExecuteResponse{RequestID: req.RequestID, Err: &wire.SQLError{Message: "busy"}})
	require.Error(t, receive(t, done, "begin"))

	ctx, cancel := context.WithCancel(t.Context())
	done = ask(func() error { _, err := a.h.DB().Begin(ctx); return err })
	c.next()
	cancel()
	c.statement("ROLLBACK") // it may have begun
	require.ErrorIs(t, receive(t, done, "begin"), context.Canceled)
	done = ask(func() error { _, err := a.h.DB().Query(t.Context(), "NEXT"); return err })
	c.statement("NEXT")
	require.NoError(t, receive(t, done, "the next"))
}

func TestRollbackDespiteAnEndedContext(t *testing.T) {
	g := newRig(t, Config{}, nil)
	c, a, _ := g.begin()
	tx := beginTx(t, c, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := ask(func() error { return tx.Rollback(ctx) })
	c.statement("ROLLBACK")
	require.NoError(t, receive(t, done, "rollback"))
}
