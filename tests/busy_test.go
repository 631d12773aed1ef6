package tests

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// A run on a busy machine is marked as such, so that nobody takes its times
// for the engine's. Not parallel: it disturbs what runs beside it.
func TestBusyHostIsMarked(t *testing.T) {
	session(t)
	release := hog(2 * runtime.NumCPU())
	defer release()
	s := scenario.Scenario{
		Name: "busy-host", Engine: engines()[0], Fault: fault.Kill(), Reconnect: "fast",
		Sweep: probe.Sweep{Delays: []time.Duration{0}, Timeout: 5 * time.Second, Bound: catalog.SweepBound},
	}
	trial, err := run.Once(run.ctx, runner.Job{Scenario: s}, nil)
	require.NoError(t, err)
	require.NotNil(t, trial.Outage)
	assert.True(t, trial.Outage.Noise.TooNoisy(), "%v", trial.Outage.Noise)
	var text strings.Builder
	require.NoError(t, trial.Text(&text))
	assert.Contains(t, text.String(), "BUSY HOST")
}

// hog keeps n threads busy until it is released.
func hog(n int) (release func()) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for !stop.Load() { // spinning is the point
			}
		})
	}
	return func() { stop.Store(true); wg.Wait() }
}
