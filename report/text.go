// Package report shows what histories say: on a terminal, as Markdown for a
// CI job's summary, and as JSON for programs. It computes nothing itself and
// talks to no container.
package report

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/window"
)

// Trial is one judged trial.
type Trial struct {
	Name string
	// Dir is the trial's folder, with its history.
	Dir string
	// Title are the settings that matter, for the head of its table.
	Title  string
	Outage *window.Outage // nil where the history has none
	// Actions are the action probes.
	Actions []check.ActionRow
	Verdict check.Verdict
	// Seed is what the trial's random choices were drawn from, "" where it made
	// none.
	Seed string
	// Again is the command that runs this trial again.
	Again string
	// Repeats are the carryings-out before this one, in order, which proved
	// nothing: this one is the repetition that ended them.
	Repeats []Attempt
	// Known are the names of the known bugs that could account for a failure.
	Known []string
	// Judged says where the verdict comes from; "" is this run.
	Judged Judged

	failure *failure // nil where it passed, met known bugs only, or nobody judged it
	story   *story   // nil where nobody read its history
	logs    bool     // those of a failure are written into the trial's folder
}

// Attempt is a carrying-out of a trial that proved nothing.
type Attempt struct {
	Dir     string // its folder, with its history
	Verdict check.Verdict
}

// trial is the attempt as the page shows it, with its history read: few trials
// have one.
func (a Attempt) trial() Trial {
	t := Trial{Dir: a.Dir, Verdict: a.Verdict}
	h, err := history.ReadFile(HistoryPath(a.Dir))
	if h != nil {
		// What cannot be drawn is not, and the verdict stands beside it.
		_ = t.take(h, err)
	}
	return t
}

// Judge reads the history in a trial's folder and judges it. If the verdict is
// fail or inconclusive it also writes the log of each incarnation into the
// folder, as the trial's failure shows only a part of it. A trial is returned
// with every error; one whose history cannot be read is inconclusive, and has
// what could be read of it.
func Judge(dir string, known []check.KnownBug, invariants ...check.Invariant) (Trial, error) {
	h, err := history.ReadFile(HistoryPath(dir))
	if err != nil {
		err = fmt.Errorf("judge the trial in %s: %w", dir, err)
		t := Unjudged(filepath.Base(dir), dir, err)
		t.logs = true
		if h == nil {
			return t, err
		}
		return t, errors.Join(err, t.take(h, err))
	}
	t := Trial{Name: h.Header.Trial, Dir: dir, Verdict: check.Judge(h, known, invariants...), Known: bugNames(known), logs: true}
	return t, t.take(h, nil)
}

// take takes from the history all that is shown of it. unreadable is why its rest
// could not be read.
func (t *Trial) take(h *history.History, unreadable error) error {
	// Without an outage the verdict already says why; the table shows the rest.
	if o, err := window.Read(h); err == nil && unreadable == nil {
		t.Outage, t.Actions = o, check.Actions(h, o)
	}
	t.Title, t.Seed = title(h), seed(h)
	logs := readLogs(h)
	var err error
	t.story, err = tell(h, logs, t.Outage, unreadable)
	if t.failed() == nil {
		return err
	}
	t.failure = explain(h, t.Dir, t.Verdict, unreadable)
	if !t.logs {
		return err
	}
	return errors.Join(err, writeLogs(t.Dir, logs, t.failure.origin))
}

// Unjudged is a trial whose history cannot be read: it is inconclusive, and
// err says why.
func Unjudged(name, dir string, err error) Trial {
	return Trial{Name: name, Dir: dir, Verdict: check.Verdict{State: check.Inconclusive, Findings: []check.Finding{
		{Invariant: "history-readable", State: check.Inconclusive, Summary: err.Error()},
	}}}
}

// HistoryPath is where a trial's folder keeps its history.
func HistoryPath(dir string) string { return filepath.Join(dir, "history.jsonl") }

// title is the settings that a reader of a table needs, in a fixed order.
func title(h *history.History) string {
	for _, e := range h.Events {
		s, ok := e.Body.(*history.Settings)
		if !ok {
			continue
		}
		var parts []string
		for _, name := range []string{"engine", "fault", "reconnect", "probe", "client timeout", "protocol", "load shedding"} {
			if v, ok := (*s)[name]; ok {
				parts = append(parts, fmt.Sprintf("%s %v", name, v))
			}
		}
		return strings.Join(parts, " · ")
	}
	return ""
}

// seed is the trial's: its setting, where that has one, else the header's. A
// large number is exact in the header only, as JSON reads those of settings.
func seed(h *history.History) string {
	if h.Header.Seed != 0 {
		return strconv.FormatUint(h.Header.Seed, 10)
	}
	for _, e := range h.Events {
		if s, ok := e.Body.(*history.Settings); ok {
			switch v := (*s)["seed"].(type) {
			case float64:
				return strconv.FormatFloat(v, 'f', -1, 64)
			case string:
				return v
			}
		}
	}
	return ""
}

