package catalog

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/probe"
)

// Names tell scenarios apart, in the command line, in folders, and in -run.
func TestNamesAreUnique(t *testing.T) {
	names, slugs := map[string]bool{}, map[string]bool{}
	for _, e := range All() {
		assert.False(t, names[e.Name()], e.Name())
		slug := e.On("2.3.19", Options{}).Slug()
		assert.False(t, slugs[slug], slug)
		names[e.Name()], slugs[slug] = true, true
		assert.NotEmpty(t, e.Test, e.Name())
	}
	assert.Equal(t, []string{"idle-restart", "heartbeat", "commit-in-flight", "commit-cut", "restart-under-load", "engine-goes", "actor-state", "handoff", "both-killed", "engine-exit", "platform-restart", "exits", "exit-matrix", "known-bugs"}, Groups())
}

func TestMatch(t *testing.T) {
	engines := []string{"2.3.19", "./bin/rivet-engine"}
	for pattern, want := range map[string]int{
		"idle-restart":                        5,
		"idle-restart/":                       5,
		"idle-restart/stop":                   3,
		"idle-restart/*/*/1s":                 3,
		"idle-restart/2.3.19/stop/rivet/1s":   1,
		"idle-restart/rivet-engine/stop":      3,
		"idle-restart/2.3.5/stop":             0,
		"idle":                                0,
		"idle-restart/stop/rivet/1s/and more": 0,
		"*":                                   len(All()),
	} {
		found, err := Match(pattern, engines)
		require.NoError(t, err)
		assert.Len(t, found, want, pattern)
	}
	_, err := Match("idle-restart/[", engines)
	require.Error(t, err)
}

// What is stored beside a history says which scenario that was.
func TestSpecIsTheScenario(t *testing.T) {
	e, ok := Find("idle-restart/stop/rivet/1s")
	require.True(t, ok)
	o := Options{Delays: []time.Duration{time.Second, 2500 * time.Millisecond}, Repeats: 3, RuntimeImage: "mine:1"}
	text, err := json.Marshal(e.Spec("2.3.5", o))
	require.NoError(t, err)
	var spec Spec
	require.NoError(t, json.Unmarshal(text, &spec))
	got, err := spec.Build()
	require.NoError(t, err)
	want := e.On("2.3.5", o)
	assert.Equal(t, want.Name, got.Name)
	assert.Equal(t, want.Sweep, got.Sweep)
	assert.Equal(t, want.Repeats, got.Repeats)
	assert.Equal(t, want.RuntimeImage, got.RuntimeImage)
	assert.Empty(t, got.Invariants, "nobody asks at once, so no race is expected")

	_, err = Spec{Scenario: "gone"}.Build()
	require.ErrorContains(t, err, `no scenario "gone"`)
	require.ErrorContains(t, json.Unmarshal([]byte(`{"delays":["soon"]}`), &spec), `"soon" is no duration`)
}

func TestSweep(t *testing.T) {
	want := Sweep{
		Engine: "2.3.19", Fault: "stop:5s", Reconnect: "rivet", Via: probe.ViaWebSocket, Delays: []Duration{0, Duration(time.Second)},
		Repeats: 2, Timeout: Duration(time.Second), Bound: Duration(SweepBound), DrainGrace: Duration(time.Second), Trial: 3,
	}
	text, err := json.Marshal(Spec{Sweep: &want})
	require.NoError(t, err)
	var spec Spec
	require.NoError(t, json.Unmarshal(text, &spec))
	assert.Equal(t, want, *spec.Sweep)
	s, err := spec.Build()
	require.NoError(t, err)
	assert.Equal(t, "sweep/2.3.19/stop:5s/rivet/websocket/1s/03", s.Name)
	assert.Equal(t, []time.Duration{0, time.Second}, s.Sweep.Delays)
	assert.Equal(t, time.Second, s.DrainGrace)
}

func TestParseFault(t *testing.T) {
	for text, want := range map[string]string{
		"kill": "SIGKILL", "stop": "SIGTERM, SIGKILL after 5s", "stop:8s": "SIGTERM, SIGKILL after 8s",
		"kill-in-drain:200ms": "SIGTERM, SIGKILL 200ms into the drain",
	} {
		f, err := ParseFault(text)
		require.NoError(t, err)
		assert.Equal(t, want, f.String())
	}
	for text, want := range map[string]string{
		"kil": "did you mean kill", "kill:5s": "want kill, stop:5s", "stop:soon": "no duration", "stop:500ms": "whole seconds", "": "is none",
	} {
		_, err := ParseFault(text)
		require.ErrorContains(t, err, want, text)
	}
}
