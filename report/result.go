package report

import (
	"path/filepath"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/window"
)

// resultVersion grows when a reader of an older result.json would misread it.
// In 2 a trial's state, and with it the run's, can be "known"; in 3 repeats are
// objects, where they were the verdicts' first lines.
const (
	resultFormat  = "killpoint-result"
	resultVersion = 3
)

type result struct {
	Format  string        `json:"format"`
	Version int           `json:"version"`
	State   check.State   `json:"state"`
	Trials  []trialResult `json:"trials"`
	// Sections are the run's own tables, in Markdown.
	Sections []string `json:"sections,omitempty"`
}

type trialResult struct {
	Name    string        `json:"name"`
	History string        `json:"history"` // relative to the run's folder
	Verdict check.Verdict `json:"verdict"`
	// Bugs are the known bugs that the trial met, whatever its verdict.
	Bugs []string `json:"bugs,omitempty"`
	// Seed is text: not every reader of JSON keeps 64 bits.
	Seed  string `json:"seed,omitempty"`
	Again string `json:"again,omitempty"`
	// Known are the known bugs that could account for a failure.
	Known []string `json:"known,omitempty"`
	// Judged says how a verdict of a stored run was come by.
	Judged Judged `json:"judged,omitempty"`
	// Repeats are the earlier carryings-out, in order, which proved nothing.
	Repeats []attemptResult `json:"repeats,omitempty"`
	Failure *failureResult  `json:"failure,omitempty"`
	Outage  *outageResult   `json:"outage,omitempty"`
}

// attemptResult has the fields of a trialResult that every carrying-out has.
type attemptResult struct {
	History string        `json:"history"`
	Verdict check.Verdict `json:"verdict"`
	Bugs    []string      `json:"bugs,omitempty"`
}

// failureResult is there where the trial failed or is inconclusive.
type failureResult struct {
	// Line is what is printed first; Finding is the one that it tells, Event
	// the number of the event at which it shows, 0 for none.
	Line    string          `json:"line"`
	Finding check.Finding   `json:"finding"`
	Event   uint64          `json:"event,omitempty"`
	Plan    []stepResult    `json:"plan"`
	Ended   string          `json:"ended,omitempty"` // where the plan was not carried out
	Witness []witnessResult `json:"witness"`
	Logs    []logResult     `json:"logs"`
}

type stepResult struct {
	Step string `json:"step"`
	// State is "done", "failed", "interrupted", "cut off" or "not reached".
	State string `json:"state"`
	// BeganAtMS is counted from the trial's first event.
	BeganAtMS float64  `json:"began_at_ms"`
	Error     string   `json:"error,omitempty"`
	Notes     []string `json:"notes,omitempty"`
}

// The time of a witness is counted from the trial's first event.
type witnessResult struct {
	Event uint64  `json:"event"`
	AtMS  float64 `json:"at_ms"`
	Party string  `json:"party"`
	Says  string  `json:"says"`
}

type logResult struct {
	Party string `json:"party"`
	Lines int    `json:"lines"`          // in the history
	File  string `json:"file,omitempty"` // relative to the run's folder; none without a line
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
	Beside            []rowResult `json:"beside,omitempty"`
	// Phases add up to WindowMS; without those that took no time.
	Phases []phaseResult `json:"phases,omitempty"`
}

type phaseResult struct {
	Phase  string  `json:"phase"`
	TookMS float64 `json:"took_ms"`
}

type rowResult struct {
	DelayMS      float64      `json:"delay_ms"`
	Actor        string       `json:"actor"`
	Key          string       `json:"key"`
	Class        window.Class `json:"class"`
	TookMS       float64      `json:"took_ms"`
	AnsweredAtMS float64      `json:"answered_at_ms"`
	Status       int          `json:"status,omitempty"`
	Code         string       `json:"code,omitempty"`
	Generation   int64        `json:"generation"`
}

func (r Run) result() result {
	out := result{Format: resultFormat, Version: resultVersion, State: r.State(), Trials: []trialResult{}, Sections: r.Sections}
	for _, t := range r.Trials {
		out.Trials = append(out.Trials, trialResult{
			Name: t.Name, History: r.relative(HistoryPath(t.Dir)), Verdict: t.Verdict, Bugs: t.Bugs(),
			Seed: t.Seed, Again: t.Again, Known: t.Known, Judged: t.Judged, Repeats: r.repeated(t), Failure: r.failure(t.failed()), Outage: t.outage(),
		})
	}
	return out
}

func (r Run) repeated(t Trial) []attemptResult {
	var out []attemptResult
	for _, a := range t.Repeats {
		out = append(out, attemptResult{r.relative(HistoryPath(a.Dir)), a.Verdict, bugs(a.Verdict)})
	}
	return out
}

// relative keeps the folder movable.
func (r Run) relative(path string) string {
	rel, err := filepath.Rel(r.Dir, path)
	if err != nil {
		return path
	}
	return rel
}

func (r Run) failure(f *failure) *failureResult {
	if f == nil {
		return nil
	}
	out := &failureResult{
		Line: f.first(), Finding: f.finding, Event: f.event, Ended: f.ended,
		Plan: []stepResult{}, Witness: []witnessResult{}, Logs: []logResult{},
	}
	for _, s := range f.plan {
		// One that did not begin has the instant 0, which is before the start.
		out.Plan = append(out.Plan, stepResult{s.name, string(s.state), millis(s.begun.Sub(f.start)), s.err, s.notes})
	}
	for _, w := range f.witness {
		out.Witness = append(out.Witness, witnessResult{w.seq, millis(w.t.Sub(f.start)), w.party, w.words})
	}
	for _, l := range f.logs {
		one := logResult{Party: l.party(), Lines: len(l.lines)}
		if one.Lines > 0 {
			one.File = r.relative(filepath.Join(f.dir, l.file()))
		}
		out.Logs = append(out.Logs, one)
	}
	return out
}

func (t Trial) outage() *outageResult {
	o := t.Outage
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
		out.Sweep = append(out.Sweep, rowOf(row))
	}
	for _, row := range o.Beside {
		out.Beside = append(out.Beside, rowOf(row))
	}
	if t.story == nil {
		return out
	}
	for _, p := range t.story.phases {
		if p.Took > 0 {
			out.Phases = append(out.Phases, phaseResult{string(p.Phase), millis(p.Took)})
		}
	}
	return out
}

func rowOf(row window.Row) rowResult {
	return rowResult{
		millis(row.Delay), row.Actor, row.Key, row.Class, millis(row.Took), millis(row.AnsweredAt), row.Status, row.Code, row.Generation,
	}
}

func millis(d time.Duration) float64 {
	if d < 0 {
		return -1
	}
	return float64(d.Microseconds()) / 1000
}
