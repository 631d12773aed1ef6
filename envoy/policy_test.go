package envoy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRivetPolicyBounds(t *testing.T) {
	base := []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}
	for i, s := range base {
		low, ok := rivetPolicy{func() float64 { return 0 }}.Delay(i+1, 0)
		require.True(t, ok)
		assert.Equal(t, s*time.Second, low, "retry %d", i+1)
		high, _ := rivetPolicy{func() float64 { return 0.999999 }}.Delay(i+1, 0)
		assert.Less(t, high, s*time.Second*5/4, "retry %d", i+1)
		assert.Greater(t, high, s*time.Second*5/4-10*time.Millisecond, "retry %d", i+1)
	}
	for _, n := range []int{-1, 0} {
		d, _ := rivetPolicy{func() float64 { return 0 }}.Delay(n, 0)
		assert.Equal(t, time.Second, d)
	}
}

func TestRivetPolicyIsRandom(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 50 {
		d, ok := RivetPolicy().Delay(1, 0)
		require.True(t, ok)
		assert.GreaterOrEqual(t, d, time.Second)
		assert.Less(t, d, 1250*time.Millisecond)
		seen[d] = true
	}
	assert.Greater(t, len(seen), 10)
}

func TestParsePolicy(t *testing.T) {
	for s, want := range map[string]time.Duration{"fast": 25 * time.Millisecond, "fast:40ms": 40 * time.Millisecond} {
		p, err := ParsePolicy(s)
		require.NoError(t, err)
		assert.Equal(t, s, p.String())
		for _, n := range []int{1, 100} {
			d, ok := p.Delay(n, 0)
			assert.True(t, ok)
			assert.Equal(t, want, d)
		}
	}
	none, err := ParsePolicy("none")
	require.NoError(t, err)
	_, ok := none.Delay(1, time.Hour)
	assert.False(t, ok)
	rivet, err := ParsePolicy("rivet")
	require.NoError(t, err)
	assert.Equal(t, "rivet", rivet.String())
	for _, s := range []string{"", "slow", "rivet:1s", "none:1s", "fast:", "fast:0s", "fast:-1s", "fast:soon"} {
		_, err := ParsePolicy(s)
		assert.Error(t, err, "%q", s)
	}
}
