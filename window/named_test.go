package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/window"
)

func TestNamedProbes(t *testing.T) {
	ask := func(name, action string) history.Invoke { return history.Invoke{Probe: name, Name: action} }
	b := (&ht.Builder{}).Op(0, 9, ask("early", "tick"), ht.OK("a", 1)).Restart(1000, 1001, 1002, 1003)
	b.Op(1003, 1010, ht.Probe("a", 0), ht.TimedOut()).Op(1011, 1012, ht.Recovery("a"), ht.OK("a", 1))
	b.Op(1020, 1021, history.Invoke{Name: "tick"}, ht.OK("a", 1))
	b.Op(1103, 1403, ask("new-key", "tick"), ht.OK("", 1)).Op(1053, -1, ask("same-handle", "getCount"), history.Return{})
	h := b.End(9000)
	o, err := window.Read(h)
	require.NoError(t, err)
	ms := time.Millisecond
	assert.Equal(t, []window.Named{
		{Probe: "same-handle", Action: "getCount", Sent: 50 * ms, Took: -1, Class: window.CutOff},
		{Probe: "new-key", Action: "tick", Sent: 100 * ms, Took: 300 * ms, Class: window.Held},
	}, window.NamedProbes(h, o))
}
