package restarts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/restarts"
)

func TestRead(t *testing.T) {
	b := (&ht.Builder{}).Lived(1, 0, 1000, false, 137).Lived(2, 1150, 1152, true, 2).Lived(3, 1400, -1, true, 0)
	b.On(10, "runtime#1", "a", 1, "start", "running").On(1450, "runtime#3", "a", 4, "start", "running")
	call := func(ms, status int, failure string) {
		b.At(ms, history.KindFront, &history.Front{What: "call", Path: "/api/rivet/start", Status: status, Error: failure})
	}
	call(900, 200, "")
	call(1010, 0, "refused")
	call(1440, 200, "")
	b.At(1441, history.KindFront, &history.Front{What: "call", Path: "/api/rivet/metadata", Status: 200})
	b.Op(950, 960, ht.Flow("a", "before"), ht.OK("a", 1)).Op(1020, 1030, ht.Flow("a", "lost"), ht.Unknown())
	b.Op(1100, 1500, ht.Flow("a", "held"), ht.OK("a", 4)).Op(1600, 1610, ht.Flow("a", "after"), ht.OK("a", 4))
	r, err := restarts.Read(b.End(2000))
	require.NoError(t, err)
	require.Len(t, r.Lives, 3)
	require.Len(t, r.Gaps, 2)
	assert.Equal(t, []time.Duration{150 * time.Millisecond, 100 * time.Millisecond}, []time.Duration{r.Gaps[0].Took, r.Gaps[0].Least})
	assert.Equal(t, []time.Duration{248 * time.Millisecond, 200 * time.Millisecond}, []time.Duration{r.Gaps[1].Took, r.Gaps[1].Least})
	assert.Equal(t, 500*time.Millisecond, r.Outage())
	assert.Equal(t, 95*time.Millisecond, r.Recovery())
	assert.Equal(t, "| x | code 137 | 2 | 150 (100), 248 (200) ms | 2, 1 | +3 | 2, 1 | 500 ms | 95 ms |\n", r.Row("x"))
}

// A life of more than ten seconds begins the back-off anew.
func TestBackOffBeginsAnew(t *testing.T) {
	b := (&ht.Builder{}).Lived(1, 0, 100, false, 137).Lived(2, 250, 11_000, true, 2).Lived(3, 11_200, 11_300, true, 2).Lived(4, 11_600, -1, true, 0)
	r, err := restarts.Read(b.End(20_000))
	require.NoError(t, err)
	var least []time.Duration
	for _, g := range r.Gaps {
		least = append(least, g.Least)
	}
	assert.Equal(t, []time.Duration{100 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}, least)
	assert.Equal(t, restarts.Never, r.Recovery())
}

// The fixture's first word may be stamped before the daemon's own word of its start.
func TestServesBeforeItsStart(t *testing.T) {
	b := (&ht.Builder{}).Lived(1, 0, 100, false, 137)
	b.At(240, "runtime.listening", map[string]string{}).By("runtime#2").Lived(2, 250, -1, true, 0)
	r, err := restarts.Read(b.End(900))
	require.NoError(t, err)
	assert.Equal(t, 140*time.Millisecond, r.Back.Sub(r.Crashed))
}

func TestNone(t *testing.T) {
	_, err := restarts.Read((&ht.Builder{}).Lived(1, 0, 100, false, 137).Lived(2, 300, -1, false, 0).End(900))
	require.ErrorIs(t, err, restarts.ErrNone)
}
