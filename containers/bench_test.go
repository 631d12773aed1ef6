package containers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkCell measures what a trial pays for its cell, images built: from
// nothing to an engine that knows its runtime, from SIGKILL to the next good
// answer of /health, and the removal; without a tap and with one.
func BenchmarkCell(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkCell(b, nil) })
	b.Run("tapped", func(b *testing.B) { benchmarkCell(b, &TapConfig{}) })
}

func benchmarkCell(b *testing.B, tap *TapConfig) {
	s := openSession(b, withoutReaper())
	image := stubImage(b, s)
	var start, exit, restart, teardown time.Duration
	for b.Loop() {
		begun := time.Now()
		c, err := s.Run(limit(b), CellConfig{Engine: engineUnderTest(), Runtime: RuntimeConfig{Image: image}, Recorder: &memory{}, Tap: tap})
		require.NoError(b, err)
		start += time.Since(begun)

		begun = time.Now()
		_, err = c.Engine.Kill(limit(b))
		require.NoError(b, err)
		exit += time.Since(begun)

		begun = time.Now()
		require.NoError(b, c.Engine.Start(limit(b)))
		_, err = c.WaitHealthy(limit(b))
		require.NoError(b, err)
		restart += time.Since(begun)

		begun = time.Now()
		require.NoError(b, c.Close(limit(b)))
		teardown += time.Since(begun)
	}
	for name, d := range map[string]time.Duration{"start": start, "kill": exit, "restart": restart, "teardown": teardown} {
		b.ReportMetric(float64(d.Milliseconds())/float64(b.N), name+"-ms/op")
	}
}
