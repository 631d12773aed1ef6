package workload_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine answers as the engine and the fixture's actors do. Actors are named
// after their keys.
type engine struct {
	mu      sync.Mutex
	ledgers map[string][]string
	broken  string // an actor that answers every action with an error
	code    string // of that error
	ledger  string // what every actor says is its ledger, "" for the truth
	ticked  func(n int)
	counted func()
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/actors" {
		var in struct{ Key string }
		_ = json.Unmarshal(b, &in)
		_, _ = fmt.Fprintf(w, `{"actor":{"actor_id":"id-%s","name":"counter","key":%q},"created":true}`, in.Key, in.Key)
		return
	}
	actor, action, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/gateway/"), "/request/action/")
	w.Header().Set(probe.HeaderActor, actor)
	var in struct{ Args []any }
	_ = json.Unmarshal(b, &in)
	switch {
	case action == workload.GetCount:
		_, _ = fmt.Fprintf(w, `{"output":%d}`, len(e.ledgers[actor]))
		if e.counted != nil {
			e.counted()
		}
	case actor == e.broken:
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprintf(w, `{"group":"user","code":%q,"message":"no"}`, e.code)
	case action == workload.Tick:
		e.ledgers[actor] = append(e.ledgers[actor], in.Args[1].(string))
		_, _ = fmt.Fprintf(w, `{"output":{"count":%d}}`, len(e.ledgers[actor]))
		if e.ticked != nil {
			e.ticked(len(e.ledgers[actor]))
		}
	case action == workload.Ledger && e.ledger != "":
		_, _ = fmt.Fprintf(w, `{"output":%s}`, e.ledger)
	case action == workload.Ledger:
		rows := []map[string]string{}
		for _, op := range e.ledgers[actor] {
			rows = append(rows, map[string]string{"op": op})
		}
		out, _ := json.Marshal(map[string]any{"output": rows})
		_, _ = w.Write(out)
	}
}

// with runs fn with a counter on the engine and returns the history.
func with(t *testing.T, e *engine, fn func(*workload.Counter)) *history.History {
	t.Helper()
	e.ledgers = map[string][]string{}
	srv := httptest.NewServer(e)
	defer srv.Close()
	api, err := rivet.New(srv.URL, "dev")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "history.jsonl")
	w, err := history.Create(path, history.Header{})
	require.NoError(t, err)
	fn(&workload.Counter{
		API: api, Namespace: "n", Pool: "default", Timeout: 10 * time.Second,
		Gateway: &probe.Gateway{Base: srv.URL, Recorder: w, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}},
	})
	require.NoError(t, w.Close())
	h, err := history.ReadFile(path)
	require.NoError(t, err)
	return h
}

func ledgers(h *history.History) map[string]*history.Return {
	ops, out := map[string]string{}, map[string]*history.Return{}
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Name == workload.Ledger {
				ops[b.Op] = b.Actor
			}
		case *history.Return:
			if actor, ok := ops[b.Op]; ok {
				out[actor] = b
			}
		}
	}
	return out
}

// A tick's operation id is the one that its actor's ledger holds.
func TestWarmThenReadBack(t *testing.T) {
	h := with(t, &engine{}, func(c *workload.Counter) {
		targets, err := c.Warm(t.Context(), workload.Keys("counter", 6)...)
		require.NoError(t, err)
		require.Len(t, targets, 6)
		assert.Equal(t, probe.Target{Actor: "id-counter-05", Key: "counter-05"}, targets[5], "in order, whoever was warm first")
		c.ReadLedgers(t.Context(), targets)
	})
	ticks := map[string]string{}
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Invoke); ok && b.Name == workload.Tick {
			ticks[b.Actor] = b.Op
		}
	}
	read := ledgers(h)
	require.Len(t, ticks, 6)
	require.Len(t, read, 6)
	for actor, ret := range read {
		assert.Equal(t, history.OK, ret.Outcome)
		assert.Equal(t, []any{ticks[actor]}, ret.Value)
	}
}

func TestAnActorThatIsNotWellCannotBeWarmed(t *testing.T) {
	with(t, &engine{broken: "id-counter-01", code: "internal_error"}, func(c *workload.Counter) {
		_, err := c.Warm(t.Context(), workload.Keys("counter", 2)...)
		require.ErrorContains(t, err, "warm actor counter-01 (id-counter-01): its first tick ended info, cause \"status\", status 500 user.internal_error")
	})
}

// What is no ledger must not be taken for an empty one.
func TestABrokenLedgerIsNoAnswer(t *testing.T) {
	for _, bad := range []string{`"none"`, `{"op":"x"}`, `[{"id":"x"}]`, `[7]`, `null`} {
		h := with(t, &engine{ledger: bad}, func(c *workload.Counter) {
			c.ReadLedgers(t.Context(), []probe.Target{{Actor: "a"}})
		})
		ret := ledgers(h)["a"]
		require.NotNil(t, ret, bad)
		assert.Equal(t, history.Fail, ret.Outcome, bad)
		assert.Equal(t, history.CauseUnreadable, ret.Cause, bad)
	}
	empty := with(t, &engine{ledger: `[]`}, func(c *workload.Counter) {
		c.ReadLedgers(t.Context(), []probe.Target{{Actor: "a"}})
	})
	assert.Equal(t, []any{}, ledgers(empty)["a"].Value, "an empty ledger is stored as one")
}
