package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engineimage "github.com/killpoint/killpoint/engine-image"
)

func TestExportSurvivesTheShell(t *testing.T) {
	const value = "/a b/it's $HOME `x` \"y\"\\"
	var out strings.Builder
	require.NoError(t, export(&out, "NAME", value))
	got, err := exec.Command("sh", "-c", out.String()+`printf %s "$NAME"`).Output()
	require.NoError(t, err)
	assert.Equal(t, value, string(got))
}

func TestAllEnginesAreReadBeforeAnyIsMade(t *testing.T) {
	var unknown *engineimage.UnknownVersionError
	err := makeImages(t.Context(), nil, "2.3.19, 9.9.9", false, nil) // a nil client would panic
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, "9.9.9", unknown.Version)
}

// The tests run in another directory, and once for each engine.
func TestEnginesForTests(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("engine", nil, 0o755))
	sources, err := parseEngines("./engine, v2.3.5,2.3.5 ,some/engine:1," + dir + "/engine")
	require.NoError(t, err)
	var settings []string
	for _, s := range sources {
		settings = append(settings, s.String())
	}
	assert.Equal(t, []string{dir + "/engine", "2.3.5", "some/engine:1"}, settings)

	for _, list := range []string{"", "2.3.5,", ",2.3.5", "2.3.5,,2.3.19"} {
		_, err := parseEngines(list)
		assert.ErrorContains(t, err, "empty entry", list)
	}
}
