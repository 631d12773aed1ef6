package tests

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
)

func TestScorecardTable(t *testing.T) {
	var c scorecard
	row := func(bug, meant, missed string, states ...check.State) {
		r := scoreRow{plantedTrial: plantedTrial{bug: bug, meant: meant}, restartName: "kill", tries: 1}
		for i, s := range states {
			r.findings = append(r.findings, check.Finding{Invariant: string(rune('x' + i)), State: s, Summary: "because"})
		}
		if missed != "" {
			r.tries, r.missed = 2, []string{missed}
		}
		c.add(r)
	}
	row("b2", "y", "too late", check.Fail, check.Fail, check.Inconclusive)
	row("", "", "", check.Pass, check.Pass)
	table := c.markdown()
	assert.Contains(t, table, "| clean | kill | 1 | . | . |   |\n| b2 | kill | 2 | f | **F** | ? |\n")
	assert.Contains(t, table, "1 x  \n2 y  \n3 z  \n")
	assert.Contains(t, table, "b2: because\n")
	assert.Contains(t, table, "b2 (kill) was repeated: too late")
}

// A bug of which no invariant of its own was checked, or whose invariant could
// not be decided, has not survived and was not caught either.
func TestWhatSaysNothingOfABug(t *testing.T) {
	p := plantedTrial{bug: "b", meant: "x"}
	trial := func(s check.State) report.Trial {
		return report.Trial{Verdict: check.Verdict{State: s, Findings: []check.Finding{{Invariant: "x", State: s, Summary: "because"}}}}
	}
	assert.Empty(t, p.inconclusive(t, trial(check.Fail)))
	assert.Equal(t, "x: because", p.inconclusive(t, trial(check.Inconclusive)))
	assert.Equal(t, "x: it was not checked", p.inconclusive(t, report.Trial{}))
	clean := plantedTrial{}
	assert.Empty(t, clean.inconclusive(t, trial(check.Pass)))
	assert.Empty(t, clean.inconclusive(t, trial(check.Fail)))
	assert.Contains(t, clean.inconclusive(t, trial(check.Inconclusive)), "because")
}

func TestStruck(t *testing.T) {
	h := &history.History{Events: []history.Event{
		{Kind: "runtime.bug", Body: json.RawMessage(`{"bug":"a"}`)},
		{Kind: "runtime.listening", Body: json.RawMessage(`{"bug":"b"}`)},
	}}
	assert.True(t, struck(h, "a"))
	assert.False(t, struck(h, "b"))
}
