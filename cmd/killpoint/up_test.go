package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/standing"
)

// A cell that cannot be started is told of as by any other command, although
// another process tried, and leaves nothing.
func TestUpWithoutDocker(t *testing.T) {
	state := t.TempDir()
	run := func(args ...string) (int, string) {
		cmd := process(t, args...)
		cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+state, "DOCKER_HOST=tcp://127.0.0.1:1")
		out, _ := cmd.CombinedOutput() // the code says more
		return cmd.ProcessState.ExitCode(), string(out)
	}
	code, said := run("up")
	assert.Equal(t, exitEnvironment, code)
	assert.Contains(t, said, "no Docker daemon answers at tcp://127.0.0.1:1")
	files, err := filepath.Glob(filepath.Join(state, "killpoint", "cells", "*"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(state, "killpoint", "cells", "default.lock")}, files)

	code, said = run("down")
	assert.Zero(t, code)
	assert.Equal(t, "no cell default is up\n", said)
	code, said = run("up", "--attach")
	assert.Equal(t, exitEnvironment, code, said)
}

func TestWhatUpRefuses(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, c := range []struct{ args, want string }{
		{"up --engines 2.3.19,2.3.5", "a cell has one engine"},
		{"up --reconnect fastt", "fastt"},
		{"up --name a/b", "the cell's name"},
		{"up now", "takes no arguments"},
	} {
		r := call(t, nil, strings.Fields(c.args)...)
		assert.Equal(t, exitUsage, r.code, c.args)
		assert.Contains(t, r.err, c.want)
	}
}

func TestDescribe(t *testing.T) {
	r := &strings.Builder{}
	a := newApp(r, r)
	require.NoError(t, a.describe(standing.Cell{
		Name: "mine", Engine: "2.3.19", Gateway: "http://127.0.0.1:20001", Control: "http://127.0.0.1:20002", Token: "dev",
		Namespace: "killpoint", Pool: "default", EngineContainer: "killpoint-1-mine-engine", RuntimeContainer: "killpoint-1-mine-runtime",
		History: "/home/me/.local/state/killpoint/cells/mine.jsonl",
	}, false))
	golden(t, "up", r.String())
}

// The hidden command is no setting's and no completion's business.
func TestHoldIsHidden(t *testing.T) {
	assert.NotContains(t, call(t, nil, "--help").out, "hold")
	assert.Contains(t, call(t, nil, "holdd").err, `no command "holdd"`)
	assert.NotContains(t, call(t, nil, "holdd").err, "did you mean")
}
