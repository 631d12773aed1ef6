package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
)

// The elements of junit.xml, as Jenkins' schema of that format has them, which
// other CI systems read, too: docs/report.md says what becomes of which verdict.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    string       `xml:"time,attr"`
	Skipped *junitResult `xml:"skipped,omitempty"`
	Error   *junitResult `xml:"error,omitempty"`
	Failure *junitResult `xml:"failure,omitempty"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes junit.xml: a test case for each trial. One that failed is a
// failure; one that proved nothing an error, so that it is not green; one that met
// nothing but known bugs is skipped, with their names, so that it is seen and is
// not red.
func (r Run) JUnit(w io.Writer) error {
	suite := junitSuite{Name: "killpoint", Tests: len(r.Trials), Cases: []junitCase{}}
	var all time.Duration
	for _, t := range r.Trials {
		took := time.Duration(0)
		if t.story != nil {
			took = t.story.span
			if at, err := time.Parse(time.RFC3339Nano, t.story.header.Wall); err == nil && suite.Timestamp == "" {
				suite.Timestamp = at.UTC().Format("2006-01-02T15:04:05")
			}
		}
		all += took
		suite.add(t, took)
	}
	suite.Time = xmlSeconds(all)
	suites := junitSuites{
		Name: r.title(), Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Time: suite.Time, Suites: []junitSuite{suite},
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suites); err != nil {
		return fmt.Errorf("encode the trials as XML: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func xmlSeconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func (s *junitSuite) add(t Trial, took time.Duration) {
	class, _, _ := strings.Cut(t.Name, "/")
	c := junitCase{Class: "killpoint." + class, Name: t.Name, Time: xmlSeconds(took), Out: t.junitOut()}
	what := &junitResult{Message: t.verdictText(), Type: t.Verdict.First().Invariant}
	if f := t.failed(); f != nil {
		what.Message = f.first()
		var text strings.Builder
		_ = t.Failure(&text) // a strings.Builder takes everything
		what.Text = text.String()
	}
	switch t.Verdict.State {
	case check.Pass:
	case check.Known:
		what.Type, what.Text = "", ""
		c.Skipped = what
		s.Skipped++
	case check.Fail:
		c.Failure = what
		s.Failures++
	default:
		c.Error = what
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

// junitOut is what a reader of a trial wants that did not fail.
func (t Trial) junitOut() string {
	var b strings.Builder
	if t.Title != "" {
		fmt.Fprintf(&b, "%s\n", t.Title)
	}
	if o := t.Outage; o != nil {
		fmt.Fprintf(&b, "outage window %s\nhealth gap %s\n", reach(o.Window(), o.WindowAll()), reach(o.HealthGap(), o.HealthGapAll()))
	}
	if t.Again != "" {
		fmt.Fprintf(&b, "run it again: %s\n", t.Again)
	}
	for i, a := range t.Repeats {
		fmt.Fprintf(&b, "carrying-out %d proved nothing: %s\n", i+1, headline(a.Verdict.String()))
	}
	return b.String()
}
