package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/window"
)

// Markdown writes the comparison as tables, with what was decided first.
func (r Result) Markdown(w io.Writer) error {
	m := &markdown{}
	m.printf("**%s**: %s is %s %s: %s.\n\n", r.Decision, r.B.Name, verb[r.Decision], r.A.Name, r.Why)
	m.printf("The same is: an %s longer by at most %.0f %%, or %s. Errs in at most %.0f %% of comparisons, however soon it stops. Intervals are of 95 %%.\n\n",
		words[r.Rule.on()], 100*r.Rule.Margin, duration(r.Rule.Least), 100*Alpha)
	if r.Rule.Busy {
		m.printf("Trials on a busy host count: both sides share it, but their times are longer, and further apart, than on a quiet one.\n\n")
	}
	m.sides(r)
	m.rows("time", r.Times, r)
	m.rows("phase of the outage window", r.Phases, r)
	m.answered(r)
	if _, err := io.WriteString(w, m.String()); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	return nil
}

var verb = map[Decision]string{Worse: "worse than", Better: "better than", Same: "the same as", Undecided: "not told apart from"}

type markdown struct{ strings.Builder }

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(&m.Builder, format, args...) }

func (m *markdown) sides(r Result) {
	m.printf("| | %s | %s |\n|---|---|---|\n", r.A.Name, r.B.Name)
	both := func(name string, of func(Summary) string) { m.printf("| %s | %s | %s |\n", name, of(r.A), of(r.B)) }
	both("trials, and those whose times count", func(s Summary) string { return fmt.Sprintf("%d, %d (%d on a busy host)", s.Trials, s.Counted, s.Busy) })
	both("verdicts", verdicts)
	both("10 % answered from", func(s Summary) string { return edge(s.Edges.Unsafe) })
	both("90 % answered from", func(s Summary) string { return edge(s.Edges.Safe) })
	both("share of the window not attributed", func(s Summary) string { return fmt.Sprintf("%.2f %%", 100*s.Unattributed) })
	m.printf("\n")
}

