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

// A flow sends by its plan, to the actors in turn, and has each tick and read by
// turns; when stop has returned none of its requests is open.
func TestFlow(t *testing.T) {
	e, enough := &engine{}, make(chan struct{}, 1)
	e.ticked = func(n int) {
		if n == 4 {
			select {
			case enough <- struct{}{}:
			default:
			}
		}
	}
	h := with(t, e, func(c *workload.Counter) {
		targets := []probe.Target{{Actor: "a", Key: "ka"}, {Actor: "b", Key: "kb"}}
		stop := c.StartFlow(t.Context(), workload.Flow{Actors: 2, Every: time.Millisecond}, targets)
		defer stop()
		select {
		case <-enough:
		case <-time.After(10 * time.Second):
			t.Error("waited 10 s for an actor's fourth tick")
		}
		stop()
	})
	open, asked := map[string]bool{}, map[string][]string{}
	for _, ev := range h.Events {
		switch b := ev.Body.(type) {
		case *history.Invoke:
			assert.Equal(t, workload.FlowClient, b.Client)
			open[b.Op] = true
			asked[b.Actor] = append(asked[b.Actor], b.Name)
		case *history.Return:
			delete(open, b.Op)
		}
	}
	assert.Empty(t, open, "stop returned while a request was open")
	require.Len(t, asked, 2)
	assert.InDelta(t, len(asked["a"]), len(asked["b"]), 1)
	for _, names := range asked {
		ticks := 0
		for _, n := range names {
			if n == workload.Tick {
				ticks++
			}
		}
		assert.InDelta(t, len(names)/2, ticks, 2, "%v", names)
	}
	assert.Equal(t, []string{"flow-00", "flow-01"}, workload.Flow{Actors: 2}.Keys())
	assert.Equal(t, "a request every 20ms to one of 1 actors, timeout 10s", workload.Flow{}.String())
}
