package tests

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/killpoint/killpoint/scenario/catalog"
)

// carryOutGroup carries out the scenarios of a group of the catalog on each
// engine, beside each other, as tests of their names: those that are no extra, or
// where all are asked for.
func carryOutGroup(t *testing.T, group string) {
	for _, engine := range engines() {
		for _, e := range catalog.Group(group) {
			if e.Extra && os.Getenv(platformEnv) == "" {
				continue
			}
			t.Run(catalog.Label(engine)+"/"+e.Variant, func(t *testing.T) {
				t.Parallel()
				if why := e.Skipped(engine); why != "" {
					t.Skip(why)
				}
				carryOutEntry(t, engine, e)
			})
		}
	}
}

func carryOutEntry(t *testing.T, engine string, e catalog.Entry) {
	t.Helper()
	s := e.On(engine, run.options)
	s.Again = again(e.Test, engine, e.Variant)
	carryOut(t, s, e.Spec(engine, run.options))
}

// engines are those to test.
func engines() []string {
	list := os.Getenv("KILLPOINT_ENGINES")
	if list == "" {
		list = catalog.DefaultEngine
	}
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// again is the command that runs one trial again, and no other: each level of
// its name is anchored. Settings that were set go with it.
func again(test, engine, variant string) string {
	levels := append([]string{test, catalog.Label(engine)}, strings.Split(variant, "/")...)
	for i, l := range levels {
		levels[i] = "^" + regexp.QuoteMeta(strings.ReplaceAll(l, " ", "_")) + "$"
	}
	command := fmt.Sprintf("make itest SEED=%d ENGINE='%s'", run.Seed, engine)
	for _, setting := range []string{"DELAYS", "REPEATS", "KNOWN_BUGS", "PLATFORM"} {
		if v := os.Getenv("KILLPOINT_" + setting); v != "" {
			command += fmt.Sprintf(" %s='%s'", setting, v)
		}
	}
	return command + fmt.Sprintf(" RUN='%s'", strings.Join(levels, "/"))
}

// The scenarios are those of package catalog, where each says what it is for.
// Those of idle-restart run beside each other but not beside the other tests,
// whose starting of cells would keep the host busy.
func TestIdleRestart(t *testing.T) { carryOutGroup(t, "idle-restart") }

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, "heartbeat")
}

func TestCommitInFlight(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, "commit-in-flight")
}

func TestCommitCut(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, "commit-cut")
}

func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, "restart-under-load")
}

func TestEngineGoes(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, "engine-goes")
}

func TestActorState(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, "actor-state")
}

func TestHandoff(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, catalog.Handoffs)
}

// TestExits is the few cases of the exit matrix that are carried out always;
// `make matrix` carries all of it out.
func TestExits(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, catalog.Exits)
}

func TestBothKilled(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, catalog.BothKilled)
}

func TestPlatformRestart(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, catalog.PlatformRestarts)
}

func TestEngineExit(t *testing.T) {
	t.Parallel()
	carryOutGroup(t, catalog.EngineExit)
}

// TestKnownBugs carries the known bugs out, by name. `make itest` expects those
// to show that always did; `make known-bugs` runs every side of all of them.
func TestKnownBugs(t *testing.T) {
	t.Parallel()
	all := os.Getenv(knownBugsEnv) != ""
	for _, engine := range engines() {
		for _, e := range catalog.Group(catalog.KnownBugs) {
			if e.Extra && !all || e.Skipped(engine) != "" {
				continue
			}
			t.Run(catalog.Label(engine)+"/"+e.Variant, func(t *testing.T) {
				t.Parallel()
				carryOutEntry(t, engine, e)
			})
		}
	}
}
