package workload_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

// The engine of these tests calls an actor by what the path names, so that it
// shows which address a probe took.
func TestActionProbesAskByTheirHandles(t *testing.T) {
	want := map[string]string{
		"action-same-handle-getCount":  "id",
		"action-same-handle-tick":      "id",
		"action-fresh-handle-getCount": workload.ActorName,
		"action-new-key-tick":          workload.ActorName,
	}
	for _, p := range workload.ActionProbes() {
		var ret history.Return
		h := with(t, &engine{}, func(c *workload.Counter) {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			target := probe.Target{Key: p.Key()}
			if p.Warmed() {
				target.Actor = "id"
			}
			ret = c.Handle(p, client).Do(t.Context(), c.ActionRequest(p, target, time.Second))
		})
		require.Equal(t, history.OK, ret.Outcome, p.Key())
		assert.Equal(t, want[p.Key()], ret.AnsweredBy, p.Key())
		inv := h.Events[0].Body.(*history.Invoke)
		assert.Equal(t, p.Probe, inv.Probe)
		assert.Equal(t, p.Action, inv.Name)
		assert.Equal(t, p.Key(), inv.Key)
		assert.Equal(t, p.Key(), inv.Client)
		assert.Equal(t, time.Second, time.Duration(inv.TimeoutNS))
		delete(want, p.Key())
	}
	assert.Empty(t, want)
}

// Each attempt at a tick is a write of its own, and a read has no effect to be
// unsure of.
func TestActionRequests(t *testing.T) {
	with(t, &engine{}, func(c *workload.Counter) {
		tick := workload.ActionProbe{Probe: probe.NewKey, Action: workload.Tick}
		a, b := c.ActionRequest(tick, probe.Target{Key: "k"}, time.Second), c.ActionRequest(tick, probe.Target{Key: "k"}, time.Second)
		assert.NotEmpty(t, a.Op)
		assert.NotEqual(t, a.Op, b.Op)
		assert.NotEqual(t, string(a.Body), string(b.Body))
		assert.False(t, a.ReadOnly)
		read := workload.ActionProbe{Probe: probe.FreshHandle, Action: workload.GetCount}
		assert.True(t, c.ActionRequest(read, probe.Target{Key: "k"}, time.Second).ReadOnly)
	})
}
