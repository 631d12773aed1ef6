// Package spec describes a trial so that it can be stored, sent, carried out
// again and made smaller: what runs, what clients do, what strikes when, and how
// long anything may take. It is data; package explore carries it out.
//
// A trial's folder holds it as trial.json, beside the history.
package spec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/killpoint/killpoint/internal/suggest"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/workload"
)

// FileName is that of a trial's description, in the trial's folder.
const FileName = "trial.json"

// Trial is the description. Its zero fields have the meaning that is said with
// each.
type Trial struct {
	// Name is how tables call it.
	Name string `json:"name"`
	// Engine is a version, an image reference or the path of a binary; "" is
	// the default release.
	Engine  string  `json:"engine,omitempty"`
	Runtime Runtime `json:"runtime"`
	// Seed is what random choices are drawn from.
	Seed uint64 `json:"seed,string"`
	// Ops are what the client does, one after the other. One without a good
	// answer is asked again until there is one.
	Ops []workload.Op `json:"ops"`
	// Strikes come one after the other: the next is armed when the one before
	// has struck.
	Strikes []Strike `json:"strikes,omitempty"`
	// Patience with each attempt of an operation; 0 is 5 s.
	Patience time.Duration `json:"-"`
	// Bound is how long an operation may take with all its attempts; 0 is 75 s,
	// which is above the minute for which a killed engine's lease, and a start that
	// nobody carries out, can keep an actor away.
	Bound time.Duration `json:"-"`
}

// Runtime is the runtime of a trial.
type Runtime struct {
	// Image replaces the fixture; "" is the fixture.
	Image string `json:"image,omitempty"`
	// Reconnect is its reconnect policy: "rivet", "fast", "fast:25ms", "none"; "" is
	// "fast", so that what is seen is the engine's time.
	Reconnect string `json:"reconnect,omitempty"`
	// Protocol of the envoy connection; 0 is 8, which streamed answers need.
	Protocol int `json:"protocol,omitempty"`
	// Heartbeat from inside the actors: "none" (also ""), "sqlite", "kv".
	Heartbeat string `json:"heartbeat,omitempty"`
	// Bug is one that is planted in the fixture; "" is none.
	Bug string `json:"bug,omitempty"`
	// Env is added to its environment.
	Env map[string]string `json:"env,omitempty"`
}

// Target is whom a strike hits.
type Target string

// The targets.
const (
	OnEngine  Target = "engine"
	OnRuntime Target = "runtime"
)

// Strike is a fault at a moment.
type Strike struct {
	At     moment.Moment `json:"at"`
	Target Target        `json:"target"`
	Fault  Fault         `json:"fault"`
	// Held says what becomes of a frame that is held for it: "deliver" (also ""),
	// or "drop". A frame to a dead receiver cannot be delivered.
	Held Held `json:"held,omitempty"`
}

// Held is what becomes of a held frame.
type Held string

// What becomes of it.
const (
	Deliver Held = "deliver"
	Drop    Held = "drop"
)

// String is the strike in words, for tables.
func (s Strike) String() string { return fmt.Sprintf("%s %s at %s", s.Fault, s.Target, s.At) }

// Defaults of a trial's bounds. The slowest recovery of a sound engine's actors that
// is known takes 61 s: a killed engine's lease, and after it the time that is given to
// a start.
const (
	defaultPatience = 5 * time.Second
	defaultBound    = 75 * time.Second
)

// WithDefaults is the trial with what its zero fields mean, but for the engine.
func (t Trial) WithDefaults() Trial {
	set(&t.Runtime.Reconnect, "fast")
	set(&t.Runtime.Protocol, 8)
	set(&t.Runtime.Heartbeat, "none")
	set(&t.Patience, defaultPatience)
	set(&t.Bound, defaultBound)
	return t
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate says everything that is wrong with it.
func (t Trial) Validate() error {
	var errs []error
	if len(t.Ops) == 0 {
		errs = append(errs, errors.New("no operations: there is nothing to do"))
	}
	for i, o := range t.Ops {
		if err := o.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("ops[%d]: %w", i, err))
		}
	}
	for i, s := range t.Strikes {
		if err := s.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("strikes[%d]: %w", i, err))
		}
	}
	if t.Patience < 0 || t.Bound < 0 {
		errs = append(errs, fmt.Errorf("patience %v, bound %v: want neither below zero", t.Patience, t.Bound))
	}
	if err := t.Runtime.validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r Runtime) validate() error {
	if !slices.Contains([]int{0, 6, 8}, r.Protocol) {
		return fmt.Errorf("runtime.protocol %d: want 6 or 8, which the fixture speaks", r.Protocol)
	}
	beats := []string{"none", "sqlite", "kv"}
	if r.Heartbeat != "" && !slices.Contains(beats, r.Heartbeat) {
		return fmt.Errorf("runtime: %w", suggest.Unknown("heartbeat", r.Heartbeat, beats))
	}
	return nil
}

// Validate says what is wrong with it.
func (s Strike) Validate() error {
	targets, helds := []Target{OnEngine, OnRuntime}, []Held{Deliver, Drop}
	if !slices.Contains(targets, s.Target) {
		return suggest.Unknown("target", string(s.Target), targets)
	}
	if s.Held != "" && !slices.Contains(helds, s.Held) {
		return suggest.Unknown("what becomes of a held frame", string(s.Held), helds)
	}
	if _, ok := s.At.AtFrame(); s.Held == Drop && !ok {
		return fmt.Errorf("held %q: only a frame can be dropped, not %v", s.Held, s.At)
	}
	_, _, err := s.Fault.Parse()
	return err
}

// Write stores the trial in its folder, which it makes.
func (t Trial) Write(dir string) error {
	b, err := t.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the trial's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), b, 0o644); err != nil {
		return fmt.Errorf("write the trial's description: %w", err)
	}
	return nil
}

// Read reads the trial of a folder.
func Read(dir string) (Trial, error) {
	path := filepath.Join(dir, FileName)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Trial{}, fmt.Errorf("%s holds no %s: want the folder of one trial that was carried out by its description: %w", dir, FileName, err)
	}
	if err != nil {
		return Trial{}, fmt.Errorf("read the trial's description: %w", err)
	}
	t, err := Parse(b)
	if err != nil {
		return t, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
