package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
)

// specFile holds, beside a history, what is needed to judge it again.
const specFile = "scenario.json"

// Stored is what is stored beside each history.
type Stored struct {
	Trial string `json:"trial"`
	// Again is the command that runs the trial again.
	Again string `json:"again,omitempty"`
	// Repeats are the folders, in the run's, of the carryings-out before this
	// one, which proved nothing.
	Repeats []string `json:"repeats,omitempty"`
	// Spec says which scenario that was, in the words of who carried it out.
	Spec json.RawMessage `json:"spec"`
}

func (r *Runner) writeSpec(dir string, s scenario.Scenario, missed []report.Attempt, spec any) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode the scenario of %s: %w", s.Name, err)
	}
	stored := Stored{Trial: s.Name, Again: s.Again, Spec: text}
	for _, a := range missed {
		rel, err := filepath.Rel(r.Dir, a.Dir)
		if err != nil {
			return fmt.Errorf("find %s in the run's folder: %w", a.Dir, err)
		}
		stored.Repeats = append(stored.Repeats, rel)
	}
	b, err := json.MarshalIndent(stored, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the scenario of %s: %w", s.Name, err)
	}
	err = os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, specFile), append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("store the scenario of %s: %w", s.Name, err)
	}
	return nil
}

// ReadSpec reads what is stored beside the history in a trial's folder, or nil
// where nothing is.
func ReadSpec(dir string) (*Stored, error) {
	path := filepath.Join(dir, specFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read which scenario was carried out: %w", err)
	}
	var s Stored
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read which scenario was carried out in %s: %w", path, err)
	}
	return &s, nil
}
