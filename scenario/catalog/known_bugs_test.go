package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/report"
)

// The table counts a trial that was repeated as one in which the bug did not
// show, and one that was cut off not at all.
func TestKnownBugsTable(t *testing.T) {
	const engine = DefaultEngine
	bug := reproductions[0].bug.Name
	name := strings.Join([]string{KnownBugs, engine, bug, reproductions[0].behaviour}, "/")
	trial := func(complete check.State, repeats int, bugs ...string) report.Trial {
		tr := report.Trial{Name: name, Repeats: make([]report.Attempt, repeats)}
		tr.Verdict.State = check.Known
		tr.Verdict.Findings = []check.Finding{
			{Invariant: "trial-complete", State: complete},
			{Invariant: "answers-within-bound", State: check.Known, Bugs: bugs},
		}
		return tr
	}
	row := func(trials ...report.Trial) string {
		for _, line := range strings.Split(KnownBugsTable(trials, []string{engine}), "\n") {
			if strings.HasPrefix(line, "| "+bug+" |") {
				return line
			}
		}
		return ""
	}
	assert.Contains(t, row(trial(check.Pass, 0, bug), trial(check.Pass, 0, bug)), "| 2 of 2 | 16–100 % | yes |")
	assert.Contains(t, row(trial(check.Pass, 0, bug), trial(check.Pass, 1, bug)), "| 1 of 2 | 1–99 % | **no** |")
	assert.Contains(t, row(trial(check.Pass, 0, bug), trial(check.Inconclusive, 0)), "| 1 of 1 |")
	assert.Empty(t, row(trial(check.Inconclusive, 0)))
}
