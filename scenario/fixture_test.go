package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/workload"
)

// A runtime that is not the fixture is asked for what every runtime can do, and
// what is left out says why.
func TestNeedsFixture(t *testing.T) {
	assert.Empty(t, Scenario{Reconnect: "rivet", Heartbeat: "none"}.NeedsFixture())
	assert.Empty(t, Scenario{Parts: []Part{UnderLoad(workload.Load{})}}.NeedsFixture())
	for want, s := range map[string]Scenario{
		"transaction held before its COMMIT: only the fixture has breakpoints": {Parts: []Part{CommitHeld()}},
		"only the fixture's actors do that":                                    {Parts: []Part{Asleep(time.Second)}},
		"only the fixture has breakpoints":                                     {At: moment.Breakpoint("before-commit")},
		`reconnect policy "fast"`:                                              {Reconnect: "fast"},
		"only the fixture's actors beat (kv)":                                  {Heartbeat: "kv"},
		"protocol 8":                                                           {Protocol: 8},
		"it sets what only the fixture knows":                                  {RuntimeEnv: map[string]string{"A": "b"}},
	} {
		assert.Contains(t, s.NeedsFixture(), want)
	}
}
