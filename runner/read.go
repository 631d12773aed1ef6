package runner

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
)

// Build makes the scenario of a stored [Job.Spec].
type Build func(spec json.RawMessage) (scenario.Scenario, error)

// Read judges the histories of a run that is stored in dir, as they were when
// they were new. A trial whose scenario is not known keeps the verdict that the
// run's result has of it; one of which nothing is known is inconclusive. Notes
// say which those are. The error says that the folder is no run's.
func Read(dir string, build Build) (run report.Run, notes []string, err error) {
	found, err := folders(dir)
	if err != nil {
		return run, nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return run, nil, fmt.Errorf("find the run's folder %s: %w", dir, err)
	}
	r := reader{dir: dir, build: build, verdicts: storedVerdicts(dir)}
	run.Dir = dir
	attempts := map[string]bool{}
	for _, f := range found {
		for _, a := range f.stored.Repeats {
			attempts[a] = true
		}
	}
	for _, f := range found {
		if !attempts[f.name] {
			run.Trials = append(run.Trials, r.trial(f))
		}
	}
	slices.SortStableFunc(run.Trials, func(a, b report.Trial) int { return cmp.Compare(a.Name, b.Name) })
	return run, r.notes, nil
}

// folder is that of a carrying-out.
type folder struct {
	name   string // in the run's
	stored Stored
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
		found = append(found, folder{e.Name(), *cmp.Or(stored, &Stored{})})
	}
	if _, err := os.Stat(filepath.Join(dir, PlanFile)); err != nil && len(found) == 0 {
		return nil, fmt.Errorf("%s is no run's folder: it has no %s, and nothing in it holds a history.jsonl", dir, PlanFile)
	}
	slices.SortFunc(found, func(a, b folder) int {
		return cmp.Or(cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	return found, nil
}

type reader struct {
	dir      string
	build    Build
	verdicts map[string]check.Verdict // of an earlier report, by the path of the history
	notes    []string
}

// trial is the carrying-out, with those before it that proved nothing.
func (r *reader) trial(f folder) report.Trial {
	t := r.judge(f)
	for _, name := range f.stored.Repeats {
		missed := r.judge(folder{name, f.stored})
		t.Repeats = append(t.Repeats, report.Attempt{Dir: missed.Dir, Verdict: missed.Verdict})
	}
	return t
}

func (r *reader) judge(f folder) report.Trial {
	dir := filepath.Join(r.dir, f.name)
	s, err := r.scenario(f)
	if err == nil {
		s.Again = f.stored.Again
		t, err := s.Judge(dir)
		if err != nil {
			r.notes = append(r.notes, err.Error())
		}
		return t
	}
	v, known := r.verdicts[filepath.ToSlash(filepath.Join(f.name, "history.jsonl"))]
	if !known {
		r.notes = append(r.notes, fmt.Sprintf("%s is not judged: %v", f.name, err))
		return report.Unjudged(cmp.Or(f.stored.Trial, f.name), dir, err)
	}
	r.notes = append(r.notes, fmt.Sprintf("%s keeps the verdict of the run's earlier report: %v", f.name, err))
	t, err := report.Judge(dir, nil, asStored(v)...)
	if err != nil {
		r.notes = append(r.notes, err.Error())
	}
	t.Again = f.stored.Again
	return t
}

var errNoSpec = errors.New("nothing says which scenario it was (no " + specFile + ")")

func (r *reader) scenario(f folder) (scenario.Scenario, error) {
	if f.stored.Spec == nil {
		return scenario.Scenario{}, errNoSpec
	}
	s, err := r.build(f.stored.Spec)
	s.Name = cmp.Or(f.stored.Trial, s.Name)
	return s, err
}

// asStored are invariants that find what was found before. The first finding of
// a verdict is judged anew with every history.
func asStored(v check.Verdict) []check.Invariant {
	var list []check.Invariant
	for _, f := range v.Findings[min(1, len(v.Findings)):] {
		list = append(list, check.Invariant{Name: f.Invariant, Check: func(*history.History) check.Finding { return f }})
	}
	return list
}

// storedVerdicts are those of the result that the folder has, if it has one that
// can be read: it is only for what cannot be judged.
func storedVerdicts(dir string) map[string]check.Verdict {
	verdicts := map[string]check.Verdict{}
	b, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		return verdicts
	}
	type carriedOut struct {
		History string        `json:"history"`
		Verdict check.Verdict `json:"verdict"`
	}
	var result struct {
		Trials []struct {
			carriedOut
			Repeats []carriedOut `json:"repeats"`
		} `json:"trials"`
	}
	if json.Unmarshal(b, &result) != nil {
		return verdicts
	}
	for _, t := range result.Trials {
		for _, c := range append(t.Repeats, t.carriedOut) {
			verdicts[filepath.ToSlash(c.History)] = c.Verdict
		}
	}
	return verdicts
}
