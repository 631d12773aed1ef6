package containers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// The daemon's own stop: whether it had to kill is known from what it says of
// itself, and the history tells it from a stop of ours.
func TestDockerStop(t *testing.T) {
	s := openSession(t)
	c, rec := runCell(t, s, func(cfg *CellConfig) { cfg.Runtime.Env = map[string]string{"STUB_DEAF": "1"} })

	_, err := c.Runtime.DockerStop(limit(t), 1500*time.Millisecond)
	require.ErrorContains(t, err, "the daemon waits whole seconds, not 1.5s")

	deaf, err := c.Runtime.DockerStop(limit(t), time.Second)
	require.NoError(t, err)
	assert.Equal(t, 137, deaf.Code)
	assert.True(t, deaf.GraceEnded)
	assert.Equal(t, "SIGTERM", deaf.Signal)
	assert.Equal(t, "docker", deaf.By)
	assert.InDelta(t, time.Second, time.Duration(deaf.ToDeathNS), float64(2*time.Second))
	assert.Greater(t, time.Duration(deaf.ToDeathNS), 900*time.Millisecond, "from when it was asked for")

	heeds, err := c.Engine.DockerStop(limit(t), 10*time.Second)
	require.NoError(t, err)
	assert.Equal(t, 0, heeds.Code)
	assert.False(t, heeds.GraceEnded)
	assert.Less(t, time.Duration(heeds.ToDeathNS), 9*time.Second)

	_, err = c.Engine.DockerStop(limit(t), time.Second)
	require.ErrorIs(t, err, ErrNotRunning)
	var details []string
	for _, f := range bodies[history.Fault](rec) {
		details = append(details, f.Kind+" "+f.Detail)
	}
	assert.Contains(t, details, "stop docker stop: SIGTERM, SIGKILL after 1s")
}
