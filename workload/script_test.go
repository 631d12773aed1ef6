package workload_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

// door is an engine with one actor at a time, in which everything works but
// what fails says: it is called before each request with the operation's name and
// how often that came, and what it returns is done instead of answering.
type door struct {
	t              *testing.T
	n              map[string]int
	booked         []string
	kv             any
	asleep, gone   bool
	made           int
	fails          func(name string, n int) http.HandlerFunc
	sleepsAt, dies int // polls that it takes to be so
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	name := d.name(r)
	d.n[name]++
	if d.fails != nil {
		if f := d.fails(name, d.n[name]); f != nil {
			f(w, r)
			return
		}
	}
	d.answer(w, r, name, body)
}

func (d *door) name(r *http.Request) string {
	switch {
	case r.URL.Path == "/actors" && r.Method == http.MethodPut:
		return "create"
	case strings.HasSuffix(r.URL.Path, "/sleep"):
		return "sleep"
	case r.Method == http.MethodDelete:
		return "destroy"
	case r.URL.Path == "/actors":
		return "get"
	}
	return r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
}

func (d *door) answer(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	var in struct{ Args []any }
	_ = json.Unmarshal(body, &in)
	w.Header().Set(probe.HeaderActor, "id")
	switch name {
	case "create":
		d.made++
		_, _ = io.WriteString(w, `{"actor":{"actor_id":"id"},"created":true}`)
	case "sleep":
		d.asleep = true
		_, _ = io.WriteString(w, `{}`)
	case "destroy":
		d.gone = true
		_, _ = io.WriteString(w, `{}`)
	case "get":
		d.state(w)
	case "tick":
		d.booked = append(d.booked, in.Args[1].(string))
		_, _ = fmt.Fprintf(w, `{"output":{"count":%d}}`, len(d.booked))
	case "getCount":
		_, _ = fmt.Fprintf(w, `{"output":%d}`, len(d.booked))
	case "kvPut":
		d.kv = in.Args[1]
		_, _ = io.WriteString(w, `{"output":{}}`)
	case "kvGet":
		b, _ := json.Marshal(map[string]any{"output": d.kv})
		_, _ = w.Write(b)
	case "ledger":
		rows := []map[string]string{}
		for _, op := range d.booked {
			rows = append(rows, map[string]string{"op": op})
		}
		b, _ := json.Marshal(map[string]any{"output": rows})
		_, _ = w.Write(b)
	case "stream":
		_, _ = io.WriteString(w, "chunk 1\nchunk 2\nchunk 3\n")
	case "health":
	default: // the WebSocket's path ends in a slash
		d.socket(w, r)
	}
}

func (d *door) state(w http.ResponseWriter) {
	switch {
	case d.gone:
		if d.dies--; d.dies < 0 {
			_, _ = io.WriteString(w, `{"actors":[]}`)
			return
		}
	case d.asleep:
		if d.sleepsAt--; d.sleepsAt < 0 {
			_, _ = io.WriteString(w, `{"actors":[{"actor_id":"id","sleep_ts":1}]}`)
			return
		}
	}
	_, _ = io.WriteString(w, `{"actors":[{"actor_id":"id","connectable_ts":1}]}`)
}

func (d *door) socket(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{Subprotocols: probe.Subprotocols}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // the test is over
	if _, _, err := conn.ReadMessage(); err == nil {
		_ = conn.WriteJSON(map[string]any{"type": "pong", "actor": "id", "generation": 1})
	}
}

// perform runs a script on the door and returns its error and its history.
func (d *door) perform(t *testing.T, bound time.Duration, ops ...workload.Op) (*workload.Script, *history.History, error) {
	t.Helper()
	d.t, d.n = t, map[string]int{}
	srv := httptest.NewServer(d)
	defer srv.Close()
	api, err := rivet.New(srv.URL, "dev")
	require.NoError(t, err)
	defer api.Close()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	w, err := history.Create(path, history.Header{})
	require.NoError(t, err)
	transport := &http.Transport{DisableKeepAlives: true}
	s := &workload.Script{
		Counter: &workload.Counter{
			API: api, Namespace: "n", Pool: "default",
			Gateway: &probe.Gateway{Base: srv.URL, Recorder: w, Client: &http.Client{Transport: transport}, Dial: transport.DialContext},
		},
		Lives: api, Patience: time.Second, Bound: bound,
	}
	var begun []int
	s.Begun = func(n int) { begun = append(begun, n) }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	rerr := s.Run(ctx, ops)
	require.NoError(t, w.Close())
	h, err := history.ReadFile(path)
	require.NoError(t, err)
	if rerr == nil {
		assert.Len(t, begun, len(ops))
	}
	return s, h, rerr
}

