package workload_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// Each client ticks and reads in turn, one action at a time, and when stop has
// returned none is at work any more.
func TestLoad(t *testing.T) {
	load := workload.Load{Actors: 2, Clients: 2, Pause: time.Millisecond}
	e, ticks := &engine{}, make(chan struct{}, 1)
	e.ticked = func(n int) {
		if n == 3 {
			select {
			case ticks <- struct{}{}:
			default:
			}
		}
	}
	h := with(t, e, func(c *workload.Counter) {
		targets := []probe.Target{{Actor: "a", Key: "ka"}, {Actor: "b", Key: "kb"}}
		stop := c.Start(t.Context(), load, targets)
		defer stop()
		select {
		case <-ticks:
		case <-time.After(10 * time.Second):
			t.Error("waited 10 s for an actor's third tick")
		}
		stop()
	})
	open, last := map[string]string{}, map[string]string{}
	for _, ev := range h.Events {
		switch b := ev.Body.(type) {
		case *history.Invoke:
			require.NotContains(t, open, b.Client, "a client does one thing at a time")
			assert.NotEqual(t, last[b.Client], b.Name, "ticks and reads take turns")
			open[b.Client], last[b.Client] = b.Op, b.Name
		case *history.Return:
			for client, op := range open {
				if op == b.Op {
					delete(open, client)
				}
			}
		}
	}
	assert.Empty(t, open, "stop returned while an action was open")
	assert.Len(t, last, 4)
}

// A write whose outcome is unknown is sent once more under the same identity;
// one that certainly failed, or was acknowledged, is not.
func TestLoadRetries(t *testing.T) {
	for _, c := range []struct {
		retry   bool
		code    string
		retries int
	}{
		{true, "internal_error", 1}, {false, "internal_error", 0}, {true, "not_applied", 0}, {true, "", 0},
	} {
		e, done := &engine{code: c.code, broken: "a"}, make(chan struct{}, 1)
		if c.code == "" {
			e.broken = ""
		}
		e.counted = func() {
			select {
			case done <- struct{}{}:
			default:
			}
		}
		h := with(t, e, func(w *workload.Counter) {
			stop := w.Start(t.Context(), workload.Load{Retry: c.retry, Pause: time.Millisecond}, []probe.Target{{Actor: "a"}})
			defer stop()
			select {
			case <-done: // the first read comes after the first tick, and its retry
			case <-time.After(10 * time.Second):
				t.Error("waited 10 s for the first read")
			}
		})
		var first *history.Invoke
		retries := 0
		for _, ev := range h.Events {
			b, ok := ev.Body.(*history.Invoke)
			if !ok || b.Name != workload.Tick {
				continue
			}
			if first == nil {
				first = b
			} else if b.RetryOf == first.Op {
				retries++
				assert.NotEqual(t, first.Op, b.Op)
			}
		}
		assert.Equal(t, c.retries, retries, "%+v", c)
	}
}
