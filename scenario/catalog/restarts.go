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

// comebacks are all. In a crash loop the five lives after the first die, and the
// seventh is well: as they begin, or each when the engine gives it an actor.
var comebacks = []comeback{
	{name: "signal/always", policy: containers.RestartAlways, signal: "SIGKILL", want: check.RestartWant{Code: 137, Lives: 1}, within: 5 * time.Second},
	{name: "signal/on-failure", policy: containers.RestartOnFailure, signal: "SIGKILL", want: check.RestartWant{Code: 137, Lives: 1}, within: 5 * time.Second, extra: true},
	{name: "signal/unless-stopped", policy: containers.RestartUnlessStopped, signal: "SIGKILL", want: check.RestartWant{Code: 137, Lives: 1}, within: 5 * time.Second, extra: true},
	{
		name: "panic/always", policy: containers.RestartAlways, signal: "SIGTERM", env: map[string]string{"KILLPOINT_FIXTURE_EXIT": "panic"},
		want: check.RestartWant{Code: 2, Lives: 1}, within: 5 * time.Second, extra: true,
	},
	{
		name: "panic/unless-stopped", policy: containers.RestartUnlessStopped, signal: "SIGTERM", env: map[string]string{"KILLPOINT_FIXTURE_EXIT": "panic"},
		want: check.RestartWant{Code: 2, Lives: 1}, within: 5 * time.Second, extra: true,
	},
	{
		name: "oom/always", policy: containers.RestartAlways, signal: "SIGTERM", env: map[string]string{"KILLPOINT_FIXTURE_EXIT": "oom"},
		memory: 64 * mebibyte, want: check.RestartWant{Code: 137, OOM: true, Lives: 1}, within: 5 * time.Second, extra: true,
	},
	{
		name: "oom/unless-stopped", policy: containers.RestartUnlessStopped, signal: "SIGTERM", env: map[string]string{"KILLPOINT_FIXTURE_EXIT": "oom"},
		memory: 64 * mebibyte, want: check.RestartWant{Code: 137, OOM: true, Lives: 1}, within: 5 * time.Second, extra: true,
	},
	{
		name: "panic/on-failure", policy: containers.RestartOnFailure, signal: "SIGTERM", env: map[string]string{"KILLPOINT_FIXTURE_EXIT": "panic"},
		want: check.RestartWant{Code: 2, Lives: 1}, within: 5 * time.Second, extra: true,
	},
	{
		name: "oom/on-failure", policy: containers.RestartOnFailure, signal: "SIGTERM", env: map[string]string{"KILLPOINT_FIXTURE_EXIT": "oom"},
		memory: 64 * mebibyte, want: check.RestartWant{Code: 137, OOM: true, Lives: 1}, within: 5 * time.Second, extra: true,
	},
	{
		name: "crash-loop/boot", policy: containers.RestartAlways, signal: "SIGKILL", env: map[string]string{"KILLPOINT_FIXTURE_CRASH": "boot:2-6"},
		want: check.RestartWant{Code: 137, Lives: 6}, within: 5 * time.Second, extra: true,
	},
	{
		name: "crash-loop/start", policy: containers.RestartAlways, signal: "SIGKILL", env: map[string]string{"KILLPOINT_FIXTURE_CRASH": "start:2-6"},
		want: check.RestartWant{Code: 137, Lives: 6}, within: 5 * time.Second, extra: true,
	},
}

func platformRestarts() []Entry {
	var entries []Entry
	for _, v := range comebacks {
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
