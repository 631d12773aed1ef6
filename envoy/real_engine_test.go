package envoy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/tap"
)

// TestRealEngine holds the package against a real engine, started natively on
// loopback. KILLPOINT_ENGINE_BIN is the path of its binary.
func TestRealEngine(t *testing.T) {
	bin := os.Getenv("KILLPOINT_ENGINE_BIN")
	if bin == "" {
		t.Skip("KILLPOINT_ENGINE_BIN is not set: no real engine to test against")
	}
	for _, v := range []wire.Version{wire.V6, wire.V8} {
		t.Run(v.String(), func(t *testing.T) {
			e := startEngine(t, bin)
			if v == wire.V8 && !e.speaksV8() {
				t.Skipf("engine %s does not speak protocol 8", e.version)
			}
			a := e.newCell(t, v, "rivet")
			b := e.newCell(t, v, "fast")
			c := e.newCell(t, v, "none")
			t.Run("actor", func(t *testing.T) { checkActor(t, a) })
			t.Run("restart", func(t *testing.T) { checkRestart(t, e, a, b, c) })
			t.Run("sleep", func(t *testing.T) { checkSleep(t, b) })
			t.Run("alarm", func(t *testing.T) { checkAlarm(t, b) })
			t.Run("drain", func(t *testing.T) { checkDrain(t, a) })
			t.Run("alarm while down", func(t *testing.T) { checkAlarmWhileDown(t, b) })
			t.Run("destroy", func(t *testing.T) { checkDestroy(t, b) })
		})
	}
}

func checkActor(t *testing.T, c *realCell) {
	c.get(t, "who", 200)
	assert.Equal(t, "ok", c.get(t, "kv", 200))
	assert.Equal(t, "ok", c.get(t, "sql", 200))
	assert.Contains(t, c.get(t, "panic", 500), "internal_error")
	assert.Equal(t, "bad syntax is refused", c.get(t, "sqlerror", 200))

	for _, size := range []int{0, 10, 1 << 20, 16 << 20} {
		body := bytes.Repeat([]byte("x"), size)
		res := c.do(t, http.MethodPost, "echo", bytes.NewReader(body))
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err, "echo of %d bytes", size)
		assert.NoError(t, res.Body.Close())
		require.Equal(t, 200, res.StatusCode, "echo of %d bytes: %.200s", size, got)
		assert.True(t, bytes.Equal(body, got), "echo of %d bytes gave %d", size, len(got))
	}
	c.checkSocket(t)
	if c.version == wire.V8 {
		c.checkStream(t)
	}
}

// checkRestart restarts the engine. After a SIGTERM every actor goes on in a
// new generation, after a SIGKILL in the same one. Without a reconnect the
// engine waits for a runtime that it has told to stop (2.3.5 for the whole of
// the stop threshold): what brings the runtime back is the start of another
// actor. After a SIGKILL it notices by itself that the runtime is lost.
func checkRestart(t *testing.T, e *realEngine, cells ...*realCell) {
	before := map[string]uint32{}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, c := range cells {
			before[c.policy] = c.who(t).Generation
		}
		e.stop(t, sig)
		e.start(t)
		origin := time.Now()
		var wg sync.WaitGroup
		for _, c := range cells {
			wg.Go(func() {
				if sig == syscall.SIGTERM && c.policy == "none" {
					c.eventually(t, e.createActor(t, c.policy, "second"), 60*time.Second)
				}
				who := c.eventually(t, c.actor, 90*time.Second)
				t.Logf("%s, policy %s: answered %v after healthy: %+v", sig, c.policy, time.Since(origin).Round(time.Millisecond), who)
				switch {
				case sig == syscall.SIGTERM:
					// The old generation may answer until its stop is replayed.
					c.rec.awaitActor(t, c.actor, "running", before[c.policy]+1)
				case c.policy == "none":
					assert.Greater(t, who.Generation, before[c.policy], "%s, policy %s", sig, c.policy)
				default:
					assert.Equal(t, before[c.policy], who.Generation, "%s, policy %s", sig, c.policy)
				}
			})
		}
		wg.Wait()
	}
	for _, c := range cells {
		assert.Equal(t, "ok", c.get(t, "sqlcount", 200), "policy %s", c.policy)
	}
}

