package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/window"
)

// briefly are the tables of a document: a row for each scenario and engine.
var briefly = []section{
	{"Outages", "Medians, with the least and the most, of the trials that count (*n*; in brackets those left out because the host was too busy): from the fault, and from the first good `/health`, to the first good answer of an actor. Then the delays after `/health` at which no probe was answered within the client's timeout, some, all; in brackets what bounds the rate of the opposite. " + fromSix, briefTable},
	{"What the window consists of", "Medians of the phases, which do not add up to that of the window. *Engine leaving*: with its drain, where it was asked to stop. Work that goes on at the same time counts to the earlier phase; `-`: it took a millisecond in no trial.", briefPhasesTable},
	{"Heartbeats and answers", pulsesNote, pulsesTable},
	{"Commits in flight", toldLegend + " Of those that were held before their COMMIT when the fault struck, and whose ledger was read back at the end; on a busy host, too.", briefCommitsTable},
	{"Known bugs", bugsNote, bugsTable},
}

func briefTable(groups []group) *table {
	t := newTable("scenario", "engine", "n (busy):", "outage window", "health gap", "unsafe", "flaky", "safe")
	for _, g := range groups {
		r := g.ranges
		if r.Trials+r.Noisy == 0 {
			continue
		}
		var windows []time.Duration
		for _, tr := range g.counted() {
			windows = came(windows, tr.Outage.Window())
		}
		unsafe, flaky, safe := "-", "-", "-"
		if r.Trials >= leastRanged {
			unsafe, flaky, safe = within(r.Unsafe), between(r.Flaky), within(r.Safe)
		}
		t.row(g.scenario, g.engine, fmt.Sprintf("%d (%d)", r.Trials, r.Noisy), briefSpread(windows, r.NeverFirst),
			briefSpread(r.First, r.NeverFirst), unsafe, flaky, safe)
	}
	return t
}

// within is a range with the bound of the rate of what was never met in it.
func within(r window.Range) string {
	if r.Empty() {
		return "-"
	}
	return fmt.Sprintf("%s (< %s)", between(r), atMost(stats.NoneOf(r.LeastTrials)))
}

// briefSpread is "median [least to most]", and how often it never came.
func briefSpread(sample []time.Duration, never int) string {
	s := stats.Spreads(sample)
	text := "-"
	switch {
	case s.N == 1:
		text = duration(s.Median)
	case s.N > 1:
		text = fmt.Sprintf("%s [%s to %s]", duration(s.Median), duration(s.Least), duration(s.Most))
	}
	if never > 0 {
		text = strings.TrimPrefix(text+", ", "-, ") + fmt.Sprintf("never in %d", never)
	}
	return text
}

// briefPhasesTable has a column for each phase that took a while anywhere.
func briefPhasesTable(groups []group) *table {
	var order []window.Phase
	took := make([]map[window.Phase][]time.Duration, len(groups))
	some := map[window.Phase]bool{}
	for i, g := range groups {
		took[i] = map[window.Phase][]time.Duration{}
		for _, tr := range g.counted() {
			if order == nil {
				for _, p := range tr.Phases {
					order = append(order, p.Phase)
				}
			}
			for _, p := range tr.Phases {
				took[i][p.Phase] = append(took[i][p.Phase], p.Took)
				some[p.Phase] = some[p.Phase] || p.Took >= time.Millisecond
			}
		}
	}
	heads := []string{"scenario", "engine", "n:"}
	for _, p := range order {
		if some[p] {
			heads = append(heads, leaving(p)+":")
		}
	}
	t := newTable(heads...)
	for i, g := range groups {
		if len(took[i]) == 0 {
			continue
		}
		cells := []any{g.scenario, g.engine, 0}
		for _, p := range order {
			s := stats.Spreads(took[i][p])
			cells[2] = s.N
			switch {
			case s.Most >= time.Millisecond:
				cells = append(cells, duration(s.Median))
			case some[p]:
				cells = append(cells, "-")
			}
		}
		t.row(cells...)
	}
	return t
}

func briefCommitsTable(groups []group) *table {
	t := newTable("scenario", "engine", "commits:", "callers were told", "durable", "durable although its caller saw an error", "lost although its caller was told ok")
	for _, g := range groups {
		if s := g.held(); s.n > 0 {
			t.row(g.scenario, g.engine, s.n, s.told.text("ok"), rate(s.durable, s.n), rate(s.kept, s.failed), rate(s.lost, s.acked))
		}
	}
	return t
}
