package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/window"
)

func TestPulses(t *testing.T) {
	b := (&ht.Builder{}).Beat(500, "a", 1, "").Restart(1000, 2000, 2100, 2300)
	b.Beat(1900, "a", 1, "").Beat(2400, "a", 1, "gone") // the old engine's, and a bad one
	b.Beat(2500, "a", 1, "").Beat(2600, "a", 1, "").Beat(3350, "b", 2, "").Beat(2200, "c", 1, "")
	b.Op(2300, 3300, ht.Probe("a", 0), ht.TimedOut()).Op(3300, 3400, ht.Recovery("a"), ht.OK("a", 2))
	b.Op(3300, 3310, ht.Probe("b", time.Second), ht.OK("b", 2))
	b.Op(2300, 2900, ht.Probe("c", 0), ht.OK("c", 1)).Op(2301, 2901, ht.Probe("d", 1), ht.OK("d", 1))
	h := b.End(9000)
	o, err := window.Read(h)
	require.NoError(t, err)
	by := map[string]window.Pulse{}
	for _, p := range window.Pulses(h, o) {
		by[p.Actor] = p
	}

	assert.Equal(t, 200*time.Millisecond, by["a"].Beat)
	assert.False(t, by["a"].Before(), "it was asked before it beat")
	lead, known := by["a"].Lead()
	assert.True(t, known)
	assert.Equal(t, 900*time.Millisecond, lead)

	_, known = by["b"].Lead()
	assert.False(t, known, "it answered at once: how long it had been ready nobody knows")
	assert.False(t, by["b"].Before())

	assert.True(t, by["c"].Before(), "it beat while the engine was not yet seen healthy")
	lead, _ = by["c"].Lead()
	assert.Equal(t, 700*time.Millisecond, lead)

	_, known = by["d"].Lead()
	assert.False(t, known || by["d"].Beaten || by["d"].Before(), "it never beat")
}

func TestWithoutHeartbeatsThereAreNoPulses(t *testing.T) {
	h := (&ht.Builder{}).Restart(0, 1, 2, 3).Op(3, 9, ht.Probe("a", 0), ht.OK("a", 1)).End(20)
	o, err := window.Read(h)
	require.NoError(t, err)
	assert.Empty(t, window.Pulses(h, o))
}
