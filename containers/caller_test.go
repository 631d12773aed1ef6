package containers

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answering is a listener that answers each caller with line.
func answering(t *testing.T, line string) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(line)) // of a test
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestAskCaller(t *testing.T) {
	told, err := askCaller(t.Context(), answering(t, "192.0.2.7\n"))
	require.NoError(t, err)
	assert.Equal(t, "192.0.2.7", told)
}

func TestPublishedPortsThatCannotBeReached(t *testing.T) {
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, tt := range map[string]struct{ address, says string }{
		"nobody listens":        {closed.Addr().String(), "refused"},
		"a proxy that ends it":  {answering(t, ""), "EOF"},
		"somebody else answers": {answering(t, "HTTP/1.1 400 Bad Request\r\n"), "somebody else"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := askCaller(ctx, tt.address)
			var unreached *PublishedPortsError
			require.ErrorAs(t, err, &unreached)
			assert.Equal(t, tt.address, unreached.Address)
			assert.ErrorContains(t, err, PortsEnv)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

// squat listens on free ports in a row, and says which is the first: programs that
// know nothing of reservations. Cells and daemons in containers take none so low.
func squat(t *testing.T, n int) (first int) {
	t.Helper()
	for first := 9140; first < 9900; first += n {
		if listenAll(t, first, n) {
			return first
		}
	}
	t.Fatal("no free ports in a row from 9140 to 9900")
	return 0
}

func listenAll(t *testing.T, first, n int) bool {
	t.Helper()
	var ls []net.Listener
	for port := first; port < first+n; port++ {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			for _, l := range ls {
				_ = l.Close() // of a test
			}
			return false
		}
		ls = append(ls, l)
	}
	t.Cleanup(func() {
		for _, l := range ls {
			_ = l.Close() // of a test
		}
	})
	return true
}

// A daemon elsewhere cannot be asked for a port that somebody is about to publish,
// so to be refused one is no reason to give up.
func TestMeetingTriesOtherPorts(t *testing.T) {
	s := openSession(t, withoutReaper())
	if !s.local {
		t.Skip("listens on the daemon's ports: needs a local one")
	}
	unseen := func(context.Context, int) bool { return true }
	first := squat(t, portAttempts)

	// The one after the squatters' may be met last, and is met in any case.
	s.ports = &portPool{first: first + 1, last: first + portAttempts, probe: unseen}
	require.NoError(t, s.meet(limit(t)))
	assert.NotNil(t, net.ParseIP(s.caller), s.caller)

	s.ports = &portPool{first: first, last: first + portAttempts - 1, probe: unseen}
	require.ErrorContains(t, s.meet(limit(t)), "start a container to meet the daemon's")
	requireNothingLeft(t, s)
	for range portAttempts {
		p, err := s.ports.take(t.Context())
		require.NoError(t, err, "a port is reserved still")
		defer func() { assert.NoError(t, p.release()) }()
	}
}
