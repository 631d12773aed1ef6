package containers

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// One runtime takes over from another: the engine's calls go where the front was
// told last, both are followed under names of their own, and nothing is left.
func TestFrontHandsOver(t *testing.T) {
	for _, kind := range []Front{FrontHTTP, FrontTCP} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := openSession(t, withoutReaper())
			c, rec := runCell(t, s, func(cfg *CellConfig) { cfg.Front = kind })
			second, err := c.AddRuntime(limit(t), c.cfg.Runtime)
			require.NoError(t, err)
			assert.Equal(t, "runtime#1", c.Runtime.Party())
			assert.Equal(t, "runtime#2", second.Party())
			require.NotContains(t, frontCalls(rec), "runtime#2", "it was not routed to yet")

			require.NoError(t, c.Route(limit(t), second))
			exit, err := c.Runtime.Stop(limit(t), 5*time.Second)
			require.NoError(t, err)
			assert.Equal(t, 1, exit.Incarnation)
			// The engine reads the runtime's metadata again within 5 s.
			require.Eventually(t, func() bool { return frontCalls(rec)["runtime#2"] > 0 }, 10*time.Second, 20*time.Millisecond)

			require.NoError(t, c.Runtime.Start(limit(t)))
			assert.Equal(t, "runtime#3", c.Runtime.Party(), "no two incarnations have a name in common")
			assert.NotEmpty(t, c.Runtime.Logs(1))
			assert.Nil(t, c.Runtime.Logs(2))
			require.NoError(t, c.Close(limit(t)))
			requireNothingLeft(t, s)
			requireExits(t, rec, "runtime", []string{"SIGTERM/harness/143", "SIGKILL/teardown/137", "SIGKILL/teardown/137"})
		})
	}
}

// frontCalls counts, by runtime, what the front passed on well.
func frontCalls(rec *memory) map[string]int {
	calls := map[string]int{}
	for _, f := range bodies[history.Front](rec) {
		if f.What != "routed" && f.Error == "" {
			calls[f.To]++
		}
	}
	return calls
}

func TestOneRuntimeNeedsNoFront(t *testing.T) {
	s := openSession(t, withoutReaper())
	c, _ := runCell(t, s, nil)
	_, err := c.AddRuntime(limit(t), c.cfg.Runtime)
	require.ErrorIs(t, err, ErrNoFront)
	require.ErrorIs(t, c.Route(limit(t), c.Runtime), ErrNoFront)
	cfg := CellConfig{Front: "udp", Runtime: RuntimeConfig{Image: "x"}, Recorder: &memory{}}
	_, err = cfg.withDefaults()
	require.ErrorContains(t, err, fmt.Sprintf("Front %q", "udp"))
}
