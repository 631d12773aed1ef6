package report

import (
	"cmp"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/window"
)

// indexView is the page's first view: the trials, and what they have in common.
type indexView struct {
	Title, Sum, Cut string
	State           check.State
	Counts          []countView
	Trials          []rowView
	Phases          *phasesView
	Sections        []template.HTML
}

type countView struct {
	State check.State
	N     int
}

type rowView struct {
	ID, Name, Note, Window, Gap, Host string
	State                             check.State
	Sweep                             *sweepView
}

func (r Run) index(trials []paged) (indexView, error) {
	v := indexView{Title: r.title(), Sum: r.sum(), State: r.State()}
	counts := map[check.State]int{}
	for _, t := range trials {
		if t.again {
			continue
		}
		counts[t.Verdict.State]++
		row := rowView{ID: t.id(), Name: t.Name, Note: t.note(), Window: "–", Gap: "–", Host: "–", State: t.Verdict.State, Sweep: t.sweepView()}
		if o := t.Outage; o != nil {
			row.Host = hostText(o.Noise)
			if len(o.Rows) > 0 {
				row.Window, row.Gap = reach(o.Window(), o.WindowAll()), reach(o.HealthGap(), o.HealthGapAll())
			}
		}
		v.Trials = append(v.Trials, row)
	}
	for _, s := range []check.State{check.Fail, check.Inconclusive, check.Known, check.Pass} {
		if counts[s] > 0 {
			v.Counts = append(v.Counts, countView{s, counts[s]})
		}
	}
	v.Phases = phasesOf(trials)
	var err error
	v.Sections, err = r.htmlSections()
	return v, err
}

// reach is how long something lasted, for the first and for the last.
func reach(first, last time.Duration) string {
	if from, to := seconds(first), seconds(last); from != to {
		return from + " to " + to
	}
	return seconds(first)
}

// title is the run's name, after its folder.
func (r Run) title() string {
	for _, t := range r.Trials {
		if t.story != nil && t.story.header.Run != "" {
			return t.story.header.Run
		}
	}
	return filepath.Base(r.Dir)
}

