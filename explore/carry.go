package explore

import (
	"context"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/spec"
)

// Runner carries trials out on the real engine. Its Run is a [Carry].
type Runner struct {
	Session *containers.Session
	// Cells are used again from trial to trial; nil makes one for each.
	Cells *Cells
	// Name is the run's, for the headers of histories.
	Name string
	// Observe gives what is called with each event of the trial of that name; nil
	// observes nothing.
	Observe func(trial string) scenario.Observe
}

// Judge judges the history of a trial that a [Runner] carried out.
func Judge(t spec.Trial, h *history.History) check.Verdict {
	s := Scenario(t)
	return check.Judge(h, s.Known, s.Judges()...)
}

// Run carries a trial out in the folder, which must hold no history, and leaves
// its description there.
func (r Runner) Run(ctx context.Context, t spec.Trial, dir string) (check.Verdict, error) {
	if err := t.Validate(); err != nil {
		return check.Verdict{State: check.Inconclusive}, err
	}
	if err := t.Write(dir); err != nil {
		return check.Verdict{State: check.Inconclusive}, err
	}
	s := Scenario(t)
	s.Again = "killpoint replay " + dir
	if r.Cells != nil {
		s.Cells = r.Cells
	}
	var observe scenario.Observe
	if r.Observe != nil {
		observe = r.Observe(t.Name)
	}
	trial, err := s.Run(ctx, r.Session, r.Name, dir, observe)
	return trial.Verdict, err
}