func verdicts(s Summary) string {
	var parts []string
	for _, state := range []check.State{check.Pass, check.Known, check.Fail, check.Inconclusive, ""} {
		if n := s.States[state]; n > 0 {
			name := string(state)
			if state == "" {
				name = "not judged"
			}
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(parts, ", ")
}

func edge(e window.Edge) string {
	high := "later"
	if e.High >= 0 {
		high = duration(e.High)
	}
	return fmt.Sprintf("%s (%s to %s)", came(e.At, "later"), duration(e.Low), high)
}

func (m *markdown) rows(head string, rows []Row, r Result) {
	if len(rows) == 0 {
		return
	}
	m.printf("| %s, median [least to worst] | %s | %s | longer by |\n|---|---:|---:|---|\n", head, r.A.Name, r.B.Name)
	for _, row := range rows {
		m.printf("| %s | %s | %s | %s |\n", row.Name, spread(row.A), spread(row.B), row.Longer)
	}
	m.printf("\n")
}

func spread(d window.Distribution) string {
	switch {
	case d.N == 0:
		return "-"
	case d.Came == 0:
		return "never"
	}
	return fmt.Sprintf("%s [%s to %s]", came(d.Median.At, "never"), duration(d.Least), came(d.Worst, "never"))
}

// String is the difference with its interval.
func (d Difference) String() string {
	switch {
	case d.Pairs == 0:
		return "-"
	case d.Endless:
		return "not to be told: some never came"
	case !d.Bounded:
		return signed(d.Estimate) + " (too few trials for an interval)"
	}
	return fmt.Sprintf("%s (%s to %s)", signed(d.Estimate), signed(d.Low), signed(d.High))
}

func (m *markdown) answered(r Result) {
	if len(r.Answered) == 0 {
		return
	}
	m.printf("| asked after `/health`, answered | %s | %s |\n|---:|---|---|\n", r.A.Name, r.B.Name)
	for _, a := range r.Answered {
		m.printf("| %s | %s | %s |\n", duration(a.Delay), a.A, a.B)
	}
	m.printf("\n")
}

// String is the rate with its interval (Clopper-Pearson).
func (r Rate) String() string {
	if r.N == 0 {
		return "-"
	}
	i := stats.Proportion(r.K, r.N)
	return fmt.Sprintf("%d of %d (%.0f to %.0f %%)", r.K, r.N, 100*i.Low, 100*i.High)
}

func came(d time.Duration, never string) string {
	if d < 0 {
		return never
	}
	return duration(d)
}

func signed(d time.Duration) string {
	if d < 0 {
		return "-" + duration(-d)
	}
	return "+" + duration(d)
}

// duration is in seconds from one on, in milliseconds below.
func duration(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}

// JSON writes the comparison for a program. Times are milliseconds; null stands
// for never, and for a bound that is not known.
func (r Result) JSON(w io.Writer) error {
	out := resultJSON{
		Format: "killpoint-comparison", Version: 1, Decision: r.Decision, Why: r.Why, On: r.Rule.on(),
		Margin: r.Rule.Margin, LeastMS: *millis(r.Rule.Least), Busy: r.Rule.Busy, A: side(r.A), B: side(r.B),
	}
	for _, row := range r.Times {
		out.Times = append(out.Times, rowJSON(row))
	}
	for _, row := range r.Phases {
		out.Phases = append(out.Phases, rowJSON(row))
	}
	for _, a := range r.Answered {
		out.Answered = append(out.Answered, answeredResult{*millis(a.Delay), rateResult{a.A.K, a.A.N}, rateResult{a.B.K, a.B.N}})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	return nil
}

type resultJSON struct {
	Format   string           `json:"format"`
	Version  int              `json:"version"`
	Decision Decision         `json:"decision"` // of b beside a
	Why      string           `json:"why"`
	On       Measure          `json:"on"`
	Margin   float64          `json:"margin"`
	LeastMS  float64          `json:"least_ms"`
	Busy     bool             `json:"busy_counts"`
	A        sideResult       `json:"a"`
	B        sideResult       `json:"b"`
	Times    []rowResult      `json:"times"`
	Phases   []rowResult      `json:"phases"`
	Answered []answeredResult `json:"answered"`
}

type sideResult struct {
	Name         string              `json:"name"`
	Trials       int                 `json:"trials"`
	Counted      int                 `json:"counted"`
	Busy         int                 `json:"busy"`
	Verdicts     map[check.State]int `json:"verdicts"`
	Unattributed float64             `json:"unattributed"`
	Unsafe       edgeResult          `json:"answered_10_percent"`
	Safe         edgeResult          `json:"answered_90_percent"`
}

type edgeResult struct {
	AtMS   *float64 `json:"at_ms"`
	LowMS  *float64 `json:"low_ms"`
	HighMS *float64 `json:"high_ms"`
}

type rowResult struct {
	Name   string           `json:"name"`
	A      timesResult      `json:"a"`
	B      timesResult      `json:"b"`
	Longer differenceResult `json:"longer"`
}

type timesResult struct {
	N         int      `json:"n"`
	Came      int      `json:"came"`
	LeastMS   *float64 `json:"least_ms"`
	MedianMS  *float64 `json:"median_ms"`
	MedianLow *float64 `json:"median_low_ms"`
	MedianTop *float64 `json:"median_high_ms"`
	P95MS     *float64 `json:"p95_ms"`
	WorstMS   *float64 `json:"worst_ms"`
}

type differenceResult struct {
	ByMS   *float64 `json:"by_ms"`
	LowMS  *float64 `json:"low_ms"`
	HighMS *float64 `json:"high_ms"`
}

type answeredResult struct {
	DelayMS float64    `json:"delay_ms"`
	A       rateResult `json:"a"`
	B       rateResult `json:"b"`
}

type rateResult struct {
	Answered int `json:"answered"`
	Of       int `json:"of"`
}

func side(s Summary) sideResult {
	return sideResult{s.Name, s.Trials, s.Counted, s.Busy, s.States, s.Unattributed, edgeJSON(s.Edges.Unsafe), edgeJSON(s.Edges.Safe)}
}

func edgeJSON(e window.Edge) edgeResult {
	return edgeResult{millis(e.At), millis(e.Low), millis(e.High)}
}

func rowJSON(r Row) rowResult {
	out := rowResult{Name: r.Name, A: timesJSON(r.A), B: timesJSON(r.B)}
	number := func(d time.Duration) *float64 {
		ms := float64(d.Microseconds()) / 1000
		return &ms
	}
	switch {
	case r.Longer.Endless, r.Longer.Pairs == 0:
	case r.Longer.Bounded:
		out.Longer.LowMS, out.Longer.HighMS = number(r.Longer.Low), number(r.Longer.High)
		fallthrough
	default:
		out.Longer.ByMS = number(r.Longer.Estimate)
	}
	return out
}

func timesJSON(d window.Distribution) timesResult {
	return timesResult{d.N, d.Came, millis(d.Least), millis(d.Median.At), millis(d.Median.Low), millis(d.Median.High), millis(d.P95.At), millis(d.Worst)}
}

// millis is nil for never.
func millis(d time.Duration) *float64 {
	if d < 0 {
		return nil
	}
	ms := float64(d.Microseconds()) / 1000
	return &ms
}