// sum says in a line what the run was.
func (r Run) sum() string {
	parts := []string{plural(len(r.Trials), "trial")}
	var engines []string
	events, when := 0, ""
	for _, t := range r.Trials {
		if t.story == nil {
			continue
		}
		events += t.story.events
		for _, s := range t.story.settings {
			if s.Name == "engine" && !slices.Contains(engines, s.Value) {
				engines = append(engines, s.Value)
			}
		}
		if w := t.story.header.Wall; w != "" && (when == "" || w < when) {
			when = w
		}
	}
	if len(engines) > 0 {
		parts = append(parts, "engine "+strings.Join(engines, ", "))
	}
	if at, err := time.Parse(time.RFC3339Nano, when); err == nil {
		parts = append(parts, at.UTC().Format("2 January 2006, 15:04 MST"))
	}
	return strings.Join(append(parts, plural(events, "event")), " · ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// note is what the verdict's word does not say.
func (t Trial) note() string {
	var parts []string
	if f := t.failed(); f != nil {
		parts = append(parts, cut(strings.TrimPrefix(f.first(), string(t.Verdict.State)+": ")))
	}
	if bugs := t.Bugs(); len(bugs) > 0 {
		parts = append(parts, "known: "+strings.Join(bugs, ", "))
	}
	if n := len(t.Repeats); n > 0 {
		parts = append(parts, fmt.Sprintf("after %d that proved nothing", n))
	}
	return strings.Join(parts, "; ")
}

func (r Run) htmlSections() ([]template.HTML, error) {
	var known, repeats strings.Builder
	r.bugsMet(&known)
	r.repeats(&repeats)
	var out []template.HTML
	for _, text := range append([]string{known.String(), repeats.String()}, r.Sections...) {
		if strings.TrimSpace(text) == "" {
			continue
		}
		html, err := toHTML(text)
		if err != nil {
			return nil, err
		}
		out = append(out, html)
	}
	return out, nil
}

// trialView is one trial.
type trialView struct {
	ID, Before, After, Name, Settles, Line, Broken, Judged, Again, Seed, Span, Path string
	N, Events                                                                       int
	State                                                                           check.State
	HasLanes                                                                        bool
	Sweep                                                                           *sweepView
	Phases                                                                          *phasesView
	Findings                                                                        []findingView
	Told                                                                            []toldView
	Line1, Ended                                                                    string
	Plan                                                                            []planView
	Settings                                                                        []setting
	Repeats                                                                         []repeatView
}

type findingView struct {
	check.Finding
	Witness []uint64
	Left    int
}

type toldView struct {
	Seq              uint64
	At, Party, Words string
}

type planView struct {
	State, At, Name, Style string
	Errors, Notes          []string
}

type repeatView struct{ ID, Line string }

func (p paged) view(r Run, beside [2]string) trialView {
	v := trialView{
		ID: p.id(), N: p.n, Before: beside[0], After: beside[1], Name: p.Name, Settles: p.Title, State: p.Verdict.State,
		Line: p.verdictText(), Again: p.Again, Seed: p.Seed, Sweep: p.sweepView(), Judged: p.Judged.text(), Path: r.relative(HistoryPath(p.Dir)),
	}
	for _, f := range p.Verdict.Findings {
		v.Findings = append(v.Findings, findingOf(f))
	}
	for i, n := range p.repeats {
		v.Repeats = append(v.Repeats, repeatView{fmt.Sprintf("t%d", n), cut(headline(p.Repeats[i].Verdict.String()))})
	}
	if p.story != nil {
		p.story.view(&v)
		v.Phases = phasesOne(p)
	}
	if f := p.failed(); f != nil {
		p.failureView(&v, f)
	}
	return v
}

func findingOf(f check.Finding) findingView {
	v := findingView{Finding: f, Witness: f.Witness}
	if len(v.Witness) > shownWitness {
		v.Witness, v.Left = v.Witness[:shownWitness], len(v.Witness)-shownWitness
	}
	return v
}

func (s *story) view(v *trialView) {
	v.Events, v.Span, v.HasLanes, v.Broken, v.Settings = s.events, seconds(s.span), len(s.block) > 0, s.unreadable, s.settings
	for _, step := range s.plan {
		v.Plan = append(v.Plan, s.step(step))
	}
}

func (s *story) step(step *planStep) planView {
	v := planView{State: string(step.state), At: "", Name: step.name, Notes: step.notes}
	if step.begun != 0 {
		v.At = offset(step.begun, s.start)
	}
	switch {
	case step.state.broken() || step.here:
		v.Style = "here"
	case step.state == stepNotReached:
		v.Style = "later"
	}
	for line := range strings.Lines(step.err) {
		v.Errors = append(v.Errors, oneLine(line))
	}
	return v
}

// failureView adds what is known of a failure: its plan has the mark, too.
func (p paged) failureView(v *trialView, f *failure) {
	v.Line, v.Ended = f.first(), f.ended
	if p.story != nil && len(f.plan) > 0 {
		v.Plan = nil
		for _, step := range f.plan {
			v.Plan = append(v.Plan, p.story.step(step))
		}
	}
	for i, w := range f.witness {
		if i >= shownWitness {
			break
		}
		v.Told = append(v.Told, toldView{w.seq, offset(w.t, f.origin), w.party, w.words})
	}
	if f.event != 0 || f.line != 0 {
		v.Line1 = fmt.Sprintf("sed -n %dp %s", f.event+1, quoted(HistoryPath(f.dir)))
	}
}

// pictures ---------------------------------------------------------------

// sweepView is the sweep as a picture: each probe over the time since the first
// good /health, from when it was sent to its end, and on to its actor's first
// good answer.
type sweepView struct {
	Label          string
	Groups         []groupView
	Ticks          []tickView
	Down, Patience string
}

type groupView struct {
	Name   string
	Probes []probeView
}

type probeView struct {
	Sent, What, Took, GoodAt, Generation   string
	Style                                  style
	Left, Width, OnLeft, OnWidth, GoodLeft float64
	On, Good                               bool
	delay, end, good                       time.Duration
}

type tickView struct {
	Left float64
	Text string
}

func (t Trial) sweepView() *sweepView {
	if t.Outage == nil || len(t.asked()) == 0 {
		return nil
	}
	o := t.Outage
	v := &sweepView{Down: seconds(o.Healthy.Sub(o.FaultT)), Patience: "not said"}
	var longest time.Duration
	counts := map[window.Class]int{}
	for _, a := range t.asked() {
		if a.Timeout > 0 {
			v.Patience = a.Timeout.String()
		}
		counts[a.Class]++
		if len(v.Groups) == 0 || v.Groups[len(v.Groups)-1].Name != a.who {
			v.Groups = append(v.Groups, groupView{Name: a.who})
		}
		p := probeOf(a.Row)
		longest = max(longest, p.delay, p.end, p.good)
		g := &v.Groups[len(v.Groups)-1]
		g.Probes = append(g.Probes, p)
	}
	full := max(longest, time.Millisecond)
	for _, g := range v.Groups {
		for i := range g.Probes {
			g.Probes[i].scale(full)
		}
	}
	v.Ticks, v.Label = axis(full), classCounts(counts)
	return v
}

func classCounts(counts map[window.Class]int) string {
	var parts []string
	for _, c := range []window.Class{window.Answered, window.Held, window.TimedOut, window.Refused, window.Errored, window.CutOff} {
		if counts[c] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[c], c))
		}
	}
	return strings.Join(parts, ", ")
}

