package main

import (
	"strings"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/stored"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/window"
)

// trial is a stored one with what only these tables tell of it.
type trial struct {
	stored.Trial
	pulses  []window.Pulse
	named   []window.Named
	commits []commit
}

// read reads every trial under the folders, each once.
func read(dirs []string) ([]trial, error) {
	var trials []trial
	all, err := stored.Read(dirs, func(h *history.History, of stored.Trial) {
		t := trial{commits: readCommits(h)}
		if of.Outage != nil {
			t.pulses, t.named = window.Pulses(h, of.Outage), window.NamedProbes(h, of.Outage)
		}
		trials = append(trials, t)
	})
	for i, of := range all {
		trials[i].Trial = of
	}
	return trials, err
}

// reproduces is how the invariants are called that look for one known bug.
var reproduces = check.Reproduces(check.KnownBug{}).Name

// sought are the bugs that the trial was to reproduce, met those that account
// for one of its failures, each once.
func sought(v check.Verdict) (names []string) {
	for _, f := range v.Findings {
		if name, ok := strings.CutPrefix(f.Invariant, reproduces); ok {
			names = append(names, name)
		}
	}
	return names
}

func met(v check.Verdict) []string { return report.Trial{Verdict: v}.Bugs() }