func checkSleep(t *testing.T, c *realCell) {
	before := c.who(t)
	c.get(t, "sleep", 200)
	c.rec.await(t, "stopped", before.Generation)
	assert.Greater(t, c.who(t).Generation, before.Generation)
}

// setAlarm has the subject set its alarm, and returns when it is due at the
// earliest.
func (c *realCell) setAlarm(t *testing.T, delay time.Duration) time.Time {
	t.Helper()
	due := time.Now().Add(delay)
	c.get(t, fmt.Sprintf("alarm?ms=%d", delay.Milliseconds()), 200)
	return due
}

// checkAlarm has the engine wake an actor that sleeps when its alarm is due, or
// when it falls asleep with one overdue. A running actor is told nothing.
func checkAlarm(t *testing.T, c *realCell) {
	gen := c.who(t).Generation
	due := c.setAlarm(t, 2*time.Second)
	c.get(t, "sleep", 200)
	c.rec.await(t, "stopped", gen)
	c.rec.await(t, "start", gen+1)
	t.Logf("asleep: started %v after the alarm was due", time.Since(due).Round(time.Millisecond))
	assert.Greater(t, time.Since(due), -100*time.Millisecond, "2.3.19 is up to 30 ms early")
	c.rec.await(t, "running", gen+1)

	due = c.setAlarm(t, 500*time.Millisecond)
	<-time.After(time.Until(due.Add(time.Second))) // nothing may happen meanwhile
	assert.Equal(t, gen+1, c.who(t).Generation, "a running actor goes on")
	c.get(t, "sleep", 200)
	c.rec.await(t, "running", gen+2)
}

// checkAlarmWhileDown has the alarm of a sleeping actor fall due while the
// engine is down: it wakes the actor when it is back. Not so soon after a
// SIGKILL, when the leases of the killed engine must run out first: 30.0 to
// 30.2 s (2.3.19, 2.3.5).
func checkAlarmWhileDown(t *testing.T, c *realCell) {
	gen := c.who(t).Generation
	due := c.setAlarm(t, 7*time.Second)
	c.get(t, "sleep", 200)
	c.rec.await(t, "stopped", gen)
	c.e.stop(t, syscall.SIGTERM)
	assert.True(t, time.Now().Before(due), "the engine leaves before the alarm is due")
	<-time.After(time.Until(due))
	c.e.start(t)
	origin := time.Now()
	c.rec.await(t, "running", gen+1)
	t.Logf("running %v after healthy", time.Since(origin).Round(time.Millisecond))
}

// TestRealEngineClients holds the engine against the behaviours in which
// releases of Rivet's client differ.
func TestRealEngineClients(t *testing.T) {
	bin := os.Getenv("KILLPOINT_ENGINE_BIN")
	if bin == "" {
		t.Skip("KILLPOINT_ENGINE_BIN is not set: no real engine to test against")
	}
	e := startEngine(t, bin)
	cells := map[LostPolicy]*realCell{}
	for _, p := range []LostPolicy{LostStop, LostDrop, LostKeep} {
		cells[p] = e.newCellOf(t, string(p), Config{Protocol: wire.V6, Reconnect: FastPolicy(0), Lost: p})
	}
	hasty := e.newCellOf(t, "hasty", Config{Protocol: wire.V6, Reconnect: FastPolicy(0), AckEvery: AckAtOnce})
	t.Run("ack", func(t *testing.T) { checkAck(t, hasty, cells[LostKeep]) })
	t.Run("lost", func(t *testing.T) { checkLost(t, e, cells) })
}

// checkAck restarts the engine: the stop that was not acknowledged is sent
// again.
func checkAck(t *testing.T, hasty, lazy *realCell) {
	for _, c := range []*realCell{hasty, lazy} {
		gen := c.who(t).Generation
		c.get(t, "sleep", 200)
		c.rec.await(t, "stopped", gen)
		c.who(t)
	}
	hasty.e.stop(t, syscall.SIGKILL)
	hasty.e.start(t)
	awaitEvent(t, lazy.rec, "the stop again", wasReplayed)
	hasty.eventually(t, hasty.actor, 60*time.Second) // by now it would have come
	assert.False(t, slices.ContainsFunc(hasty.rec.actors(), wasReplayed), "history:\n%s", hasty.rec)
}

func wasReplayed(a history.Actor) bool {
	return a.What == "replayed" && strings.HasPrefix(a.Reason, "stop ")
}

