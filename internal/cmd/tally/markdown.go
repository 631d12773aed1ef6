package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/window"
)

// legend says what holds for all tables.
const legend = `Times and rates are of trials that were carried out to their end, whose faults landed, on a host that was not
too busy; the others are told apart. Dates are UTC. Intervals are of 95 %: Clopper-Pearson for a rate, two-sided, and where
none or all were met the bound on the other side, one-sided; for a median the order statistics that hold it,
whatever the distribution (none of fewer than 6). Verdicts are as judged at the time of the run.
`

// section is a table with its head.
type section struct {
	name, note string
	table      func([]group) *table
}

// leastRanged is how many trials it takes to speak of ranges: of fewer a rate
// is bounded by no less than a half.
const leastRanged = 6

// What more than one section says.
var (
	fromSix    = fmt.Sprintf("Of scenarios with %d trials or more.", leastRanged)
	toldLegend = "*info*: the caller was not told whether it took effect; *refused*: it had no connection, or one that was closed before a byte of an answer; *fail*: it was told that it did not."
	pulsesNote = "Of the sweep's probes: those sent when their actor had had a good heartbeat since the engine's exit, and those sent before it had. *Lead*: from that heartbeat to the first good answer, of actors that had to be waited for; negative where the answer came first. Without intervals: the probes of one trial share its restart."
	bugsNote   = "Of the first carrying-out of each trial, where that was judged, and carried out to its end: those that repeat it are left out, for they were made until one proved something. One that proved nothing counts too, as one without the bug unless that was met. A bug that a scenario is there to reproduce has a row also where it was never met."
)

// fully are all tables.
var fully = []section{
	{"Trials", "Each carrying-out counts, also one that proved nothing and was repeated.", trialsTable},
	{"Outage window and health gap", "From the fault, and from the first good `/health`, to the first good answer of an actor, and until no actor kept anybody waiting; and the time from `/health` to the first good answer of each actor that had to wait. *Never*: trials, or actors, in which it did not come. The actors of one trial share its restart: of them there is no interval.", windowTable},
	{"Answered at which delay", fmt.Sprintf("A probe was *answered* if a good answer came within the client's timeout, *at once* if within %d ms, else *held*. *Refused*: no connection, or one that was closed before a byte of an answer; *error*: any other bad answer; *cut off*: the history ends before the probe does. *Busy host*: answered, of the trials left out for that.", window.AtOnce.Milliseconds()), answersTable},
	{"Unsafe, flaky, safe", "*Unsafe*: up to the largest delay up to which no probe at all was answered. *Safe*: from the least delay from which on every probe was. *Flaky*: between them. P is bounded at the delay of the range with the fewest trials. The last two columns: where the monotone curve that is closest to the rates crosses 10 % and 90 %, and what holds that, one probe of each trial counted; *later*: than all delays that were asked at. It takes some 40 trials to bound either on both sides. " + fromSix, rangesTable},
	{"What the window consists of", "The phases of a trial add up to its outage window; their medians do not, their shares (of the mean) do. Work that goes on at the same time counts to the earlier phase. Phases that took a millisecond in no trial are left out.", phasesTable},
	{"Heartbeats and answers", pulsesNote, pulsesTable},
	{"Probes by name", "Of the probes that are none of the sweep's: after which nobody asked on.", namedTable},
	{"Commits in flight: what callers were told", "Transactions held before their COMMIT when the fault struck, and those that were not, by whether the ledger, read back at the end, has them; on a busy host, too. " + toldLegend, toldTable},
	{"Commits in flight: durable or not", "Of those that were held and whose ledger was read; on a busy host, too.", durableTable},
	{"Known bugs", bugsNote, bugsTable},
}

// markdown is the sections; those with nothing to say are left out.
func markdown(groups []group, sections []section, args string) string {
	var b strings.Builder
	trials := 0
	for _, g := range groups {
		trials += len(g.trials)
	}
	fmt.Fprintf(&b, "# Tally\n\nTrials read: %d, by `go run ./internal/cmd/tally %s`\n\n%s\n%s", trials, args, runsTable(groups).b.String(), legend)
	for _, s := range sections {
		t := s.table(groups)
		if t.rows == 0 {
			continue
		}
		b.WriteString("\n## " + s.name + "\n\n")
		if s.note != "" {
			b.WriteString(s.note + "\n\n")
		}
		b.WriteString(t.b.String())
	}
	return b.String()
}

func trialsTable(groups []group) *table {
	t := newTable("scenario", "engine", "trials:", "verdicts", "counted:", "busy host:", "left out", "settings")
	for _, g := range groups {
		counted := fmt.Sprint(len(g.counted()))
		if n := g.ranges.Unwatched; n > 0 {
			counted += fmt.Sprintf(" (%d on a host that nobody watched)", n)
		}
		t.row(g.scenario, g.engine, len(g.trials), g.states(), counted, g.ranges.Noisy, g.leftOut(), g.settings())
	}
	return t
}

