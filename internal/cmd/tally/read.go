package main

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

// trial is what is kept of one history: of one carrying-out of a scenario.
type trial struct {
	path string
	// name is the scenario's, with the engine in it; scenario is without.
	name, scenario, engine string
	began                  clock.Mono
	wall                   string // when it began, RFC 3339
	settings               history.Settings
	verdict                check.Verdict // of the state "" where nobody judged it
	// again: it repeats a carrying-out that proved nothing.
	again bool
	// why is the reason for which its times do not count; "" where they do,
	// unless the host was too busy.
	why     string
	outage  *window.Outage // nil where there is none
	phases  []window.Part
	pulses  []window.Pulse
	named   []window.Named
	commits []commit
}

// read reads every trial under the folders, each once.
func read(dirs []string) ([]trial, error) {
	var paths []string
	for _, dir := range dirs {
		found, err := histories(dir)
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	var trials []trial
	seen := map[string]string{}
	for _, path := range slices.Compact(paths) {
		h, err := history.ReadFile(path)
		if err != nil {
			return nil, err // it names the file and the line
		}
		if err := once(seen, path, h.Header); err != nil {
			return nil, err
		}
		if h.Header.Trial != selfTest {
			trials = append(trials, extract(path, h))
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

func extract(path string, h *history.History) trial {
	t := trial{path: path, name: h.Header.Trial, engine: "?", began: h.Header.Mono, wall: h.Header.Wall}
	for _, e := range h.Events {
		if s, ok := e.Body.(*history.Settings); ok {
			t.settings = *s // what the scenario asked for comes first
			break
		}
	}
	if v, ok := t.settings["engine"]; ok {
		t.engine = fmt.Sprint(v)
	}
	t.scenario = withoutEngine(t.name, t.engine)
	t.commits = readCommits(h)
	o, err := window.Read(h)
	switch {
	case !h.Complete():
		t.why = "not carried out to the end"
	case t.setting("fault") == noFault:
		t.why = "no fault on the engine"
	case err != nil:
		t.why = err.Error()
	case !landed(o):
		t.why = "a fault did not land"
	case len(o.Rows) == 0:
		t.why = "nothing was probed"
	}
	if err == nil {
		t.outage, t.phases = o, window.Phases(h, o)
		t.pulses, t.named = window.Pulses(h, o), window.NamedProbes(h, o)
	}
	return t
}

// noFault is the setting of a scenario whose fault is on another.
const noFault = "none on the engine"

// withoutEngine cuts the engine out of TEST/ENGINE/VARIANT, so that the engines
// of one variant stand beside each other. There it is called by the end of its
// path, or of its image's name.
func withoutEngine(name, engine string) string {
	test, rest, _ := strings.Cut(name, "/")
	if called, variant, ok := strings.Cut(rest, "/"); ok && called == pathpkg.Base(engine) {
		return test + "/" + variant
	}
	return name
}

// run is the folder of its run.
func (t trial) run() string { return filepath.Dir(filepath.Dir(t.path)) }

func landed(o *window.Outage) bool {
	return !slices.ContainsFunc(o.Strikes, func(s window.Strike) bool { return s.LandedT == 0 })
}

// complete: its verdict is of a whole history.
func (t trial) complete() bool { return t.why != "not carried out to the end" }

// busy: its host was.
func (t trial) busy() bool { return t.outage != nil && t.outage.Noise.TooNoisy() }

// counts: its times do.
func (t trial) counts() bool { return t.why == "" && !t.busy() }

// setting is one by its name, "" where it is not there.
func (t trial) setting(name string) string {
	if v, ok := t.settings[name]; ok {
		return strings.TrimSpace(fmt.Sprint(v))
	}
	return ""
}