// checkLost keeps the engine away for longer than its lost threshold. An actor
// that was kept answers at once. One that was stopped answers in a new
// generation, when the leases of the killed engine have run out. Of one that was
// dropped the engine does not know that it is gone, and goes on asking for it.
func checkLost(t *testing.T, e *realEngine, cells map[LostPolicy]*realCell) {
	before := map[LostPolicy]uint32{}
	for p, c := range cells {
		before[p] = c.who(t).Generation
	}
	e.stop(t, syscall.SIGKILL)
	for _, p := range []LostPolicy{LostStop, LostDrop} {
		cells[p].rec.await(t, "lost", before[p])
		cells[p].rec.await(t, "stopped", before[p])
	}
	e.start(t)
	origin := time.Now()
	dropped := cells[LostDrop]
	ctx, enough := context.WithCancel(t.Context())
	answered := make(chan bool, 1)
	go func() { answered <- dropped.answers(ctx) }()
	var wg sync.WaitGroup
	for _, p := range []LostPolicy{LostKeep, LostStop} {
		wg.Go(func() {
			who := cells[p].eventually(t, cells[p].actor, 60*time.Second)
			t.Logf("%s: generation %d before, %d after, answered %v after healthy", p, before[p], who.Generation, time.Since(origin).Round(time.Millisecond))
			assert.Equal(t, p == LostKeep, who.Generation == before[p], "%s: generation %d", p, who.Generation)
		})
	}
	wg.Wait()
	enough()
	assert.False(t, <-answered, "nobody told the engine that the dropped actor is gone")
	assert.Contains(t, dropped.rec.String(), "What:not-here")
}

// answers asks until ctx ends, and says whether the actor ever answered.
func (c *realCell) answers(ctx context.Context) bool {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url("request", "who"), nil)
		if err != nil {
			return false
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		res.Body.Close() //nolint:errcheck // only the status counts
		if res.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}

func checkDestroy(t *testing.T, c *realCell) {
	gen := c.who(t).Generation
	c.e.api(t, http.MethodDelete, "/actors/"+c.actor+"?namespace=ns", nil)
	c.rec.await(t, "stopped", gen)
	assert.Contains(t, c.get(t, "who", 404), "not_found")
}

func checkDrain(t *testing.T, c *realCell) {
	gen := c.who(t).Generation
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	begun := time.Now()
	require.NoError(t, c.rt.Drain(ctx))
	t.Logf("drained in %v", time.Since(begun).Round(time.Millisecond))
	c.rec.await(t, "stopped", gen)
}

// checkSocket talks over a WebSocket through the gateway.
func (c *realCell) checkSocket(t *testing.T) {
	d := websocket.Dialer{Subprotocols: []string{"rivet"}}
	ws, _, err := d.Dial(strings.Replace(c.url("websocket", "ws?x=1"), "http", "ws", 1), nil)
	require.NoError(t, err)
	defer ws.Close() //nolint:errcheck // the test is over
	for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		require.NoError(t, ws.WriteMessage(kind, []byte("hello")))
		require.NoError(t, ws.SetReadDeadline(time.Now().Add(10*time.Second)))
		gotKind, got, err := ws.ReadMessage()
		require.NoError(t, err)
		assert.Equal(t, kind, gotKind)
		assert.Equal(t, "hello", string(got))
	}
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("close")))
	_, _, err = ws.ReadMessage()
	var closed *websocket.CloseError
	require.ErrorAs(t, err, &closed)
	assert.Equal(t, 4000, closed.Code)
}

// checkStream reads a streamed response while it is made, then a large one.
func (c *realCell) checkStream(t *testing.T) {
	res := c.do(t, http.MethodGet, "stream", nil)
	r := bufio.NewReader(res.Body)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "one\n", line)
	c.get(t, "release", 200)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "two\n", string(rest))
	assert.NoError(t, res.Body.Close())

	// The client does not read until the actor can write no more.
	res = c.do(t, http.MethodGet, "large", nil)
	c.rec.await(t, "stalled", c.who(t).Generation)
	n, err := io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	assert.EqualValues(t, largeSize, n)
	assert.NoError(t, res.Body.Close())
}

const largeSize = 32 << 20

