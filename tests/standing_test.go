package tests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// standingCell is what `killpoint up` says of a cell.
type standingCell struct {
	Session string `json:"session"`
	Holder  int    `json:"holder"`
	Gateway string `json:"gateway"`
}

// A cell stays when `killpoint up` has ended, what it says to try works, and
// `killpoint down` leaves nothing of it; also where its holder was killed.
func TestStandingCell(t *testing.T) {
	t.Parallel()
	session(t)
	cli, state := docker(t), t.TempDir()
	path, err := command()
	require.NoError(t, err)
	killpoint := func(args ...string) string {
		cmd := exec.Command(path, args...)
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+state)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		require.NoError(t, err, "killpoint %s: %s%s", strings.Join(args, " "), out, &said)
		return string(out)
	}
	up := func() (c standingCell) {
		require.NoError(t, json.Unmarshal([]byte(killpoint("up", "--json", "--engines", engines()[0])), &c))
		t.Cleanup(func() { killpoint("down") })
		return c
	}
	down := func(c standingCell) {
		killpoint("down")
		assert.Empty(t, leftovers(t, cli, c.Session))
		files, err := filepath.Glob(filepath.Join(state, "killpoint", "cells", "*"))
		require.NoError(t, err)
		assert.Equal(t, []string{filepath.Join(state, "killpoint", "cells", "default.lock")}, files)
	}

	c := up()
	assert.NotEmpty(t, leftovers(t, cli, c.Session), "it stands")
	tried := 0
	for line := range strings.Lines(killpoint("up", "--engines", engines()[0])) { // it is up: this only says so
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") {
			out, err := exec.Command("sh", "-c", strings.Replace(line, "curl -s", "curl -sS --fail --max-time 60", 1)).CombinedOutput()
			require.NoError(t, err, "%s\n%s", line, out)
			tried++
		}
	}
	assert.Equal(t, 5, tried)
	down(c)

	c = up()
	require.NoError(t, syscall.Kill(c.Holder, syscall.SIGKILL))
	down(c)
}
