package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/stored"
	"github.com/killpoint/killpoint/window"
)

// Read is the trial whose history is in that file, with the verdict that it got.
func Read(path string, state check.State) (Trial, error) {
	h, err := history.ReadFile(path)
	if err != nil {
		return Trial{}, err
	}
	t := stored.Of(path, h)
	t.Verdict.State = state
	return trialOf(t), nil
}

func trialOf(t stored.Trial) Trial {
	out := Trial{State: t.Verdict.State}
	if t.Why == "" {
		out.Outage, out.Phases = t.Outage, t.Phases
	}
	return out
}

// Measured are its trials with an outage, for [window.Summarize], which leaves
// those on a busy host out unless busy says that they count.
func (s Side) Measured(busy bool) []window.Measured {
	var out []window.Measured
	trials := s.Trials
	if s.busy = busy; busy {
		trials = s.counted()
	}
	for _, t := range trials {
		if t.Outage != nil {
			out = append(out, window.Measured{Outage: t.Outage, Phases: t.Phases})
		}
	}
	return out
}

// Run is a stored one: the trials of each scenario, by its name without the
// engine.
type Run map[string]Side

// Stored reads runs' folders, or ones above several, their trials in the order in
// which they began. They must be of one engine: of two nobody could say which one
// is the side.
func Stored(dirs ...string) (Run, error) {
	dir := strings.Join(dirs, ", ")
	trials, err := stored.Read(dirs, nil)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(trials, func(a, b stored.Trial) int { return cmp.Compare(a.Wall, b.Wall) })
	run := Run{}
	for _, t := range trials {
		if t.Engine != trials[0].Engine {
			return nil, fmt.Errorf("%s holds trials of engines %s and %s: compare runs of one engine each", dir, trials[0].Engine, t.Engine)
		}
		s := run[t.Scenario]
		s.Name = dir
		s.Trials = append(s.Trials, trialOf(t))
		run[t.Scenario] = s
	}
	return run, nil
}

// Pair is what two runs have in common.
type Pair struct {
	Scenario string
	A, B     Side
}

// Pairs are the scenarios that two runs have in common, by name; and where each
// has one only, that one, whatever it is called: its name may have in it what is
// compared.
func Pairs(a, b Run) ([]Pair, error) {
	namesA, namesB := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))
	if len(namesA) == 1 && len(namesB) == 1 {
		name := namesA[0]
		if name != namesB[0] {
			name += " and " + namesB[0]
		}
		return []Pair{{name, a[namesA[0]], b[namesB[0]]}}, nil
	}
	var pairs []Pair
	for _, name := range namesA {
		if other, ok := b[name]; ok {
			pairs = append(pairs, Pair{name, a[name], other})
		}
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("no scenario is in both runs: the one has %s; the other %s", strings.Join(namesA, ", "), strings.Join(namesB, ", "))
	}
	return pairs, nil
}