func windowTable(groups []group) *table {
	t := newTable("scenario", "engine", "time", "n:", "median:", "median, 95 %", "95th percentile:", "its 95 %", "least to worst", "never:")
	for _, g := range groups {
		if g.ranges.Trials == 0 {
			continue
		}
		s, waited := g.summary(), distribution(window.Distribute(g.ranges.Waited))
		waited[2], waited[4] = "-", "-" // the actors of one trial are no sample
		for _, m := range []struct {
			name  string
			of    []any
			never int
		}{
			{"outage window", distribution(s.Window), g.ranges.NeverFirst},
			{"outage window, all", distribution(s.WindowAll), g.ranges.NeverAll},
			{"health gap", distribution(s.HealthGap), g.ranges.NeverFirst},
			{"health gap, all", distribution(s.HealthGapAll), g.ranges.NeverAll},
			{"`/health` to an actor's answer", waited, g.ranges.NeverWaited},
		} {
			t.row(slices.Concat([]any{g.scenario, g.engine, m.name}, m.of, []any{m.never})...)
		}
	}
	return t
}

// distribution is the cells of one: how many, its median, that of what it was
// drawn from, its 95th percentile in the same way, its least and its worst.
func distribution(d window.Distribution) []any {
	if d.Came == 0 {
		return []any{d.N, "-", "-", "-", "-", "-"}
	}
	least := "-" // of one the median says all
	if d.N > 1 {
		least = duration(d.Least) + " to " + orNever(d.Worst)
	}
	return []any{d.N, orNever(d.Median.At), heldBy(d.Median), orNever(d.P95.At), heldBy(d.P95), least}
}

// heldBy is what a quantile lies between.
func heldBy(q window.Quantile) string {
	switch {
	case q.Low < 0 && q.High < 0:
		return "-"
	case q.Low < 0:
		return "<= " + duration(q.High)
	case q.High < 0:
		return ">= " + duration(q.Low)
	}
	return duration(q.Low) + " to " + duration(q.High)
}

func orNever(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return duration(d)
}

// summary is of the trials whose times count.
func (g group) summary() window.Summary {
	var all []window.Measured
	for _, t := range g.counted() {
		all = append(all, window.Measured{Outage: t.Outage, Phases: t.Phases})
	}
	return window.Summarize(all)
}

// came adds a time unless it never came.
func came(times []time.Duration, d time.Duration) []time.Duration {
	if d < 0 {
		return times
	}
	return append(times, d)
}

func answersTable(groups []group) *table {
	t := newTable("scenario", "engine", "sent after `/health`:", "answered", "at once", "held:", "timed out:", "refused:", "error:", "cut off:", "busy host")
	for _, g := range groups {
		for _, a := range g.ranges.Delays {
			answered, busy := rate(a.Good, a.N), "-"
			if a.N != a.Trials {
				answered += fmt.Sprintf(", in %d trials", a.Trials)
			}
			if a.Noisy > 0 {
				busy = fmt.Sprintf("%d of %d", a.NoisyGood, a.Noisy)
			}
			t.row(g.scenario, g.engine, delay(a.Delay), answered, rate(a.AtOnce, a.N), a.Classes[window.Held],
				a.Classes[window.TimedOut], a.Classes[window.Refused], a.Classes[window.Errored], a.CutOff, busy)
		}
	}
	return t
}

func rangesTable(groups []group) *table {
	t := newTable("scenario", "engine", "probe", "client timeout:", "unsafe", "flaky", "safe",
		fmt.Sprintf("answered %.0f %%: at", 100*window.UnsafeBelow), fmt.Sprintf("answered %.0f %%: at", 100*window.SafeFrom))
	for _, g := range groups {
		r := g.ranges
		if r.Trials < leastRanged || r.Unsafe.Empty() && r.Flaky.Empty() && r.Safe.Empty() {
			continue
		}
		t.row(g.scenario, g.engine, cmp.Or(g.trials[0].Setting("probe"), "-"), duration(r.Timeout),
			bounded(r.Unsafe, "none answered; P(answered)"), between(r.Flaky), bounded(r.Safe, "all answered; P(not)"),
			edge(r.Edges.Unsafe), edge(r.Edges.Safe))
	}
	return t
}

// edge is where P(answered) crosses a level, and what holds that.
func edge(e window.Edge) string {
	at, high := "later", "later"
	if e.At >= 0 {
		at = delay(e.At)
	}
	if e.High >= 0 {
		high = delay(e.High)
	}
	return fmt.Sprintf("%s (95 %%: %s to %s)", at, delay(e.Low), high)
}

func between(r window.Range) string {
	if r.Empty() {
		return "-"
	}
	if r.From == r.To {
		return delay(r.From)
	}
	return delay(r.From) + " to " + delay(r.To)
}

// bounded is a range in which all ended alike.
func bounded(r window.Range, alike string) string {
	if r.Empty() {
		return "-"
	}
	return fmt.Sprintf("%s: %s < %s (n >= %d)", between(r), alike, atMost(stats.NoneOf(r.LeastTrials)), r.LeastTrials)
}

