package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// runAsKillpoint in the environment makes this test binary the program.
const runAsKillpoint = "KILLPOINT_TEST_RUN_AS_KILLPOINT"

func TestMain(m *testing.M) {
	if os.Getenv(runAsKillpoint) != "" {
		main()
	}
	flag.Parse()
	os.Exit(m.Run())
}

// result is what a call of the program did.
type result struct {
	code     int
	out, err string
}

// call runs the program in this process, with the environment given and no
// other.
func call(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	a := newApp(&out, &err)
	a.lookup = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	a.environ = func() []string {
		var list []string
		for k, v := range env {
			list = append(list, k+"="+v)
		}
		return list
	}
	code := a.execute(context.Background(), args)
	return result{code, out.String(), err.String()}
}

// process runs the program as a process of its own, without the settings of
// whoever runs the tests.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "KILLPOINT_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, runAsKillpoint+"=1")
	return cmd
}

// golden compares the text with testdata/NAME.txt.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test ./cmd/killpoint -update writes it")
	assert.Equal(t, string(want), text)
}

// The help of every command is as it was read last.
func TestHelp(t *testing.T) {
	root := newApp(nil, nil).rootCommand()
	names := []string{""}
	for _, cmd := range root.Commands() {
		if cmd.Hidden {
			continue
		}
		names = append(names, cmd.Name())
	}
	var b strings.Builder
	for _, name := range names {
		r := call(t, nil, strings.Fields(name+" --help")...)
		assert.Zero(t, r.code)
		fmt.Fprintf(&b, "$ killpoint %s--help\n%s\n", name+strings.Repeat(" ", min(1, len(name))), r.out)
	}
	golden(t, "help", b.String())
}

// Each mistake gets one line, which says what was meant, and an exit code that
// tells a script whose fault it is.
func TestMistakes(t *testing.T) {
	var b strings.Builder
	for _, line := range []string{
		"verson", "banana", "version --jsn", "version -j", "version x", "version --json=perhaps",
		"version --config nowhere.yaml", "run idle-restrat", "run idle-restart/stop/rivett", "run idle-restart/[",
		"run --shard 2", "run --shard 1/2", "run --shard 3/2 --seed 1", "run --engines 2.3.19,,2.3.5", "run --seed x",
		"run --delays 20s", "run --delays 250", "run --repeats 0", "run --cells 0", "run --out testdata",
		"sweep now", "sweep --via htp", "sweep --fault kil", "sweep --fault stop:500ms", "sweep --reconnect fastt", "sweep --timeout 0s",
		"sweep --bound 2s", "sweep --trials 0", "sweep --repeats 21", "sweep --drain-grace 1500ms", "report", "report a b", "report testdata",
		"merge", "merge testdata",
		"sweep --refine -1s", "sweep --budget 9", "sweep --busy", "sweep --refine 1s --budget 0", "sweep --refine 1s --trials 2", "sweep --refine 1s --shard 1/2 --seed 1",
		"compare 2.3.19", "compare 2.3.19 2.3.19", "compare 2.3.19 recconect=fast", "compare reconnect=fast reconnect=slow", "compare 2.3.5 2.3.19 --on gap",
		"compare 2.3.5 2.3.19 --margin much", "compare 2.3.5 2.3.19 --least -1s", "compare 2.3.5 2.3.19 --shard 1/2 --seed 1", "compare testdata 2.3.19",
		"compare testdata testdata", "compare reconnect=rivet drain-grace=1500ms", "compare reconnect=rivet reconnect=fast --engines 2.3.5,2.3.19",
		"window", "window testdata", "window nowhere",
		"explore x", "explore --faults kil", "explore --targets engin", "explore --sides befor", "explore --places frame", "explore --sample -1",
		"explore --jobs 0", "explore --resume", "explore --resume --out testdata", "explore --out testdata", "explore --trial nowhere.json",
		"explore --trial testdata/trial-mistake.json", "replay", "replay a b", "replay --times 0 x", "shrink", "shrink --tries 0 x",
	} {
		r := call(t, nil, strings.Fields(line)...)
		assert.Equal(t, exitUsage, r.code, line)
		assert.Empty(t, r.out, line)
		assert.Equal(t, 1, strings.Count(r.err, "\n"), r.err)
		fmt.Fprintf(&b, "$ killpoint %s\n%s", line, r.err)
	}
	golden(t, "mistakes", b.String())
}

func TestSettingsAreShown(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("killpoint.yaml", []byte("version:\n  json: true\n"), 0o600))
	assert.Equal(t, "json  true  killpoint.yaml:2\n", call(t, nil, "version", "--show-settings").out)
	env := map[string]string{"KILLPOINT_JSON": "false", "KILLPOINT_CONFG": "x"}
	r := call(t, env, "version", "--show-settings")
	assert.Equal(t, "json  false  KILLPOINT_JSON\n", r.out)
	assert.Contains(t, r.err, "KILLPOINT_CONFG is set and no setting; did you mean KILLPOINT_CONFIG?")
	assert.Equal(t, "json  true  flag\n", call(t, env, "version", "--json", "--show-settings").out)
	r = call(t, map[string]string{"KILLPOINT_JSON": "perhaps"}, "version")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.err, `KILLPOINT_JSON: json = "perhaps"`)
}

// The codes are those of the process, too.
func TestExitCodesOfTheProcess(t *testing.T) {
	for line, want := range map[string]int{"version": exitPassed, "verson": exitUsage} {
		cmd := process(t, strings.Fields(line)...)
		err := cmd.Run()
		assert.Equal(t, want, cmd.ProcessState.ExitCode(), "%s: %v", line, err)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := call(t, nil, "completion", shell)
		assert.Zero(t, r.code)
		assert.Contains(t, r.out, "__killpoint_debug", shell)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here to read the script")
	}
	cmd := exec.Command(bash, "-n")
	cmd.Stdin = strings.NewReader(call(t, nil, "completion", "bash").out)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
