package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/check"
)

// Bugs are the names of the known bugs that the trial met, whatever else it
// met, in order.
func (t Trial) Bugs() []string { return bugs(t.Verdict) }

func bugs(v check.Verdict) []string {
	var names []string
	for _, f := range v.Findings {
		if f.State == check.Known {
			names = append(names, f.Bugs...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// verdictText is the verdict in one line: of known bugs all names, and who saw
// them.
func (t Trial) verdictText() string {
	if t.Verdict.State != check.Known {
		return headline(t.Verdict.String())
	}
	var seen []string
	for _, f := range t.Verdict.Findings {
		if f.State == check.Known {
			seen = append(seen, f.Invariant)
		}
	}
	return fmt.Sprintf("%s: %s (seen by %s)", t.Verdict.State, strings.Join(t.Bugs(), ", "), strings.Join(seen, ", "))
}

// stateText is the verdict's word, with the known bugs' names and how often the
// trial had to be repeated.
func (t Trial) stateText() string {
	text := string(t.Verdict.State)
	if bugs := strings.Join(t.Bugs(), ", "); bugs != "" && t.Verdict.State == check.Known {
		text += ": " + bugs
	} else if bugs != "" {
		text += " (and known: " + bugs + ")"
	}
	if n := len(t.Repeats); n > 0 {
		text += fmt.Sprintf(", after %d that proved nothing", n)
	}
	return text
}

// bugsMet is the table of the known bugs: in how many trials of each scenario
// each was met.
func (r Run) bugsMet(b *strings.Builder) {
	type row struct{ bug, scenario string }
	trials, met := map[string]int{}, map[row]int{}
	for _, t := range r.Trials {
		trials[t.Name]++
		for _, bug := range t.Bugs() {
			met[row{bug, t.Name}]++
		}
	}
	if len(met) == 0 {
		return
	}
	rows := make([]row, 0, len(met))
	for r := range met {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.bug, b.bug), cmp.Compare(a.scenario, b.scenario)) })
	b.WriteString("\n## Known bugs met\n\n| bug | scenario | trials |\n|---|---|---:|\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %s | %s | %d of %d |\n", cell(r.bug), cell(r.scenario), met[r], trials[r.scenario])
	}
}
