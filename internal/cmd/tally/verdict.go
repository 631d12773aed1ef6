package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/report"
)

// verdicts are those that runs gave at their time, by the paths of the
// histories, for each run's folder.
type verdicts map[string]map[string]check.Verdict

// of is the verdict in the result.json beside the trial's folder; the zero
// verdict where there is none.
func (v verdicts) of(path string) (check.Verdict, error) {
	run := filepath.Dir(filepath.Dir(path))
	if v[run] == nil {
		of, err := readResult(run)
		if err != nil {
			return check.Verdict{}, err
		}
		v[run] = of
	}
	return v[run][path], nil
}

// readResult reads a run's result.json. A run that was killed has none.
func readResult(run string) (map[string]check.Verdict, error) {
	path := filepath.Join(run, "result.json")
	b, err := os.ReadFile(path)
	of := map[string]check.Verdict{}
	if errors.Is(err, fs.ErrNotExist) {
		return of, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the verdicts: %w", err)
	}
	var result struct {
		Format  string
		Version int
		Trials  []struct {
			History string
			Verdict check.Verdict
		}
	}
	if err := json.Unmarshal(b, &result); err != nil {
		return nil, fmt.Errorf("read the verdicts: %s:%d: %w", path, lineOf(b, err), err)
	}
	// Version 2 added the state "known", which version 1 never has.
	if result.Format != "killpoint-result" || result.Version < 1 || result.Version > 2 {
		return nil, fmt.Errorf("read the verdicts: %s:1: format %q, version %d: not what this tally reads", path, result.Format, result.Version)
	}
	for _, t := range result.Trials {
		of[filepath.Join(run, t.History)] = t.Verdict
	}
	return of, nil
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

// reproduces is how the invariants are called that look for one known bug.
var reproduces = check.Reproduces(check.KnownBug{}).Name

// sought are the bugs that the trial was to reproduce, met those that account
// for one of its failures, each once.
func sought(v check.Verdict) (names []string) {
	for _, f := range v.Findings {
		if name, ok := strings.CutPrefix(f.Invariant, reproduces); ok {
			names = append(names, name)
		}
	}
	return names
}

func met(v check.Verdict) []string { return report.Trial{Verdict: v}.Bugs() }
