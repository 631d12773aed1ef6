package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/report"
)

// isTerminal is whether a person watches what is written to w.
func (a *app) isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && a.get("TERM") != "dumb" && a.get("CI") == ""
}

func (a *app) get(name string) string {
	v, _ := a.lookup(name)
	return v
}

// colours of verdicts, as a terminal takes them.
var colours = map[check.State]string{
	check.Pass: "\x1b[32m", check.Known: "\x1b[36m", check.Inconclusive: "\x1b[33m", check.Fail: "\x1b[31m",
}

// colour writes a text in the colour of a verdict, where a person watches who
// has not asked for none (NO_COLOR).
func (a *app) colour(w io.Writer, state check.State, text string) string {
	if !a.isTerminal(w) || a.get("NO_COLOR") != "" {
		return text
	}
	return colours[state] + text + "\x1b[0m"
}

// table is a line for each trial.
func (a *app) table(run report.Run) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "trial\toutage window\thealth gap\thost\tverdict")
	for _, t := range run.Trials {
		window, gap, host := "-", "-", "-"
		if o := t.Outage; o != nil {
			window, gap, host = seconds(o.WindowAll().Seconds()), seconds(o.HealthGapAll().Seconds()), "quiet"
			if o.Noise.TooNoisy() {
				host = "busy"
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Name, window, gap, host, t.Verdict.State)
	}
	_ = w.Flush() // a strings.Builder takes everything
	// Coloured last: a tabwriter counts what a terminal does not show.
	for i, line := range strings.SplitAfter(b.String(), "\n") {
		if i > 0 && i <= len(run.Trials) {
			state := run.Trials[i-1].Verdict.State
			at := strings.LastIndex(line, string(state))
			line = line[:at] + a.colour(a.out, state, string(state)) + "\n"
		}
		_, _ = io.WriteString(a.out, line)
	}
	_, _ = fmt.Fprintln(a.out)
}

func seconds(s float64) string {
	if s < 0 {
		return "never"
	}
	return fmt.Sprintf("%.2f s", s)
}

// tally counts the verdicts.
func (a *app) tally(trials []report.Trial) string {
	n := map[check.State]int{}
	for _, t := range trials {
		n[t.Verdict.State]++
	}
	parts := []string{count(len(trials), "trial")}
	for _, s := range []struct {
		state check.State
		text  string
	}{{check.Pass, "passed"}, {check.Known, "met known bugs"}, {check.Fail, "failed"}, {check.Inconclusive, "inconclusive"}} {
		if n[s.state] > 0 {
			parts = append(parts, a.colour(a.out, s.state, fmt.Sprintf("%d %s", n[s.state], s.text)))
		}
	}
	return strings.Join(parts, ", ")
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// shortened is a list, of a long one its beginning.
func shortened(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
