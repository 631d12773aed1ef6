package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/window"
)

// repeats writes a row for each scenario that was carried out more than once:
// what its trials have in common, and how far they spread. A trial on a busy
// host counts as a trial, but not among the times.
func (r Run) repeats(b *strings.Builder) {
	groups := map[string][]Trial{}
	for _, t := range r.Trials {
		groups[t.Name] = append(groups[t.Name], t)
	}
	var names []string
	for name, trials := range groups {
		if len(trials) > 1 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	b.WriteString("\n## Repeated scenarios\n\nMedian, and the least and the most, over the trials on a quiet host in which an actor answered.\n\n| scenario | passed | timed | outage window | health gap |\n|---|---:|---:|---|---|\n")
	for _, name := range names {
		var windows, gaps []time.Duration
		states := map[check.State]int{}
		for _, t := range groups[name] {
			states[t.Verdict.State]++
			if o := t.Outage; o != nil && o.First != 0 && !o.Noise.TooNoisy() {
				windows, gaps = append(windows, o.Window()), append(gaps, o.HealthGap())
			}
		}
		passed := fmt.Sprintf("%d of %d", states[check.Pass], len(groups[name]))
		if n := states[check.Known]; n > 0 {
			passed += fmt.Sprintf(", %d known", n)
		}
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s |\n", cell(name), passed, len(windows), spread(windows), spread(gaps))
	}
	b.WriteString("\n" + classTable(groups, names))
}

// spread is "median (least to most)".
func spread(ds []time.Duration) string {
	if len(ds) == 0 {
		return "-"
	}
	slices.Sort(ds)
	mid := ds[len(ds)/2]
	if len(ds)%2 == 0 {
		mid = (mid + ds[len(ds)/2-1]) / 2
	}
	return fmt.Sprintf("%s (%s to %s)", seconds(mid), seconds(ds[0]), seconds(ds[len(ds)-1]))
}

// classTable counts, for each delay, how often the probe ended how.
func classTable(groups map[string][]Trial, names []string) string {
	var b strings.Builder
	b.WriteString("| scenario | sent after `/health` | answered at once | held | timed out | refused | error |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, name := range names {
		counts := map[time.Duration]map[window.Class]int{}
		for _, t := range groups[name] {
			if t.Outage == nil {
				continue
			}
			for _, row := range t.Outage.Rows {
				if counts[row.Delay] == nil {
					counts[row.Delay] = map[window.Class]int{}
				}
				counts[row.Delay][row.Class]++
			}
		}
		for _, delay := range sortedKeys(counts) {
			c := counts[delay]
			fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d |\n", cell(name), ms(delay),
				c[window.Answered], c[window.Held], c[window.TimedOut], c[window.Refused], c[window.Errored])
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[time.Duration]V) []time.Duration {
	keys := make([]time.Duration, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
