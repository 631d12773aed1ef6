package bug

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/fixture-image/internal/counter"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// planted is a plant, and what it records.
type planted struct {
	*Plant
	struck chan Struck
}

func unclosed(n Name) planted {
	struck := make(chan Struck, 100)
	return planted{New(n, func(_ history.Kind, body any) { struck <- body.(Struck) }), struck}
}

func plant(t *testing.T, n Name) planted {
	t.Helper()
	p := unclosed(n)
	t.Cleanup(p.Close)
	return p
}

// says what was recorded of harm done, in order.
func (p planted) says(t *testing.T, what ...string) {
	t.Helper()
	for _, w := range what {
		select {
		case s := <-p.struck:
			assert.Equal(t, p.name, s.Bug)
			assert.Contains(t, s.What, w)
		default:
			t.Errorf("no record of: %s", w)
		}
	}
	assert.Empty(t, p.struck)
}

// fakeDB is a database that says what it was asked.
type fakeDB struct {
	name    string
	changes int64
	refuse  error // of a COMMIT

	mu  sync.Mutex
	log []string
	did chan string
}

func newDB(name string) *fakeDB { return &fakeDB{name: name, did: make(chan string, 100)} }

func (db *fakeDB) step(what string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.log = append(db.log, what)
	db.did <- what
}

func (db *fakeDB) steps() []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return append([]string(nil), db.log...)
}

func (db *fakeDB) Exec(_ context.Context, sql string) (*envoy.Result, error) {
	db.step(sql)
	return &envoy.Result{}, nil
}

func (db *fakeDB) Query(_ context.Context, sql string, _ ...any) (*envoy.Result, error) {
	db.step(sql)
	return &envoy.Result{Changes: db.changes}, nil
}

func (db *fakeDB) Begin(context.Context) (counter.Transaction, error) {
	db.step("BEGIN")
	return &fakeTx{db: db}, nil
}

// fakeTx refuses the COMMIT of a transaction that was rolled back, as SQLite
// does.
type fakeTx struct {
	db   *fakeDB
	over bool
}

var errNoTransaction = errors.New("cannot commit - no transaction is active")

func (tx *fakeTx) Query(ctx context.Context, sql string, params ...any) (*envoy.Result, error) {
	tx.over = tx.over || sql == "ROLLBACK"
	return tx.db.Query(ctx, sql, params...)
}

func (tx *fakeTx) Commit(ctx context.Context) error {
	if tx.over {
		return errNoTransaction
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	tx.db.step("COMMIT")
	return tx.db.refuse
}

func (tx *fakeTx) Rollback(context.Context) error {
	tx.db.step("release")
	return nil
}

func wrapped(p planted, id counter.Identity, db counter.Database) counter.Database {
	return p.Seams().Database(id, db)
}

func begin(t *testing.T, db counter.Database) counter.Transaction {
	t.Helper()
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	return tx
}

func next(t *testing.T, did <-chan string) string {
	t.Helper()
	select {
	case s := <-did:
		return s
	case <-time.After(5 * time.Second):
		t.Fatal("nothing happened within 5 s")
		return ""
	}
}

func TestParse(t *testing.T) {
	for _, n := range append([]Name{None}, Names...) {
		got, err := Parse(string(n))
		require.NoError(t, err)
		assert.Equal(t, n, got)
		assert.Contains(t, bugs, n)
	}
	assert.Len(t, bugs, len(Names)+1)
	_, err := Parse("off-by-one")
	assert.EqualError(t, err, `bug "off-by-one": use ack-before-commit, apply-retry-twice, swallow-commit-error, write-after-stop, two-live-generations, health-while-dead, heartbeat-never-resumes, answer-wrong-key, or nothing for none`)
}

func TestNoneLeavesTheFixtureAsItIs(t *testing.T) {
	p := plant(t, None)
	assert.Nil(t, p.Seams().Database)
	assert.Nil(t, p.Seams().Beat)
	a := &fakeActor{}
	assert.Same(t, a, p.Actors(func(*envoy.Handle) envoy.Actor { return a })(&envoy.Handle{}))
}

func TestAckBeforeCommit(t *testing.T) {
	db := newDB("db")
	p := unclosed(AckBeforeCommit)
	tx := begin(t, wrapped(p, counter.Identity{}, db))
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, tx.Commit(ctx))
	assert.Equal(t, []string{"BEGIN"}, db.steps(), "it says yes, and has sent no COMMIT")
	cancel() // the caller has its answer and goes
	next(t, db.did)
	assert.Equal(t, "COMMIT", next(t, db.did))

	lost := newDB("lost")
	lost.refuse = envoy.ErrTxLost
	require.NoError(t, begin(t, wrapped(p, counter.Identity{}, lost)).Commit(t.Context()), "whatever becomes of it")
	p.Close()
	p.says(t, "not committed")
	steps := lost.steps()
	assert.Equal(t, "release", steps[len(steps)-1], "others get the database")
}

func TestApplyRetryTwice(t *testing.T) {
	db := newDB("db")
	p := plant(t, ApplyRetryTwice)
	tx := begin(t, wrapped(p, counter.Identity{}, db))
	res, err := tx.Query(t.Context(), "INSERT ... ON CONFLICT DO NOTHING")
	require.NoError(t, err)
	assert.Equal(t, int64(1), res.Changes, "it does not hear that nothing was inserted")
	p.says(t)
	require.NoError(t, tx.Commit(t.Context()))
	p.says(t, "applied twice")
}

