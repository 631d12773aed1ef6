package breakpoint

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// steps is a set and the steps that it records.
func steps() (*Set, chan history.Breakpoint) {
	c := make(chan history.Breakpoint, 64)
	return NewSet(func(b history.Breakpoint) { c <- b }), c
}

func next(t *testing.T, c chan history.Breakpoint) history.Breakpoint {
	t.Helper()
	select {
	case b := <-c:
		return b
	case <-time.After(5 * time.Second):
		t.Fatal("no step of a breakpoint was recorded within 5 s")
		return history.Breakpoint{}
	}
}

var here = Where{Actor: "a", Generation: 2}

func step(what string) history.Breakpoint {
	return history.Breakpoint{Name: "before-commit", Actor: "a", Generation: 2, What: what}
}

func TestNotArmedPasses(t *testing.T) {
	s, c := steps()
	require.NoError(t, s.Reach(t.Context(), BeforeCommit, here))
	assert.Empty(t, c)
}

func TestArmHoldsOneUntilReleased(t *testing.T) {
	s, c := steps()
	s.Arm(BeforeCommit, "", time.Minute)
	assert.Equal(t, history.Breakpoint{Name: "before-commit", What: "armed"}, next(t, c))

	done := make(chan error, 1)
	go func() { done <- s.Reach(t.Context(), BeforeCommit, here) }()
	assert.Equal(t, step("reached"), next(t, c))
	assert.Contains(t, s.States(), State{Name: BeforeCommit, Held: 1})
	require.NoError(t, s.Reach(t.Context(), BeforeCommit, here), "the second one passes")
	assert.Empty(t, done, "the first one is held")

	assert.Equal(t, 1, s.Release(BeforeCommit))
	require.NoError(t, <-done)
	assert.Equal(t, step("released"), next(t, c))
	assert.Contains(t, s.States(), State{Name: BeforeCommit})
	assert.Zero(t, s.Release(BeforeCommit))
	assert.Empty(t, c)
}

func TestArmedForOneActor(t *testing.T) {
	s, c := steps()
	s.Arm(BeforeCommit, "other", time.Minute)
	next(t, c)
	require.NoError(t, s.Reach(t.Context(), BeforeCommit, here))
	assert.Contains(t, s.States(), State{Name: BeforeCommit, Armed: true})
	assert.Zero(t, s.Release(BeforeCommit), "nobody is held, but it is disarmed")
	assert.Equal(t, "released", next(t, c).What)
	assert.Contains(t, s.States(), State{Name: BeforeCommit})
}

func TestDeadlinePasses(t *testing.T) {
	s, c := steps()
	s.Arm(BeforeCommit, "", time.Millisecond)
	require.NoError(t, s.Reach(t.Context(), BeforeCommit, here))
	next(t, c)
	assert.Equal(t, step("reached"), next(t, c))
	assert.Equal(t, step("expired"), next(t, c))
}

func TestHoldNeedsNoArm(t *testing.T) {
	s, c := steps()
	require.NoError(t, s.Hold(t.Context(), BeforeCommit, here, time.Millisecond))
	assert.Equal(t, step("reached"), next(t, c))
	assert.Equal(t, step("expired"), next(t, c))
}

func TestHeldEndsWithItsContext(t *testing.T) {
	s, c := steps()
	ctx, cancel := context.WithCancelCause(t.Context())
	s.Arm(BeforeCommit, "a", 0)
	next(t, c)
	done := make(chan error, 1)
	go func() { done <- s.Reach(ctx, BeforeCommit, here) }()
	next(t, c)
	aborted := errors.New("aborted")
	cancel(aborted)
	require.ErrorIs(t, <-done, aborted)
	assert.Equal(t, step("abandoned"), next(t, c))
}

func TestParse(t *testing.T) {
	for _, n := range Names {
		got, err := Parse(string(n))
		require.NoError(t, err)
		assert.Equal(t, n, got)
	}
	_, err := Parse("somewhere")
	assert.EqualError(t, err, `breakpoint "somewhere": use between-writes, before-commit, after-commit, on-start, before-running, on-stop, in-drain, mid-stream`)
}
