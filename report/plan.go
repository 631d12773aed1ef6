package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// planStep is a step of a trial's plan and what became of it.
type planStep struct {
	name       string
	state      stepState
	begun, end clock.Mono // 0 where it did not
	err        string
	// notes are what happened during it: the fault, the failure. here says that
	// the failure did, although the step itself was done.
	notes []string
	here  bool
}

type stepState string

const (
	stepDone        stepState = "done"
	stepFailed      stepState = "failed"
	stepInterrupted stepState = "interrupted"
	stepCutOff      stepState = "cut off"
	stepNotReached  stepState = "not reached"
)

// broken: here the plan came to its end before its time.
func (s stepState) broken() bool { return s != stepDone && s != stepNotReached }

// readPlan is the plan with what became of each step; nil where there is none.
func readPlan(h *history.History) []*planStep {
	var steps []*planStep
	start, _ := h.Span()
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Plan:
			for _, name := range b.Steps {
				steps = append(steps, &planStep{name: name, state: stepNotReached})
			}
		case *history.Step:
			if b.N >= 1 && b.N <= len(steps) {
				steps[b.N-1].mark(e.T, b)
			}
		case *history.Fault:
			if s := stepAt(steps, e.T); s != nil && b.Phase == history.FaultBegun {
				s.notes = append(s.notes, fmt.Sprintf("the fault: %s of %s at %s", b.Kind, b.Target, offset(e.T, start)))
			}
		case *history.End:
			if b.State == history.EndInterrupted {
				interrupted(steps)
			}
		}
	}
	return steps
}

func (s *planStep) mark(t clock.Mono, b *history.Step) {
	switch b.State {
	case history.StepBegun:
		// Until another word of it comes, this is where the history ends.
		s.begun, s.state = t, stepCutOff
	case history.StepDone:
		s.end, s.state = t, stepDone
	case history.StepFailed:
		s.end, s.state, s.err = t, stepFailed, b.Error
	}
}

// says reports whether the step's error has the line, or the line quotes it.
func (s *planStep) says(line string) bool {
	if s.err == "" {
		return false
	}
	for own := range strings.Lines(s.err) {
		if oneLine(own) == line {
			return true
		}
	}
	return strings.Contains(line, headline(s.err))
}

// interrupted: the step under way did not fail by itself.
func interrupted(steps []*planStep) {
	for _, s := range steps {
		if s.state == stepFailed || s.state == stepCutOff {
			s.state = stepInterrupted
		}
	}
}

// stepAt is the step during which t was, or nil.
func stepAt(steps []*planStep, t clock.Mono) *planStep {
	for _, s := range steps {
		if s.begun != 0 && s.begun <= t && (s.end == 0 || t < s.end) {
			return s
		}
	}
	return nil
}

func (s *planStep) text(b *strings.Builder, n int, start clock.Mono) {
	mark, state, at := " ", string(s.state), "-"
	if s.state.broken() {
		state = strings.ToUpper(state) + " HERE"
	}
	if s.here || s.state.broken() {
		mark = ">"
	}
	if s.begun != 0 {
		at = offset(s.begun, start)
	}
	fmt.Fprintf(b, "  %s %2d. %-16s %11s  %s\n", mark, n, state, at, oneLine(s.name))
	for line := range strings.Lines(s.err) {
		fmt.Fprintf(b, "          %s\n", oneLine(line))
	}
	for _, text := range s.notes {
		fmt.Fprintf(b, "          ^ %s\n", text)
	}
}

// offset is a time from an origin, to the millisecond; it may lie before it.
func offset(t, origin clock.Mono) string {
	return fmt.Sprintf("%+.3f s", t.Sub(origin).Round(time.Millisecond).Seconds())
}
