// Command runtime is a runtime that is not killpoint's fixture: the least that a
// runtime must do so that killpoint can restart an engine under it. Its image is
// named with --runtime-image; docs/guide/own-runtime.md walks through it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/rivetkit"
)

// drainGrace bounds the drain after SIGTERM.
const drainGrace = 5 * time.Second

func main() {
	// As PID 1 a process ends by a signal only if it says so itself.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	runtime, err := envoy.New(envoy.Config{ActorName: []string{"counter"}, New: newCounter})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: ":8080", Handler: runtime.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	received := (<-signals).(syscall.Signal) // Notify sends no other
	ctx, cancel := context.WithTimeout(context.Background(), drainGrace)
	err = errors.Join(runtime.Drain(ctx), server.Close(), runtime.Close())
	cancel()
	if err != nil {
		log.Print(err)
	}
	os.Exit(128 + int(received))
}

// counter is one generation of an actor: a count, and a ledger of all writes.
type counter struct {
	*envoy.Handle
	actions rivetkit.Server
	life    context.Context
}

func newCounter(h *envoy.Handle) envoy.Actor {
	c := &counter{Handle: h}
	c.actions = rivetkit.Server{
		Actor: rivetkit.ActorRef{ID: h.ID, Generation: uint64(h.Generation), Key: h.Key},
		Actions: map[string]rivetkit.Action{
			"tick":     c.tick,
			"getCount": c.getCount,
			"ledger":   c.ledger,
		},
	}
	return c
}

func (c *counter) Start(ctx context.Context) error {
	c.life = ctx
	_, err := c.DB().Exec(ctx, "CREATE TABLE IF NOT EXISTS events (op TEXT PRIMARY KEY)")
	return err
}

func (c *counter) Stop(context.Context, wire.StopReason) error { return nil }

// tick(payloadBytes, op) books the operation once, however often it is asked, and
// answers with the count.
func (c *counter) tick(ctx context.Context, args []any) (any, error) {
	op := strconv.FormatInt(time.Now().UnixNano(), 36)
	if len(args) > 1 {
		op = fmt.Sprint(args[1])
	}
	tx, err := c.DB().Begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Query(ctx, "INSERT OR IGNORE INTO events (op) VALUES (?)", op); err != nil {
		return nil, errors.Join(err, tx.Rollback(ctx))
	}
	result, err := tx.Query(ctx, "SELECT count(*) FROM events")
	if err != nil {
		return nil, errors.Join(err, tx.Rollback(ctx))
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, err
	}
	return map[string]any{"op": op, "count": result.Rows[0][0]}, nil
}

func (c *counter) getCount(ctx context.Context, _ []any) (any, error) {
	rows, err := c.rows(ctx, "SELECT count(*) FROM events")
	if err != nil {
		return nil, err
	}
	return rows[0][0], nil
}

// ledger is every operation that was booked, in order.
func (c *counter) ledger(ctx context.Context, _ []any) (any, error) {
	rows, err := c.rows(ctx, "SELECT op FROM events ORDER BY rowid")
	if err != nil {
		return nil, err
	}
	book := []any{}
	for _, row := range rows {
		book = append(book, map[string]any{"op": row[0]})
	}
	return book, nil
}

func (c *counter) rows(ctx context.Context, sql string) ([][]any, error) {
	result, err := c.DB().Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return result.Rows, nil
}

// identity is who answers, in /health and in a pong.
func (c *counter) identity(typ string) []byte {
	b, err := json.Marshal(map[string]any{"ok": true, "type": typ, "actor": c.ID, "key": c.Key, "generation": c.Generation})
	if err != nil {
		panic(err) // strings and numbers can be encoded
	}
	return b
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// By these killpoint knows who answered. RivetKit's own names for them,
	// X-Rivet-Actor and X-Rivet-Actor-Generation, will do as well.
	w.Header().Set("X-Killpoint-Actor", c.ID)
	w.Header().Set("X-Killpoint-Generation", strconv.Itoa(int(c.Generation)))
	if r.URL.Path == "/health" || r.URL.Path == "/request/health" {
		_, _ = w.Write(c.identity("health")) // whoever asked may have left
		return
	}
	c.actions.ServeHTTP(w, r)
}

// ServeWebSocket answers every message with a pong.
func (c *counter) ServeWebSocket(ws *envoy.WebSocket) {
	for {
		if _, _, err := ws.Read(c.life); err != nil {
			return
		}
		if err := ws.Write(c.life, c.identity("pong"), false); err != nil {
			return
		}
	}
}