// realEngine is a native engine process.
type realEngine struct {
	bin, dir, config string
	guard, peer, met int
	cmd              *exec.Cmd
	exited           chan struct{}
	version          string
	tap              *tap.Tap // between it and a runtime, or nil
	runtime          string   // the address of a runtime behind a tap
}

func startEngine(t *testing.T, bin string) *realEngine { return startEngineBehind(t, bin, nil) }

// startEngineBehind has a tap on all of the engine's wires, where out takes its
// events.
func startEngineBehind(t *testing.T, bin string, out io.Writer) *realEngine {
	t.Helper()
	e := &realEngine{bin: bin, dir: t.TempDir(), guard: freePort(t), peer: freePort(t), met: freePort(t)}
	public := e.url("")
	if out != nil {
		e.tapAllWires(t, out)
		public = "http://" + e.tap.Addresses().Envoy
	}
	e.config = filepath.Join(e.dir, "config.json")
	cfg := map[string]any{
		"topology": map[string]any{"datacenter_label": 1, "datacenters": map[string]any{"default": map[string]any{
			"datacenter_label": 1, "is_leader": true,
			"public_url": public, "peer_url": fmt.Sprintf("http://127.0.0.1:%d", e.peer),
		}}},
		// Load shedding off: this machine may be busy.
		"runtime": map[string]any{"worker_load_shedding_curve": [][]int{{100000, 1000}, {100001, 50}}},
	}
	e.version = versionOf(t, bin)
	if e.speaksV8() { // older ones refuse the unknown field
		cfg["features"] = map[string]any{"guard_gateway_v3": map[string]any{"mode": "on", "percentage": 100}}
	}
	b, err := json.Marshal(cfg)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(e.config, b, 0o600))
	t.Cleanup(func() {
		e.stop(t, syscall.SIGKILL)
		if log, err := os.ReadFile(filepath.Join(e.dir, "log")); err == nil && t.Failed() {
			t.Logf("the end of the engine's log:\n%s", log[max(0, len(log)-6000):])
		}
	})
	e.start(t)
	e.api(t, http.MethodPost, "/namespaces", map[string]any{"name": "ns", "display_name": "ns"})
	return e
}

func (e *realEngine) url(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", e.guard, path)
}

// speaksV8 says so of releases from 2.3.17 on.
func (e *realEngine) speaksV8() bool {
	var major, minor, patch int
	if _, err := fmt.Sscanf(e.version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return false
	}
	return slices.Compare([]int{major, minor, patch}, []int{2, 3, 17}) >= 0
}

// versionOf asks the binary, which answers "Rivet 2.3.19" and more.
func versionOf(t *testing.T, bin string) string {
	t.Helper()
	out, err := exec.Command(bin, "--version").Output()
	require.NoError(t, err)
	words := strings.Fields(string(out))
	require.Greater(t, len(words), 1, "%s", out)
	return words[1]
}

func (e *realEngine) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	e.cmd = exec.Command(e.bin, "start", "--config", e.config)
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.Env = []string{
		"HOME=" + e.dir, "PATH=" + os.Getenv("PATH"), "RUST_LOG=info",
		"RIVET__TELEMETRY__ENABLED=false",
		"RIVET__FILE_SYSTEM__PATH=" + filepath.Join(e.dir, "data"),
		"RIVET__GUARD__HOST=127.0.0.1", fmt.Sprintf("RIVET__GUARD__PORT=%d", e.guard),
		"RIVET__API_PEER__HOST=127.0.0.1", fmt.Sprintf("RIVET__API_PEER__PORT=%d", e.peer),
		"RIVET__METRICS__HOST=127.0.0.1", fmt.Sprintf("RIVET__METRICS__PORT=%d", e.met),
	}
	require.NoError(t, e.cmd.Start())
	e.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		cmd.Wait()  //nolint:errcheck // it is killed
		log.Close() //nolint:errcheck // only read by people
		close(exited)
	}(e.cmd, e.exited)
	e.awaitHealthy(t)
}

// awaitHealthy polls: the engine has no event for it.
func (e *realEngine) awaitHealthy(t *testing.T) {
	t.Helper()
	poll(t, 30*time.Second, 20*time.Millisecond, func() (bool, string) {
		select {
		case <-e.exited:
			require.Fail(t, "the engine exited at start")
		default:
		}
		res, err := http.Get(e.url("/health"))
		if err != nil {
			return false, err.Error()
		}
		defer res.Body.Close() //nolint:errcheck // read whole
		var h struct{ Status string }
		if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
			return false, err.Error()
		}
		return h.Status == "ok", h.Status
	})
}

