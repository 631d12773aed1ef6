package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/window"
)

// Run is the folder of one run: a folder per trial, and over them a summary
// for people (summary.md) and one for programs (result.json).
type Run struct {
	Dir    string
	Trials []Trial
	// Sections of Markdown are added to the end of the summary.
	Sections []string
}

// Write writes summary.md, result.json, report.html and junit.xml. All are written
// even if one fails.
func (r Run) Write() error {
	return errors.Join(
		r.file("summary.md", func(w io.Writer) error { _, err := io.WriteString(w, r.Markdown()); return err }),
		r.file("result.json", r.json),
		r.file("report.html", r.Page),
		r.file("junit.xml", r.JUnit),
	)
}

func (r Run) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r.result())
}

// file writes a whole file or none: on a full disk an empty one would look like
// a run without trials.
func (r Run) file(name string, write func(io.Writer) error) error {
	path := filepath.Join(r.Dir, name)
	err := whole(path+".part", write)
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		// Where it was not even made there is nothing to remove.
		_ = os.Remove(path + ".part")
		return fmt.Errorf("write the run's %s: %w", name, err)
	}
	return nil
}

func whole(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// Markdown is the summary: a table of trials, then a table for each sweep. It fits
// into what a CI job may show; where it had to be cut it says what is left out.
func (r Run) Markdown() string { return r.summary().within(summaryLimit) }

func (r Run) summary() summary {
	var b strings.Builder
	b.WriteString("# killpoint\n\n| trial | verdict | outage window | health gap | host |\n|---|---|---|---|---|\n")
	for _, t := range r.Trials {
		win, gap, host := "-", "-", "-"
		if o := t.Outage; o != nil {
			win = seconds(o.Window()) + " to " + seconds(o.WindowAll())
			gap = seconds(o.HealthGap()) + " to " + seconds(o.HealthGapAll())
			host = hostText(o.Noise)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell(t.Name), cell(t.stateText()), win, gap, host)
	}
	b.WriteString("\nA window runs from the fault to the first good answer of an actor, and until no actor kept anybody waiting any more; the health gap is its part in which `/health` already answered ok. Times on a busy host are not the engine's alone.\n")
	r.bugsMet(&b)
	r.repeats(&b)
	s := summary{head: b.String()}
	for _, t := range r.Trials {
		b.Reset()
		t.markdown(&b)
		s.trials, s.first = append(s.trials, b.String()), append(s.first, t.failed() != nil)
	}
	for _, section := range r.Sections {
		s.tail += "\n" + section
	}
	return s
}

func (t Trial) markdown(b *strings.Builder) {
	f := t.failed()
	line := t.verdictText()
	if f != nil {
		line = f.first()
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n%s\n", t.Name, t.Title, cell(line))
	if f == nil && len(t.Repeats) > 0 {
		b.WriteString("\nRepeated, for the carryings-out before this one proved nothing:\n\n")
		for _, a := range t.Repeats {
			fmt.Fprintf(b, "1. %s\n", headline(a.Verdict.String()))
		}
	}
	if f != nil {
		var all strings.Builder
		t.failureText(&all, f)
		b.WriteString("\n" + fenced(all.String()))
	}
	if t.Outage == nil {
		return
	}
	b.WriteString("\n| asked | sent after `/health` | the probe | took | first good answer at | generation |\n|---|---:|---|---:|---:|---:|\n")
	for _, r := range t.asked() {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", cell(r.who), ms(r.Delay), cell(what(r.Row)), took(r.Row), ms(r.AnsweredAt), gen(r.Generation))
	}
	var outage strings.Builder
	outageText(&outage, t.Outage)
	b.WriteString("\n" + fenced(outage.String()))
}

// fenced is a text as a block of code. A log may hold fences of its own.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + text + fence + "\n"
}

func hostText(n window.Noise) string {
	switch {
	case n.Span == 0:
		return "not measured"
	case n.TooNoisy():
		return "busy"
	default:
		return "quiet"
	}
}

// cell keeps a text from breaking its row.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
}

// State is the worst of the trials' verdicts, and inconclusive where there is
// no trial: a run of nothing proves nothing.
func (r Run) State() check.State {
	state := check.Pass
	if len(r.Trials) == 0 {
		state = check.Inconclusive
	}
	for _, t := range r.Trials {
		state = check.Worse(state, t.Verdict.State)
	}
	return state
}
