package scenario

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/moment"
)

func names(steps []step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.name)
	}
	return all
}

func TestPlanOfStrikesWithMoments(t *testing.T) {
	commit := moment.Frame("execute-request/commit", 1, moment.BeforeDelivery)
	s := Scenario{
		Engine: "e", Reconnect: "fast", Fault: fault.Kill(), At: commit, Drop: true, Parts: []Part{OneWrite()},
		Then: []Later{
			{At: moment.After(moment.EngineFirstByte, 0), Fault: fault.Kill()},
			{After: time.Second, Fault: fault.Pause(time.Second), On: Runtime},
		},
	}
	assert.True(t, s.tapped())
	assert.Equal(t, []string{
		"start a cell: engine e, runtime with reconnect policy fast",
		"warm 1 actors for the parts",
		"arm frame:execute-request/commit#1@before",
		"begin one write",
		"strike the engine at frame:execute-request/commit#1@before, the frame dropped: SIGKILL",
		"arm event:engine-first-byte",
		"start the engine again",
		"strike the engine at event:engine-first-byte: SIGKILL",
		"start the engine again",
		"wait for its first good /health",
		"wait 1s",
		"strike the runtime: frozen for 1s",
		"wait for the runtime's first answer",
		"let the parts go on",
		"end one write",
		"read the ledgers back",
	}, names((&trial{Scenario: s, parts: []*part{{Part: OneWrite()}}}).steps()))
	assert.Equal(t,
		"SIGKILL at frame:execute-request/commit#1@before, and SIGKILL at event:engine-first-byte, and 1s after the first good /health on the runtime frozen for 1s",
		(&trial{Scenario: s}).faultText())
}

func TestWhoNeedsATap(t *testing.T) {
	kill := fault.Kill()
	for name, tt := range map[string]struct {
		s    Scenario
		want bool
	}{
		"a frame":                {Scenario{Fault: kill, At: moment.Frame("init", 1, moment.AfterDelivery)}, true},
		"a frame of a later one": {Scenario{Fault: kill, Then: []Later{{Fault: kill, At: moment.Frame("init", 1, moment.AfterDelivery)}}}, true},
		"both at once":           {Scenario{Fault: kill, On: Both}, true},
		"whoever asks for one":   {Scenario{Tap: &containers.TapConfig{}}, true},
		"a breakpoint":           {Scenario{Fault: kill, At: moment.Breakpoint("before-commit")}, false},
		"nothing of all that":    {Scenario{Fault: kill}, false},
	} {
		assert.Equal(t, tt.want, tt.s.tapped(), name)
	}
}

func TestEndsEngine(t *testing.T) {
	kill, freeze := fault.Kill(), fault.Pause(time.Second)
	assert.True(t, Scenario{Fault: kill}.endsEngine())
	assert.True(t, Scenario{Fault: kill, On: Both}.endsEngine())
	assert.True(t, Scenario{Fault: freeze, Then: []Later{{Fault: kill}}}.endsEngine())
	assert.True(t, Scenario{Fault: fault.ByDocker(kill)}.endsEngine())
	assert.False(t, Scenario{Fault: kill, On: Runtime}.endsEngine())
	assert.False(t, Scenario{Fault: freeze}.endsEngine())
	assert.False(t, Scenario{}.endsEngine())
}

// A strike that kills nobody does not keep the trial waiting for a death.
func TestDeathOf(t *testing.T) {
	died := make(chan clock.Mono, 1)
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err := deathOf(over, strike{on: "engine"}, died)
	require.EqualError(t, err, "enough")

	died <- 7
	at, err := deathOf(t.Context(), strike{on: "engine"}, died)
	require.NoError(t, err)
	assert.EqualValues(t, 7, at)
}