// Text writes the trial as a table for a terminal. If it failed or proved
// nothing, the first line is the failure's, and all of that follows the table.
func (t Trial) Text(w io.Writer) error {
	var b strings.Builder
	f := t.failed()
	if f != nil {
		fmt.Fprintf(&b, "%s\n  ", f.first())
	}
	fmt.Fprintf(&b, "%s\n", t.Name)
	if t.Title != "" {
		fmt.Fprintf(&b, "  %s\n", t.Title)
	}
	if t.Outage != nil {
		t.sweepText(&b)
		outageText(&b, t.Outage)
	}
	if f != nil {
		t.failureText(&b, f)
	} else {
		fmt.Fprintf(&b, "  verdict        %s\n", t.verdictText())
		for i, a := range t.Repeats {
			fmt.Fprintf(&b, "  repeated       carrying-out %d: %s\n", i+1, headline(a.Verdict.String()))
		}
		fmt.Fprintf(&b, "  history        %s\n", HistoryPath(t.Dir))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// asked is a row of a trial's table: who was asked, and what came of it.
type asked struct {
	who string
	window.Row
}

// asked are the sweep's rows, then those of actors in a state of their own, then
// the actions.
func (t Trial) asked() []asked {
	var rows []asked
	for _, r := range t.Outage.Rows {
		rows = append(rows, asked{"sweep", r})
	}
	for _, r := range t.Outage.Beside {
		rows = append(rows, asked{r.Key, r})
	}
	for _, r := range t.Actions {
		rows = append(rows, asked{r.String(), r.Row})
	}
	return rows
}

func (t Trial) sweepText(b *strings.Builder) {
	var table strings.Builder
	table.WriteString("asked\tsent after /health\tthe probe\ttook\tfirst good answer at\tgeneration\t\n")
	for _, r := range t.asked() {
		fmt.Fprintf(&table, "%s\t%s\t%s\t%s\t%s\t%s\t\n", r.who, ms(r.Delay), what(r.Row), took(r.Row), ms(r.AnsweredAt), gen(r.Generation))
	}
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	// A strings.Builder takes everything.
	_, _ = io.WriteString(tw, table.String())
	_ = tw.Flush()
}

func outageText(b *strings.Builder, o *window.Outage) {
	if len(o.Rows) > 0 { // without a sweep nobody measured them
		fmt.Fprintf(b, "  outage window  %s to the first answer of an actor, %s until nobody had to wait any more\n", seconds(o.Window()), seconds(o.WindowAll()))
		fmt.Fprintf(b, "  health gap     %s of it (%s until nobody had to wait) with /health already ok%s\n", seconds(o.HealthGap()), seconds(o.HealthGapAll()), backoffText(o))
	}
	for _, m := range o.Moments {
		fmt.Fprintf(b, "  moment         %s\n", momentText(m))
	}
	fmt.Fprintf(b, "  engine         %s; down %s; /health seen ok %s after its start, at most %s late\n",
		exitText(o), seconds(o.StartT.Sub(o.ExitT)), seconds(o.Healthy.Sub(o.StartT)), seconds(o.HealthUncertain))
	busy := ""
	if o.Noise.TooNoisy() {
		busy = "  BUSY HOST: these times are not the engine's alone"
	}
	fmt.Fprintf(b, "  host           %v%s\n", o.Noise, busy)
}

// momentText is a strike that had a moment.
func momentText(m history.Moment) string {
	text := m.Moment + ": "
	if m.ReachedT != 0 {
		text += fmt.Sprintf("%s struck %.2f ms after it", m.Target, float64(m.SignalT.Sub(m.ReachedT).Microseconds())/1000)
	} else {
		text += m.Target + " struck"
	}
	if m.DiedT != 0 {
		text += fmt.Sprintf(", dead %.1f ms after the signal", float64(m.DiedT.Sub(m.SignalT).Microseconds())/1000)
	}
	if m.Frame != 0 {
		text += fmt.Sprintf("; frame %d %s", m.Frame, map[string]string{"drop": "dropped", "deliver": "delivered"}[m.Held])
	}
	if m.Severed > 0 {
		text += fmt.Sprintf("; %d connections severed, with %d frames on them", m.Severed, m.Lost)
	}
	return text
}

func exitText(o *window.Outage) string {
	how := "left by itself"
	if o.Exit.Signal != "" {
		how = fmt.Sprintf("%s, dead after %s", o.Exit.Signal, seconds(time.Duration(o.Exit.ToDeathNS)))
	}
	if o.Exit.GraceEnded {
		// An engine that needs as long as its grace may leave by itself although
		// SIGKILL is on its way: only its exit code tells.
		struck := o.FaultT
		for _, s := range slices.Backward(o.Strikes) {
			if s.ExitT == o.ExitT {
				struck = s.T // the first that struck this incarnation
			}
		}
		how = fmt.Sprintf("had not left by the end of its grace, %s sent after %s, dead after %s", o.Exit.Signal,
			seconds(o.Exit.SignalT.Sub(struck)), seconds(o.ExitT.Sub(struck)))
	}
	return fmt.Sprintf("%s, exit code %d", how, o.Exit.Code)
}

func backoffText(o *window.Outage) string {
	if o.Backoff == 0 {
		return ""
	}
	return fmt.Sprintf("; for %s of it the runtime waited for its next try", seconds(o.Backoff))
}

func took(r window.Row) string {
	if r.Took < 0 {
		return "-"
	}
	return ms(r.Took)
}

func what(r window.Row) string {
	if r.Class != window.Errored {
		return string(r.Class)
	}
	if r.Cause != history.CauseStatus {
		return fmt.Sprintf("%s: %s", r.Class, causes[r.Cause])
	}
	return strings.TrimSpace(fmt.Sprintf("%s %d %s", r.Class, r.Status, r.Code))
}

// causes are what came instead of a good answer, in words; CauseStatus needs
// none, since its status and code say it.
var causes = map[history.Cause]string{
	history.CauseTimeout:    "the client's patience ended",
	history.CauseRefused:    "no connection",
	history.CauseReset:      "the connection broke",
	history.CauseUnreadable: "unreadable answer",
	history.CauseStopped:    "the trial ended first",
}

// ms is a duration in whole milliseconds; a negative one stands for never.
func ms(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

func seconds(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func gen(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
