package catalog

import (
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/restarts"
	"github.com/killpoint/killpoint/scenario"
)

// PlatformRestarts is the group in which the daemon brings a runtime back by its
// restart policy.
const PlatformRestarts = "platform-restart"

// comeback is a crash, and what the daemon does of it.
type comeback struct {
	name   string
	policy containers.RestartPolicy
	signal string
	env    map[string]string
	memory int64
	want   check.RestartWant
	// within is how soon after a well runtime serves somebody is answered.
	within time.Duration
	extra  bool
}

const mebibyte = 1 << 20

// comebacks are every crash under every policy, which all treat it alike, and the crash
// loops. In those the five lives after the first die, and the seventh is well: as they
// begin, or each when the engine gives it an actor.
func comebacks() []comeback {
	soon := 5 * time.Second
	killed := comeback{name: "signal", signal: "SIGKILL", want: check.RestartWant{Code: 137, Lives: 1}, within: soon}
	panics := comeback{name: "panic", signal: "SIGTERM", env: map[string]string{"KILLPOINT_FIXTURE_EXIT": "panic"}, want: check.RestartWant{Code: 2, Lives: 1}, within: soon}
	oom := comeback{
		name: "oom", signal: "SIGTERM", env: map[string]string{"KILLPOINT_FIXTURE_EXIT": "oom"}, memory: 64 * mebibyte,
		want: check.RestartWant{Code: 137, OOM: true, Lives: 1}, within: soon,
	}
	var all []comeback
	for _, c := range []comeback{killed, panics, oom} {
		crash := c.name
		for _, policy := range []containers.RestartPolicy{containers.RestartAlways, containers.RestartOnFailure, containers.RestartUnlessStopped} {
			c.name, c.policy = crash+"/"+string(policy), policy
			c.extra = c.name != "signal/always"
			all = append(all, c)
		}
	}
	for _, dies := range []string{"boot", "start"} {
		all = append(all, comeback{
			name: "crash-loop/" + dies, policy: containers.RestartAlways, signal: "SIGKILL", env: map[string]string{"KILLPOINT_FIXTURE_CRASH": dies + ":2-6"},
			want: check.RestartWant{Code: 137, Lives: 6}, within: soon, extra: true,
		})
	}
	return all
}

func platformRestarts() []Entry {
	var entries []Entry
	for _, v := range comebacks() {
		entries = append(entries, Entry{
			Group: PlatformRestarts, Variant: v.name, Test: "TestPlatformRestart", Extra: v.extra, Direct: true,
			build: func(Options) scenario.Scenario { return v.scenario() },
		})
	}
	return entries
}

func (v comeback) scenario() scenario.Scenario {
	return scenario.Scenario{
		Reconnect: "fast", Sweep: noSweep, Front: containers.FrontHTTP,
		RuntimeRestart: v.policy, RuntimeEnv: v.env, RuntimeMemory: v.memory,
		Parts: []scenario.Part{scenario.DaemonRestarts{
			Signal: v.signal, Flow: calm, Before: 2 * time.Second, After: 8 * time.Second, Lives: v.want.Lives,
		}},
		Invariants: []check.Invariant{
			check.EngineNeverLeaves(), check.DaemonRestarts(v.want), check.ServedAgain(v.within), check.OldGenerationSilent(),
		},
	}
}

// RestartTable is how each runtime was brought back, in Markdown; "" where there is
// none.
func RestartTable(trials []report.Trial) string {
	var rows []string
	for _, t := range trials {
		rest, ok := strings.CutPrefix(t.Name, PlatformRestarts+"/")
		if !ok {
			continue
		}
		h, err := history.ReadFile(report.HistoryPath(t.Dir))
		if err != nil {
			continue // its verdict says so
		}
		if r, err := restarts.Read(h); err == nil {
			rows = append(rows, r.Row(rest))
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return "## Restarts by the platform\n\nA gap is from a death to the daemon's word that the next life runs: its own wait, in brackets, and what a start takes.\n\n" + restarts.Head + strings.Join(rows, "")
}
