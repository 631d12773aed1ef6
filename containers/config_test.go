package containers

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func rendered(t *testing.T, c EngineConfig, version string) map[string]any {
	t.Helper()
	b, err := engineJSON(c, version, false)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(b, &out))
	return out
}

func TestEngineJSON(t *testing.T) {
	got := rendered(t, EngineConfig{LoadShedding: LoadSheddingOff, GatewayV3: true}, "2.3.19")
	dc := got["topology"].(map[string]any)["datacenters"].(map[string]any)["default"].(map[string]any)
	assert.Equal(t, "http://engine:6420", dc["public_url"])
	assert.Equal(t, map[string]any{"enabled": false}, got["telemetry"])
	assert.Equal(t, []any{[]any{100000., 1000.}, []any{100001., 50.}}, got["runtime"].(map[string]any)["worker_load_shedding_curve"])
	assert.Contains(t, got["features"], "guard_gateway_v3")
	assert.Equal(t, map[string]any{"allow_hosts": []any{"runtime"}}, got["outbound"])

	got = rendered(t, EngineConfig{LoadShedding: LoadSheddingEngine}, "2.3.5")
	assert.NotContains(t, got, "runtime")
	assert.NotContains(t, got, "features")
	assert.NotContains(t, got, "outbound", "2.3.5 refuses it")
}

func TestEngineJSONMergesExtraBySection(t *testing.T) {
	extra := map[string]any{
		"runtime":  map[string]any{"guard_shutdown_duration": 3},
		"pegboard": map[string]any{"actor_stop_threshold": 40000},
		"metrics":  nil,
	}
	got := rendered(t, EngineConfig{LoadShedding: LoadSheddingOff, Extra: extra}, "")
	assert.Equal(t, 3., got["runtime"].(map[string]any)["guard_shutdown_duration"])
	assert.Contains(t, got["runtime"], "worker_load_shedding_curve")
	assert.Equal(t, map[string]any{"actor_stop_threshold": 40000.}, got["pegboard"])
	assert.Nil(t, got["metrics"])
	assert.Len(t, extra["runtime"], 1, "the caller's map is not changed")

	_, err := engineJSON(EngineConfig{Extra: map[string]any{"x": func() {}}}, "", false)
	require.Error(t, err)
}

func TestTelemetryStaysOff(t *testing.T) {
	assert.Equal(t, "false", engineEnv(EngineConfig{})["RIVET__TELEMETRY__ENABLED"])
}

func TestGuarded(t *testing.T) {
	for version, want := range map[string]bool{
		"2.3.5": false, "2.3.11": false, "2.3.17": true, "2.3.19": true, "2.4.0-rc.1": true, "3.0.0": true, "": true, "latest": true,
	} {
		assert.Equal(t, want, guarded(EngineConfig{}, version), version)
	}
	no := false
	assert.False(t, guarded(EngineConfig{Guarded: &no}, "2.3.19"))
}

func TestDefaults(t *testing.T) {
	c, err := CellConfig{Runtime: RuntimeConfig{Image: "i"}, Recorder: &memory{}}.withDefaults()
	require.NoError(t, err)
	assert.Equal(t, "2.3.19", c.Engine)
	assert.Equal(t, LoadSheddingOff, c.EngineConfig.LoadShedding)
	assert.Equal(t, 5*time.Second, c.Pool.DrainGrace)
	assert.Equal(t, 64, c.Pool.MaxActors)
	assert.Equal(t, 8080, c.Runtime.Port)

	c, err = CellConfig{Runtime: RuntimeConfig{Image: "i"}, Recorder: &memory{}, Pool: PoolConfig{DrainGrace: None}}.withDefaults()
	require.NoError(t, err)
	assert.Zero(t, c.Pool.DrainGrace)
}

func TestConfigurationThatIsRefused(t *testing.T) {
	for want, change := range map[string]func(*CellConfig){
		"a b":        func(c *CellConfig) { c.Name = "a b" },
		"Image":      func(c *CellConfig) { c.Runtime.Image = "" },
		"MaxActors":  func(c *CellConfig) { c.Pool.MaxActors = -1 },
		"70000":      func(c *CellConfig) { c.Runtime.ControlPort = 70000 },
		"StopSignal": func(c *CellConfig) { c.Runtime.StopSignal = "SIGWHAT" },
	} {
		c := CellConfig{Runtime: RuntimeConfig{Image: "i"}, Recorder: &memory{}}
		change(&c)
		_, err := c.withDefaults()
		assert.ErrorContains(t, err, want)
	}
}

func TestReach(t *testing.T) {
	for daemon, want := range map[string]struct {
		local bool
		host  string
	}{
		"unix:///var/run/docker.sock": {true, "127.0.0.1"},
		"tcp://127.0.0.1:2375":        {false, "127.0.0.1"},
		"tcp://10.1.2.3:2376":         {false, "10.1.2.3"},
	} {
		local, host := reach(daemon)
		assert.Equal(t, want.local, local, daemon)
		assert.Equal(t, want.host, host, daemon)
	}
}
