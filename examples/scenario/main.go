// Command scenario carries out a scenario of its own, with an invariant of its
// own, and leaves a report. docs/guide/scenario.md walks through it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/window"
	"github.com/killpoint/killpoint/workload"
)

// killedInDrain stops the engine while clients write, and kills it in the middle
// of its drain, 300 ms after the SIGTERM.
var killedInDrain = scenario.Scenario{
	Name:      "my/killed-in-drain",
	Engine:    "2.3.19",
	Fault:     fault.KillInDrain(300 * time.Millisecond),
	Reconnect: "fast",
	Parts:     []scenario.Part{scenario.UnderLoad(workload.Load{Actors: 2, Clients: 2, Retry: true})},
	Sweep: probe.Sweep{
		Delays: []time.Duration{0, 500 * time.Millisecond}, Timeout: time.Second, Bound: 15 * time.Second,
	},
	Invariants: []check.Invariant{shortGap(2 * time.Second)},
}

// killedAtCommit kills it when the tap has the twelfth COMMIT in its hands, and has
// not delivered it.
var killedAtCommit = scenario.Scenario{
	Name:      "my/killed-at-commit",
	Engine:    "2.3.19",
	Fault:     fault.Kill(),
	At:        moment.Frame("execute-request/commit", 12, moment.BeforeDelivery),
	Reconnect: "fast",
	Parts:     killedInDrain.Parts,
	Sweep:     killedInDrain.Sweep,
}

// shortGap is an invariant: from the first good /health on nobody waits for longer
// than most. It reads the history and nothing else.
func shortGap(most time.Duration) check.Invariant {
	return check.Invariant{Name: "short-gap", Check: func(h *history.History) check.Finding {
		o, err := window.Read(h)
		switch {
		case err != nil: // nothing was struck, or nobody asked: that proves nothing
			return check.Finding{State: check.Inconclusive, Summary: err.Error()}
		case o.HealthGapAll() < 0 || o.HealthGapAll() > most:
			return check.Finding{State: check.Fail, Summary: fmt.Sprintf("somebody waited for %v although /health said ok", o.HealthGapAll())}
		}
		return check.Finding{State: check.Pass, Summary: fmt.Sprintf("nobody waited for longer than %v", o.HealthGapAll())}
	}}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "scenario:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 1 {
		return errors.New("want one argument: a new folder for the run")
	}
	r, err := runner.New(args[0], 1, runner.Lines(os.Stdout, time.Now()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	jobs := []runner.Job{{Scenario: killedInDrain}, {Scenario: killedAtCommit}}
	err = r.All(ctx, jobs, 2)
	report := r.Report()
	for _, trial := range report.Trials {
		err = errors.Join(err, trial.Text(os.Stdout))
		if !runner.Fine(trial) {
			err = errors.Join(err, fmt.Errorf("%s did not pass", trial.Name))
		}
	}
	return errors.Join(err, report.Write())
}
