package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
)

// Build makes the scenario of a stored [Job.Spec].
type Build func(spec json.RawMessage) (scenario.Scenario, error)

// Read reads a run that is stored in dir and judges its histories again, by what
// is stored beside each; [report.Load] says what becomes of those beside which
// nothing is. With salvage a history that cannot be read to its end is taken as
// far as it can be.
func Read(dir string, build Build, salvage bool) (report.Run, error) {
	found, err := folders(dir)
	if err != nil {
		return report.Run{}, err
	}
	run, err := report.Load(dir, report.Loading{Salvage: salvage, Judge: judge(found, build)})
	if err != nil {
		return run, err
	}
	if _, err := os.Stat(filepath.Join(dir, resultFile)); err != nil {
		// Its report was never written: what it would say of each trial is
		// beside the histories.
		run.Trials = told(run.Trials, found)
	}
	return run, nil
}

const resultFile = "result.json"

// folder is that of a carrying-out.
type folder struct {
	name   string // in the run's
	stored *Stored
}

// folders are those in a run's folder that hold a history, in the order in which
// they were made where they are of one scenario.
func folders(dir string) ([]folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the run's folder: %w", err)
	}
	var found []folder
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if _, err := os.Stat(report.HistoryPath(path)); err != nil {
			continue
		}
		stored, err := ReadSpec(path)
		if err != nil {
			return nil, err
		}
		found = append(found, folder{e.Name(), stored})
	}
	slices.SortFunc(found, func(a, b folder) int {
		return cmp.Or(cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	return found, nil
}

// judge gives what a trial is held to. A scenario that this version does not know
// has nothing to be judged by.
func judge(found []folder, build Build) func(string) ([]check.KnownBug, []check.Invariant, bool) {
	specs := map[string]json.RawMessage{}
	for _, f := range found {
		if f.stored != nil {
			specs[f.stored.Trial] = f.stored.Spec
		}
	}
	return func(trial string) ([]check.KnownBug, []check.Invariant, bool) {
		spec, ok := specs[trial]
		if !ok {
			return nil, nil, false
		}
		s, err := build(spec)
		if err != nil {
			return nil, nil, false
		}
		known, invariants := s.Held()
		return known, invariants, true
	}
}

// told are the trials with the commands that run them again; carryings-out that
// proved nothing are those of the trial that repeats them.
func told(trials []report.Trial, found []folder) []report.Trial {
	byFolder := map[string]report.Trial{}
	for _, t := range trials {
		byFolder[filepath.Base(t.Dir)] = t
	}
	var whole []report.Trial
	attempt := map[string]bool{}
	for _, f := range found {
		if f.stored == nil {
			continue
		}
		t := byFolder[f.name]
		t.Again = f.stored.Again
		for _, name := range f.stored.Repeats {
			attempt[name] = true
			if a, ok := byFolder[name]; ok {
				t.Repeats = append(t.Repeats, report.Attempt{Dir: a.Dir, Verdict: a.Verdict})
			}
		}
		byFolder[f.name] = t
	}
	for _, t := range trials {
		if name := filepath.Base(t.Dir); !attempt[name] {
			whole = append(whole, byFolder[name])
		}
	}
	return whole
}
