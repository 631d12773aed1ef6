package spec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/spec"
	"github.com/killpoint/killpoint/workload"
)

func full() spec.Trial {
	return spec.Trial{
		Name: "point-0007", Engine: "2.3.19", Seed: 1<<63 + 1,
		Runtime: spec.Runtime{Reconnect: "fast", Protocol: 8, Heartbeat: "kv", Bug: "ack-before-commit", Env: map[string]string{"A": "b"}},
		Ops:     []workload.Op{workload.OpCreate, workload.OpTick, "stream:5", "wait:250ms", "tick@other"},
		Strikes: []spec.Strike{
			{At: moment.Frame("exec-request/commit", 1, moment.BeforeDelivery).On("envoy", "to-engine").Of("golden"), Target: spec.OnEngine, Fault: "kill", Held: spec.Drop},
			{At: moment.After(moment.EngineHealthy, 250*time.Millisecond), Target: spec.OnRuntime, Fault: "pause:300ms"},
		},
		Patience: 2 * time.Second, Bound: time.Minute,
	}
}

func TestTrialIsStoredAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trial")
	require.NoError(t, full().Write(dir))
	back, err := spec.Read(dir)
	require.NoError(t, err)
	assert.Equal(t, full(), back)
	b, err := os.ReadFile(filepath.Join(dir, spec.FileName))
	require.NoError(t, err)
	assert.Contains(t, string(b), `"seed": "9223372036854775809"`, "not every reader of JSON keeps 64 bits")
	assert.Contains(t, string(b), `"bound": "1m0s"`)
	assert.Contains(t, string(b), `"fault": "pause:300ms"`)
}

func TestReadSaysWhatIsMissing(t *testing.T) {
	_, err := spec.Read(t.TempDir())
	require.ErrorContains(t, err, "holds no trial.json: want the folder of one trial")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Each mistake has one clear line.
func TestParseRefuses(t *testing.T) {
	b, err := full().Encode()
	require.NoError(t, err)
	for _, c := range []struct{ old, new, want string }{
		{`"strikes"`, `"strkes"`, `field "strkes" is unknown: did you mean "strikes"? There are bound, engine, format, name, ops, patience, runtime, seed, strikes, version`},
		{`"reconnect"`, `"recconect"`, `field of runtime "recconect" is unknown: did you mean "reconnect"?`},
		{`"target": "runtime"`, `"targt": "runtime"`, `field of strikes[1] "targt" is unknown: did you mean "target"?`},
		{`"killpoint-trial"`, `"other"`, `format "other": want "killpoint-trial"`},
		{`"version": 1`, `"version": 2`, `version 2: this killpoint reads version 1`},
		{`"tick@other"`, `"tikc"`, `ops[4]: operation "tikc" is unknown: did you mean "tick"?`},
		{`"fault": "kill"`, `"fault": "kil"`, `strikes[0]: fault "kil" is unknown: did you mean "kill"?`},
		{`"target": "engine"`, `"target": "engin"`, `strikes[0]: target "engin" is unknown: did you mean "engine"?`},
		{`"held": "drop"`, `"held": "dropp"`, `strikes[0]: what becomes of a held frame "dropp" is unknown: did you mean "drop"?`},
		{`"bound": "1m0s"`, `"bound": "soon"`, `"soon" is no time: want one as in 250ms`},
		{`"ops": [`, `"ops": [,`, `line 16: invalid character ','`},
		{`"heartbeat": "kv"`, `"heartbeat": "k"`, `runtime: heartbeat "k" is unknown: did you mean "kv"?`},
		{`@before`, `@befor`, `want @before or @after`},
		{"\n}\n", "\n}\n{}", "something follows the trial's closing brace"},
		{"\n}\n", "\n", "it ends in the middle"},
	} {
		text := strings.Replace(string(b), c.old, c.new, 1)
		require.NotEqual(t, string(b), text, c.old)
		_, err := spec.Parse([]byte(text))
		require.ErrorContains(t, err, c.want)
		assert.NotContains(t, err.Error(), "\n", "one line")
	}
}

func TestValidate(t *testing.T) {
	require.NoError(t, full().Validate())
	require.EqualError(t, spec.Trial{}.Validate(), "no operations: there is nothing to do")
	bad := full()
	bad.Strikes[1].Held = spec.Drop
	require.EqualError(t, bad.Validate(), `strikes[1]: held "drop": only a frame can be dropped, not event:engine-healthy+250ms`)
	bad = full()
	bad.Bound, bad.Runtime.Protocol = -1, 7
	require.EqualError(t, bad.Validate(), "patience 2s, bound -1ns: want neither below zero\nruntime.protocol 7: want 6 or 8, which the fixture speaks")
}

func TestWithDefaults(t *testing.T) {
	d := spec.Trial{}.WithDefaults()
	assert.Equal(t, spec.Runtime{Reconnect: "fast", Protocol: 8, Heartbeat: "none"}, d.Runtime)
	assert.Equal(t, 5*time.Second, d.Patience)
	assert.Equal(t, 75*time.Second, d.Bound)
	assert.Equal(t, full(), full().WithDefaults())
}

func TestFaults(t *testing.T) {
	for text, want := range map[spec.Fault]time.Duration{"kill": 0, "stop": 8 * time.Second, "stop:1s": time.Second, "pause": 500 * time.Millisecond, "pause:20ms": 20 * time.Millisecond} {
		kind, d, err := text.Parse()
		require.NoError(t, err, text)
		assert.Equal(t, want, d, text)
		assert.True(t, strings.HasPrefix(string(text), string(kind)))
	}
	for text, want := range map[spec.Fault]string{
		"":          `fault "" is unknown: want one of kill, stop, pause`,
		"kill:1s":   `fault "kill:1s": a kill takes no time`,
		"stop:":     `fault "stop:": want a time up to 10m0s after the colon, as in stop:500ms`,
		"pause:-1s": `fault "pause:-1s": want a time up to 10m0s after the colon, as in pause:500ms`,
		"stop:11m":  `fault "stop:11m": want a time up to 10m0s after the colon, as in stop:500ms`,
	} {
		_, _, err := text.Parse()
		require.EqualError(t, err, want)
	}
}
