package standing

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dyingHolder has a cell's lock and socket, answers nobody, and drops its lock only
// when it is told to, as a process that is being killed does.
func dyingHolder(t *testing.T) (p place, drop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "kp") // short enough for a socket
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	p, err = at(dir, "default")
	require.NoError(t, err)
	unlock, err := p.take()
	require.NoError(t, err)
	l, err := net.Listen("unix", p.socket())
	require.NoError(t, err)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return p, func() { require.NoError(t, unlock()) }
}

// Who kills a holder and asks for its end at once does not have to ask twice.
func TestDownOutlivesAHolderThatDies(t *testing.T) {
	p, drop := dyingHolder(t)
	time.AfterFunc(100*time.Millisecond, drop)
	err := Down(t.Context(), p.dir, p.name)
	require.ErrorIs(t, err, ErrNotUp, "it had described no cell")
	files, err := filepath.Glob(filepath.Join(p.dir, "*"))
	require.NoError(t, err)
	assert.Equal(t, []string{p.lockFile()}, files)
}

func TestAHolderThatDoesNotAnswer(t *testing.T) {
	p, drop := dyingHolder(t)
	defer drop()
	require.ErrorIs(t, p.askDown(t.Context()), errNoAnswer)
	_, err := p.outlive(t.Context(), 50*time.Millisecond)
	assert.EqualError(t, err, "waited 50ms for the holder of cell default to be gone, which does not answer; it still has its lock "+p.lockFile())
}
