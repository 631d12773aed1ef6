package settings

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func flags() (*pflag.FlagSet, *int, *string) {
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	cells := f.Int("cells", 5, "")
	engines := f.String("engines", "2.3.19", "")
	f.Bool("help", false, "")
	return f, cells, engines
}

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := pairs[name]; return v, ok }
}

var known = Known{"run": {"cells", "engines"}, "sweep": {"engines", "timeout"}}

func TestPrecedence(t *testing.T) {
	file, err := parse("k.yaml", []byte("cells: 2\nrun:\n  engines: [2.3.5, 2.3.11]\n"), known)
	require.NoError(t, err)
	env := map[string]string{"KILLPOINT_CELLS": "3", "KILLPOINT_ENGINES": ""}

	for _, c := range []struct {
		args    []string
		env     map[string]string
		file    *File
		cells   int
		source  string
		engines string
	}{
		{nil, nil, nil, 5, "default", "2.3.19"},
		{nil, nil, file, 2, "k.yaml:1", "2.3.5,2.3.11"},
		{nil, env, file, 3, "KILLPOINT_CELLS", "2.3.5,2.3.11"},
		{[]string{"--cells", "4"}, env, file, 4, "flag", "2.3.5,2.3.11"},
	} {
		f, cells, engines := flags()
		require.NoError(t, f.Parse(c.args))
		got, err := Resolve(f, environment(c.env), c.file, "run", "help")
		require.NoError(t, err)
		assert.Equal(t, c.cells, *cells)
		assert.Equal(t, c.engines, *engines)
		assert.Equal(t, Setting{"cells", f.Lookup("cells").Value.String(), c.source}, got[0])
		assert.Len(t, got, 2, "help is no setting")
	}
}

// What another command reads under its own name does not reach this one.
func TestSectionsAreOfTheirCommand(t *testing.T) {
	file, err := parse("k.yaml", []byte("sweep:\n  engines: 2.3.5\n"), known)
	require.NoError(t, err)
	f, _, engines := flags()
	_, err = Resolve(f, environment(nil), file, "run")
	require.NoError(t, err)
	assert.Equal(t, "2.3.19", *engines)
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	f, _, _ := flags()
	_, err := Resolve(f, environment(map[string]string{"KILLPOINT_CELLS": "many"}), nil, "run")
	require.ErrorContains(t, err, `KILLPOINT_CELLS: cells = "many"`)

	for text, want := range map[string]string{
		"cels: 2":                     `k.yaml:1: "cels" is no setting and no command; did you mean cells?`,
		"cells: 2\nrun:\n  cels: 1":   `k.yaml:3: "cels" is no setting of run; did you mean cells?`,
		"cells: 2\ncells: 3":          `k.yaml:2: "cells" is there twice`,
		"cells: {a: 1}":               `k.yaml:1: "cells" wants a value or a list of values`,
		"- cells":                     "k.yaml:1: want settings, one a line",
		"run: {timeout: 1s}":          `"timeout" is no setting of run`,
		"cells: [1, [2]]":             "wants a value or a list",
		"cells: \"x":                  "read the settings in k.yaml",
		"run: {cells: 1}\nrun: {}":    `"run" is there twice`,
		"sweep: {timeout: 1s}\nx: {}": `k.yaml:2: "x" is no setting`,
	} {
		_, err := parse("k.yaml", []byte(text), known)
		require.ErrorContains(t, err, want, text)
	}
}

func TestRead(t *testing.T) {
	t.Chdir(t.TempDir())
	file, err := Read("", known)
	require.NoError(t, err)
	assert.Nil(t, file, "there is none, and none was asked for")
	_, err = Read("other.yaml", known)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(DefaultFile, []byte("# nothing yet\n"), 0o600))
	file, err = Read("", known)
	require.NoError(t, err)
	assert.Equal(t, DefaultFile, filepath.Base(file.Path))
}

func TestMisspelt(t *testing.T) {
	lines := Misspelt([]string{"KILLPOINT_SEEDS=1", "KILLPOINT_SEED=1", "KILLPOINT_FIXTURE_IMAGE=x", "KILLPOINT_ENGINE_IMAGE=x", "SEEDS=1"}, []string{"seed", "engines", "runtime-image"})
	assert.Equal(t, []string{"KILLPOINT_SEEDS is set and no setting; did you mean KILLPOINT_SEED?"}, lines)
}
