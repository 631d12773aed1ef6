package counter

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Heartbeat is what an actor does once a second by itself.
type Heartbeat string

// The heartbeats.
const (
	HeartbeatNone   Heartbeat = "none"
	HeartbeatSQLite Heartbeat = "sqlite" // a transaction that inserts a row and reads its number
	HeartbeatKV     Heartbeat = "kv"     // one get, one put
)

// Beat beats once and returns the beat's number.
type Beat func(context.Context) (int64, error)

// ParseHeartbeat reads none, sqlite or kv.
func ParseHeartbeat(s string) (Heartbeat, error) {
	switch h := Heartbeat(s); h {
	case HeartbeatNone, HeartbeatSQLite, HeartbeatKV:
		return h, nil
	}
	return "", fmt.Errorf("heartbeat %.40q: use none, sqlite or kv", s)
}

// defaultInterval is the time from one beat's beginning to the next's.
const defaultInterval = time.Second

// KV is the part of [envoy.KV] that the actor needs.
type KV interface {
	Get(ctx context.Context, keys ...[]byte) ([][]byte, error)
	Put(ctx context.Context, pairs ...envoy.KVPair) error
}

var heartbeatKey = []byte("heartbeat")

func beatKV(ctx context.Context, kv KV) (int64, error) {
	values, err := kv.Get(ctx, heartbeatKey)
	if err != nil {
		return 0, err
	}
	var n int64
	if len(values) == 1 && values[0] != nil {
		if n, err = strconv.ParseInt(string(values[0]), 10, 64); err != nil {
			return 0, fmt.Errorf("the stored heartbeat is no number: %w", err)
		}
	}
	n++
	err = kv.Put(ctx, envoy.KVPair{Key: heartbeatKey, Value: strconv.AppendInt(nil, n, 10)})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// pump beats at once and then once an interval, until ctx ends. A beat that
// takes longer delays the next: there are never two at a time.
func pump(ctx context.Context, interval time.Duration, beat Beat, record func(history.Heartbeat)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		start := clock.Now()
		n, err := beat(ctx)
		h := history.Heartbeat{Beat: n, TookNS: int64(clock.Now().Sub(start))}
		if err != nil {
			h.Error = err.Error()
		}
		record(h)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}
