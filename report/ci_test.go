package report_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
)

// fourStates are a trial of each verdict.
func fourStates(t *testing.T) []report.Trial {
	t.Helper()
	judge := func(name string, b *ht.Builder, known []check.KnownBug, invariants ...check.Invariant) report.Trial {
		tr, err := report.Judge(stored(t, filepath.Join(t.TempDir(), "t"), b), known, invariants...)
		require.NoError(t, err)
		tr.Name, tr.Again = name, "make itest RUN='"+name+"'"
		return tr
	}
	ledger := check.LedgerKeeps("tick", "ledger")
	return []report.Trial{
		judge("load/good", restarted(10), nil, check.FaultLanded()),
		judge("load/lost, twice", &lostWrite().Builder, nil, ledger),
		judge("load/known", &lostWrite().Builder, []check.KnownBug{lostByDesign("a")}, ledger),
		judge("idle/cut off", &brokenOff(history.EndInterrupted, "interrupt").Builder, nil),
	}
}

// junit is the part of the format that CI systems read.
type junit struct {
	XMLName  xml.Name `xml:"testsuites"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Suites   []struct {
		Tests     int    `xml:"tests,attr"`
		Skipped   int    `xml:"skipped,attr"`
		Timestamp string `xml:"timestamp,attr"`
		Cases     []struct {
			Class   string     `xml:"classname,attr"`
			Name    string     `xml:"name,attr"`
			Time    string     `xml:"time,attr"`
			Skipped *junitMark `xml:"skipped"`
			Error   *junitMark `xml:"error"`
			Failure *junitMark `xml:"failure"`
			Out     string     `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type junitMark struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

func TestJUnitHasACaseForEachTrial(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, report.Run{Trials: fourStates(t)}.JUnit(&b))
	var got junit
	require.NoError(t, xml.Unmarshal(b.Bytes(), &got))
	assert.Equal(t, []int{4, 1, 1}, []int{got.Tests, got.Failures, got.Errors})
	require.Len(t, got.Suites, 1)
	assert.Equal(t, 1, got.Suites[0].Skipped)
	assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$`, got.Suites[0].Timestamp)

	cases := got.Suites[0].Cases
	require.Len(t, cases, 4)
	good, lost, known, cut := cases[0], cases[1], cases[2], cases[3]
	assert.Equal(t, "killpoint.load", good.Class)
	assert.Equal(t, "1.000", good.Time)
	assert.True(t, good.Failure == nil && good.Error == nil && good.Skipped == nil)
	assert.Contains(t, good.Out, "outage window 0.17 s\n")
	assert.Contains(t, good.Out, "run it again: make itest RUN='load/good'")
	require.NotNil(t, lost.Failure)
	assert.Equal(t, "ledger-keeps-acked-writes", lost.Failure.Type)
	assert.True(t, strings.HasPrefix(lost.Failure.Text, lost.Failure.Message+"\n  plan "), "the first line, then the rest")
	require.NotNil(t, known.Skipped, "seen, and not red")
	assert.Equal(t, "known: write-forgotten (seen by ledger-keeps-acked-writes)", known.Skipped.Message)
	require.NotNil(t, cut.Error, "what proved nothing is not green")
	assert.Contains(t, cut.Error.Message, "interrupted")
}

// XML cannot hold every byte of a log, and must be whole all the same.
func TestJUnitIsXMLWhateverALogHolds(t *testing.T) {
	run := hostileRun(t, t.TempDir())
	run.Trials[0].Again = "\x00\x1b\xff]]>"
	var b bytes.Buffer
	require.NoError(t, run.JUnit(&b))
	assert.True(t, utf8.Valid(b.Bytes()))
	d := xml.NewDecoder(&b)
	for {
		token, err := d.Token()
		if token == nil {
			assert.ErrorContains(t, err, "EOF")
			break
		}
		require.NoError(t, err)
	}
}

func TestAnnotationsAreGitHubs(t *testing.T) {
	run := report.Run{Trials: fourStates(t)}
	said := func() string {
		var b strings.Builder
		require.NoError(t, run.Annotate(&b))
		return b.String()
	}
	t.Setenv("GITHUB_ACTIONS", "")
	assert.Empty(t, said(), "only where it runs")
	t.Setenv("GITHUB_ACTIONS", "true")
	run.Trials[1].Again = "a\n::set-env name=x::100 %"
	assert.Equal(t, ""+
		"::error title=killpoint%3A load/lost%2C twice::fail: ledger-keeps-acked-writes: acknowledged tick op3 of actor a is missing from its ledger, at event 48%0Arun it again: a%0A::set-env name=x::100 %25\n"+
		"::error title=killpoint%3A idle/cut off::inconclusive: trial-complete: the trial ended interrupted: step 5 of 8, start the engine again: interrupt, at event 14%0Arun it again: make itest RUN='idle/cut off'\n"+
		"::notice title=killpoint%3A load/known::known: write-forgotten (seen by ledger-keeps-acked-writes)%0Arun it again: make itest RUN='load/known'\n", said())

	lost := run.Trials[1]
	run.Trials = nil
	for range 12 {
		run.Trials = append(run.Trials, lost)
	}
	lines := strings.Split(strings.TrimSpace(said()), "\n")
	require.Len(t, lines, 10, "GitHub drops what comes after")
	assert.Equal(t, "::error title=killpoint::3 more trials: report.html and summary.md have all", lines[9])
}

// The summary of a very large run still fits, says what is missing, and has the
// trials that failed.
func TestTheSummaryFitsIntoAJob(t *testing.T) {
	states := fourStates(t)
	run := report.Run{Sections: []string{"## Table\n\n| a |\n|---|\n| 1 |\n"}}
	for i := range 1200 {
		tr := states[0]
		tr.Name = fmt.Sprintf("load/good-%04d", i)
		run.Trials = append(run.Trials, tr)
	}
	run.Trials = append(run.Trials, states[1])
	assert.Less(t, len(run.Markdown()), 1<<20)
	assert.NotContains(t, run.Markdown(), "left out", "this still fits")

	for i := range 3000 {
		tr := states[0]
		tr.Name = fmt.Sprintf("load/more-%04d", i)
		run.Trials = append(run.Trials, tr)
	}
	run.Trials = append(run.Trials, states[1])
	md := run.Markdown()
	assert.Less(t, len(md), 1<<20)
	assert.Greater(t, len(md), 900<<10, "it uses the room")
	assert.Regexp(t, `\n\d+ of 4202 trials are left out here, .*report.html has all of it.\n$`, md)
	assert.Equal(t, 2, strings.Count(md, "  plan (times from the trial's start)\n"), "both failures are told in full")
	assert.Contains(t, md, "## Table")
	assert.Zero(t, strings.Count(md, "\n```\n")%2, "no block of code is left open")
}
