package counter

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/rivetkit"
)

// next is the next value of a channel.
func next[T any](t *testing.T, c <-chan T, what string) (none T) {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(5 * time.Second):
		t.Fatalf("waited 5 s for %s", what)
		return none
	}
}

func (w *world) begin(t *testing.T) {
	t.Helper()
	require.NoError(t, w.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, w.Stop(context.Background(), wire.StopGoingAway)) })
}

// late is what an alarm event says.
func late(t *testing.T, e history.Actor) (id, ms int64) {
	t.Helper()
	_, err := fmt.Sscanf(e.Reason, "alarm %d, %d ms late", &id, &ms)
	require.NoError(t, err, "%q", e.Reason)
	return id, ms
}

func TestAlarmOfARunningActor(t *testing.T) {
	w := newWorld(Config{})
	w.begin(t)
	out, err := w.call(t, "setAlarm", int64(30))
	require.NoError(t, err)
	assert.Equal(t, int64(1), out["alarm"])
	assert.Equal(t, "alarm 1, in 30 ms", until(t, w, actorEvent("alarm-set")).Reason)
	due := next(t, w.woken, "word to the engine")
	assert.Equal(t, due.UnixMilli(), out["due"], "the engine is told, in case the actor sleeps by then")

	id, ms := late(t, until(t, w, actorEvent("alarm")))
	assert.Equal(t, int64(1), id)
	assert.GreaterOrEqual(t, ms, int64(0))
	assert.True(t, next(t, w.woken, "word to the engine").IsZero(), "and that it is over")

	all, err := w.actions()["alarms"](t.Context(), nil)
	require.NoError(t, err)
	row := all.([]any)[0].(map[string]any)
	assert.Equal(t, map[string]any{"alarm": int64(1), "due": out["due"], "set_by": int64(3), "fired_at": row["fired_at"], "fired_by": int64(3)}, row)
	assert.Equal(t, out["due"].(int64)+ms, row["fired_at"])
}

// The next generation knows of the alarms that are set, and of no other.
func TestAlarmOfAnEarlierGeneration(t *testing.T) {
	past, future := time.Now().Add(-time.Second).UnixMilli(), time.Now().Add(time.Hour).UnixMilli()
	w := newWorld(Config{})
	w.db.alarms = [][]any{{int64(1), past, int64(1), past, int64(1)}, {int64(2), past, int64(2), nil, nil}, {int64(3), future, int64(2), nil, nil}}
	w.begin(t)
	id, ms := late(t, until(t, w, actorEvent("alarm")))
	assert.Equal(t, int64(2), id)
	assert.GreaterOrEqual(t, ms, int64(1000))
	assert.Equal(t, future, next(t, w.woken, "word to the engine").UnixMilli(), "it may never have arrived")
	assert.Equal(t, []any{int64(2), past, int64(2), int64(past) + ms, int64(3)}, w.db.alarms[1])
	assert.Empty(t, w.events)
}

// What the generation before told the engine may never have arrived.
func TestEngineIsToldAgain(t *testing.T) {
	future := time.Now().Add(time.Hour).UnixMilli()
	w := newWorld(Config{})
	w.db.alarms = [][]any{{int64(1), future, int64(1), nil, nil}}
	w.begin(t)
	assert.Equal(t, future, next(t, w.woken, "word to the engine").UnixMilli())

	w = newWorld(Config{})
	w.db.alarms = [][]any{{int64(1), time.Now().UnixMilli(), int64(1), nil, nil}}
	w.begin(t)
	until(t, w, actorEvent("alarm"))
	assert.True(t, next(t, w.woken, "word to the engine").IsZero())
}

func TestAlarmsOneAfterTheOther(t *testing.T) {
	w := newWorld(Config{})
	w.begin(t)
	for want := range int64(20) {
		_, err := w.call(t, "setAlarm", int64(1))
		require.NoError(t, err)
		id, _ := late(t, until(t, w, actorEvent("alarm")))
		assert.Equal(t, want+1, id)
		assert.False(t, next(t, w.woken, "word to the engine").IsZero())
		assert.True(t, next(t, w.woken, "word to the engine").IsZero())
	}
}

