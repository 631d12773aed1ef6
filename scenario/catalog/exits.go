package catalog

import (
	"maps"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/exits"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
)

// The groups of the exit matrix: all of it, and what is always carried out.
const (
	ExitMatrix = "exit-matrix"
	Exits      = "exits"
)

// exitMatrix are the lanes of the exit matrix, all of it, and before them a few of
// its cases that are carried out always: what is right, what was found to be wrong,
// and the same under an init.
func exitMatrix() []Entry {
	var entries []Entry
	for _, few := range []struct {
		lane    exits.Lane
		strikes []exits.Strike
	}{
		{exits.Lane{Behaviour: exits.Drain, Place: exits.PID1}, []exits.Strike{exits.TERM, exits.StopShort, exits.StopLong}},
		{exits.Lane{Behaviour: exits.DrainReraise, Place: exits.PID1}, []exits.Strike{exits.StopLong}},
		{exits.Lane{Behaviour: exits.DrainReraise, Place: exits.Init}, []exits.Strike{exits.StopLong}},
	} {
		var cases []exits.Case
		for _, s := range few.strikes {
			cases = append(cases, exits.Case{Behaviour: few.lane.Behaviour, Place: few.lane.Place, Strike: s})
		}
		entries = append(entries, Entry{Group: Exits, Variant: few.lane.String(), Test: "TestExits", build: func(Options) scenario.Scenario {
			return scenario.ExitLane(few.lane, cases...)
		}})
	}
	for _, lane := range exits.Lanes() {
		if len(lane.Cases()) == 0 {
			continue
		}
		entries = append(entries, Entry{Group: ExitMatrix, Variant: lane.String(), Test: "make matrix", Extra: true, build: func(Options) scenario.Scenario {
			return scenario.ExitLane(lane, lane.Cases()...)
		}})
	}
	return entries
}

// ExitTables are the exit matrix of the trials that carried it out, in Markdown,
// for each engine: its codes and times and what clients saw, and a row for each
// case. Both are "" where there is none. A history that cannot be read has its
// verdict elsewhere.
func ExitTables(trials []report.Trial) (matrix, details string) {
	results := map[string][]exits.Result{}
	for _, t := range trials {
		group, rest, _ := strings.Cut(t.Name, "/")
		if group != ExitMatrix && group != Exits {
			continue
		}
		h, err := history.ReadFile(report.HistoryPath(t.Dir))
		if err != nil {
			continue
		}
		engine, _, _ := strings.Cut(rest, "/")
		of, _ := exits.Read(h) // one that names no case is inconclusive
		for _, r := range of {
			results[engine] = append(results[engine], r.Judged(t.Verdict))
		}
	}
	for _, engine := range slices.Sorted(maps.Keys(results)) {
		of := results[engine]
		matrix += "## Exits, engine " + engine + "\n\n" + exits.Totals(of) + ".\n\n" +
			exits.Table(of) + "\n" + exits.Legend + "\n\n" + exits.Seen(of) + "\n" + exits.SeenLegend + "\n"
		details += "## Exits, engine " + engine + ", case by case\n\n" + exits.Details(of)
	}
	return matrix, details
}
