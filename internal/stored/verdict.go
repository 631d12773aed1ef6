package stored

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/check"
)

// judgement is what a run said of one carrying-out at its time.
type judgement struct {
	verdict check.Verdict
	// again: it repeats one that proved nothing.
	again bool
	// before are the verdicts of those that it repeats, where the run did not
	// say which histories are theirs: before version 3 of its result.
	before []string
}

// judge gives each trial the verdict of its run; the zero verdict where there
// is none.
func judge(trials []Trial) error {
	runs := map[string]map[string]judgement{} // by the run's folder, by the history's path
	for i := range trials {
		t := &trials[i]
		if runs[t.Run()] == nil {
			of, err := readResult(t.Run())
			if err != nil {
				return err
			}
			runs[t.Run()] = of
		}
		j := runs[t.Run()][t.Path]
		t.Verdict, t.Again = j.verdict, j.again
	}
	for _, t := range trials {
		t.repeats(trials, runs[t.Run()][t.Path].before)
	}
	return nil
}

// repeats gives verdicts to the carryings-out that the trial repeats: those of
// its scenario which began last before it, and have none.
func (t Trial) repeats(trials []Trial, before []string) {
	var earlier []*Trial
	for i := range trials {
		o := &trials[i]
		if o.Run() == t.Run() && o.Name == t.Name && o.Verdict.State == "" && o.Began < t.Began {
			earlier = append(earlier, o)
		}
	}
	slices.SortFunc(earlier, func(a, b *Trial) int { return cmp.Compare(b.Began, a.Began) })
	slices.Reverse(before)
	for i, o := range earlier[:min(len(before), len(earlier))] {
		o.Verdict, o.Again = verdictOf(before[i]), i < len(before)-1
	}
}

// verdictOf reads the line in which an older result has a verdict: its state
// and the finding that decided it. Of its other findings nothing is known.
func verdictOf(line string) check.Verdict {
	state, rest, _ := strings.Cut(line, ": ")
	invariant, summary, _ := strings.Cut(rest, ": ")
	return check.Verdict{State: check.State(state), Findings: []check.Finding{
		{Invariant: invariant, State: check.State(state), Summary: summary},
	}}
}

// resultFile is a run's result.json, of what is read here.
type resultFile struct {
	Format  string
	Version int
	Trials  []struct {
		History string
		Verdict check.Verdict
		Repeats json.RawMessage // attempts; before version 3 lines
	}
}

// attempt is a carrying-out that was repeated.
type attempt struct {
	History string
	Verdict check.Verdict
}

// readResult reads a run's result.json. A run that was killed has none.
func readResult(run string) (map[string]judgement, error) {
	path := filepath.Join(run, "result.json")
	b, err := os.ReadFile(path)
	of := map[string]judgement{}
	if errors.Is(err, fs.ErrNotExist) {
		return of, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the verdicts: %w", err)
	}
	var result resultFile
	if err := json.Unmarshal(b, &result); err != nil {
		return nil, fmt.Errorf("read the verdicts: %s:%d: %w", path, lineOf(b, err), err)
	}
	// Version 2 added the state "known", which version 1 never has.
	if result.Format != "killpoint-result" || result.Version < 1 || result.Version > 3 {
		return nil, fmt.Errorf("read the verdicts: %s:1: format %q, version %d: not what this tally reads", path, result.Format, result.Version)
	}
	for i, t := range result.Trials {
		j := judgement{verdict: t.Verdict}
		attempts, err := j.repeated(t.Repeats, result.Version)
		if err != nil {
			return nil, fmt.Errorf("read the verdicts: %s: the repeats of trial %d: %w", path, i+1, err)
		}
		for i, a := range attempts {
			of[filepath.Join(run, a.History)] = judgement{verdict: a.Verdict, again: i > 0}
		}
		of[filepath.Join(run, t.History)] = j
	}
	return of, nil
}

// repeated takes what the trial repeats: attempts, or lines.
func (j *judgement) repeated(repeats json.RawMessage, version int) (attempts []attempt, err error) {
	switch {
	case len(repeats) == 0:
		return nil, nil
	case version < 3:
		err = json.Unmarshal(repeats, &j.before)
	default:
		err = json.Unmarshal(repeats, &attempts)
	}
	j.again = len(j.before) > 0 || len(attempts) > 0
	return attempts, err
}

// lineOf is the line, from 1, at which the JSON could not be read.
func lineOf(b []byte, err error) int {
	at := int64(0)
	var syntax *json.SyntaxError
	var form *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &form):
		at = form.Offset
	}
	return 1 + bytes.Count(b[:min(at, int64(len(b)))], []byte("\n"))
}
