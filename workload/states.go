package workload

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivetkit"
)

// Names of the operations that put an actor into a state, in a history.
const (
	HeldSocket = "held-websocket"
	Stream     = "stream"
	SetAlarm   = "setAlarm"
)

// Alarm is the value of the return of a SetAlarm: the number by which the
// fixture calls it in its events, and how long after the action it is due.
type Alarm struct {
	Alarm   int64 `json:"alarm"`
	DelayNS int64 `json:"delay_ns"`
}

// HoldSocket opens a WebSocket to the actor that is held over a fault. Its
// messages are pings and pongs, which write nothing.
func (c *Counter) HoldSocket(ctx context.Context, t probe.Target) (*probe.Socket, error) {
	s, err := c.Gateway.Open(ctx, probe.Request{Name: HeldSocket, Actor: t.Actor, Key: t.Key, Path: "/", Timeout: c.Timeout})
	if err != nil {
		return nil, fmt.Errorf("actor %s (%s): %w", t.Key, t.Actor, err)
	}
	return s, nil
}

// Stream has the actor send chunks, one each interval, and reads them as they
// come. The client's patience is timeout.
func (c *Counter) Stream(ctx context.Context, t probe.Target, chunks int, interval, timeout time.Duration, each func(n int)) history.Return {
	return c.Gateway.Stream(ctx, probe.Request{
		Name: Stream, Actor: t.Actor, Key: t.Key, Method: http.MethodGet, Timeout: timeout,
		Path: streamPath(chunks, interval),
	}, chunks, each)
}

func streamPath(chunks int, interval time.Duration) string {
	return fmt.Sprintf("/stream?chunks=%d&interval=%d", chunks, interval.Milliseconds())
}

// SetAlarm has the actor set an alarm that is due after delay.
func (c *Counter) SetAlarm(ctx context.Context, t probe.Target, delay time.Duration) history.Return {
	r := action(t, SetAlarm, delay.Milliseconds())
	r.Timeout, r.NoEffect = c.Timeout, notApplied
	r.Decode = func(b []byte) (any, error) { return decodeAlarm(b, delay) }
	return c.Gateway.Do(ctx, r)
}

func decodeAlarm(b []byte, delay time.Duration) (any, error) {
	out, err := rivetkit.DecodeResponse(rivetkit.JSON, b)
	if err != nil {
		return nil, err
	}
	fields, _ := out.(map[string]any)
	n, ok := fields["alarm"].(int64)
	if !ok {
		return nil, fmt.Errorf("setAlarm answers %v, not an object with the number of an alarm", out)
	}
	return Alarm{Alarm: n, DelayNS: int64(delay)}, nil
}
