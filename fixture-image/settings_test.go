package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/fixture-image/internal/bug"
	"github.com/killpoint/killpoint/fixture-image/internal/counter"
)

func TestDefaults(t *testing.T) {
	s, err := table.Read([]string{"PATH=/bin", "KILLPOINT_FIXTURE_IMAGE=x", "KILLPOINT_FIXTURE_PROTOCOL="})
	require.NoError(t, err)
	assert.Equal(t, "rivet", s.reconnect.String())
	s.reconnect = nil
	assert.Equal(t, settings{
		listen: ":8080", control: ":8081", protocol: wire.V6, version: 1, lost: envoy.LostStop,
		heartbeat: counter.HeartbeatNone, commitHold: 500 * time.Millisecond, drainGrace: 5 * time.Second,
		exit: exitDrain,
	}, s)
}

func TestSettings(t *testing.T) {
	s, err := table.Read([]string{
		"KILLPOINT_FIXTURE_LISTEN=127.0.0.1:90", "KILLPOINT_FIXTURE_CONTROL=none", "KILLPOINT_FIXTURE_PROTOCOL=8",
		"KILLPOINT_FIXTURE_RECONNECT=fast:5ms", "KILLPOINT_FIXTURE_HEARTBEAT=kv", "KILLPOINT_FIXTURE_VERSION=7",
		"KILLPOINT_FIXTURE_FORGET_STOPPED=true", "KILLPOINT_FIXTURE_DROP_ANSWERS=1", "KILLPOINT_FIXTURE_NO_RETRY_HINT=true",
		"KILLPOINT_FIXTURE_SLEEP_AFTER=2s", "KILLPOINT_FIXTURE_ARM=on-start:1s, on-stop", "KILLPOINT_FIXTURE_ENDPOINT=http://e",
		"KILLPOINT_FIXTURE_BUG=write-after-stop", "KILLPOINT_FIXTURE_ACK=at-once", "KILLPOINT_FIXTURE_LOST=drop",
		"KILLPOINT_FIXTURE_EXIT=drain-reraise", "KILLPOINT_FIXTURE_SECOND_SIGNAL=exit",
	})
	require.NoError(t, err)
	assert.Equal(t, "fast:5ms", s.reconnect.String())
	s.reconnect = nil
	assert.Equal(t, settings{
		listen: "127.0.0.1:90", protocol: wire.V8, version: 7, endpoint: "http://e",
		forgetStopped: true, dropAnswers: true, noRetryHint: true, ackEvery: envoy.AckAtOnce, lost: envoy.LostDrop,
		heartbeat: counter.HeartbeatKV, sleepAfter: 2 * time.Second, commitHold: 500 * time.Millisecond, drainGrace: 5 * time.Second,
		arms: []armAtStart{{breakpoint.OnStart, time.Second}, {breakpoint.OnStop, breakpoint.DefaultDeadline}},
		bug:  bug.WriteAfterStop,
		exit: exitDrainReraise, secondEnds: true,
	}, s)
}

func TestBadSettings(t *testing.T) {
	for env, want := range map[string]string{
		"LISTEN=here":        `"here" is no address: use HOST:PORT or :PORT`,
		"CONTROL=:123456":    `":123456" is no address: use HOST:PORT or :PORT`,
		"PROTOCOL=7":         `"7": use 6 or 8`,
		"VERSION=0":          `"0": use a number from 1 to 4294967295`,
		"DROP_ANSWERS=maybe": `"maybe": use true or false`,
		"ACK=never":          `"never": use a duration above zero, as in 500ms or 5s, or lazy, or at-once`,
		"LOST=forget":        `lost policy "forget": use stop, drop or keep`,
		"HEARTBEAT=redis":    `heartbeat "redis": use none, sqlite or kv`,
		"SLEEP_AFTER=-1s":    `"-1s": use a duration above zero, as in 500ms or 5s, or none`,
		"COMMIT_HOLD=0s":     `"0s": use a duration above zero, as in 500ms or 5s`,
		"EXIT=quickly":       `"quickly": use drain, drain-zero, drain-reraise, drain-reset, at-once, ignore, endless, panic, oom, unhandled`,
		"SECOND_SIGNAL=die":  `"die": use absorb or exit`,
		"ARM=nowhere":        `breakpoint "nowhere": use between-writes, before-commit, after-commit, on-start, before-running, on-stop, in-drain, mid-stream`,
		"ARM=on-start:x":     `"x": use a duration above zero, as in 500ms or 5s`,
		"RECONNECT=slow":     `use rivet, fast, fast:DURATION or none`,
		"BUG=off-by-one":     `bug "off-by-one": use ack-before-commit, apply-retry-twice,`,
		"HARTBEAT=kv":        `there is no such setting`,
	} {
		_, err := table.Read([]string{prefix + env})
		assert.ErrorContains(t, err, want, env)
	}
	_, err := table.Read([]string{prefix + "PROTOCOL=1", prefix + "VERSION=x"})
	assert.ErrorContains(t, err, "PROTOCOL", "all mistakes come at once")
	assert.ErrorContains(t, err, "VERSION")
}
