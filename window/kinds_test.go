package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/window"
)

// An actor that was asleep is no sample of those that were not.
func TestEachKindOfProbeByItself(t *testing.T) {
	b := (&ht.Builder{}).Restart(1000, 1010, 1020, 1300).Op(1300, 1500, ht.Probe("a", 0), ht.OK("a", 1))
	beside := ht.Probe("z", 0)
	beside.Probe, beside.Via = probe.BesideName, "http"
	b.Op(1300, 1900, beside, ht.OK("z", 1))
	o, err := window.Read(b.End(9000))
	require.NoError(t, err)

	kinds := window.Kinds([]*window.Outage{o, o})
	require.Equal(t, []window.Kind{{Probe: "sweep", Name: "health"}, {Probe: "beside", Via: "http", Name: "health"}}, kinds)
	assert.Equal(t, "beside health by http", kinds[1].String())
	assert.Equal(t, 500*time.Millisecond, o.Of(kinds[0]).Window())
	asleep := o.Of(kinds[1])
	assert.Equal(t, 900*time.Millisecond, asleep.Window())
	assert.Equal(t, "z", asleep.Rows[0].Actor)
	assert.Equal(t, 500*time.Millisecond, o.Window(), "the outage itself stays as it was")

	r, err := window.Together([]*window.Outage{asleep})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Delays[0].Good)
}
