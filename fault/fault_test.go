package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
)

// target notes how it was struck.
type target struct {
	how   string
	leave bool // as soon as it is asked to
	gone  chan struct{}
	grace time.Duration
	left  time.Duration // until the deadline
	err   error
}

func (t *target) Stop(ctx context.Context, grace time.Duration) (history.Exit, error) {
	t.how, t.grace = "stop", grace
	return t.struck(ctx, 0)
}

func (t *target) StopWith(ctx context.Context, grace, gap time.Duration, signals ...string) (history.Exit, error) {
	t.how, t.grace = fmt.Sprint("stop with ", signals, " ", gap), grace
	return t.struck(ctx, 0)
}

func (t *target) Kill(ctx context.Context) (history.Exit, error) {
	t.how = "kill"
	return t.struck(ctx, 137)
}

func (t *target) Terminate(context.Context) error {
	t.how = "terminate"
	if t.leave {
		close(t.gone)
	}
	return t.err
}

func (t *target) Pause(context.Context) error {
	t.how += "pause"
	return t.err
}

func (t *target) Unpause(ctx context.Context) error {
	t.how += " unpause"
	return ctx.Err()
}

func (t *target) Exited() <-chan struct{} { return t.gone }

func (t *target) struck(ctx context.Context, code int) (history.Exit, error) {
	if deadline, ok := ctx.Deadline(); ok {
		t.left = time.Until(deadline)
	}
	return history.Exit{Code: code}, t.err
}

func TestStop(t *testing.T) {
	const grace = 10 * time.Minute
	f, got := fault.Stop(grace), &target{}
	exit, err := f.Strike(t.Context(), got)
	require.NoError(t, err)
	assert.Equal(t, "stop", got.how)
	assert.Equal(t, grace, got.grace)
	assert.Equal(t, 0, exit.Code)
	assert.Greater(t, got.left, grace, "the bound must not cut a long grace short")
	assert.Equal(t, "SIGTERM, SIGKILL after 10m0s", f.String())
}

func TestKill(t *testing.T) {
	f, got := fault.Kill(), &target{err: errors.New("no such process")}
	exit, err := f.Strike(t.Context(), got)
	require.ErrorIs(t, err, got.err)
	assert.Equal(t, "kill", got.how)
	assert.Equal(t, 137, exit.Code)
	assert.Positive(t, got.left, "a strike has a deadline")
	assert.Equal(t, "SIGKILL", f.String())
}

func TestKillInDrain(t *testing.T) {
	f, got := fault.KillInDrain(time.Millisecond), &target{gone: make(chan struct{})}
	exit, err := f.Strike(t.Context(), got)
	require.NoError(t, err)
	assert.Equal(t, "kill", got.how, "the signal first, then the kill")
	assert.Equal(t, 137, exit.Code)
	assert.Equal(t, "SIGTERM, SIGKILL 1ms into the drain", f.String())

	left := &target{gone: make(chan struct{}), leave: true}
	_, err = fault.KillInDrain(time.Hour).Strike(t.Context(), left)
	require.ErrorIs(t, err, fault.ErrLeft, "who left before the kill was not killed in its drain")
	assert.Equal(t, "terminate", left.how)

	deaf := &target{gone: make(chan struct{}), err: errors.New("no such process")}
	_, err = fault.KillInDrain(time.Millisecond).Strike(t.Context(), deaf)
	require.ErrorIs(t, err, deaf.err)
}

func TestPause(t *testing.T) {
	f, got := fault.Pause(time.Millisecond), &target{}
	exit, err := f.Strike(t.Context(), got)
	require.NoError(t, err)
	assert.Equal(t, "pause unpause", got.how)
	assert.Equal(t, history.Exit{}, exit)
	assert.Equal(t, "frozen for 1ms", f.String())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	got = &target{}
	_, err = fault.Pause(time.Hour).Strike(ended, got)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "pause unpause", got.how, "it is thawed all the same")

	deaf := &target{err: errors.New("no such process")}
	_, err = fault.Pause(time.Hour).Strike(t.Context(), deaf)
	require.ErrorIs(t, err, deaf.err)
	assert.Equal(t, "pause", deaf.how, "what was not frozen is not thawed")
}

func TestSignals(t *testing.T) {
	for f, want := range map[fault.Fault]fault.Signals{
		fault.Kill():                   {First: "SIGKILL"},
		fault.Stop(5 * time.Second):    {First: "SIGTERM", Grace: 5 * time.Second},
		fault.KillInDrain(time.Second): {First: "SIGTERM", Grace: time.Second, Early: true},
		fault.Pause(time.Second):       {First: "SIGSTOP", Resume: time.Second},
	} {
		p, ok := f.(fault.Precise)
		require.True(t, ok, f)
		assert.Equal(t, want, p.Signals(), f)
	}
}

func TestByDockerIsNotPrecise(t *testing.T) {
	f, got := fault.ByDocker(fault.Kill()), &target{}
	_, precise := f.(fault.Precise)
	assert.False(t, precise, "the executioner would be taken otherwise")
	_, err := f.Strike(t.Context(), got)
	require.NoError(t, err)
	assert.Equal(t, "kill", got.how)
	assert.Equal(t, "SIGKILL, by the Docker API", f.String())
}

func TestStopWith(t *testing.T) {
	for want, f := range map[string]fault.Fault{
		"stop with [SIGINT] 0s":             fault.StopWith("SIGINT", 3*time.Second),
		"stop with [SIGTERM SIGTERM] 200ms": fault.StopTwice(200*time.Millisecond, 3*time.Second),
	} {
		got := &target{}
		_, err := f.Strike(t.Context(), got)
		require.NoError(t, err)
		assert.Equal(t, want, got.how)
		assert.Equal(t, 3*time.Second, got.grace)
	}
	assert.Equal(t, "SIGINT, SIGKILL after 3s", fault.StopWith("SIGINT", 3*time.Second).String())
	assert.Equal(t, "SIGTERM, SIGTERM after 200ms, SIGKILL after 3s", fault.StopTwice(200*time.Millisecond, 3*time.Second).String())
}
