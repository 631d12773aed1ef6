package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

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

// Write writes summary.md and result.json. Both are written even if one
// fails.
func (r Run) Write() error {
	result, err := json.MarshalIndent(r.result(), "", "  ")
	if err != nil {
		return fmt.Errorf("encode the result of the run: %w", err)
	}
	return errors.Join(
		r.file("summary.md", []byte(r.Markdown())),
		r.file("result.json", append(result, '\n')),
	)
}

// file writes a whole file or none: on a full disk an empty one would look like
// a run without trials.
func (r Run) file(name string, b []byte) error {
	path := filepath.Join(r.Dir, name)
	err := os.WriteFile(path+".part", b, 0o644)
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

// Markdown is the summary: a table of trials, then a table for each sweep.
func (r Run) Markdown() string {
	var b strings.Builder
	b.WriteString("# killpoint\n\n| trial | verdict | outage window | health gap | host |\n|---|---|---|---|---|\n")
	for _, t := range r.Trials {
		win, gap, host := "-", "-", "-"
		if o := t.Outage; o != nil {
			win = seconds(o.Window()) + " to " + seconds(o.WindowAll())
			gap = seconds(o.HealthGap()) + " to " + seconds(o.HealthGapAll())
			host = hostText(o.Noise)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell(t.Name), t.Verdict.State, win, gap, host)
	}
	b.WriteString("\nA window runs from the fault to the first good answer of an actor, and until no actor kept anybody waiting any more; the health gap is its part in which `/health` already answered ok. Times on a busy host are not the engine's alone.\n")
	r.repeats(&b)
	for _, t := range r.Trials {
		t.markdown(&b)
	}
	for _, section := range r.Sections {
		b.WriteString("\n" + section)
	}
	return b.String()
}

func (t Trial) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n%s\n", t.Name, t.Title, cell(t.Verdict.String()))
	if t.Verdict.State != check.Pass && t.Again != "" {
		fmt.Fprintf(b, "\nRun it again: `%s`\n", t.Again)
	}
	if t.Outage == nil {
		return
	}
	b.WriteString("\n| sent after `/health` | the probe | took | first good answer at | generation |\n|---:|---|---:|---:|---:|\n")
	for _, row := range t.Outage.Rows {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", ms(row.Delay), cell(what(row)), took(row), ms(row.AnsweredAt), gen(row.Generation))
	}
	b.WriteString("\n```\n")
	outageText(b, t.Outage)
	b.WriteString("```\n")
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

// resultVersion grows when a reader of an older result.json would misread it.
const resultVersion = 1

type result struct {
	Format  string        `json:"format"`
	Version int           `json:"version"`
	State   check.State   `json:"state"`
	Trials  []trialResult `json:"trials"`
}

type trialResult struct {
	Name    string        `json:"name"`
	History string        `json:"history"` // relative to the run's folder
	Verdict check.Verdict `json:"verdict"`
	Outage  *outageResult `json:"outage,omitempty"`
}

// Times are milliseconds; -1 stands for never.
type outageResult struct {
	WindowMS       float64 `json:"window_ms"`
	WindowAllMS    float64 `json:"window_all_ms"`
	HealthGapMS    float64 `json:"health_gap_ms"`
	HealthGapAllMS float64 `json:"health_gap_all_ms"`
	// HealthUncertainMS: /health may have been ok this much earlier. BackoffMS
	// is the part of the gap in which the runtime waited for its next try.
	HealthUncertainMS float64     `json:"health_uncertain_ms"`
	BackoffMS         float64     `json:"backoff_ms"`
	BusyHost          bool        `json:"busy_host"`
	Sweep             []rowResult `json:"sweep"`
}

type rowResult struct {
	DelayMS      float64      `json:"delay_ms"`
	Actor        string       `json:"actor"`
	Class        window.Class `json:"class"`
	TookMS       float64      `json:"took_ms"`
	AnsweredAtMS float64      `json:"answered_at_ms"`
	Status       int          `json:"status,omitempty"`
	Code         string       `json:"code,omitempty"`
	Generation   int64        `json:"generation"`
}

func (r Run) result() result {
	out := result{Format: "killpoint-result", Version: resultVersion, State: r.State(), Trials: []trialResult{}}
	for _, t := range r.Trials {
		rel, err := filepath.Rel(r.Dir, HistoryPath(t.Dir))
		if err != nil {
			rel = HistoryPath(t.Dir)
		}
		out.Trials = append(out.Trials, trialResult{t.Name, rel, t.Verdict, outage(t.Outage)})
	}
	return out
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

func outage(o *window.Outage) *outageResult {
	if o == nil {
		return nil
	}
	out := &outageResult{
		WindowMS: millis(o.Window()), WindowAllMS: millis(o.WindowAll()),
		HealthGapMS: millis(o.HealthGap()), HealthGapAllMS: millis(o.HealthGapAll()),
		HealthUncertainMS: millis(o.HealthUncertain), BackoffMS: millis(o.Backoff),
		BusyHost: o.Noise.TooNoisy(), Sweep: []rowResult{},
	}
	for _, row := range o.Rows {
		out.Sweep = append(out.Sweep, rowResult{
			millis(row.Delay), row.Actor, row.Class, millis(row.Took), millis(row.AnsweredAt), row.Status, row.Code, row.Generation,
		})
	}
	return out
}

func millis(d time.Duration) float64 {
	if d < 0 {
		return -1
	}
	return float64(d.Microseconds()) / 1000
}
