package counter

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/rivetkit"
)

func TestKVIsWrittenAndRead(t *testing.T) {
	w := newWorld(Config{})
	out, err := w.actions()["kvGet"](t.Context(), []any{"k"})
	require.NoError(t, err)
	assert.Nil(t, out, "a key that is not there")
	m, err := w.call(t, "kvPut", "k", "v1")
	require.NoError(t, err)
	assert.Equal(t, "k", m["key"])
	note := until(t, w, actorEvent("kv-put"))
	assert.Equal(t, history.Actor{Actor: "actor-1", Key: "k", Generation: 3, What: "kv-put", Reason: "v1"}, note)
	out, err = w.actions()["kvGet"](t.Context(), []any{"k"})
	require.NoError(t, err)
	assert.Equal(t, "v1", out)
}

// A put's error says by its code what is known of it.
func TestKVPutTellsWhatIsKnown(t *testing.T) {
	for code, cause := range map[string]error{
		"not_applied":     envoy.ErrNotSent,
		"outcome_unknown": fmt.Errorf("kv put: %w", envoy.ErrConnectionLost),
	} {
		w := newWorld(Config{})
		w.kv.fail = cause
		_, err := w.call(t, "kvPut", "k", "v")
		var e *rivetkit.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "user."+code, e.Name())
		assert.Equal(t, cause.Error(), until(t, w, actorEvent("kv-put")).Error)
		_, err = w.call(t, "kvGet", "k")
		require.ErrorIs(t, err, cause)
	}
	refused := kvError(fmt.Errorf("kv put: %w", &envoy.KVError{Message: "full"}))
	var e *rivetkit.Error
	require.True(t, errors.As(refused, &e))
	assert.Equal(t, "not_applied", e.Code)
}

func TestKVArguments(t *testing.T) {
	w := newWorld(Config{})
	for _, args := range [][]any{nil, {"k"}, {"", "v"}, {"k", int64(7)}, {"k", strings.Repeat("x", maxOp+1)}} {
		_, err := w.call(t, "kvPut", args...)
		var e *rivetkit.Error
		require.ErrorAs(t, err, &e, "%v", args)
		assert.Equal(t, "actor.invalid_request", e.Name())
	}
}