func (e *realEngine) stop(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		require.NoError(t, err)
	}
	select {
	case <-e.exited:
	case <-time.After(20 * time.Second):
		e.cmd.Process.Kill() //nolint:errcheck // it may just have ended
		<-e.exited
		t.Logf("the engine had to be killed 20 s after %v", sig)
	}
}

func (e *realEngine) api(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	status, text := e.tryAPI(t, method, path, body)
	require.Less(t, status, 300, "%s %s: %s", method, path, text)
	var out map[string]any
	require.NoError(t, json.Unmarshal(text, &out), "%s %s: %s", method, path, text)
	return out
}

func (e *realEngine) tryAPI(t *testing.T, method, path string, body any) (int, []byte) {
	t.Helper()
	b, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequest(method, e.url(path), bytes.NewReader(b))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer dev")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // read whole
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, text
}

// realCell is one runtime with one actor.
type realCell struct {
	e             *realEngine
	rt            *Runtime
	rec           *recording
	version       wire.Version
	policy, actor string
}

func (e *realEngine) newCell(t *testing.T, v wire.Version, policy string) *realCell {
	t.Helper()
	p, err := ParsePolicy(policy)
	require.NoError(t, err)
	return e.newCellOf(t, policy, Config{Protocol: v, Reconnect: p})
}

// newCellOf makes a runtime and an actor, in a pool of that name.
func (e *realEngine) newCellOf(t *testing.T, name string, cfg Config) *realCell {
	t.Helper()
	c := &realCell{e: e, rec: newRecording(), version: cfg.Protocol, policy: name}
	cfg.Recorder, cfg.ActorName = c.rec, []string{"subject"}
	cfg.New = func(h *Handle) Actor { return &subject{h: h, release: make(chan struct{}, 1)} }
	var err error
	c.rt, err = New(cfg)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(c.rt.Handler())
	require.NoError(t, srv.Listener.Close())
	at, url := fmt.Sprintf("127.0.0.1:%d", freePort(t)), ""
	if e.tap != nil {
		at, url = e.runtime, "http://"+e.tap.Addresses().Serverless
	}
	srv.Listener, err = net.Listen("tcp", at)
	require.NoError(t, err)
	srv.Start()
	t.Cleanup(func() {
		assert.NoError(t, c.rt.Close())
		srv.Close()
		if t.Failed() {
			t.Logf("history of the runtime %s:\n%s", name, c.rec)
		}
	})
	if url == "" {
		url = srv.URL
	}
	e.configurePool(t, name, url)
	c.actor = e.createActor(t, name, name)
	return c
}

func (e *realEngine) createActor(t *testing.T, pool, key string) string {
	t.Helper()
	res := e.api(t, http.MethodPut, "/actors?namespace=ns", map[string]any{
		"name": "subject", "key": key, "runner_name_selector": pool, "crash_policy": "sleep",
		"datacenter": "default", "input": nil,
	})
	return res["actor"].(map[string]any)["actor_id"].(string)
}

func (e *realEngine) configurePool(t *testing.T, pool, url string) {
	t.Helper()
	config := map[string]any{"datacenters": map[string]any{"default": map[string]any{
		"serverless": map[string]any{
			"url": url + BasePath, "headers": map[string]string{}, "request_lifespan": 3600,
			"drain_grace_period": 5, "metadata_poll_interval": 1000, "max_runners": 16,
			"min_runners": 0, "runners_margin": 0, "slots_per_runner": 1,
		},
		"metadata": map[string]any{}, "drain_on_version_upgrade": true,
	}}}
	// 2.3.5 says that it is healthy before it can store this: 500 meanwhile.
	poll(t, 30*time.Second, 20*time.Millisecond, func() (bool, string) {
		status, text := e.tryAPI(t, http.MethodPut, "/runner-configs/"+pool+"?namespace=ns", config)
		return status < 300, fmt.Sprintf("%d %s", status, text)
	})
	// No event tells that the engine has read the pool's metadata.
	poll(t, 30*time.Second, 100*time.Millisecond, func() (bool, string) {
		b, err := json.Marshal(e.api(t, http.MethodGet, "/runner-configs?namespace=ns&runner_name="+pool, nil))
		return err == nil && bytes.Contains(b, []byte(`"protocol_version":`)) && !bytes.Contains(b, []byte(`"protocol_version":null`)), string(b)
	})
}

