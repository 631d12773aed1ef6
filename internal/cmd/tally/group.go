package main

import (
	"cmp"
	"fmt"
	"go/version"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/window"
)

// group is the trials of one scenario on one engine.
type group struct {
	scenario, engine string
	trials           []trial // in the order of their paths
	ranges           window.Ranges
}

// grouped are the groups, by name, of the scenarios that match.
func grouped(trials []trial, only *regexp.Regexp) ([]group, error) {
	type key struct{ scenario, engine string }
	of, names := map[key]*group{}, map[string]bool{}
	for _, t := range trials {
		names[t.Name] = true
		if !only.MatchString(t.Name) && !only.MatchString(t.Scenario) {
			continue
		}
		k := key{t.Scenario, t.Engine}
		if of[k] == nil {
			of[k] = &group{scenario: t.Scenario, engine: t.Engine}
		}
		of[k].trials = append(of[k].trials, t)
	}
	if len(of) == 0 {
		return nil, fmt.Errorf("-scenario %q matches none of the %d trials; their scenarios: %s", only, len(trials), strings.Join(slices.Sorted(maps.Keys(names)), ", "))
	}
	var groups []group
	for _, g := range of {
		if err := g.sum(); err != nil {
			return nil, err
		}
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.scenario, b.scenario), byVersion(a.engine, b.engine))
	})
	return groups, nil
}

// byVersion orders engines: 2.3.5 before 2.3.11, and what is no version before
// those, by its letters.
func byVersion(a, b string) int {
	// Go's own versions are of the same form.
	return cmp.Or(version.Compare("go"+a, "go"+b), cmp.Compare(a, b))
}

// sum takes the sweeps together, of the trials whose times count or would on a
// quiet host.
func (g *group) sum() (err error) {
	var outages []*window.Outage
	for _, t := range g.trials {
		if t.Why == "" {
			outages = append(outages, t.Outage)
		}
	}
	if g.ranges, err = window.Together(outages); err != nil {
		return fmt.Errorf("the trials of %s are not of one scenario: %w", g.scenario, err)
	}
	return nil
}

// counted are the trials whose times count.
func (g group) counted() []trial {
	return slices.DeleteFunc(slices.Clone(g.trials), func(t trial) bool { return !t.Counts() })
}

// commits are those of all trials: whether a commit is durable does not depend
// on how busy the host was.
func (g group) commits() []commit {
	var out []commit
	for _, t := range g.trials {
		out = append(out, t.commits...)
	}
	return out
}

// sortedBy are the keys in the order of their names.
func sortedBy[K comparable, V any](m map[K]V, name func(K) string) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Compare(name(a), name(b)) })
}

// tallied is how often each of some words was said.
type tallied map[string]int

// text has the words with their counts, in the order given first, then by
// name.
func (c tallied) text(order ...string) string {
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(c)), func(s string) bool { return slices.Contains(order, s) })
	var parts []string
	for _, word := range append(order, rest...) {
		if c[word] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c[word], word))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

// states counts the verdicts.
func (g group) states() string {
	c := tallied{}
	for _, t := range g.trials {
		c[cmp.Or(string(t.Verdict.State), "not judged")]++
	}
	return c.text(string(check.Pass), string(check.Known), string(check.Fail), string(check.Inconclusive))
}

// leftOut counts the reasons for which times do not count.
func (g group) leftOut() string {
	c := tallied{}
	for _, t := range g.trials {
		if t.Why != "" {
			c[t.Why]++
		}
	}
	return c.text()
}

// mostValues of one setting are shown.
const mostValues = 3

// settings are those that a reader needs, and all in which the trials differ but
// for their seeds.
func (g group) settings() string {
	needed := []string{"fault", "reconnect", "probe", "client timeout", "protocol", "heartbeat"}
	names := map[string]bool{}
	for _, t := range g.trials {
		for name := range t.Settings {
			names[name] = true
		}
	}
	delete(names, "seed")
	var parts []string
	for _, name := range append(needed, slices.Sorted(maps.Keys(names))...) {
		values := map[string]bool{}
		for _, t := range g.trials {
			values[cmp.Or(t.Setting(name), "-")] = true
		}
		if wanted := slices.Contains(needed, name); names[name] && (wanted || len(values) > 1) {
			shown := strings.Join(slices.Sorted(maps.Keys(values)), " or ")
			if len(values) > mostValues {
				shown = fmt.Sprintf("of %d values", len(values))
			}
			parts = append(parts, name+" "+shown)
		}
		delete(names, name)
	}
	return cmp.Or(strings.Join(parts, " · "), "-")
}

// bug is how often a known bug was met in a group.
type bug struct {
	name string
	// k of n first carryings-out that were judged, of a whole history, on a host
	// that was not too busy; and of those on one that was.
	k, n, busyK, busyN int
}

// bugs are those that were met or sought, by name.
func (g group) bugs() []bug {
	of := map[string]*bug{}
	for _, t := range g.trials {
		for _, name := range slices.Concat(sought(t.Verdict), met(t.Verdict)) {
			of[name] = &bug{name: name}
		}
	}
	var out []bug
	for _, name := range slices.Sorted(maps.Keys(of)) {
		b := of[name]
		for _, t := range g.trials {
			// Who repeats until it shows always meets it in the end.
			if t.Verdict.State != "" && t.Complete() && !t.Again {
				b.count(t)
			}
		}
		out = append(out, *b)
	}
	return out
}

func (b *bug) count(t trial) {
	k, n := &b.k, &b.n
	if t.Busy() {
		k, n = &b.busyK, &b.busyN
	}
	*n++
	if slices.Contains(met(t.Verdict), b.name) {
		*k++
	}
}

// heldCommits are the transactions that were held, and whose ledger was read.
type heldCommits struct {
	n, durable int
	// failed callers were told no ok, acked ones were; kept and lost are those
	// of them of which the ledger says the opposite.
	failed, kept, acked, lost int
	told                      tallied
}

func (g group) held() heldCommits {
	s := heldCommits{told: tallied{}}
	for _, c := range g.commits() {
		if !c.held || !c.read {
			continue
		}
		s.n++
		s.told[c.told]++
		if c.durable {
			s.durable++
		}
		switch {
		case c.ok && c.durable:
			s.acked++
		case c.ok:
			s.acked, s.lost = s.acked+1, s.lost+1
		case c.durable:
			s.failed, s.kept = s.failed+1, s.kept+1
		default:
			s.failed++
		}
	}
	return s
}
