package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// PlanFile holds, in a run's folder, what the run was to do.
const PlanFile = "run.json"

const (
	planFormat  = "killpoint-run"
	planVersion = 1
)

// Plan is what a run is to do, written before its first trial, so that what it
// did not come to is known.
type Plan struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Run     string `json:"run"`
	Began   string `json:"began"` // RFC 3339, for people
	// Seed is text: not every reader of JSON keeps 64 bits.
	Seed string `json:"seed"`
	// Shard is "2/4", "" for all of a run.
	Shard string `json:"shard,omitempty"`
	// Trials are the names of those of this shard, All those of the whole run
	// where it is cut into shards.
	Trials []string `json:"trials"`
	All    []string `json:"all,omitempty"`
}

// WritePlan notes what the run is to do, in its folder.
func (r *Runner) WritePlan(shard string, trials, all []string) error {
	p := Plan{
		Format: planFormat, Version: planVersion, Run: r.ID, Began: time.Now().UTC().Format(time.RFC3339),
		Seed: strconv.FormatUint(r.Seed, 10), Shard: shard, Trials: trials, All: all,
	}
	return p.Write(r.Dir)
}

// Write writes the plan into a run's folder.
func (p Plan) Write(dir string) error {
	p.Format, p.Version = planFormat, planVersion
	b, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, PlanFile), append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the plan of the run: %w", err)
	}
	return nil
}

// ReadPlan reads it. Where a folder has none, as those of make itest, it returns
// an error that is [os.ErrNotExist].
func ReadPlan(dir string) (Plan, error) {
	var p Plan
	path := filepath.Join(dir, PlanFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return p, fmt.Errorf("read the plan of the run: %w", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("read the plan of the run in %s: %w", path, err)
	}
	if p.Format != planFormat || p.Version != planVersion {
		return p, fmt.Errorf("read the plan of the run in %s: it is %q version %d, and this killpoint reads %q version %d", path, p.Format, p.Version, planFormat, planVersion)
	}
	return p, nil
}