func probeOf(r window.Row) probeView {
	p := probeView{
		Sent: ms(r.Delay), What: what(r), Style: classStyles[r.Class], delay: r.Delay, end: r.Delay + max(r.Took, 0), good: r.AnsweredAt,
	}
	if r.Took >= 0 {
		p.Took = ms(r.Took)
	}
	if r.Generation >= 0 {
		p.Generation = gen(r.Generation)
	}
	p.Good = r.AnsweredAt >= 0
	// It gave no good answer itself, and was asked on.
	p.On = r.Class != window.Answered && r.Class != window.Held
	p.GoodAt = ms(r.AnsweredAt)
	return p
}

func (p *probeView) scale(full time.Duration) {
	p.Left, p.Width = percent(p.delay, full), percent(p.end-p.delay, full)
	p.OnLeft, p.OnWidth = percent(p.end, full), percent(max(0, p.good-p.end), full)
	if !p.Good {
		p.OnWidth = 100 - p.OnLeft
	}
	p.GoodLeft = percent(p.good, full)
}

// percent is rounded so that it is written without an exponent.
func percent(d, full time.Duration) float64 {
	return float64(int64(float64(d)/float64(full)*1e5)) / 1e3
}

// axis are some round times up to full: at most seven.
func axis(full time.Duration) []tickView {
	step := time.Millisecond
	for i := 0; full/step > 6; i++ {
		// 1, 2, 5, 10, 20, ...
		step = step * []time.Duration{4, 5, 4}[i%3] / 2
	}
	var ticks []tickView
	for t := time.Duration(0); t <= full; t += step {
		text := fmt.Sprintf("%g s", t.Seconds())
		if step < 10*time.Millisecond {
			text = fmt.Sprintf("%d ms", t.Milliseconds())
		}
		ticks = append(ticks, tickView{percent(t, full), text})
	}
	return ticks
}

// phasesView are outages in their phases, one above the other on one scale.
type phasesView struct {
	Legend []partView
	Rows   []phaseRow
	Ticks  []tickView
	Notes  []string
}

type phaseRow struct {
	ID, Name, Total, Label string
	Parts                  []partView
}

type partView struct {
	Name, Took, Share string
	Style             string
	Left, Width       float64
}

func phasesOf(trials []paged) *phasesView {
	v := &phasesView{}
	var full time.Duration
	for _, t := range trials {
		if t.story != nil && !t.again {
			full = max(full, total(t.story.phases))
		}
	}
	if full == 0 {
		return nil
	}
	for _, t := range trials {
		if t.story == nil || t.again || total(t.story.phases) == 0 {
			continue
		}
		v.Rows = append(v.Rows, phasesRow(t, full))
		for _, p := range v.Rows[len(v.Rows)-1].Parts {
			if !slices.ContainsFunc(v.Legend, func(l partView) bool { return l.Name == p.Name }) {
				v.Legend = append(v.Legend, partView{Name: p.Name, Style: p.Style})
			}
		}
	}
	slices.SortStableFunc(v.Legend, func(a, b partView) int { return cmp.Compare(phasePlace(a.Name), phasePlace(b.Name)) })
	v.Ticks = axis(full)
	return v
}

func phasePlace(name string) int { return slices.Index(window.AllPhases, window.Phase(name)) }

func phasesOne(p paged) *phasesView {
	full := total(p.story.phases)
	if full == 0 {
		return nil
	}
	v := &phasesView{Rows: []phaseRow{phasesRow(p, full)}, Ticks: axis(full)}
	var b strings.Builder
	outageText(&b, p.Outage)
	for line := range strings.Lines(b.String()) {
		v.Notes = append(v.Notes, strings.Join(strings.Fields(line), " "))
	}
	return v
}

func total(parts []window.Part) time.Duration {
	var sum time.Duration
	for _, p := range parts {
		sum += p.Took
	}
	return sum
}

func phasesRow(p paged, full time.Duration) phaseRow {
	sum := total(p.story.phases)
	row := phaseRow{ID: p.id(), Name: p.Name, Total: seconds(sum)}
	var at time.Duration
	var label []string
	for _, part := range p.story.phases {
		if part.Took > 0 {
			row.Parts = append(row.Parts, partView{
				Name: string(part.Phase), Took: ms(part.Took), Style: phaseStyle(part.Phase), Left: percent(at, full), Width: percent(part.Took, full),
				Share: fmt.Sprintf("%.1f %%", 100*part.Took.Seconds()/sum.Seconds()),
			})
			label = append(label, fmt.Sprintf("%s %s", part.Phase, ms(part.Took)))
		}
		at += part.Took
	}
	row.Label = strings.Join(label, ", ")
	return row
}

// phaseStyles are the phases' colours in page.css. One that a later version knows
// has that of others.
var phaseStyles = map[window.Phase]string{
	window.Earlier: "p0", window.Draining: "p1", window.Down: "p2", window.Booting: "p3", window.Reconnecting: "p4", window.Replay: "p5",
	window.Placement: "p6", window.Starting: "p7", window.Unasked: "p10", window.Answering: "p8", window.Unattributed: "pu",
}

func phaseStyle(p window.Phase) string {
	if s, ok := phaseStyles[p]; ok {
		return s
	}
	return "p9"
}
