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
