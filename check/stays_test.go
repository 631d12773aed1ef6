package check_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
)

func TestEngineStaysUp(t *testing.T) {
	exit := func(signal string) *history.Exit {
		return &history.Exit{Role: "engine", Incarnation: 2, Signal: signal, Code: 137}
	}
	assert.Equal(t, check.Pass, one(t, restarted().End(600), check.EngineStaysUp()).State)
	assert.Equal(t, check.Pass, one(t, restarted().At(500, history.KindExit, exit("SIGKILL")).End(600), check.EngineStaysUp()).State, "the harness ended it")
	crashed := one(t, restarted().At(500, history.KindExit, exit("")).End(600), check.EngineStaysUp())
	assert.Equal(t, check.Fail, crashed.State)
	assert.Contains(t, crashed.Summary, "engine#2 left 400ms after it was well")
	assert.NotEmpty(t, crashed.Witness)
}
