package envoy

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/tap"
)

// tapAllWires puts a tap between the engine, the only runtime, and clients.
func (e *realEngine) tapAllWires(t *testing.T, out io.Writer) {
	t.Helper()
	e.runtime = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	var err error
	e.tap, err = tap.Start(tap.Config{
		Envoy: "127.0.0.1:0", Serverless: "127.0.0.1:0", Gateway: "127.0.0.1:0", Control: "127.0.0.1:0",
		Engine: fmt.Sprintf("127.0.0.1:%d", e.guard), Runtime: e.runtime, Token: "unused", Out: out,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.tap.Close()) })
}

// TestRealEngineBehindATap holds a tap against a real engine: everything works
// as it does without it, and no frame is one that the tap cannot read.
func TestRealEngineBehindATap(t *testing.T) {
	bin := os.Getenv("KILLPOINT_ENGINE_BIN")
	if bin == "" {
		t.Skip("KILLPOINT_ENGINE_BIN is not set: no real engine to test against")
	}
	for _, v := range []wire.Version{wire.V6, wire.V8} {
		t.Run(v.String(), func(t *testing.T) {
			var out bytes.Buffer
			e := startEngineBehind(t, bin, &out)
			if v == wire.V8 && !e.speaksV8() {
				t.Skipf("engine %s does not speak protocol 8", e.version)
			}
			c := e.newCell(t, v, "fast")
			t.Run("actor", func(t *testing.T) { checkActor(t, c) })
			t.Run("sleep", func(t *testing.T) { checkSleep(t, c) })
			t.Run("restart", func(t *testing.T) {
				generation := c.who(t).Generation
				e.stop(t, syscall.SIGKILL)
				e.start(t)
				assert.Equal(t, generation, c.eventually(t, c.actor, 30*time.Second).Generation)
			})
			require.NoError(t, e.tap.Close())
			checkFrames(t, &out)
		})
	}
}

// checkFrames reads what the tap says that it saw.
func checkFrames(t *testing.T, out *bytes.Buffer) {
	t.Helper()
	seen := map[string]int{}
	for line := range bytes.Lines(out.Bytes()) {
		ev, ok := history.ParseEvent(line)
		require.True(t, ok, "%s", line)
		f, ok := ev.Body.(*history.Frame)
		if !ok {
			continue
		}
		assert.NotEqual(t, tap.Undecoded, f.Type, "%+v", f)
		if f.What == "delivered" {
			seen[f.Wire+" "+f.Type+"/"+f.Detail]++
		}
	}
	for _, want := range []string{
		"serverless metadata-call/", "serverless start-call/", "serverless stream-ping/", "serverless stream-stopping/", "serverless stream-end/",
		"envoy connect-call/", "envoy connect-answer/101", "envoy init/", "envoy events/running", "envoy events/intent-sleep",
		"envoy commands/stop-sleep-intent", "envoy events/stopped", "envoy kv-request/put", "envoy kv-response/put",
		"envoy execute-request/insert", "envoy execute-response/insert", "envoy request-start/GET /request/who", "envoy response-start/200",
		"gateway client-request/GET /request/who", "gateway client-answer/200", "gateway client-websocket-close/4000",
	} {
		assert.Contains(t, seen, want)
	}
	if t.Failed() {
		t.Logf("seen: %v", seen)
	}
}
