package scenario

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
)

// inFlight are the parts that hold a write.
var inFlight = []Part{
	Interrupted(OrderReschedule), Interrupted(OrderSleep), Interrupted(OrderNone),
	SlowAnswer(time.Second), RuntimeKilled(AfterCommit), RuntimeKilled(BeforeCommit), ConnectionCut(time.Second),
}

func TestPartsInFlightHaveNames(t *testing.T) {
	names := map[string]bool{}
	for _, p := range append([]Part{RuntimeDown{For: time.Second}, RuntimeDown{For: time.Second, Asked: true}}, inFlight...) {
		assert.False(t, names[p.String()], "%s: plans and tables must tell the parts apart", p)
		names[p.String()] = true
		keys, more := p.Actors()
		assert.NotEmpty(t, keys)
		assert.Zero(t, more)
	}
	assert.True(t, names["transactions held between their writes, for an order to reschedule"])
}

// What needs a breakpoint says so where there is no control channel, and does
// nothing.
func TestPartsInFlightNeedTheControlChannel(t *testing.T) {
	for _, p := range inFlight {
		t.Run(p.String(), func(t *testing.T) {
			asked := 0
			s := answering(t, func(http.ResponseWriter, *http.Request) { asked++ })
			s.Cell = &containers.Cell{}
			course, err := p.Begin(t.Context(), s)
			require.NoError(t, err)
			require.ErrorIs(t, course.Recovered(t.Context(), clock.Now()), ErrNoControl)
			assert.Zero(t, asked)
		})
	}
	require.ErrorIs(t, (&Stage{Cell: &containers.Cell{}}).cutConnection(t.Context()), ErrNoControl)
}

func TestPost(t *testing.T) {
	var status int
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodPost, r.Method)
		assert.Equal(t, "/connection/cut", r.URL.Path)
		w.WriteHeader(status)
		_, _ = w.Write([]byte("said\n"))
	}))
	t.Cleanup(srv.Close)
	status = http.StatusOK
	said, err := post(t.Context(), srv.URL+"/connection/cut")
	require.NoError(t, err)
	assert.Equal(t, "said", said)
	status = http.StatusNotFound
	_, err = post(t.Context(), srv.URL+"/connection/cut")
	require.EqualError(t, err, "status 404: said")
}

// invokes are the actors asked, in order.
func invokes(s *Stage) *[]string {
	var asked []string
	s.History.Subscribe(func(e history.Event) {
		if b, ok := e.Body.(*history.Invoke); ok {
			asked = append(asked, b.Actor)
		}
	})
	return &asked
}

func TestAskUntil(t *testing.T) {
	s := answering(t, func(http.ResponseWriter, *http.Request) {})
	asked := invokes(s)
	require.NoError(t, s.askUntil(t.Context(), s.Actors[0], time.Second, clock.Now()))
	assert.Equal(t, []string{"a"}, *asked, "whose time is over is asked once")
	*asked = nil
	end := clock.Now().Add(50 * time.Millisecond)
	require.NoError(t, s.askUntil(t.Context(), s.Actors[0], time.Second, end))
	assert.Greater(t, len(*asked), 1)
	assert.GreaterOrEqual(t, clock.Now(), end)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	require.EqualError(t, s.askUntil(ctx, s.Actors[0], time.Second, clock.Now().Add(time.Hour)), "Ctrl-C")
}

func TestRuntimeDownAsksOneOnAndTheOtherOnce(t *testing.T) {
	for _, asks := range []bool{true, false} {
		s := answering(t, func(http.ResponseWriter, *http.Request) {})
		s.Actors = []probe.Target{{Actor: "a"}, {Actor: "b"}}
		asked := invokes(s)
		end := clock.Now().Add(50 * time.Millisecond)
		require.NoError(t, RuntimeDown{For: time.Second, Asked: asks}.down(t.Context(), s, end))
		assert.GreaterOrEqual(t, clock.Now(), end)
		times := map[string]int{}
		for _, actor := range *asked {
			times[actor]++
		}
		assert.Equal(t, asks, times["a"] > 1)
		assert.Equal(t, map[bool]int{true: 1, false: 0}[asks], times["b"])
	}
}
