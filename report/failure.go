package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// failure is what a person needs to understand a trial that failed or proved
// nothing, all of it from its history.
type failure struct {
	dir     string
	finding check.Finding
	// event is the Seq of the event at which it shows, 0 where no event does;
	// at is its time, or the end of the history.
	event  uint64
	at     clock.Mono
	start  clock.Mono // the first event
	origin clock.Mono // of the times of witness and logs: the fault, or start
	fault  bool       // origin is the fault
	plan   []*planStep
	// outside says that the failure shows during none of its steps.
	outside string
	// ended is how the trial ended, "" where its plan was carried out.
	ended   string
	witness []witness
	beside  []check.Finding // the others that are no pass
	logs    []*partyLog
	// line is the line of the history that cannot be read; 0 for none.
	line int
}

// trialComplete is the invariant that every history is judged by.
const trialComplete = "trial-complete"

// witness is an event that shows the failure, in words.
type witness struct {
	seq   uint64
	t     clock.Mono
	party string
	words string
}

// explain collects the failure. The history may lack anything: it may be one
// whose rest cannot be read, or empty.
func explain(h *history.History, dir string, v check.Verdict, unreadable error) *failure {
	f := &failure{dir: dir, finding: v.First(), plan: readPlan(h), logs: readLogs(h)}
	f.start, f.at = h.Span()
	f.origin = f.start
	for _, e := range h.ByTime() {
		if b, ok := e.Body.(*history.Fault); ok && b.Phase == history.FaultBegun {
			f.origin, f.fault = e.T, true
			break
		}
	}
	tell := newTeller(h)
	f.readWitness(h, tell)
	f.readEnd(h, tell, unreadable)
	f.mark()
	for _, other := range v.Findings {
		if other.State != check.Pass && other.Invariant != f.finding.Invariant {
			f.beside = append(f.beside, other)
		}
	}
	return f
}

// mark marks the step during which the failure shows, where the plan itself was
// not what failed.
func (f *failure) mark() {
	if len(f.finding.Witness) == 0 || len(f.witness) == 0 {
		return
	}
	s := stepAt(f.plan, f.at)
	if s == nil {
		f.outside = fmt.Sprintf("the failure shows at %s, event %d, when no step was under way", offset(f.at, f.start), f.event)
		return
	}
	s.here = true
	s.notes = append(s.notes, fmt.Sprintf("the failure shows here, at event %d", f.event))
}

// readWitness takes the events of the finding in the order of their time, and
// the last of them as that at which the failure shows.
func (f *failure) readWitness(h *history.History, tell teller) {
	for _, e := range h.ByTime() {
		if slices.Contains(f.finding.Witness, e.Seq) {
			f.show(e, tell)
		}
	}
}

func (f *failure) show(e history.Event, tell teller) {
	f.witness = append(f.witness, witness{e.Seq, e.T, e.Party, tell.words(e)})
	f.event, f.at = e.Seq, e.T
}

// readEnd takes what ended the trial before its time. Where no invariant has a
// witness that is what failed: the line that cannot be read, else the step,
// else the end, else the last event.
func (f *failure) readEnd(h *history.History, tell teller, unreadable error) {
	var line *history.LineError
	if errors.As(unreadable, &line) {
		f.line = line.Line
	}
	if h.Complete() || len(h.Events) == 0 {
		return
	}
	last := h.Events[len(h.Events)-1]
	f.ended = fmt.Sprintf("the history is cut off after event %d", last.Seq)
	if b, ok := last.Body.(*history.End); ok {
		f.ended = strings.TrimSpace(fmt.Sprintf("%s: %s", b.State, b.Error))
	}
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Step); ok && b.State == history.StepFailed {
			last = e
		}
	}
	switch {
	case f.line != 0:
		f.event = uint64(f.line - 1) // line 1 is the header
	case f.event == 0 && f.finding.Invariant == trialComplete:
		f.show(last, tell)
	}
}

// first is the failure's first line: what was lost, by whom, at which event.
func (f *failure) first() string {
	if f.finding.Invariant == "" {
		return fmt.Sprintf("%s: nothing was checked", check.Inconclusive)
	}
	line := fmt.Sprintf("%s: %s: %s", f.finding.State, f.finding.Invariant, headline(f.finding.Summary))
	if f.event != 0 {
		line += fmt.Sprintf(", at event %d", f.event)
	}
	return line
}

