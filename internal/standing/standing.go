// Package standing keeps a cell up beyond the command that started it. A process
// of its own, the holder, has the session; while it lives the cell stands, and
// when it dies, by whatever means, the session's reaper removes the cell. What
// others need to know is in a folder of the user: who holds it, where it answers,
// and a socket by which the holder is told to end.
package standing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"
)

// Cell is one that stands.
type Cell struct {
	Name    string `json:"name"`
	Engine  string `json:"engine"`
	Session string `json:"session"`
	// Holder is the process that holds it.
	Holder  int    `json:"holder"`
	Gateway string `json:"gateway"`
	// Control is the fixture's control channel, "" where another runtime runs.
	Control   string `json:"control,omitempty"`
	Token     string `json:"token"`
	Namespace string `json:"namespace"`
	Pool      string `json:"pool"`
	// EngineContainer and RuntimeContainer are their names in Docker.
	EngineContainer  string `json:"engine_container"`
	RuntimeContainer string `json:"runtime_container"`
	// History is the file in which everything that happens to it is recorded.
	History string `json:"history"`
}

// ErrNotUp says that no cell of that name stands.
var ErrNotUp = errors.New("no such cell is up")

// ErrUp says that a cell of that name stands already.
var ErrUp = errors.New("it is up already (killpoint down ends it)")

// Dir makes and returns the user's folder of standing cells, below
// ~/.local/state/killpoint (XDG_STATE_HOME moves it).
func Dir() (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the folder of standing cells (set XDG_STATE_HOME or HOME): %w", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	dir := filepath.Join(base, "killpoint", "cells")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of standing cells: %w", err)
	}
	return dir, nil
}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,30}$`)

// place is where a cell's files are.
type place struct{ dir, name string }

func at(dir, name string) (place, error) {
	if !nameForm.MatchString(name) {
		return place{}, fmt.Errorf("the cell's name %q: want up to 31 letters, digits, - and _", name)
	}
	return place{dir, name}, nil
}

func (p place) file(ext string) string { return filepath.Join(p.dir, p.name+ext) }
func (p place) state() string          { return p.file(".json") }
func (p place) socket() string         { return p.file(".sock") }
func (p place) history() string        { return p.file(".jsonl") }
func (p place) lockFile() string       { return p.file(".lock") }

// Log is where the holder of a cell says what goes wrong.
func Log(dir, name string) string { return place{dir, name}.file(".log") }

// take takes the lock that the holder has for life. The kernel drops it with the
// process, so that a holder that was killed is known to be gone.
func (p place) take() (unlock func() error, err error) {
	f, err := os.OpenFile(p.lockFile(), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of cell %s: %w", p.name, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("cell %s: %w", p.name, ErrUp), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock cell %s: %w", p.name, err), f.Close())
	}
	return f.Close, nil
}

// clear removes the cell's files. The lock stays: to remove it could give two
// holders one of their own. So does the log, which is its writer's.
func (p place) clear() error {
	var errs []error
	for _, f := range []string{p.state(), p.socket(), p.history()} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Read is the cell of that name, as its holder described it; [ErrNotUp] where
// there is none. Its holder may have died since.
func Read(dir, name string) (Cell, error) {
	p, err := at(dir, name)
	if err != nil {
		return Cell{}, err
	}
	b, err := os.ReadFile(p.state())
	if errors.Is(err, fs.ErrNotExist) {
		return Cell{}, fmt.Errorf("cell %s: %w", name, ErrNotUp)
	}
	var c Cell
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read the state of cell %s in %s: %w", name, p.state(), err)
	}
	return c, nil
}

// Find is the cell of that name, if its holder lives; else [ErrNotUp].
func Find(dir, name string) (Cell, error) {
	p, err := at(dir, name)
	if err != nil {
		return Cell{}, err
	}
	unlock, err := p.take()
	if errors.Is(err, ErrUp) {
		return Read(dir, name)
	}
	if err != nil {
		return Cell{}, err
	}
	return Cell{}, errors.Join(fmt.Errorf("cell %s: %w", name, ErrNotUp), unlock())
}

func (p place) write(c Cell) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = os.WriteFile(p.state()+".part", append(b, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(p.state()+".part", p.state())
	}
	if err != nil {
		return fmt.Errorf("write the state of cell %s: %w", c.Name, err)
	}
	return nil
}

// Names are the cells that have a state.
func Names(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("look for standing cells in %s: %w", dir, err)
	}
	var names []string
	for _, p := range paths {
		base := filepath.Base(p)
		names = append(names, base[:len(base)-len(".json")])
	}
	return names, nil
}
