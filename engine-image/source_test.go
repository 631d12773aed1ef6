package engineimage

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReleasesArePinned(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Releases() {
		assert.Regexp(t, `^sha512-[A-Za-z0-9+/]{86}==$`, r.Integrity, r.Version)
		assert.Regexp(t, `^[0-9a-f]{64}$`, r.SHA256, r.Version)
		for _, field := range []string{r.Version, r.Integrity, r.SHA256} {
			assert.False(t, seen[field], "%s is there twice", field)
			seen[field] = true
		}
	}
	_, ok := release(Default)
	assert.True(t, ok, "the default is not pinned")
	Releases()[0].Version = "changed"
	assert.NotEqual(t, "changed", releases[0].Version, "the table can be changed from outside")
}

func TestParseSource(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("local/bin", 0o755))
	require.NoError(t, os.WriteFile("local/engine", nil, 0o755))
	abs, err := filepath.Abs("local/engine")
	require.NoError(t, err)
	for setting, want := range map[string]Source{
		"":                             {KindRelease, Default},
		"2.3.5":                        {KindRelease, "2.3.5"},
		"v2.3.5":                       {KindRelease, "2.3.5"},
		"rivetdev/engine:latest":       {KindImage, "rivetdev/engine:latest"},
		"127.0.0.1:5000/e@sha256:" + h: {KindImage, "127.0.0.1:5000/e@sha256:" + h},
		"engine":                       {KindImage, "engine"},
		"local/none":                   {KindImage, "local/none"},
		"local/bin":                    {KindImage, "local/bin"},
		"local/engine":                 {KindBinary, "local/engine"},
		"./local/engine":               {KindBinary, "./local/engine"},
		abs:                            {KindBinary, abs},
	} {
		got, err := ParseSource(setting)
		if assert.NoError(t, err, setting) {
			assert.Equal(t, want, got, setting)
		}
	}
}

// h is a well-formed digest.
const h = "52cd39b79bfb448ebaea776bc351e4caa7b30ca61732d45ec08ee9b3e108a3ff"

func TestParseSourceRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, setting := range []string{"2.3.6", "2.3.118", "2.4", "v3", "2.3.19-rc1"} {
		_, err := ParseSource(setting)
		var unknown *UnknownVersionError
		if assert.ErrorAs(t, err, &unknown, setting) {
			assert.Equal(t, setting, unknown.Version)
			assert.ErrorContains(t, err, "2.3.5, 2.3.11, 2.3.17, 2.3.18, 2.3.19")
			assert.ErrorContains(t, err, "nearest is "+unknown.Nearest)
		}
	}
	for _, setting := range []string{"./none", "/none/engine", "../none", "."} {
		_, err := ParseSource(setting)
		assert.Error(t, err, setting)
	}
	_, err := ParseSource("./none")
	var missing *MissingBinaryError
	require.ErrorAs(t, err, &missing)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = ParseSource(t.TempDir())
	assert.ErrorIs(t, err, errNotRegular)
	for _, setting := range []string{"A B", "UPPER", "a:b:c", "https://example.invalid/engine"} {
		_, err := ParseSource(setting)
		assert.ErrorContains(t, err, "neither", setting)
	}
}

func TestNearest(t *testing.T) {
	for v, want := range map[string]string{
		"2.3.18.1": "2.3.18", "2.3.20": "2.3.19", "2.3.6": "2.3.5", "2.3.119": "2.3.19", "1.3.17": "2.3.17", "2.3.15": "2.3.19",
	} {
		assert.Equal(t, want, nearest(v), v)
	}
}
