package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/clock"
)

func TestUntil(t *testing.T) {
	begun := clock.Now()
	require.NoError(t, clock.Until(t.Context(), begun.Add(20*time.Millisecond)))
	assert.GreaterOrEqual(t, clock.Now().Sub(begun), 20*time.Millisecond)
	require.NoError(t, clock.Until(t.Context(), begun), "what is over is not waited for")
}

func TestUntilOrReturnsSooner(t *testing.T) {
	over := make(chan struct{})
	begun := clock.Now()
	require.NoError(t, clock.UntilOr(t.Context(), begun.Add(20*time.Millisecond), over))
	assert.GreaterOrEqual(t, clock.Now().Sub(begun), 20*time.Millisecond)
	close(over)
	require.NoError(t, clock.UntilOr(t.Context(), begun.Add(time.Hour), over))
	assert.Less(t, clock.Now().Sub(begun), time.Hour)
}

// An end of the context is told by its cause, also at an instant that is past.
func TestUntilTellsTheCause(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	require.EqualError(t, clock.Until(ctx, clock.Now().Add(time.Hour)), "Ctrl-C")
	require.EqualError(t, clock.Until(ctx, clock.Now().Add(-time.Hour)), "Ctrl-C")
	require.EqualError(t, clock.UntilOr(ctx, clock.Now().Add(time.Hour), make(chan struct{})), "Ctrl-C")
}
