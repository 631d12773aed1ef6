package workload_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/workload"
)

func TestReadCounts(t *testing.T) {
	targets := []probe.Target{{Actor: "a", Key: "ka"}, {Actor: "b", Key: "kb"}}
	h := with(t, &engine{}, func(c *workload.Counter) {
		c.Tick(t.Context(), targets[0])
		c.ReadCounts(t.Context(), targets)
	})
	ops, counts := map[string]string{}, map[string]any{}
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Name == workload.GetCount {
				ops[b.Op] = b.Actor
			}
		case *history.Return:
			if actor, ok := ops[b.Op]; ok {
				require.Equal(t, history.OK, b.Outcome)
				counts[actor] = b.Value
			}
		}
	}
	assert.Equal(t, map[string]any{"a": 1.0, "b": 0.0}, counts)
}
