package workload_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/workload"
)

func TestOps(t *testing.T) {
	for _, o := range append(workload.Golden(), "tick@other", "stream:5", "stream:5@other", "wait:250ms") {
		require.NoError(t, o.Validate(), o)
	}
	assert.Equal(t, workload.OpStream, workload.Op("stream:5@other").Name())
	assert.Equal(t, "other", workload.Op("stream:5@other").Key())
	assert.Equal(t, workload.GoldenKey, workload.OpTick.Key())
	for text, want := range map[workload.Op]string{
		"kvput":    `operation "kvput" is unknown: did you mean "kvPut"? There are create, tick, getCount, kvPut, kvGet, health, websocket, stream, sleep, ledger, destroy, wait`,
		"":         `operation "" is unknown: want one of create,`,
		"tick@":    `operation "tick@": no key after the @`,
		"tick:3":   `operation "tick:3": it takes no argument, "3" was given`,
		"stream:0": `operation "stream:0": "0" chunks: want a number from 1 to 1000`,
		"wait":     `operation "wait": a time of "": want one up to 10m0s, as in wait:250ms`,
		"wait:-1s": `operation "wait:-1s": a time of "-1s": want one up to 10m0s, as in wait:250ms`,
	} {
		require.ErrorContains(t, text.Validate(), want)
	}
}
