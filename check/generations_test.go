package check_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// replaced is a generation that was stopped and followed by another.
func replaced() *ht.Builder {
	return (&ht.Builder{}).Life(1, 2, "a", 1).Stopped(10, 20, "a", 1).Life(30, 40, "a", 2)
}

type verdictCase struct {
	name  string
	build func() *ht.Builder
	want  check.State
	says  string
}

func judgeAll(t *testing.T, inv check.Invariant, cases []verdictCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := one(t, c.build().End(9000), inv)
			assert.Equal(t, c.want, f.State, f.Summary)
			assert.Contains(t, f.Summary, c.says)
			assert.Equal(t, c.want == check.Fail, len(f.Witness) > 0)
		})
	}
}

func TestSingleLiveGeneration(t *testing.T) {
	judgeAll(t, check.SingleLiveGeneration(), []verdictCase{
		{"one after the other", replaced, check.Pass, "2 generations, no two of an actor at a time but for 0"},
		{"two actors", func() *ht.Builder { return (&ht.Builder{}).Life(1, 2, "a", 1).Life(1, 2, "b", 2) }, check.Pass, ""},
		{"the old one never ends", func() *ht.Builder {
			return (&ht.Builder{}).Life(1, 2, "a", 1).Actor(10, "a", 1, "stop").Life(30, 40, "a", 2)
		}, check.Fail, "generation 1 of actor a was running, and had not ended at all, when generation 2 ran"},
		{"the runtime says stopped, the actor does not", func() *ht.Builder {
			return (&ht.Builder{}).Life(1, 2, "a", 1).Actor(10, "a", 1, "stop").Actor(20, "a", 1, "stopped").Life(30, 40, "a", 2)
		}, check.Fail, "had not ended at all"},
		{"the old one ends late", func() *ht.Builder {
			return (&ht.Builder{}).Life(1, 2, "a", 1).Life(30, 40, "a", 2).Stopped(10, 50, "a", 1)
		}, check.Fail, "ended 10ms after generation 2 ran"},
		{"the engine ordered two, and the old one gave way", func() *ht.Builder {
			return (&ht.Builder{}).Life(1, 2, "a", 1).Life(30, 40, "a", 2).
				Actor(41, "a", 1, "abort").Actor(42, "a", 1, "abort-hook").Actor(43, "a", 1, "stopped")
		}, check.Pass, "1 overlaps that the engine ordered"},
		{"the engine ordered two, and the old one stayed", func() *ht.Builder {
			return (&ht.Builder{}).Life(1, 2, "a", 1).Life(30, 40, "a", 2)
		}, check.Fail, "had not ended at all"},
		{"its process had gone", func() *ht.Builder {
			return (&ht.Builder{}).Life(1, 2, "a", 1).
				At(20, history.KindExit, &history.Exit{Role: "runtime", Incarnation: 1}).Life(30, 40, "a", 2)
		}, check.Pass, ""},
		{"its process had gone, which was seen late", func() *ht.Builder {
			return starting(starting(&ht.Builder{}, 0, "runtime", 1).Life(1, 2, "a", 1), 20, "runtime", 2).
				Life(30, 40, "a", 2).At(90, history.KindExit, &history.Exit{Role: "runtime", Incarnation: 1})
		}, check.Pass, "0 overlaps"},
		{"its process lives on beside another runtime", func() *ht.Builder {
			return starting(starting(&ht.Builder{}, 0, "runtime", 1).Life(1, 2, "a", 1), 20, "runtime-2", 2).
				Life(30, 40, "a", 2).At(90, history.KindExit, &history.Exit{Role: "runtime", Incarnation: 1})
		}, check.Pass, "1 overlaps"},
		{"one that never ran does not count", func() *ht.Builder {
			return (&ht.Builder{}).Actor(1, "a", 1, "start").Life(30, 40, "a", 2)
		}, check.Pass, "1 generations"},
		{"a runtime that says nothing", func() *ht.Builder { return &ht.Builder{} }, check.Inconclusive, ""},
	})
}

// starting adds the start of a runtime's container.
func starting(b *ht.Builder, ms int, name string, incarnation int) *ht.Builder {
	return b.At(ms, history.KindContainer, &history.Container{Role: "runtime", Name: name, Incarnation: incarnation, What: history.ContainerStarting})
}

func TestOldGenerationSilent(t *testing.T) {
	judgeAll(t, check.OldGenerationSilent(), []verdictCase{
		{"silent", func() *ht.Builder { return replaced().Beat(15, "a", 1, "").Beat(45, "a", 2, "") }, check.Pass, "1 generations were followed"},
		{"it beats", func() *ht.Builder { return replaced().Beat(45, "a", 1, "") }, check.Fail, "generation 1 of actor a beat (beat 45) 5ms after generation 2"},
		{"it tries to beat", func() *ht.Builder { return replaced().Beat(45, "a", 1, "not sent") }, check.Pass, ""},
		{"it writes", func() *ht.Builder { return replaced().Write(45, "a", 1, "x", "") }, check.Fail, "wrote x"},
		{"its write fails", func() *ht.Builder { return replaced().Write(45, "a", 1, "x", "not sent") }, check.Pass, ""},
		{"it serves a request", func() *ht.Builder { return replaced().Actor(45, "a", 1, "request") }, check.Fail, "began to serve"},
		{"its answer was on its way", func() *ht.Builder { return replaced().Op(12, 60, ht.Probe("a", 0), ht.OK("a", 1)) }, check.Pass, ""},
		{"it answers who asked later", func() *ht.Builder { return replaced().Op(45, 60, ht.Probe("a", 0), ht.OK("a", 1)) }, check.Fail, "answered op1"},
		{"the answer was another actor's", func() *ht.Builder { return replaced().Op(45, 60, ht.Probe("a", 0), ht.OK("b", 1)) }, check.Pass, ""},
		{"while the new one starts it may still end its work", func() *ht.Builder { return replaced().Write(35, "a", 1, "x", "") }, check.Pass, ""},
		{"nothing was replaced", func() *ht.Builder { return (&ht.Builder{}).Life(1, 2, "a", 1) }, check.Inconclusive, ""},
	})
}

func TestStopsWriting(t *testing.T) {
	judgeAll(t, check.StopsWriting(), []verdictCase{
		{"it stops", func() *ht.Builder { return replaced().Write(15, "a", 1, "x", "").Write(50, "a", 2, "y", "") }, check.Pass, "1 generations stopped"},
		{"it writes", func() *ht.Builder { return replaced().Write(25, "a", 1, "x", "") }, check.Fail, "generation 1 of actor a wrote x 5ms after"},
		{"it beats", func() *ht.Builder { return replaced().Beat(25, "a", 1, "") }, check.Fail, "beat (beat 25)"},
		{"it tries", func() *ht.Builder { return replaced().Write(25, "a", 1, "x", "not sent") }, check.Pass, ""},
		{"it was never told", func() *ht.Builder { return (&ht.Builder{}).Life(1, 2, "a", 1).Beat(25, "a", 1, "") }, check.Inconclusive, ""},
	})
}
