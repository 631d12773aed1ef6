package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func testPool(t *testing.T, first, last int) *portPool {
	t.Helper()
	p, err := newPortPool(first, last)
	require.NoError(t, err)
	return p
}

func TestPortsAreReservedOnceAndAgainAfterRelease(t *testing.T) {
	p := testPool(t, 9100, 9102)
	p.probe = func(context.Context, int) bool { return true }
	other := *p // another session's
	seen := map[int]*port{}
	for range 3 {
		got, err := other.take(t.Context())
		require.NoError(t, err)
		require.NotContains(t, seen, got.number)
		seen[got.number] = got
	}
	_, err := p.take(t.Context())
	var exhausted *PortsError
	require.ErrorAs(t, err, &exhausted)
	assert.Equal(t, PortsError{9100, 9102}, *exhausted)
	assert.ErrorContains(t, err, "9100 to 9102")

	require.NoError(t, seen[9101].release())
	got, err := p.take(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 9101, got.number)
	for n, s := range seen {
		if n != 9101 {
			require.NoError(t, s.release())
		}
	}
	require.NoError(t, got.release())
}

// The socket's name is not a file, so it has no owner that others would have to be.
func TestPortsAreReservedForOtherUsersToo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to act as another user")
	}
	p := testPool(t, 9130, 9130)
	p.probe = func(context.Context, int) bool { return true }
	got, err := p.take(t.Context())
	require.NoError(t, err)

	asNobody := func() error {
		said := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine, and its user with it
			const nobody = 65534
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
				said <- errno
				return
			}
			theirs, err := p.take(t.Context())
			said <- errors.Join(err, theirs.release())
		}()
		return <-said
	}
	var exhausted *PortsError
	require.ErrorAs(t, asNobody(), &exhausted)
	require.NoError(t, got.release())
	require.NoError(t, asNobody())
}

func TestPortsOfOthersAreNotTaken(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // of a test's listener
	n := l.Addr().(*net.TCPAddr).Port
	_, err = testPool(t, n, n).take(t.Context())
	var exhausted *PortsError
	require.ErrorAs(t, err, &exhausted)
}

func TestPortsTakeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := testPool(t, 9110, 9120).take(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestPortRangesThatAreRefused(t *testing.T) {
	for _, r := range [][2]int{{0, 10}, {10, 9}, {1, 65536}, {-5, -1}} {
		_, err := newPortPool(r[0], r[1])
		assert.ErrorContains(t, err, fmt.Sprint(r[0]), r)
	}
}

func TestPortsSetting(t *testing.T) {
	first, last, err := ParsePorts("")
	require.NoError(t, err)
	assert.Equal(t, []int{defaultFirstPort, defaultLastPort}, []int{first, last})
	first, last, err = ParsePorts("10001-10099")
	require.NoError(t, err)
	assert.Equal(t, []int{10001, 10099}, []int{first, last})
	for _, v := range []string{"x", "1", "1-", "-1", "1-2x", "1-2-3", "1, 2"} {
		_, _, err := ParsePorts(v)
		assert.ErrorContains(t, err, PortsEnv, v)
	}
}
