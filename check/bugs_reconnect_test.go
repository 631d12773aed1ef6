package check_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

func TestLostRuntimeKeepsActors(t *testing.T) {
	envoy := func(b *ht.Builder, ms int, what string) {
		b.At(ms, history.KindEnvoy, &history.Envoy{What: what})
		b.H.Events[len(b.H.Events)-1].Party = ht.Runtime
	}
	h := (&ht.Builder{}).Life(0, 10, "a", 1).Life(0, 10, "left", 1).Stopped(20, 30, "left", 1)
	envoy(h, 50, "closed")
	envoy(h, 60, "gave-up")
	h.Life(70, 80, "later", 1)
	m := check.LostRuntimeKeepsActors.Mark(h.End(100))
	assert.Contains(t, m, "a")
	assert.NotContains(t, m, "left", "it had stopped before")
	assert.NotContains(t, m, "later", "it began after")

	back := (&ht.Builder{}).Life(0, 10, "a", 1)
	envoy(back, 50, "closed")
	envoy(back, 60, "backoff")
	envoy(back, 70, "dialing")
	assert.Empty(t, check.LostRuntimeKeepsActors.Mark(back.End(100)), "it tried again")
}
