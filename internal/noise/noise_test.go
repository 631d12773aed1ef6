package noise

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type memory struct {
	mu  sync.Mutex
	got []*history.Noise
	two chan struct{}
}

func (m *memory) Record(_ string, _ history.Kind, body any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, body.(*history.Noise))
	if len(m.got) == 2 {
		close(m.two)
	}
}

func (m *memory) RecordAt(_ clock.Mono, p string, k history.Kind, b any) { m.Record(p, k, b) }

func TestWatch(t *testing.T) {
	m := &memory{two: make(chan struct{})}
	stop, err := Watch(m)
	require.NoError(t, err)
	select {
	case <-m.two:
	case <-time.After(10 * time.Second):
		t.Fatal("waited 10 s for two records of half a second each, saw fewer")
	}
	stop()
	n := len(m.got)
	assert.GreaterOrEqual(t, n, 3, "stop records the last span")
	for _, x := range m.got[:2] {
		assert.GreaterOrEqual(t, x.SpanNS, int64(span))
		assert.True(t, x.Busy >= 0 && x.Busy <= 1, "busy %v", x.Busy)
		assert.Positive(t, x.SchedDelayNS, "no timer of fifty fires to the nanosecond")
	}
}

func TestParseCPU(t *testing.T) {
	a, err := parseCPU([]byte("cpu  100 0 50 800 50 0 0 0 7 7\ncpu0 1 1 1 1 1 1 1 1\n"))
	require.NoError(t, err)
	b, err := parseCPU([]byte("cpu  150 0 50 810 60 0 0 30 9 9\n"))
	require.NoError(t, err)
	n := b.since(a, time.Second, time.Millisecond)
	assert.InDelta(t, 0.8, n.Busy, 1e-9)
	assert.InDelta(t, 0.3, n.Steal, 1e-9)
	// iowait went down by 40, and all of it together up by 10.
	back, err := parseCPU([]byte("cpu  200 0 50 810 20 0 0 30 9 9\n"))
	require.NoError(t, err)
	assert.InDelta(t, 1, back.since(b, time.Second, 0).Busy, 1e-9)
	// The same the other way round: no count may make the host look busy.
	assert.Zero(t, b.since(back, time.Second, 0).Busy)
	for _, bad := range []string{"", "cpu 1 2\n", "cpu0 1 1 1 1 1 1 1 1\n", "cpu a b c d e f g h\n"} {
		_, err := parseCPU([]byte(bad))
		assert.Error(t, err, "%q", bad)
	}
}
