// Package stored reads the trials of runs that are over: their histories, and the
// verdicts that their runs gave them.
package stored

import (
	"errors"
	"fmt"
	"io/fs"
	pathpkg "path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// selfTest is the trial by which a run tests that it notices a busy host. It is
// none of an engine.
const selfTest = "busy-host"

// Trial is what is kept of one history: of one carrying-out of a scenario.
type Trial struct {
	Path string
	// Name is the scenario's, with the engine in it; Scenario is without.
	Name, Scenario, Engine string
	Began                  clock.Mono
	Wall                   string // when it began, RFC 3339
	Settings               history.Settings
	Verdict                check.Verdict // of the state "" where nobody judged it
	// Again: it repeats a carrying-out that proved nothing.
	Again bool
	// Why is the reason for which its times do not count; "" where they do,
	// unless the host was too busy.
	Why    string
	Outage *window.Outage // nil where there is none
	Phases []window.Part
}

// Read reads every trial under the folders, each once, in the order of their
// paths. It calls keep with each history, in the same order: they are too large
// to have them all at once.
func Read(dirs []string, keep func(*history.History, Trial)) ([]Trial, error) {
	var paths []string
	for _, dir := range dirs {
		found, err := histories(dir)
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	var trials []Trial
	seen := map[string]string{}
	for _, path := range slices.Compact(paths) {
		h, err := history.ReadFile(path)
		if err != nil {
			return nil, err // it names the file and the line
		}
		if err := once(seen, path, h.Header); err != nil {
			return nil, err
		}
		if h.Header.Trial == selfTest {
			continue
		}
		t := Of(path, h)
		trials = append(trials, t)
		if keep != nil {
			keep(h, t)
		}
	}
	if len(trials) == 0 {
		return nil, fmt.Errorf("read %s: there is no trial but the self-test of a run", strings.Join(dirs, ", "))
	}
	return trials, judge(trials)
}

// histories finds those under a folder, by their absolute paths, so that
// folders inside each other count no trial twice.
func histories(dir string) ([]string, error) {
	root, err := filepath.Abs(dir)
	if err == nil {
		root, err = filepath.EvalSymlinks(root) // a walk does not follow one
	}
	if err != nil {
		return nil, fmt.Errorf("read the run folder %s: %w", dir, reason(err))
	}
	var paths []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() == "history.jsonl" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the run folder %s: %w", dir, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("read the run folder %s: it holds no trial (no history.jsonl)", dir)
	}
	return paths, nil
}

// reason is the error without the path that the caller has already.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// once refuses a copy of a trial: counted twice, it would prove more than it
// does. No two trials of one boot begin in the same nanosecond.
func once(seen map[string]string, path string, h history.Header) error {
	key := fmt.Sprint(h.BootID, h.Mono, h.Run, h.Trial)
	if other, ok := seen[key]; ok {
		return fmt.Errorf("%s and %s are the same trial: give one of them", other, path)
	}
	seen[key] = path
	return nil
}

// Of is the trial of one history, which nobody has judged.
func Of(path string, h *history.History) Trial {
	t := Trial{Path: path, Name: h.Header.Trial, Engine: "?", Began: h.Header.Mono, Wall: h.Header.Wall}
	for _, e := range h.Events {
		if s, ok := e.Body.(*history.Settings); ok {
			t.Settings = *s // what the scenario asked for comes first
			break
		}
	}
	if v, ok := t.Settings["engine"]; ok {
		t.Engine = fmt.Sprint(v)
	}
	t.Scenario = withoutEngine(t.Name, t.Engine)
	o, err := window.Read(h)
	switch {
	case !h.Complete():
		t.Why = cutOff
	case t.Setting("fault") == noFault:
		t.Why = "no fault on the engine"
	case err != nil:
		t.Why = err.Error()
	case !landed(o):
		t.Why = "a fault did not land"
	case len(o.Rows) == 0:
		t.Why = "nothing was probed"
	}
	if err == nil {
		t.Outage, t.Phases = o, window.Phases(h, o)
	}
	return t
}

const cutOff = "not carried out to the end"

// noFault is the setting of a scenario whose fault is on another.
const noFault = "none on the engine"

// withoutEngine cuts the engine out of TEST/ENGINE/VARIANT, so that the engines
// of one variant stand beside each other. There it is called by the end of its
// path, or of its image's name. The trials of a sweep are numbered, and are all of
// one scenario.
func withoutEngine(name, engine string) string {
	levels := strings.Split(name, "/")
	if last := len(levels) - 1; levels[0] == "sweep" && last > 1 && strings.Trim(levels[last], "0123456789") == "" {
		levels = levels[:last]
	}
	if len(levels) > 2 && levels[1] == pathpkg.Base(engine) {
		levels = slices.Delete(levels, 1, 2)
	}
	return strings.Join(levels, "/")
}

// Run is the folder of its run.
func (t Trial) Run() string { return filepath.Dir(filepath.Dir(t.Path)) }

func landed(o *window.Outage) bool {
	return !slices.ContainsFunc(o.Strikes, func(s window.Strike) bool { return s.LandedT == 0 })
}

// Complete: its verdict is of a whole history.
func (t Trial) Complete() bool { return t.Why != cutOff }

// Busy: its host was.
func (t Trial) Busy() bool { return t.Outage != nil && t.Outage.Noise.TooNoisy() }

// Counts: its times do.
func (t Trial) Counts() bool { return t.Why == "" && !t.Busy() }

// Setting is one by its name, "" where it is not there.
func (t Trial) Setting(name string) string {
	if v, ok := t.Settings[name]; ok {
		return strings.TrimSpace(fmt.Sprint(v))
	}
	return ""
}