func (c *realCell) url(kind, path string) string {
	return c.e.gateway("/gateway/" + c.actor + "/" + kind + "/" + path)
}

// gateway is where clients ask.
func (e *realEngine) gateway(path string) string {
	if e.tap == nil {
		return e.url(path)
	}
	return "http://" + e.tap.Addresses().Gateway + path
}

func (c *realCell) do(t *testing.T, method, path string, body io.Reader) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, c.url("request", path), body)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	return res
}

func (c *realCell) get(t *testing.T, path string, status int) string {
	t.Helper()
	res := c.do(t, http.MethodGet, path, nil)
	defer res.Body.Close() //nolint:errcheck // read whole
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, status, res.StatusCode, "%s: %s", path, b)
	return string(b)
}

type whoAnswer struct {
	Key        string
	Generation uint32
}

func (c *realCell) who(t *testing.T) (w whoAnswer) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(c.get(t, "who", 200)), &w))
	return w
}

// eventually asks until the actor answers.
func (c *realCell) eventually(t *testing.T, actor string, bound time.Duration) (w whoAnswer) {
	client := &http.Client{Timeout: 35 * time.Second}
	poll(t, bound, 50*time.Millisecond, func() (bool, string) {
		res, err := client.Get(c.e.gateway("/gateway/" + actor + "/request/who"))
		if err != nil {
			return false, err.Error()
		}
		defer res.Body.Close() //nolint:errcheck // read whole
		b, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode == 200 {
			err = json.Unmarshal(b, &w)
		}
		return err == nil && res.StatusCode == 200, fmt.Sprintf("%d %s %v", res.StatusCode, b, err)
	})
	return w
}

// poll asks again and again; it is for what no event tells.
func poll(t *testing.T, bound, every time.Duration, ask func() (bool, string)) string {
	t.Helper()
	deadline := time.After(bound)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		ok, saw := ask()
		if ok {
			return saw
		}
		select {
		case <-ticker.C:
		case <-deadline:
			assert.Fail(t, "waited in vain", "after %v the last answer was %s", bound, saw)
			return saw
		}
	}
}

// freePort finds one below the ephemeral range.
func freePort(t *testing.T) int {
	t.Helper()
	for range 200 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return 0
}

// subject is the actor under test.
type subject struct {
	h       *Handle
	release chan struct{}
}

func (s *subject) Start(ctx context.Context) error {
	_, err := s.h.DB().Exec(ctx, "CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT, f REAL, b BLOB); CREATE TABLE IF NOT EXISTS starts (g INTEGER)")
	if err != nil {
		return err
	}
	_, err = s.h.DB().Query(ctx, "INSERT INTO starts VALUES (?)", s.h.Generation)
	return err
}

func (s *subject) Stop(context.Context, wire.StopReason) error { return nil }

func (s *subject) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch path {
	case "who":
		json.NewEncoder(w).Encode(whoAnswer{s.h.Key, s.h.Generation}) //nolint:errcheck // the client checks
	case "echo":
		// The gateway cuts the request's body off once a response has begun.
		body, _ := io.ReadAll(r.Body)
		w.Write(body) //nolint:errcheck // the client checks
	case "panic":
		panic("asked to")
	case "stream":
		fmt.Fprintln(w, "one") //nolint:errcheck // the client checks
		w.(http.Flusher).Flush()
		<-s.release
		fmt.Fprintln(w, "two") //nolint:errcheck // the client checks
	case "release":
		s.release <- struct{}{}
	case "large":
		piece := make([]byte, 100_000)
		stalled := time.AfterFunc(time.Second, func() {
			s.h.Record(history.KindActor, history.Actor{Actor: s.h.ID, Generation: s.h.Generation, What: "stalled"})
		})
		defer stalled.Stop()
		for left := largeSize; left > 0; {
			n, err := w.Write(piece[:min(left, len(piece))])
			if left -= n; err != nil {
				return
			}
		}
	case "sleep":
		reply(w, s.h.Sleep())
	case "alarm":
		ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
		reply(w, errors.Join(err, s.h.SetAlarm(time.Now().Add(time.Duration(ms)*time.Millisecond))))
	default:
		s.storage(w, r, path)
	}
}

