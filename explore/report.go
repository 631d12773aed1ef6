package explore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/spec"
)

// Result is a point that was carried out.
type Result struct {
	Point   Point   `json:"point"`
	Outcome Outcome `json:"outcome"`
	// Took is its time in a cell, with what its history does not show.
	Took time.Duration `json:"took_ns"`
}

// Report is what an exploration found.
type Report struct {
	Dir   string
	Trial spec.Trial
	Plan  Plan
	// Golden is the history of the untouched run, in which Generations began.
	Golden      *history.History
	Generations int
	Points      []Point
	Results     []Result // in the order of the points
	// Carried is how many of them this run carried out, in the time Wall.
	Carried int
	Wall    time.Duration
}

func (r *Report) sort() {
	slices.SortFunc(r.Results, func(a, b Result) int { return cmp.Compare(a.Point.N, b.Point.N) })
}

// missing are the points without a result.
func (r *Report) missing() []Point {
	done := map[int]bool{}
	for _, res := range r.Results {
		done[res.Point.N] = true
	}
	return slices.DeleteFunc(slices.Clone(r.Points), func(p Point) bool { return done[p.N] })
}

func (r *Report) count(s State) (n int) {
	for _, res := range r.Results {
		if res.Outcome.State == s {
			n++
		}
	}
	return n
}

// Covered is how many points were struck.
func (r *Report) Covered() int { return r.count(Struck) }

// Bad are the points of which an invariant says fail.
func (r *Report) Bad() []Result { return r.having(check.Fail) }

func (r *Report) having(s check.State) (out []Result) {
	for _, res := range r.Results {
		if res.Outcome.State == Struck && res.Outcome.Verdict == s {
			out = append(out, res)
		}
	}
	return out
}

// State is the worst of the verdicts. An exploration that did not cover all its
// points proved nothing of the others, and is inconclusive at best.
func (r *Report) State() check.State {
	state := check.Pass
	if r.Covered() < len(r.Points) || len(r.Points) == 0 {
		state = check.Inconclusive
	}
	for _, res := range r.Results {
		if res.Outcome.State == Struck {
			state = check.Worse(state, res.Outcome.Verdict)
		}
	}
	return state
}

// Group are the points that ended alike.
type Group struct {
	// Letter is how tables call it: A is the largest.
	Letter  string
	Class   string
	Results []Result
}

// Groups are the points by how they ended, the largest group first.
func (r *Report) Groups() []Group {
	at := map[string]int{}
	var groups []Group
	for _, res := range r.Results {
		i, ok := at[res.Outcome.Class]
		if !ok {
			i = len(groups)
			at[res.Outcome.Class] = i
			groups = append(groups, Group{Class: res.Outcome.Class})
		}
		groups[i].Results = append(groups[i].Results, res)
	}
	slices.SortStableFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(len(b.Results), len(a.Results)), cmp.Compare(a.Results[0].Point.N, b.Results[0].Point.N))
	})
	for i := range groups {
		groups[i].Letter = letter(i)
	}
	return groups
}

// letter is A to Z, then AA and so on.
func letter(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return letter(i/26-1) + letter(i%26)
}

// Odd are the points whose outcome differs from that of the points before and
// after them in their series.
func (r *Report) Odd() (odd []Result) {
	series := map[string][]Result{}
	for _, res := range r.Results {
		if res.Outcome.State == Struck {
			s := res.Point.Series()
			series[s] = append(series[s], res)
		}
	}
	for _, all := range series {
		slices.SortFunc(all, func(a, b Result) int { return cmp.Compare(a.Point.Place, b.Point.Place) })
		for i := 1; i+1 < len(all); i++ {
			is := all[i].Outcome.Class
			if is != all[i-1].Outcome.Class && is != all[i+1].Outcome.Class {
				odd = append(odd, all[i])
			}
		}
	}
	slices.SortFunc(odd, func(a, b Result) int { return cmp.Compare(a.Point.N, b.Point.N) })
	return odd
}

// Markdown is the report for people.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Crash points of %s\n\n%s\n", r.Trial.Name, r.Summary())
	r.groupTable(&b)
	r.list(&b, "Failures", r.Bad(), func(res Result) string { return res.Outcome.Finding })
	r.list(&b, "Inconclusive", r.having(check.Inconclusive), func(res Result) string { return res.Outcome.Finding })
	r.list(&b, "Differ from their neighbours", r.Odd(), func(res Result) string { return res.Outcome.Class })
	var missed, failed []Result
	for _, res := range r.Results {
		switch res.Outcome.State {
		case NotReached:
			missed = append(missed, res)
		case Failed:
			failed = append(failed, res)
		}
	}
	r.list(&b, "Not reached", missed, func(Result) string { return "its moment did not come again" })
	r.list(&b, "Could not be carried out", failed, func(res Result) string { return firstLine(res.Outcome.Error) })
	r.pointTable(&b)
	return b.String()
}

