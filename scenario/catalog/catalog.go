// Package catalog holds the scenarios that killpoint comes with, by name. The
// tests of package tests and the command line take them from here, so that
// `killpoint run idle-restart/stop/rivet/1s` and `make itest` carry out the same
// thing.
package catalog

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/containers"
	engineimage "github.com/killpoint/killpoint/engine-image"
	"github.com/killpoint/killpoint/scenario"
)

// Options change what scenarios leave open.
type Options struct {
	// Delays of the sweeps of idle-restart; empty is [Delays].
	Delays []time.Duration
	// Repeats is how many actors those ask at each delay; 0 is 1.
	Repeats int
	// RuntimeImage takes the fixture's place; "" is the fixture.
	RuntimeImage string
}

// Entry is one scenario, for any engine.
type Entry struct {
	// Group and Variant are its name, "idle-restart" and "stop/rivet/1s".
	Group, Variant string
	// Test is the test of package tests that carries it out, or the command that
	// does.
	Test string
	// Extra: neither make itest nor a run that names no scenario carries it out.
	Extra bool
	// Apart: its trials run beside each other and not beside others, whose
	// starting of cells would keep the host busy.
	Apart bool
	// Direct: it signals processes themselves, by [containers.WayPidfd].
	Direct bool
	// Skip says why an engine cannot carry it out, or "".
	Skip func(engine string) string

	build func(Options) scenario.Scenario
}

// Name is how a command line calls the scenario.
func (e Entry) Name() string { return e.Group + "/" + e.Variant }

// On is the scenario on an engine. Its caller adds the seed and the command
// that runs it again.
func (e Entry) On(engine string, o Options) scenario.Scenario {
	s := e.build(o)
	s.Engine, s.Name = engine, e.TrialName(engine)
	s.RuntimeImage = o.RuntimeImage
	return s
}

// TrialName is the name of its trials on that engine.
func (e Entry) TrialName(engine string) string {
	return e.Group + "/" + Label(engine) + "/" + e.Variant
}

// Skipped says why the scenario cannot be carried out on the engine, or here, or "".
func (e Entry) Skipped(engine string) string {
	if e.Direct {
		if why := containers.NoDirectSignals(); why != "" {
			return why
		}
	}
	if e.Skip == nil {
		return ""
	}
	return e.Skip(Label(engine))
}

// Label is how an engine is called in names of trials: those of a path or an
// image reference hold slashes, which part a name's levels.
func Label(engine string) string { return path.Base(engine) }

// All are all scenarios, in the order in which they are listed.
func All() []Entry {
	return slices.Concat(idleRestart(), heartbeat(), inFlight(), commitCut(), underLoad(), engineGoes(), actorStates(), handoffs(), bothKilled(), engineExits(), platformRestarts(), exitMatrix(), knownBugs())
}

// Group are the scenarios of a group.
func Group(name string) []Entry {
	return slices.DeleteFunc(All(), func(e Entry) bool { return e.Group != name })
}

// Groups are the names of the groups.
func Groups() []string {
	var names []string
	for _, e := range All() {
		if !slices.Contains(names, e.Group) {
			names = append(names, e.Group)
		}
	}
	return names
}

// Find is the scenario of that name.
func Find(name string) (Entry, bool) {
	all := All()
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Name() == name })
	if i < 0 {
		return Entry{}, false
	}
	return all[i], true
}

// Match are the scenarios that the pattern names, in order. A pattern is a
// scenario's name, or its first levels, in each of which * stands for anything;
// a trial's name is one too, which has the engine as its second level.
func Match(pattern string, engines []string) ([]Entry, error) {
	levels := strings.Split(strings.Trim(pattern, "/"), "/")
	if len(levels) > 1 && slices.ContainsFunc(engines, func(e string) bool { return Label(e) == levels[1] }) {
		levels = slices.Delete(levels, 1, 2)
	}
	var found []Entry
	for _, e := range All() {
		ok, err := matches(levels, strings.Split(e.Name(), "/"))
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, e)
		}
	}
	return found, nil
}

func matches(pattern, name []string) (bool, error) {
	if len(pattern) > len(name) {
		return false, nil
	}
	for i, p := range pattern {
		if ok, err := path.Match(p, name[i]); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// DefaultEngine is the engine of runs that name none.
const DefaultEngine = engineimage.Default
