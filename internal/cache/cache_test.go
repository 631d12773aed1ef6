package cache

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDir(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", base)
	dir, err := Dir("a", "b")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(base, "killpoint", "a", "b"), dir)
	assert.DirExists(t, dir)
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	_, err = Dir("a")
	assert.ErrorContains(t, err, "XDG_CACHE_HOME")
}

func TestLockExcludesUntilUnlocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), 3*lockPoll)
	defer cancel()
	_, err = Lock(short, path)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, path)

	type got struct {
		unlock func() error
		err    error
	}
	second := make(chan got, 1)
	go func() {
		unlock, err := Lock(t.Context(), path)
		second <- got{unlock, err}
	}()
	require.NoError(t, unlock())
	select {
	case g := <-second:
		require.NoError(t, g.err)
		require.NoError(t, g.unlock())
	case <-time.After(10 * time.Second):
		t.Fatal("the lock was given up and not taken within 10 s")
	}
}

func TestLockNeedsItsDirectory(t *testing.T) {
	_, err := Lock(t.Context(), filepath.Join(t.TempDir(), "none", "lock"))
	require.ErrorContains(t, err, "open lock file")
}