// names are the operations of a history, with what they are a retry of.
func names(h *history.History) (out []string) {
	first := map[string]string{}
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Invoke); ok {
			first[b.Op] = b.Name
			if b.RetryOf != "" {
				out = append(out, first[b.RetryOf]+" again")
			} else {
				out = append(out, b.Name)
			}
		}
	}
	return out
}

func returns(h *history.History) (out []*history.Return) {
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Return); ok {
			out = append(out, b)
		}
	}
	return out
}

func TestTheGoldenWorkload(t *testing.T) {
	s, h, err := (&door{sleepsAt: 2, dies: 2}).perform(t, time.Second, workload.Golden()...)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"create", "tick", "tick", "getCount", "kvPut", "kvGet", "ping", "stream", "sleep", "tick", "kvGet", "getCount", "ledger", "destroy",
	}, names(h))
	for i, ret := range returns(h) {
		assert.Equal(t, history.OK, ret.Outcome, "%d: %v", i, ret)
	}
	put, got := "", ""
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Invoke); ok && b.Name == workload.KVPut {
			put = b.Op
		}
	}
	got, _ = returns(h)[5].Value.(string)
	assert.Equal(t, put, got, "what is put is the put's own id")
	assert.Empty(t, s.Targets(), "it is destroyed")
}

// An operation is asked again until it is known to be done; a write under the
// same identity, so that it is booked once.
func TestAScriptAsksUntilItKnows(t *testing.T) {
	d := &door{}
	d.fails = func(name string, n int) http.HandlerFunc {
		switch {
		case name == "tick" && n == 1:
			return func(w http.ResponseWriter, r *http.Request) { // done, and nobody is told
				d.booked = append(d.booked, "op2")
				panic(http.ErrAbortHandler)
			}
		case name == "tick" && n == 2:
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(probe.HeaderActor, "id")
				w.WriteHeader(http.StatusConflict)
				_, _ = io.WriteString(w, `{"group":"user","code":"operation_repeated"}`)
			}
		case (name == "destroy" || name == "create") && n < 3:
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		}
		return nil
	}
	_, h, err := d.perform(t, 5*time.Second, workload.OpCreate, workload.OpTick, workload.OpLedger, workload.OpDestroy)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"create", "create again", "create again", "tick", "tick again", "ledger", "destroy", "destroy again", "destroy again",
	}, names(h))
	all := returns(h)
	assert.Equal(t, history.Info, all[0].Outcome)
	assert.Equal(t, 503, all[0].Status)
	assert.Equal(t, history.Info, all[3].Outcome)
	assert.Equal(t, "user.operation_repeated", all[4].Code)
}

func TestAScriptThatIsStuckSaysWhere(t *testing.T) {
	d := &door{fails: func(name string, _ int) http.HandlerFunc {
		if name == "getCount" {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		}
		return nil
	}}
	s, h, err := d.perform(t, 100*time.Millisecond, workload.OpCreate, workload.OpGetCount, workload.OpTick)
	var stuck *workload.StuckError
	require.ErrorAs(t, err, &stuck)
	assert.Equal(t, 1, stuck.N)
	require.ErrorContains(t, err, "operation 2, getCount, had no good answer within 100ms; the last attempt ended fail")
	assert.NotContains(t, names(h), "tick", "what follows is not begun")
	assert.Equal(t, []probe.Target{{Actor: "id", Key: workload.GoldenKey}}, s.Targets())
}

// A script from which the creation was taken makes its actors all the same, and
// an actor that was destroyed is made anew.
func TestAScriptMakesTheActorsThatItNeeds(t *testing.T) {
	d := &door{}
	_, h, err := d.perform(t, time.Second, workload.OpTick, "tick@other", "wait:1ms", workload.OpDestroy, "health")
	require.NoError(t, err)
	assert.Equal(t, []string{"create", "tick", "create", "tick", "destroy", "create", "health"}, names(h))
}

func TestAScriptEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	d := &door{fails: func(name string, _ int) http.HandlerFunc {
		if name == "tick" {
			return func(w http.ResponseWriter, _ *http.Request) {
				cancel(errors.New("Ctrl-C"))
				w.WriteHeader(http.StatusBadGateway)
			}
		}
		return nil
	}}
	d.n = map[string]int{}
	srv := httptest.NewServer(d)
	defer srv.Close()
	api, err := rivet.New(srv.URL, "dev")
	require.NoError(t, err)
	defer api.Close()
	w, err := history.Create(filepath.Join(t.TempDir(), "history.jsonl"), history.Header{})
	require.NoError(t, err)
	s := &workload.Script{
		Counter: &workload.Counter{API: api, Namespace: "n", Gateway: &probe.Gateway{Base: srv.URL, Recorder: w, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}},
		Lives:   api, Patience: time.Second, Bound: time.Minute,
	}
	require.EqualError(t, s.Run(ctx, []workload.Op{workload.OpTick}), "Ctrl-C")
	require.NoError(t, w.Close())
}
