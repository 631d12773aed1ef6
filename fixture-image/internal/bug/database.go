package bug

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/fixture-image/internal/counter"
)

// transactions wraps the transactions of a database.
type transactions struct {
	counter.Database
	wrap func(counter.Transaction) counter.Transaction
}

func (d transactions) Begin(ctx context.Context) (counter.Transaction, error) {
	tx, err := d.Database.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return d.wrap(tx), nil
}

// commitLag is how much later than the answer an early one's COMMIT is sent.
// It is long beside a write, so that a fault finds one open nearly always.
const commitLag = 100 * time.Millisecond

func ackBeforeCommit(p *Plant, id counter.Identity, db counter.Database) counter.Database {
	return transactions{db, func(tx counter.Transaction) counter.Transaction { return earlyTx{tx, p, id} }}
}

type earlyTx struct {
	counter.Transaction
	p  *Plant
	id counter.Identity
}

// Commit says yes, and commits in the background.
func (tx earlyTx) Commit(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	tx.p.joined.Go(func() {
		if tx.p.pause(commitLag) && tx.Transaction.Commit(ctx) == nil {
			return
		}
		tx.p.struck(tx.id, "a write that was answered is not committed")
		_ = tx.Rollback(ctx) // for others to have the database; there is nobody to tell
	})
	return nil
}

func applyRetryTwice(p *Plant, id counter.Identity, db counter.Database) counter.Database {
	return transactions{db, func(tx counter.Transaction) counter.Transaction { return &blindTx{tx, p, id, false} }}
}

// blindTx does not hear that an insert was left out because its row is there.
type blindTx struct {
	counter.Transaction
	p     *Plant
	id    counter.Identity
	blind bool // it was, in this transaction
}

func (tx *blindTx) Query(ctx context.Context, sql string, params ...any) (*envoy.Result, error) {
	res, err := tx.Transaction.Query(ctx, sql, params...)
	if err == nil && res.Changes == 0 && strings.Contains(sql, "INSERT") {
		tx.blind = true
		seen := *res
		seen.Changes = 1
		res = &seen
	}
	return res, err
}

func (tx *blindTx) Commit(ctx context.Context) error {
	err := tx.Transaction.Commit(ctx)
	if tx.blind && err == nil {
		tx.p.struck(tx.id, "an operation was applied twice")
	}
	return err
}

// swallowCommitError has every third transaction ended by the database before
// its COMMIT, as SQLite does by itself when its disk is full. The engine then
// refuses the COMMIT. That would be no bug: what is wrong is not to say so.
func swallowCommitError(p *Plant, id counter.Identity, db counter.Database) counter.Database {
	return transactions{db, func(tx counter.Transaction) counter.Transaction { return swallowingTx{tx, p, id} }}
}

type swallowingTx struct {
	counter.Transaction
	p  *Plant
	id counter.Identity
}

func (tx swallowingTx) Commit(ctx context.Context) error {
	if tx.p.every(3) {
		_, _ = tx.Query(ctx, "ROLLBACK") // by the database
	}
	if err := tx.Transaction.Commit(ctx); err != nil {
		tx.p.struck(tx.id, "an error of a COMMIT was swallowed: "+err.Error())
		_ = tx.Rollback(ctx) // for others to have the database
	}
	return nil
}

// followNewest gives every generation of an actor the database handle of the
// newest, as a cache by actor id would: the runtime, which refuses what comes
// from a generation that has ended, is got round.
func followNewest(p *Plant, id counter.Identity, db counter.Database) counter.Database {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest[id.Actor] = db
	return shared{p, id.Actor}
}

type shared struct {
	p     *Plant
	actor string
}

func (s shared) db() counter.Database {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.p.newest[s.actor]
}

func (s shared) Exec(ctx context.Context, sql string) (*envoy.Result, error) {
	return s.db().Exec(ctx, sql)
}

func (s shared) Query(ctx context.Context, sql string, params ...any) (*envoy.Result, error) {
	return s.db().Query(ctx, sql, params...)
}

func (s shared) Begin(ctx context.Context) (counter.Transaction, error) { return s.db().Begin(ctx) }

// dieWithConnection never uses the database again after a lost connection.
func dieWithConnection(p *Plant, id counter.Identity, db counter.Database) counter.Database {
	return mortal{p, id, db}
}

type mortal struct {
	p    *Plant
	id   counter.Identity
	next counter.Database
}

func (m mortal) alive() error {
	if m.p.lost.Load() {
		m.p.struck(m.id, "a dead actor was asked to act")
		return fmt.Errorf("%w: the actor died with its connection", envoy.ErrNotSent)
	}
	return nil
}

func (m mortal) Exec(ctx context.Context, sql string) (*envoy.Result, error) {
	// The tables are made: who starts again is dead only when it is asked.
	return m.next.Exec(ctx, sql)
}

func (m mortal) Query(ctx context.Context, sql string, params ...any) (*envoy.Result, error) {
	if err := m.alive(); err != nil {
		return nil, err
	}
	return m.next.Query(ctx, sql, params...)
}

func (m mortal) Begin(ctx context.Context) (counter.Transaction, error) {
	if err := m.alive(); err != nil {
		return nil, err
	}
	return m.next.Begin(ctx)
}

// beatUntilLost holds the first beat after a lost connection until the actor
// ends.
func beatUntilLost(p *Plant, id counter.Identity, beat counter.Beat) counter.Beat {
	return func(ctx context.Context) (int64, error) {
		if p.lost.Load() {
			p.struck(id, "the heartbeat hangs")
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		return beat(ctx)
	}
}
