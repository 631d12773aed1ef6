package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/workload"
)

// Loading says how a stored run is read.
type Loading struct {
	// Salvage takes a history that is corrupt or was cut off as far as it can be
	// read, and marks its trial. Without it such a run is refused, with the line.
	Salvage bool
	// Judge gives what a trial of that name is judged again by; ok is false where
	// its stored verdict is to be kept. nil keeps all.
	Judge func(trial string) (known []check.KnownBug, invariants []check.Invariant, ok bool)
}

// ErrNoRun is the reason for which a folder is none of a run.
var ErrNoRun = errors.New("neither a result.json nor a history.jsonl is in it")

// Load reads a stored run from its folder, or a trial from its own, so that its
// report can be written anew with [Run.Write]. All that is shown is read from the
// histories; what no history has (the verdict, the command that runs the trial
// again, the tables of the run) is from result.json. Where that is missing, as after
// a run that was killed, each history in the folder is a trial, and judged by what
// every trial is held to. [Trial.Judged] says which it was.
func Load(dir string, how Loading) (Run, error) {
	stored, err := readResult(filepath.Join(dir, "result.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return loadHistories(dir, how)
	}
	if err != nil {
		return Run{}, err
	}
	run := Run{Dir: dir, Sections: stored.Sections}
	for _, s := range stored.Trials {
		t, err := loadTrial(dir, s, how)
		if err != nil {
			return Run{}, err
		}
		run.Trials = append(run.Trials, t)
	}
	return run, nil
}

func readResult(path string) (result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return result{}, fmt.Errorf("read the run's result: %w", err)
	}
	var head struct {
		Format  string
		Version int
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return result{}, fmt.Errorf("read the run's result %s: it is no JSON: %w", path, err)
	}
	if head.Format != resultFormat || head.Version != resultVersion {
		return result{}, fmt.Errorf("read the run's result %s: it is %q of version %d, this killpoint reads %q of version %d: without the file the histories alone are read", path, head.Format, head.Version, resultFormat, resultVersion)
	}
	var r result
	if err := json.Unmarshal(b, &r); err != nil {
		return result{}, fmt.Errorf("read the run's result %s: %w", path, err)
	}
	return r, nil
}

// loadTrial is a trial of which result.json knows.
func loadTrial(dir string, s trialResult, how Loading) (Trial, error) {
	t := Trial{
		Name: s.Name, Dir: folderOf(dir, s.History), Verdict: s.Verdict, Seed: s.Seed, Again: s.Again, Known: s.Known, Judged: JudgedThen,
	}
	for _, a := range s.Repeats {
		t.Repeats = append(t.Repeats, Attempt{Dir: folderOf(dir, a.History), Verdict: a.Verdict})
	}
	h, err := readStored(t.Dir, how)
	if h == nil {
		return t, err
	}
	if known, invariants, ok := how.judge(s.Name); ok && err == nil {
		t.Verdict, t.Judged, t.Known = check.Judge(h, known, invariants...), JudgedAgain, bugNames(known)
	}
	return t, t.retake(dir, h, err)
}

func (how Loading) judge(trial string) ([]check.KnownBug, []check.Invariant, bool) {
	if how.Judge == nil {
		return nil, nil, false
	}
	return how.Judge(trial)
}

// folderOf is the folder of a history whose path is relative to the run's.
func folderOf(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Dir(path)
	}
	return filepath.Dir(filepath.Join(dir, path))
}

// readStored reads a history as far as it may. It returns none with an error that
// ends the loading, and one with an error that only marks its trial.
func readStored(dir string, how Loading) (*history.History, error) {
	h, err := history.ReadFile(HistoryPath(dir))
	var line *history.LineError
	switch {
	case err == nil, how.Salvage && errors.As(err, &line):
		return h, err
	case how.Salvage:
		return &history.History{}, err // there is nothing to salvage
	}
	return nil, fmt.Errorf("read the stored trial: %w", err)
}

// retake is take for a stored trial. Its name, seed and command are the stored
// ones; and nothing is written outside the run's folder.
func (t *Trial) retake(run string, h *history.History, unreadable error) error {
	name, seed := t.Name, t.Seed
	inside, err := filepath.Rel(run, t.Dir)
	t.logs = err == nil && filepath.IsLocal(inside)
	err = t.take(h, unreadable)
	t.Name = name
	if seed != "" {
		t.Seed = seed
	}
	return err
}

// loadHistories makes a trial of each history in the folder.
func loadHistories(dir string, how Loading) (Run, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() == filepath.Base(HistoryPath(dir)) {
			paths = append(paths, path)
		}
		return err
	})
	switch {
	case err != nil:
		return Run{}, fmt.Errorf("look for histories in %s: %w", dir, err)
	case len(paths) == 0:
		return Run{}, fmt.Errorf("read the run in %s: %w", dir, ErrNoRun)
	}
	run := Run{Dir: dir}
	for _, path := range paths {
		t, err := loadAlone(dir, filepath.Dir(path), how)
		if err != nil {
			return Run{}, err
		}
		run.Trials = append(run.Trials, t)
	}
	slices.SortStableFunc(run.Trials, func(a, b Trial) int { return strings.Compare(a.Name, b.Name) })
	return run, nil
}

// loadAlone is a trial of which there is nothing but its history.
func loadAlone(run, dir string, how Loading) (Trial, error) {
	h, err := readStored(dir, how)
	if h == nil {
		return Trial{}, err
	}
	t := Trial{Name: h.Header.Trial, Dir: dir, Judged: JudgedAlone}
	if t.Name == "" {
		t.Name = filepath.Base(dir)
	}
	known, invariants, ok := how.judge(t.Name)
	switch {
	case err != nil:
		t.Verdict = Unjudged(t.Name, dir, err).Verdict
	case ok:
		t.Verdict, t.Judged, t.Known = check.Judge(h, known, invariants...), JudgedAgain, bugNames(known)
	default:
		t.Verdict = check.Judge(h, nil, everyTrials(h)...)
	}
	return t, t.retake(run, h, err)
}

func bugNames(known []check.KnownBug) []string {
	var out []string
	for _, b := range known {
		out = append(out, b.Name)
	}
	return out
}

// everyTrials are the invariants that need no more than the history to know what
// they ask for.
func everyTrials(h *history.History) []check.Invariant {
	all := []check.Invariant{check.RightActor(), check.NoPanic()}
	struck, wrote := false, false
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Fault:
			struck = struck || strings.HasPrefix(b.Target, "engine#")
		case *history.Invoke:
			wrote = wrote || b.Name == workload.Tick
		}
	}
	if wrote {
		all = append(all, check.LedgerKeeps(workload.Tick, workload.Ledger))
	}
	if !struck {
		return all
	}
	all = append(all, check.FaultLanded(), check.EngineStaysUp())
	for _, s := range readSettings(h) {
		if bound, err := time.ParseDuration(s.Value); s.Name == "bound" && err == nil && bound > 0 {
			all = append(all, check.AnswersWithin(bound))
		}
	}
	return all
}