func TestSwallowCommitError(t *testing.T) {
	db := newDB("db")
	p := plant(t, SwallowCommitError)
	w := wrapped(p, counter.Identity{}, db)
	for range 3 {
		require.NoError(t, begin(t, w).Commit(t.Context()))
	}
	assert.Equal(t, []string{"BEGIN", "COMMIT", "BEGIN", "COMMIT", "BEGIN", "ROLLBACK", "release"}, db.steps(),
		"the third was rolled back, and answered like the others")
	p.says(t, errNoTransaction.Error())
}

func TestHealthWhileDead(t *testing.T) {
	p := plant(t, HealthWhileDead)
	w := wrapped(p, counter.Identity{}, newDB("db"))
	rec := p.Recorder(nowhere{})
	rec.Record("runtime", history.KindEnvoy, history.Envoy{What: "closed"})
	begin(t, w) // a first try that fails is no lost connection
	rec.Record("runtime", history.KindEnvoy, history.Envoy{What: "init"})
	_, err := w.Query(t.Context(), "SELECT 1")
	require.NoError(t, err)
	rec.Record("runtime", history.KindEnvoy, history.Envoy{What: "closed"})
	rec.Record("runtime", history.KindEnvoy, history.Envoy{What: "init"})
	_, err = w.Query(t.Context(), "SELECT 1")
	require.ErrorIs(t, err, envoy.ErrNotSent)
	_, err = w.Begin(t.Context())
	require.ErrorIs(t, err, envoy.ErrNotSent)
	p.says(t, "dead", "dead")
}

type nowhere struct{}

func (nowhere) Record(string, history.Kind, any) {}

func (nowhere) RecordAt(clock.Mono, string, history.Kind, any) {}

func TestHeartbeatNeverResumes(t *testing.T) {
	p := plant(t, HeartbeatNeverResumes)
	beat := p.Seams().Beat(counter.Identity{}, func(context.Context) (int64, error) { return 7, nil })
	n, err := beat(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int64(7), n)
	p.lost.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = beat(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "it hangs until its actor ends")
	p.says(t, "hangs")
}

// fakeActor notes what it was told.
type fakeActor struct {
	name     string
	life     context.Context
	stopped  bool
	requests chan string
}

func (a *fakeActor) Start(ctx context.Context) error { a.life = ctx; return nil }

func (a *fakeActor) Stop(context.Context, wire.StopReason) error { a.stopped = true; return nil }

func (a *fakeActor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if a.requests != nil {
		a.requests <- r.Method + " " + r.URL.Path + " " + string(body)
	}
	w.Header().Set("Actor", a.name)
	w.WriteHeader(http.StatusOK)
}

func (a *fakeActor) ServeWebSocket(*envoy.WebSocket) {}

func actors(p planted, id string, generation uint32, a envoy.Actor) envoy.Actor {
	return p.Actors(func(*envoy.Handle) envoy.Actor { return a })(&envoy.Handle{ID: id, Generation: generation})
}

func TestWriteAfterStop(t *testing.T) {
	inner := &fakeActor{requests: make(chan string, 2*staleWrites)}
	p := unclosed(WriteAfterStop)
	a := actors(p, "a", 3, inner)
	require.NoError(t, a.Start(t.Context()))
	require.NoError(t, a.Stop(t.Context(), wire.StopSleepIntent))
	assert.True(t, inner.stopped, "it reports that it stopped")
	assert.Equal(t, `POST /action/tick {"args":[16,"stale-3-1"]}`, next(t, inner.requests))
	assert.Equal(t, `POST /action/tick {"args":[16,"stale-3-2"]}`, next(t, inner.requests))
	p.Close()
}

func TestAnOldGenerationFollowsTheNewestDatabase(t *testing.T) {
	for _, n := range []Name{WriteAfterStop, TwoLiveGenerations} {
		p := plant(t, n)
		old, successor, another := newDB("old"), newDB("new"), newDB("another")
		w := wrapped(p, counter.Identity{Actor: "a", Generation: 1}, old)
		wrapped(p, counter.Identity{Actor: "a", Generation: 2}, successor)
		wrapped(p, counter.Identity{Actor: "b", Generation: 1}, another)
		begin(t, w)
		_, err := w.Exec(t.Context(), "sql")
		require.NoError(t, err)
		_, err = w.Query(t.Context(), "query")
		require.NoError(t, err)
		assert.Equal(t, []string{"BEGIN", "sql", "query"}, successor.steps())
		assert.Empty(t, old.steps())
		assert.Empty(t, another.steps())
	}
}

func TestTwoLiveGenerations(t *testing.T) {
	inner := &fakeActor{}
	p := unclosed(TwoLiveGenerations)
	a := actors(p, "a", 1, inner)
	life, end := context.WithCancel(t.Context())
	require.NoError(t, a.Start(life))
	require.NoError(t, a.Stop(life, wire.StopGoingAway))
	end()
	assert.False(t, inner.stopped)
	p.says(t, "lives on")
	require.NoError(t, inner.life.Err(), "it lives on")
	p.Close()
	require.Error(t, inner.life.Err(), "until the process ends")
}

func TestAnswerWrongKey(t *testing.T) {
	p := plant(t, AnswerWrongKey)
	a, b := actors(p, "a", 1, &fakeActor{name: "a"}), actors(p, "b", 1, &fakeActor{name: "b"})
	ask := func() string {
		rec := httptest.NewRecorder()
		a.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/health", nil))
		return rec.Header().Get("Actor")
	}
	require.NoError(t, a.Start(t.Context()))
	assert.Equal(t, []string{"a", "a", "a"}, []string{ask(), ask(), ask()}, "there is no other")
	require.NoError(t, b.Start(t.Context()))
	p.says(t)
	assert.Equal(t, []string{"a", "a", "b"}, []string{ask(), ask(), ask()})
	p.says(t, "another actor")
}