func phasesTable(groups []group) *table {
	t := newTable("scenario", "engine", "phase", "share:", "n:", "median:", "median, 95 %", "95th percentile:", "its 95 %", "least to worst")
	for _, g := range groups {
		killed := g.killed()
		for _, p := range g.summary().Phases {
			if p.Worst < time.Millisecond {
				continue
			}
			name := string(p.Phase)
			if killed {
				name = leaving(p.Phase)
			}
			t.row(slices.Concat([]any{g.scenario, g.engine, name, percent(p.Share)}, distribution(p.Distribution))...)
		}
	}
	return t
}

// killed reports whether no engine of the group was given time to drain.
func (g group) killed() bool {
	drains := func(s window.Strike) bool { return s.Fault.Kind != "kill" }
	return !slices.ContainsFunc(g.counted(), func(t trial) bool { return slices.ContainsFunc(t.Outage.Strikes, drains) })
}

// leaving is the phase's name where the engine does not, or not always, drain.
func leaving(p window.Phase) string {
	if p == window.Draining {
		return "engine leaving"
	}
	return string(p)
}

func pulsesTable(groups []group) *table {
	t := newTable("scenario", "engine", "answered, heartbeat seen", "at once, heartbeat seen", "answered, none seen", "at once, none seen", "leads:", "lead, median:", "least to most")
	for _, g := range groups {
		var answered, atOnce, n [2]int // by whether a heartbeat was seen
		var leads []time.Duration
		for _, tr := range g.counted() {
			for _, p := range tr.pulses {
				if p.Class == window.CutOff {
					continue
				}
				i := 0
				if p.Before() {
					i = 1
				}
				n[i]++
				switch p.Class {
				case window.Answered:
					atOnce[i]++
					answered[i]++
				case window.Held:
					answered[i]++
				}
				if lead, ok := p.Lead(); ok {
					leads = append(leads, lead)
				}
			}
		}
		if n[0]+n[1] > 0 {
			lead := unbounded(leads)
			t.row(g.scenario, g.engine, share(answered[1], n[1]), share(atOnce[1], n[1]), share(answered[0], n[0]), share(atOnce[0], n[0]), lead[0], lead[1], lead[3])
		}
	}
	return t
}

func namedTable(groups []group) *table {
	t := newTable("scenario", "engine", "probe", "sent after `/health`, median:", "least to most", "answered", "at once", "took, median:", "least to most")
	for _, g := range groups {
		of := map[string][]window.Named{}
		for _, tr := range g.counted() {
			for _, n := range tr.named {
				if n.Class != window.CutOff {
					of[n.Probe+" "+n.Action] = append(of[n.Probe+" "+n.Action], n)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(of)) {
			var sent, took []time.Duration
			answered, atOnce := 0, 0
			for _, n := range of[name] {
				sent, took = append(sent, n.Sent), append(took, n.Took)
				switch n.Class {
				case window.Answered:
					answered, atOnce = answered+1, atOnce+1
				case window.Held:
					answered++
				}
			}
			s, d := spread(sent), spread(took)
			t.row(g.scenario, g.engine, name, s[1], s[3], rate(answered, len(sent)), rate(atOnce, len(sent)), d[1], d[3])
		}
	}
	return t
}

func toldTable(groups []group) *table {
	t := newTable("scenario", "engine", "held", "the caller was told", "in the ledger:", "not in the ledger:", "ledger not read:")
	for _, g := range groups {
		type row struct {
			held bool
			told string
		}
		counts := map[row][3]int{}
		for _, c := range g.commits() {
			n := counts[row{c.held, c.told}]
			switch {
			case !c.read:
				n[2]++
			case c.durable:
				n[0]++
			default:
				n[1]++
			}
			counts[row{c.held, c.told}] = n
		}
		for _, held := range []bool{true, false} {
			for _, r := range sortedBy(counts, func(r row) string { return r.told }) {
				if n := counts[r]; r.held == held {
					t.row(g.scenario, g.engine, map[bool]string{true: "yes", false: "no"}[held], r.told, n[0], n[1], n[2])
				}
			}
		}
	}
	return t
}

func durableTable(groups []group) *table {
	t := newTable("scenario", "engine", "commits:", "durable", "durable although its caller saw an error", "lost although its caller was told ok")
	for _, g := range groups {
		if s := g.held(); s.n > 0 {
			t.row(g.scenario, g.engine, s.n, rate(s.durable, s.n), rate(s.kept, s.failed), rate(s.lost, s.acked))
		}
	}
	return t
}

func bugsTable(groups []group) *table {
	t := newTable("bug", "scenario", "engine", "met in", "on a busy host")
	type row struct {
		group
		bug
	}
	var rows []row
	for _, g := range groups {
		for _, b := range g.bugs() {
			rows = append(rows, row{g, b})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.name, b.name) })
	for _, r := range rows {
		busy := "-"
		if r.busyN > 0 {
			busy = fmt.Sprintf("%d of %d", r.busyK, r.busyN)
		}
		t.row(r.name, r.scenario, r.engine, rate(r.k, r.n), busy)
	}
	return t
}