func TestNoAlarmsNoWord(t *testing.T) {
	w := newWorld(Config{})
	past := time.Now().UnixMilli()
	w.db.alarms = [][]any{{int64(1), past, int64(1), past, int64(1)}}
	require.NoError(t, w.Start(t.Context()))
	require.NoError(t, w.Stop(t.Context(), wire.StopSleepIntent))
	assert.Empty(t, w.woken)
}

func TestAlarmsFireInTheirOrder(t *testing.T) {
	w := newWorld(Config{})
	w.begin(t)
	for _, ms := range []int64{3_600_000, 40, 20} {
		_, err := w.call(t, "setAlarm", ms)
		require.NoError(t, err)
	}
	for _, want := range []int64{3, 2} {
		id, _ := late(t, until(t, w, actorEvent("alarm")))
		assert.Equal(t, want, id)
	}
}

// An alarm is noted once, however often its mark is tried.
func TestAlarmWhoseMarkIsInFlight(t *testing.T) {
	w := newWorld(Config{})
	w.db.cut = "UPDATE alarms"
	w.begin(t)
	_, err := w.call(t, "setAlarm", int64(0))
	require.NoError(t, err)
	until(t, w, actorEvent("alarm"))
	assert.False(t, next(t, w.woken, "word to the engine").IsZero())
	assert.True(t, next(t, w.woken, "word to the engine").IsZero())
	assert.Empty(t, w.events)
}

// Another generation's mark came first: nothing is noted twice.
func TestAlarmThatAnotherGenerationNoted(t *testing.T) {
	w := newWorld(Config{})
	w.begin(t)
	_, err := w.call(t, "setAlarm", int64(50))
	require.NoError(t, err)
	next(t, w.woken, "word to the engine")
	w.db.mu.Lock()
	w.db.alarms[0][3], w.db.alarms[0][4] = int64(1), int64(4)
	w.db.mu.Unlock()
	until(t, w, actorEvent("alarm-set"))
	assert.True(t, next(t, w.woken, "word to the engine").IsZero())
	assert.Empty(t, w.events)
}

// An alarm that cannot be marked is left to the next generation, for which the
// engine must go on knowing of it.
func TestAlarmThatCannotBeMarked(t *testing.T) {
	w := newWorld(Config{})
	w.db.fail = map[string]error{"UPDATE alarms": envoy.ErrNotSent}
	w.begin(t)
	_, err := w.call(t, "setAlarm", int64(0))
	require.NoError(t, err)
	failed := until(t, w, actorEvent("alarm-failed"))
	assert.Equal(t, "alarm 1", failed.Reason)
	assert.Contains(t, failed.Error, "mark alarm 1 as fired: ")
	due := next(t, w.woken, "word to the engine")
	_, err = w.call(t, "setAlarm", int64(3_600_000))
	require.NoError(t, err)
	assert.Empty(t, w.woken, "the engine keeps the first one, due %v", due)
	assert.Nil(t, w.db.alarms[0][3])
}

func TestAlarmThatIsNotStored(t *testing.T) {
	for cause, code := range map[error]string{
		envoy.ErrConnectionLost: "user.outcome_unknown", &envoy.SQLError{Code: "busy"}: "user.not_applied", envoy.ErrNotSent: "user.not_applied",
	} {
		w := newWorld(Config{})
		w.db.fail = map[string]error{"INTO alarms": cause}
		_, err := w.call(t, "setAlarm", int64(10))
		var e *rivetkit.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, code, e.Name())
		assert.Empty(t, w.woken)
	}
}

func TestAlarmArguments(t *testing.T) {
	for want, args := range map[string][]any{
		"delayMs, the first argument, is missing":                     nil,
		"delayMs, the first argument, must be a number, not a string": {"soon"},
		"delayMs, the first argument, must be a number, not a <nil>":  {nil},
		"delayMs, the first argument, must be from 0 to 86400000":     {int64(86_400_001)},
	} {
		_, err := newWorld(Config{}).call(t, "setAlarm", args...)
		var e *rivetkit.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "actor.invalid_request", e.Name())
		assert.Equal(t, want, e.Message)
	}
}

func TestStartFailsWhereAlarmsCannotBeRead(t *testing.T) {
	w := newWorld(Config{})
	w.db.alarms = [][]any{{int64(1), "tomorrow", int64(1), nil, nil}}
	err := w.Start(t.Context())
	require.EqualError(t, err, "read the alarms that are set: row 0: the engine returned a string where an integer belongs")
}
