package containers

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/tap"
	"github.com/killpoint/killpoint/moment"
)

// The engine asks the runtime for its metadata every second or so: a frame that
// comes by itself.
var metadata = moment.Frame("metadata-call", 1, moment.BeforeDelivery)

func tapped(cfg *CellConfig) { cfg.Tap = &TapConfig{} }

func TestExecutionerStrikes(t *testing.T) {
	s := openSession(t)
	c, rec := runCell(t, s, tapped)

	o, err := c.Tap().StrikeNow(limit(t), Blow{Target: c.Engine, Signal: "SIGKILL"})
	require.NoError(t, err)
	assert.Less(t, o.SignalT, o.DiedT)
	require.NoError(t, c.Engine.Start(limit(t)))
	_, err = c.WaitHealthy(limit(t))
	require.NoError(t, err)

	rule, err := c.Tap().StrikeAt(limit(t), metadata, Blow{Target: c.Engine, Signal: "SIGKILL", Drop: true})
	require.NoError(t, err)
	o, err = rule.Landed(limit(t))
	require.NoError(t, err)
	assert.Equal(t, 1, o.Matched)
	assert.Equal(t, tap.Drop, o.Held)
	assert.Less(t, o.ArrivedT, o.SignalT)
	require.NoError(t, c.Engine.Start(limit(t)))
	_, err = c.WaitHealthy(limit(t))
	require.NoError(t, err)

	_, err = c.Tap().StrikeNow(limit(t), Blow{Target: c.Engine, Signal: "SIGTERM", Grace: 10 * time.Second})
	require.NoError(t, err)
	_, err = c.Tap().StrikeNow(limit(t), Blow{Target: c.Engine, Signal: "SIGKILL"})
	require.ErrorContains(t, err, "engine", "it is not there any more")

	require.NoError(t, c.Close(limit(t)))
	requireNothingLeft(t, s)
	requireExits(t, rec, "engine", []string{"SIGKILL/executioner/137", "SIGKILL/executioner/137", "SIGTERM/executioner/0"})
	for _, f := range bodies[history.Fault](rec) {
		assert.Equal(t, string(WayExecutioner), f.Way)
	}
}

func TestBothAtOnce(t *testing.T) {
	s := openSession(t, withoutReaper())
	c, rec := runCell(t, s, tapped)
	_, err := c.Tap().StrikeNow(limit(t), Blow{Target: c.Runtime, Both: true, Signal: "SIGKILL"})
	require.NoError(t, err)
	require.NoError(t, c.Close(limit(t)))
	requireExits(t, rec, "engine", []string{"SIGKILL/executioner/137"})
	requireExits(t, rec, "runtime", []string{"SIGKILL/executioner/137"})
}

func TestFrozenAndThawed(t *testing.T) {
	s := openSession(t, withoutReaper())
	c, rec := runCell(t, s, tapped)
	begun := time.Now()
	_, err := c.Tap().StrikeNow(limit(t), Blow{Target: c.Engine, Signal: "SIGSTOP", Resume: 300 * time.Millisecond})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(begun), 300*time.Millisecond)
	_, err = c.WaitHealthy(limit(t))
	require.NoError(t, err, "it goes on")
	assert.Equal(t, []string{"begun", "landed", "healed"}, faultPhases(rec))
}

func TestMomentThatDoesNotCome(t *testing.T) {
	s := openSession(t, withoutReaper())
	c, _ := runCell(t, s, tapped)
	rule, err := c.Tap().StrikeAt(limit(t), moment.Frame("execute-request/commit", 1, moment.BeforeDelivery), Blow{Target: c.Engine, Signal: "SIGKILL"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	o, err := rule.Landed(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Zero(t, o.SignalT)
	assert.Equal(t, tap.Armed, o.State)
	require.NoError(t, rule.Disarm(limit(t)))
	_, err = c.WaitHealthy(limit(t))
	require.NoError(t, err, "nobody was struck")
}

func TestTapThatDiesEndsTheWait(t *testing.T) {
	s := openSession(t, withoutReaper())
	c, _ := runCell(t, s, tapped)
	rule, err := c.Tap().StrikeAt(limit(t), moment.Frame("execute-request/commit", 1, moment.BeforeDelivery), Blow{Target: c.Engine, Signal: "SIGKILL"})
	require.NoError(t, err)
	time.AfterFunc(100*time.Millisecond, func() { _, _ = c.Tap().container.Kill(limit(t)) })
	_, err = rule.Landed(limit(t))
	require.ErrorContains(t, err, "the tap is gone")
	_, err = c.Tap().StrikeNow(limit(t), Blow{Target: c.Engine, Signal: "SIGKILL"})
	require.ErrorContains(t, err, "the tap is gone")
	_, err = c.Engine.Kill(limit(t))
	require.NoError(t, err, "the Docker API is there all the same")
}

func TestExecutionerWithoutItsCapability(t *testing.T) {
	s := openSession(t, withoutReaper())
	for want, cfg := range map[string]TapConfig{
		// Root may signal root's processes without it.
		"CAP_KILL":      {user: "65534", change: func(h *container.HostConfig) { h.CapAdd = nil }},
		"PID namespace": {change: func(h *container.HostConfig) { h.PidMode = "" }},
	} {
		_, err := s.Run(limit(t), CellConfig{Runtime: RuntimeConfig{Image: stubImage(t, s)}, Recorder: &memory{}, Tap: &cfg})
		require.ErrorContains(t, err, want)
	}
	requireNothingLeft(t, s)
}

func TestNoTap(t *testing.T) {
	var none *Tap
	_, err := none.StrikeNow(t.Context(), Blow{})
	require.ErrorIs(t, err, ErrNoTap)
	_, err = none.StrikeAt(t.Context(), metadata, Blow{Target: &Container{}})
	require.ErrorIs(t, err, ErrNoTap)
	_, err = none.Hold(t.Context(), metadata)
	require.ErrorIs(t, err, ErrNoTap)
	_, err = none.Hold(t.Context(), moment.Now())
	require.ErrorContains(t, err, "is no frame")
}

// A death can be reported while the tap still reads what the dead left: whose
// strike it was is asked for, and waited for.
func TestStrikeUnderWayIsWaitedFor(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := tap.Outcome{ID: "rule-1", State: tap.Reached}
		if r.URL.Query().Get("not") != "" { // somebody waits for more
			o.State, o.SignalT = tap.Done, 5
		}
		assert.NoError(t, json.NewEncoder(w).Encode(o))
	}))
	defer srv.Close()
	alive := &Container{lives: []*life{{exited: make(chan struct{})}}}
	a := &Armed{tap: &Tap{client: tap.NewClient(srv.URL, "token"), container: alive}, rule: tap.Rule{ID: "rule-1"}}
	o, err := a.decided(limit(t))
	require.NoError(t, err)
	assert.EqualValues(t, 5, o.SignalT)
}
