package runner

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/killpoint/killpoint/internal/suggest"
)

// Shard is a part of a run: its trials are dealt to Of machines, of which this
// is number Index, from 1. The zero value is all of it.
type Shard struct{ Index, Of int }

// indexed are the places in the environment where a platform says which of how
// many this is. From is what its first index is.
var indexed = []struct {
	platform, index, of string
	from                int
}{
	{"a Kubernetes Indexed Job", "JOB_COMPLETION_INDEX", "", 0},
	{"GitLab's parallel", "CI_NODE_INDEX", "CI_NODE_TOTAL", 1},
	{"CircleCI's parallelism", "CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0},
	{"Buildkite's parallelism", "BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0},
}

// ParseShard reads "2/4", the second of four; "auto/4", whose index is the
// environment's, where Kubernetes and others put it; and "auto", where they also
// say of how many. "" is the whole.
func ParseShard(text string, lookup func(string) (string, bool)) (Shard, error) {
	if text == "" {
		return Shard{}, nil
	}
	index, of, found := strings.Cut(text, "/")
	if index != "auto" && !found {
		return Shard{}, fmt.Errorf("the shard %q is none: write it as 2/4, auto/4 or auto%s", text, suggest.Hint(text, []string{"auto"}))
	}
	var s Shard
	var err error
	if index == "auto" {
		s, of, err = fromEnvironment(of, lookup)
	} else {
		s.Index, err = strconv.Atoi(index)
	}
	if err != nil {
		return Shard{}, fmt.Errorf("the shard %q: %w", text, err)
	}
	if s.Of, err = strconv.Atoi(of); err != nil {
		return Shard{}, fmt.Errorf("the shard %q: of how many? %q is no number", text, of)
	}
	if s.Index < 1 || s.Of < 1 || s.Index > s.Of {
		return Shard{}, fmt.Errorf("the shard %q: %d of %d is none; they count from 1", text, s.Index, s.Of)
	}
	return s, nil
}

func fromEnvironment(of string, lookup func(string) (string, bool)) (Shard, string, error) {
	var names []string
	for _, p := range indexed {
		names = append(names, p.index)
		text, ok := lookup(p.index)
		if !ok || text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return Shard{}, "", fmt.Errorf("%s = %q is no number", p.index, text)
		}
		if of == "" && p.of != "" {
			of, _ = lookup(p.of)
		}
		if of == "" {
			return Shard{}, "", fmt.Errorf("%s does not say of how many: write it as auto/4", p.platform)
		}
		return Shard{Index: n - p.from + 1}, of, nil
	}
	return Shard{}, "", fmt.Errorf("the environment has no index: none of %s is set", strings.Join(names, ", "))
}

func (s Shard) String() string {
	if s.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Of)
}

// Cut are the jobs of this shard, in their order. Which those are goes by the
// seed and the jobs' names alone: all jobs are put into an order of chance and
// dealt one by one, so that each is in one shard, and shards differ by at most
// one job.
func (s Shard) Cut(jobs []Job, seed uint64) []Job {
	if s.Of <= 1 {
		return jobs
	}
	type card struct {
		at   int
		hash uint64
	}
	deck := make([]card, len(jobs))
	for i, j := range jobs {
		deck[i] = card{i, mixed(seed, j.Name)}
	}
	slices.SortFunc(deck, func(a, b card) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(jobs[a.at].Name, jobs[b.at].Name))
	})
	var mine []int
	for i := s.Index - 1; i < len(deck); i += s.Of {
		mine = append(mine, deck[i].at)
	}
	slices.Sort(mine)
	cut := make([]Job, len(mine))
	for i, at := range mine {
		cut[i] = jobs[at]
	}
	return cut
}

func mixed(seed uint64, name string) uint64 {
	h := fnv.New64a()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	// A hash takes everything.
	_, _ = h.Write(b[:])
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}