// Summary is what matters, in a few lines.
func (r *Report) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d points covered", r.Covered(), len(r.Points))
	for _, n := range []struct {
		n    int
		what string
	}{{r.count(NotReached), "not reached"}, {r.count(Failed), "could not be carried out"}, {len(r.missing()), "not yet carried out"}} {
		if n.n > 0 {
			fmt.Fprintf(&b, ", %d %s", n.n, n.what)
		}
	}
	fmt.Fprintf(&b, "; %d kinds of outcome, %d points fail, ", len(r.Groups()), len(r.Bad()))
	if known := len(r.having(check.Known)); known > 0 {
		fmt.Fprintf(&b, "%d met known bugs, ", known)
	}
	fmt.Fprintf(&b, "%d are inconclusive, %d differ from their neighbours.\n", len(r.having(check.Inconclusive)), len(r.Odd()))
	if c, ok := r.Cost(); ok {
		fmt.Fprintf(&b, "A point took %v in its cell (median), %v of it the engine's and the runtime's own (%.0f %%), %v the harness's.",
			ms(c.All), ms(c.Engine), 100*float64(c.Engine)/float64(c.All), ms(c.All-c.Engine))
		if r.Carried > 0 {
			fmt.Fprintf(&b, " This run carried out %d in %v: %.2f a second.", r.Carried, r.Wall.Round(time.Second), float64(r.Carried)/r.Wall.Seconds())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Cost is the median cost of the points that were struck: of all of it, and of
// the engine's part, with the harness's own part in the difference.
func (r *Report) Cost() (c Cost, ok bool) {
	var engine, own []time.Duration
	for _, res := range r.Results {
		if res.Outcome.State == Struck {
			engine = append(engine, res.Outcome.Cost.Engine)
			own = append(own, res.Took-res.Outcome.Cost.Engine)
		}
	}
	if len(engine) == 0 {
		return c, false
	}
	return Cost{All: median(engine) + median(own), Engine: median(engine)}, true
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func ms(d time.Duration) string { return d.Round(time.Millisecond).String() }

func (r *Report) groupTable(b *strings.Builder) {
	b.WriteString("\n## Outcomes\n\n| | points | verdict | recovery | what happened |\n|---|---:|---|---:|---|\n")
	for _, g := range r.Groups() {
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s |\n", g.Letter, len(g.Results), g.Results[0].Outcome.Verdict, g.recovery(), cell(g.Class))
	}
	b.WriteString("\nThe recovery is from the strike to the next good answer that a client knew: the least and the most of the group.\n")
}

func (g Group) recovery() string {
	least, most := time.Duration(-1), time.Duration(-1)
	for _, res := range g.Results {
		d := res.Outcome.Recovery
		if d < 0 || res.Outcome.State != Struck {
			continue
		}
		if least < 0 || d < least {
			least = d
		}
		most = max(most, d)
	}
	if least < 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f to %.2f s", least.Seconds(), most.Seconds())
}

func (r *Report) list(b *strings.Builder, title string, results []Result, what func(Result) string) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| point | operation | strike | |\n|---:|---|---|---|\n", title)
	for _, res := range results {
		fmt.Fprintf(b, "| %d | %s | %s | %s |\n", res.Point.N, res.Point.op(), cell(res.Point.Strike.String()), cell(what(res)))
	}
}

func (p Point) op() string {
	if p.Op == 0 {
		return "-"
	}
	return fmt.Sprintf("%d %s", p.Op, p.OpName)
}

// pointTable has a row for each place and a column for each kind of strike.
func (r *Report) pointTable(b *strings.Builder) {
	letters := map[string]string{}
	for _, g := range r.Groups() {
		letters[g.Class] = g.Letter
	}
	var columns []string
	rows, order := map[int]map[string]Result{}, []int{}
	for _, res := range r.Results {
		s := res.Point.Series()
		if !slices.Contains(columns, s) {
			columns = append(columns, s)
		}
		if rows[res.Point.Place] == nil {
			rows[res.Point.Place] = map[string]Result{}
			order = append(order, res.Point.Place)
		}
		rows[res.Point.Place][s] = res
	}
	slices.Sort(columns)
	slices.Sort(order)
	fmt.Fprintf(b, "\n## Points\n\n| | operation | place | %s |\n|---:|---|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, n := range order {
		var cells []string
		var p Point
		for _, c := range columns {
			res, ok := rows[n][c]
			if !ok {
				cells = append(cells, "")
				continue
			}
			p = res.Point
			cells = append(cells, res.short(letters))
		}
		fmt.Fprintf(b, "| %d | %s | %s | %s |\n", n, p.op(), cell(p.where()), strings.Join(cells, " | "))
	}
}

// short is the group of a result, and how long it took to recover.
func (res Result) short(letters map[string]string) string {
	if res.Outcome.State != Struck {
		return string(res.Outcome.State)
	}
	text := letters[res.Outcome.Class]
	if res.Outcome.Recovery >= 0 {
		text += fmt.Sprintf(" %.2f", res.Outcome.Recovery.Seconds())
	}
	return text
}

// where is the point's place, without the side.
func (p Point) where() string {
	f, ok := p.Strike.At.AtFrame()
	if !ok {
		return p.Strike.At.String()
	}
	what := f.Type
	if f.Detail != "" {
		what += "/" + f.Detail
	}
	text := fmt.Sprintf("%s %s #%d, %s", arrow(f), what, f.Nth, f.Wire)
	if p.Timed {
		text += ", by time"
	}
	return text
}

func arrow(f moment.FrameAt) string {
	if f.Direction == "to-engine" {
		return "engine ←"
	}
	return "runtime ←"
}

func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
