package runner

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/scenario"
)

func jobs(n int) []Job {
	list := make([]Job, n)
	for i := range list {
		list[i] = Job{Scenario: scenario.Scenario{Name: fmt.Sprintf("group/2.3.19/%d", i)}}
	}
	return list
}

func names(jobs []Job) []string {
	list := []string{}
	for _, j := range jobs {
		list = append(list, j.Name)
	}
	return list
}

// Whatever the run, each trial is in one shard, the shards are of a size, and
// the order in which the trials are listed does not matter.
func TestShardsAreAPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, of := rapid.IntRange(0, 60).Draw(t, "jobs"), rapid.IntRange(1, 9).Draw(t, "of")
		seed := rapid.Uint64().Draw(t, "seed")
		all := jobs(n)
		reversed := slices.Clone(all)
		slices.Reverse(reversed)
		var dealt []string
		least, most := n, 0
		for i := 1; i <= of; i++ {
			cut := names(Shard{i, of}.Cut(all, seed))
			other := names(Shard{i, of}.Cut(reversed, seed))
			slices.Sort(other)
			sorted := slices.Clone(cut)
			slices.Sort(sorted)
			assert.Equal(t, sorted, other)
			dealt = append(dealt, cut...)
			least, most = min(least, len(cut)), max(most, len(cut))
		}
		assert.LessOrEqual(t, most-least, 1)
		want := names(all)
		slices.Sort(want)
		slices.Sort(dealt)
		assert.ElementsMatch(t, want, dealt)
	})
}

func TestSeedDeals(t *testing.T) {
	a := names(Shard{1, 4}.Cut(jobs(20), 1))
	b := names(Shard{1, 4}.Cut(jobs(20), 2))
	assert.NotEqual(t, a, b)
	assert.Equal(t, a, names(Shard{1, 4}.Cut(jobs(20), 1)))
}

func TestParseShard(t *testing.T) {
	for _, c := range []struct {
		text string
		env  map[string]string
		want Shard
		err  string
	}{
		{text: "", want: Shard{}},
		{text: "2/4", want: Shard{2, 4}},
		{text: "auto/4", env: map[string]string{"JOB_COMPLETION_INDEX": "3"}, want: Shard{4, 4}},
		{text: "auto", env: map[string]string{"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "3"}, want: Shard{1, 3}},
		{text: "auto", env: map[string]string{"BUILDKITE_PARALLEL_JOB": "0", "BUILDKITE_PARALLEL_JOB_COUNT": "2"}, want: Shard{1, 2}},
		{text: "auto", env: map[string]string{"JOB_COMPLETION_INDEX": "3"}, err: "does not say of how many"},
		{text: "auto", err: "no index"},
		{text: "auto/4", env: map[string]string{"JOB_COMPLETION_INDEX": "4"}, err: "5 of 4 is none"},
		{text: "auto/4", env: map[string]string{"JOB_COMPLETION_INDEX": "x"}, err: "no number"},
		{text: "0/4", err: "they count from 1"},
		{text: "5/4", err: "they count from 1"},
		{text: "2", err: "write it as 2/4"},
		{text: "auot", err: "did you mean auto?"},
		{text: "x/4", err: "invalid syntax"},
		{text: "1/x", err: "of how many?"},
	} {
		got, err := ParseShard(c.text, func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
		if c.err != "" {
			require.ErrorContains(t, err, c.err, c.text)
			continue
		}
		require.NoError(t, err, c.text)
		assert.Equal(t, c.want, got)
	}
}
