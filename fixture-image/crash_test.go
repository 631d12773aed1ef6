package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseCrash(t *testing.T) {
	c, err := parseCrash("boot:2-6")
	require.NoError(t, err)
	assert.Equal(t, crash{first: 2, last: 6}, c)
	c, err = parseCrash("start:1-1")
	require.NoError(t, err)
	assert.Equal(t, crash{first: 1, last: 1, onStart: true}, c)
	c, err = parseCrash("")
	require.NoError(t, err)
	assert.Equal(t, crash{}, c)
	for _, bad := range []string{"boot", "boot:2", "boot:3-2", "boot:0-2", "later:1-2", "boot:a-b"} {
		_, err := parseCrash(bad)
		assert.Error(t, err, bad)
	}
}

func TestCrashCountsLives(t *testing.T) {
	livesFile = filepath.Join(t.TempDir(), "lives")
	t.Cleanup(func() { livesFile = "/lives" })
	c := crash{first: 2, last: 3}
	for _, want := range []bool{false, true, true, false} {
		due, err := c.due()
		require.NoError(t, err)
		assert.Equal(t, want, due)
	}
	due, err := crash{}.due()
	require.NoError(t, err)
	assert.False(t, due)
}
