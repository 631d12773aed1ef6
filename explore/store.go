package explore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/killpoint/killpoint/spec"
)

// What an exploration's folder holds.
const (
	storeFile   = "exploration.json" // what is explored
	reportFile  = "exploration.md"   // for people
	outcomeFile = "outcome.json"     // in the folder of each point that is done
	goldenDir   = "golden"
	listingDir  = "breakpoints"
	pointsDir   = "points"
)

// store is an exploration's folder.
type store struct{ dir string }

// header is what is explored. A run that resumes must want the same.
type header struct {
	Format  string          `json:"format"`
	Version int             `json:"version"`
	Plan    Plan            `json:"plan"`
	Trial   json.RawMessage `json:"trial"`
}

// Format and Version identify an exploration's files.
const (
	format  = "killpoint-exploration"
	version = 1
)

func (s *store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// open makes the folder, or finds the exploration that it resumes.
func (x Exploration) open() (*store, error) {
	st := &store{x.Dir}
	t, err := x.Trial.Encode()
	if err != nil {
		return nil, err
	}
	want, err := encode(header{format, version, x.Plan, t})
	if err != nil {
		return nil, err
	}
	have, err := os.ReadFile(st.path(storeFile))
	switch {
	case errors.Is(err, os.ErrNotExist) && x.Resume:
		return nil, fmt.Errorf("%s holds no exploration that could be resumed", x.Dir)
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(x.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the exploration's folder: %w", err)
		}
		return st, writeFile(st.path(storeFile), want)
	case err != nil:
		return nil, fmt.Errorf("read the exploration's folder: %w", err)
	case !x.Resume:
		return nil, fmt.Errorf("%s: %w", x.Dir, ErrExists)
	case !bytes.Equal(have, want):
		return nil, fmt.Errorf("%s holds an exploration of something else: %s says what; resume it with the same settings, or name another folder", x.Dir, st.path(storeFile))
	}
	return st, nil
}

// Begun reads what an exploration's folder explores, for who resumes it without
// saying that again.
func Begun(dir string) (spec.Trial, Plan, error) {
	b, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		return spec.Trial{}, Plan{}, fmt.Errorf("%s holds no exploration: %w", dir, err)
	}
	var h header
	if err := json.Unmarshal(b, &h); err != nil {
		return spec.Trial{}, Plan{}, fmt.Errorf("%s: %w", filepath.Join(dir, storeFile), err)
	}
	if h.Format != format || h.Version != version {
		return spec.Trial{}, Plan{}, fmt.Errorf("%s is a %s of version %d: want a %s of version %d", filepath.Join(dir, storeFile), h.Format, h.Version, format, version)
	}
	t, err := spec.Parse(h.Trial)
	return t, h.Plan, err
}

// remove takes away what a trial that was cut off has left, if anything.
func (s *store) remove(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the folder of a trial that was cut off: %w", err)
	}
	return nil
}

// keep stores a result: from now on the point is done.
func (s *store) keep(dir string, r Result) error {
	b, err := encode(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the point's folder: %w", err)
	}
	return writeFile(filepath.Join(dir, outcomeFile), b)
}

// done are the results of the points that are done. Those that the harness
// failed at are not.
func (s *store) done(points []Point) ([]Result, error) {
	var all []Result
	for _, p := range points {
		b, err := os.ReadFile(s.path(pointsDir, p.Slug(), outcomeFile))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read what was done: %w", err)
		}
		var r Result
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, fmt.Errorf("read what was done: %s: %w", s.path(pointsDir, p.Slug(), outcomeFile), err)
		}
		// Another version may number the points otherwise.
		if r.Outcome.State != Failed && r.Point.Strike.String() == p.Strike.String() {
			all = append(all, r)
		}
	}
	return all, nil
}

func (s *store) write(r *Report) error {
	return writeFile(s.path(reportFile), []byte(r.Markdown()))
}

func encode(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode a part of the exploration: %w", err)
	}
	return append(b, '\n'), nil
}

// writeFile writes a whole file or none.
func writeFile(path string, b []byte) error {
	err := os.WriteFile(path+".part", b, 0o644)
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		_ = os.Remove(path + ".part") // where it was not even made there is nothing to remove
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