func (s *subject) storage(w http.ResponseWriter, r *http.Request, path string) {
	switch path {
	case "kv":
		reply(w, s.tryKV(r.Context()))
	case "sql":
		reply(w, s.trySQL(r.Context()))
	case "sqlcount":
		reply(w, s.countStarts(r.Context()))
	case "sqlerror":
		_, err := s.h.DB().Query(r.Context(), "SELEKT")
		var refused *SQLError
		if errors.As(err, &refused) {
			io.WriteString(w, "bad syntax is refused") //nolint:errcheck // the client checks
			return
		}
		reply(w, fmt.Errorf("not refused: %w", err))
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	io.WriteString(w, "ok") //nolint:errcheck // the client checks
}

func (s *subject) tryKV(ctx context.Context) error {
	kv := s.h.KV()
	put := kv.Put(ctx, KVPair{Key: []byte("a"), Value: []byte("1")}, KVPair{Key: []byte("b"), Value: []byte("2")}, KVPair{Key: []byte("c"), Value: []byte{}})
	got, err := kv.Get(ctx, []byte("b"), []byte("none"), []byte("a"))
	if err = errors.Join(put, err); err != nil {
		return err
	}
	if string(got[0]) != "2" || got[1] != nil || string(got[2]) != "1" {
		return fmt.Errorf("get gave %q", got)
	}
	list, err := kv.List(ctx, ListOptions{Reverse: true, Limit: 2})
	if err != nil || len(list) != 2 || string(list[0].Key) != "c" {
		return fmt.Errorf("list gave %v, %w", list, err)
	}
	if err := errors.Join(kv.Delete(ctx, []byte("a")), kv.DeleteRange(ctx, []byte("b"), []byte("c"))); err != nil {
		return err
	}
	list, err = kv.List(ctx, ListOptions{})
	if err != nil || len(list) != 1 || list[0].Value == nil {
		return fmt.Errorf("list after delete gave %v, %w", list, err)
	}
	return kv.Drop(ctx)
}

func (s *subject) trySQL(ctx context.Context) error {
	if err := errors.Join(s.transact(ctx, 1, true), s.transact(ctx, 2, false)); err != nil {
		return err
	}
	res, err := s.h.DB().Query(ctx, "SELECT k, v, f, b FROM t ORDER BY k")
	if err != nil {
		return err
	}
	if len(res.Rows) != 1 || res.Rows[0][0] != int64(1) || res.Rows[0][1] != "text" || res.Rows[0][2] != 1.5 {
		return fmt.Errorf("select gave %v", res.Rows)
	}
	batch, err := s.h.DB().Batch(ctx,
		Statement{SQL: "INSERT INTO t (k) VALUES (?)", Params: []any{7}},
		Statement{SQL: "DELETE FROM t"})
	if err != nil || batch[1].Changes != 2 {
		return fmt.Errorf("batch gave %v, %w", batch, err)
	}
	return nil
}

func (s *subject) transact(ctx context.Context, k int, commit bool) error {
	tx, err := s.h.DB().Begin(ctx)
	if err != nil {
		return err
	}
	_, err = tx.Query(ctx, "INSERT INTO t VALUES (?, ?, ?, ?)", k, "text", 1.5, []byte{0, 1})
	if err == nil && commit {
		err = tx.Commit(ctx)
	}
	return errors.Join(err, tx.Rollback(ctx))
}

// countStarts checks that each generation's start is stored once.
func (s *subject) countStarts(ctx context.Context) error {
	res, err := s.h.DB().Query(ctx, "SELECT g, COUNT(*) FROM starts GROUP BY g HAVING COUNT(*) > 1")
	if err != nil {
		return err
	}
	if len(res.Rows) > 0 {
		return fmt.Errorf("generations that started twice: %v", res.Rows)
	}
	return nil
}

func (s *subject) ServeWebSocket(ws *WebSocket) {
	for {
		data, binary, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		if string(data) == "close" {
			ws.Close(4000, "asked to") //nolint:errcheck // the client checks
			return
		}
		ws.Write(context.Background(), data, binary) //nolint:errcheck // the client checks
	}
}
