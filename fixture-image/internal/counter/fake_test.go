package counter

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/history"
)

// fakeDB keeps just enough of the counter's tables to answer its
// statements, and fails where it is told to.
type fakeDB struct {
	mu     sync.Mutex
	count  int64
	events [][]any // op, count, bytes, generation, at
	beats  int64
	alarms [][]any  // id, due, set_by, fired_at, fired_by
	log    []string // BEGIN, COMMIT, ROLLBACK, in order

	// fail is the error of a statement, found by a word that it contains.
	fail map[string]error
	// cut makes the next statement that contains it take effect and its answer
	// get lost with the connection.
	cut string
}

func (db *fakeDB) failing(sql string) error {
	for word, err := range db.fail {
		if strings.Contains(sql, word) {
			return err
		}
	}
	return nil
}

func (db *fakeDB) step(what string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.log = append(db.log, what)
	return db.failing(what)
}

func (db *fakeDB) steps() []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return append([]string(nil), db.log...)
}

func (db *fakeDB) Exec(_ context.Context, sql string) (*envoy.Result, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	var unfired [][]any
	for _, a := range db.alarms {
		if a[3] == nil {
			unfired = append(unfired, []any{a[0], a[1]})
		}
	}
	return &envoy.Result{Rows: unfired}, db.failing(sql)
}

func one(v any) *envoy.Result { return &envoy.Result{Rows: [][]any{{v}}} }

func (db *fakeDB) Query(_ context.Context, sql string, params ...any) (*envoy.Result, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.failing(sql); err != nil {
		return nil, err
	}
	res := db.answer(sql, params)
	if db.cut != "" && strings.Contains(sql, db.cut) {
		db.cut = ""
		return nil, envoy.ErrConnectionLost
	}
	return res, nil
}

func (db *fakeDB) answer(sql string, params []any) *envoy.Result {
	switch {
	case strings.Contains(sql, "FROM events"):
		return &envoy.Result{Rows: db.events}
	case strings.Contains(sql, "INTO alarms"):
		id := int64(len(db.alarms) + 1)
		db.alarms = append(db.alarms, []any{id, params[0], int64(params[1].(uint32)), nil, nil})
		return one(id)
	case strings.Contains(sql, "UPDATE alarms"):
		row := db.alarms[params[2].(int64)-1]
		if row[3] == nil {
			row[3], row[4] = params[0], int64(params[1].(uint32))
		}
		return &envoy.Result{Rows: [][]any{{row[3], row[4]}}}
	case strings.Contains(sql, "FROM alarms"):
		return &envoy.Result{Rows: db.alarms}
	}
	return one(db.count)
}

func (db *fakeDB) Begin(context.Context) (Transaction, error) {
	if err := db.step("BEGIN"); err != nil {
		return nil, err
	}
	return &fakeTx{db: db, count: db.count, beats: db.beats}, nil
}

// fakeTx applies its writes at its commit.
type fakeTx struct {
	db     *fakeDB
	count  int64
	beats  int64
	events [][]any
}

func (tx *fakeTx) Query(_ context.Context, sql string, params ...any) (*envoy.Result, error) {
	if err := tx.db.failing(sql); err != nil {
		return nil, err
	}
	switch {
	case strings.Contains(sql, "INTO events"):
		for _, e := range tx.db.events {
			if e[0] == params[0] {
				return &envoy.Result{}, nil
			}
		}
		tx.events = append(tx.events, []any{params[0], tx.count + 1, int64(params[1].(int)), int64(params[3].(uint32)), params[4]})
		return &envoy.Result{Changes: 1}, nil
	case strings.Contains(sql, "INTO counter"):
		tx.count++
	case strings.Contains(sql, "INTO heartbeat"):
		tx.beats++
	case strings.Contains(sql, "max(beat)"):
		return one(tx.beats), nil
	case strings.Contains(sql, "SELECT count"):
		return one(tx.count), nil
	default:
		return nil, fmt.Errorf("the fake does not know %q", sql)
	}
	return &envoy.Result{Changes: 1}, nil
}

func (tx *fakeTx) Commit(context.Context) error {
	if err := tx.db.step("COMMIT"); err != nil {
		return err
	}
	tx.db.mu.Lock()
	defer tx.db.mu.Unlock()
	tx.db.count, tx.db.beats = tx.count, tx.beats
	tx.db.events = append(tx.db.events, tx.events...)
	return nil
}

func (tx *fakeTx) Rollback(context.Context) error { return tx.db.step("ROLLBACK") }

type fakeKV struct {
	mu    sync.Mutex
	value []byte
	fail  error
}

func (kv *fakeKV) Get(context.Context, ...[]byte) ([][]byte, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return [][]byte{kv.value}, kv.fail
}

func (kv *fakeKV) Put(_ context.Context, p ...envoy.KVPair) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if kv.fail == nil {
		kv.value = p[0].Value
	}
	return kv.fail
}

// world is an actor with fakes around it.
type world struct {
	*Actor
	db     *fakeDB
	kv     *fakeKV
	events chan any // history bodies
	slept  chan struct{}
	woken  chan time.Time // what the engine is told to start the actor for
}

func newWorld(cfg Config) *world {
	w := &world{db: &fakeDB{}, kv: &fakeKV{}, events: make(chan any, 1024), slept: make(chan struct{}, 16), woken: make(chan time.Time, 16)}
	record := func(_ history.Kind, body any) { w.events <- body }
	cfg.Breakpoints = breakpoint.NewSet(func(b history.Breakpoint) { w.events <- b })
	if cfg.CommitHold == 0 {
		cfg.CommitHold = time.Millisecond
	}
	w.Actor = newActor(cfg, deps{
		id: Identity{Actor: "actor-1", Key: "k", Generation: 3}, db: w.db, kv: w.kv, record: record,
		sleep: func() error { w.slept <- struct{}{}; return nil },
		wake:  func(at time.Time) error { w.woken <- at; return nil },
	})
	w.interval = time.Millisecond
	return w
}