// Failure writes why the trial failed or proved nothing. Its first line says
// what was lost, by whom, at which event. Then come the plan with the failed
// step marked, the witness, the log of each incarnation around the failure, and
// the command that runs the trial again. Of a trial that passed, or met nothing
// but known bugs, it writes the verdict, in one line.
func (t Trial) Failure(w io.Writer) error {
	var b strings.Builder
	if f := t.failed(); f == nil {
		fmt.Fprintf(&b, "%s\n", t.verdictText())
	} else {
		fmt.Fprintf(&b, "%s\n", f.first())
		t.failureText(&b, f)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Line says in one line how the trial ended: its name, and the first thing that is
// wrong with it.
func (t Trial) Line() string {
	if f := t.failed(); f != nil {
		return t.Name + ": " + f.first()
	}
	return t.Name + ": " + t.verdictText()
}

// failed is the trial's failure, or nil where it has none.
func (t Trial) failed() *failure {
	switch {
	case t.Verdict.State == check.Pass || t.Verdict.State == check.Known:
		return nil
	case t.failure != nil:
		return t.failure
	}
	return explain(&history.History{}, t.Dir, t.Verdict, nil)
}

// failureText is all that follows the first line.
func (t Trial) failureText(b *strings.Builder, f *failure) {
	f.planText(b)
	f.witnessText(b)
	f.besideText(b)
	t.repeatsText(b)
	f.logText(b)
	t.againText(b)
}

func (f *failure) planText(b *strings.Builder) {
	if len(f.plan) == 0 {
		b.WriteString("  plan: the history has none\n")
	} else {
		b.WriteString("  plan (times from the trial's start)\n")
	}
	for i, s := range f.plan {
		s.text(b, i+1, f.start)
	}
	if f.outside != "" {
		fmt.Fprintf(b, "  > %s\n", f.outside)
	}
	prefix := "  > the trial ended: "
	if slices.ContainsFunc(f.plan, func(s *planStep) bool { return s.state.broken() }) {
		prefix = "    then: "
	}
	for _, line := range f.endText() {
		fmt.Fprintf(b, "%s%s\n", prefix, line)
	}
}

// endText are the lines of the trial's end that no step says already.
func (f *failure) endText() []string {
	var lines []string
	for line := range strings.Lines(f.ended) {
		line = oneLine(line)
		if !slices.ContainsFunc(f.plan, func(s *planStep) bool { return s.says(line) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

// shownWitness bounds the events that are printed: an actor that never answers
// is asked many times.
const shownWitness = 20

func (f *failure) witnessText(b *strings.Builder) {
	path := quoted(HistoryPath(f.dir))
	switch {
	case f.line != 0:
		fmt.Fprintf(b, "  witness: line %d of the history cannot be read: sed -n %dp %s\n", f.line, f.line, path)
		return
	case len(f.witness) == 0:
		fmt.Fprintf(b, "  witness: no single event shows it; the history is %s\n", path)
		return
	}
	fmt.Fprintf(b, "  witness (times from %s)\n", f.originText())
	for i, w := range f.witness {
		if left := len(f.witness) - shownWitness; left > 0 && i >= shownWitness/2 && i < shownWitness/2+left {
			if i == shownWitness/2 {
				fmt.Fprintf(b, "    (%d more; result.json has all)\n", left)
			}
			continue
		}
		fmt.Fprintf(b, "    event %-5d %11s  %-10s %s\n", w.seq, offset(w.t, f.origin), w.party, w.words)
	}
	fmt.Fprintf(b, "    event n is line n + 1 of the history: sed -n %dp %s\n", f.event+1, path)
}

func (f *failure) originText() string {
	if f.fault {
		return "the fault, " + offset(f.origin, f.start) + " into the trial"
	}
	return "the trial's start"
}

func (f *failure) besideText(b *strings.Builder) {
	if len(f.beside) == 0 {
		return
	}
	b.WriteString("  beside it\n")
	for _, other := range f.beside {
		fmt.Fprintf(b, "    %s: %s: %s\n", other.State, other.Invariant, cut(headline(other.Summary)))
	}
}

func (f *failure) logText(b *strings.Builder) {
	if len(f.logs) == 0 {
		b.WriteString("  logs: the history knows no container that ran\n")
		return
	}
	fmt.Fprintf(b, "  logs (times from %s; of an engine the lines that speak of trouble, of a runtime those that are no events)\n", f.originText())
	for _, l := range f.logs {
		l.text(b, f.dir, f.at, f.origin)
	}
}

func (t Trial) repeatsText(b *strings.Builder) {
	if len(t.Repeats) == 0 {
		return
	}
	b.WriteString("  repeated, for the carryings-out before this one proved nothing\n")
	for i, a := range t.Repeats {
		fmt.Fprintf(b, "    %d. %s\n", i+1, cut(headline(a.Verdict.String())))
	}
}

func (t Trial) againText(b *strings.Builder) {
	b.WriteString("  run it again")
	if t.Seed != "" {
		fmt.Fprintf(b, " (seed %s)", t.Seed)
	}
	fmt.Fprintf(b, "\n    %s\n", cmp.Or(t.Again, "(who ran the trial gave no command)"))
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:,@", r)
	}
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return filepath.Clean(path)
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
