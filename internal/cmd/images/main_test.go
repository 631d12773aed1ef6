package main

import (
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
	err := makeImages(t.Context(), nil, "2.3.19, 9.9.9", nil) // a nil client would panic
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, "9.9.9", unknown.Version)
}
