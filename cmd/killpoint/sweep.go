package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/internal/suggest"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// sweepFlags are what a sweep leaves to choose.
type sweepFlags struct {
	*trialFlags
	fault, reconnect, delays   string
	via                        *choice
	repeats, trials            int
	timeout, bound, drainGrace time.Duration
}

func newSweepCommand(a *app) *cobra.Command {
	f := &sweepFlags{}
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Restart an idle engine and ask its actors after each of a list of delays",
		Long: `Restart an idle engine and ask its actors after each of a list of delays from its
first good /health on, each delay an actor of its own. It is the scenario
idle-restart with everything to choose and no opinion of what is to be seen: it
passes if every actor answers within the bound and nothing is lost.

` + exitCodesHelp,
		Example: `  killpoint sweep --fault kill --reconnect fast
  killpoint sweep --delays 0,1s,2s,2500ms,3s --repeats 3 --trials 5
  killpoint sweep --engines 2.3.5,2.3.19 --via websocket --timeout 5s`,
		Args: noArgs,
	}
	f.trialFlags = addTrialFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.fault, "fault", "stop:5s", "what is done to the engine: kill, stop:5s (SIGKILL after 5 s), kill-in-drain:1s")
	flags.StringVar(&f.reconnect, "reconnect", "rivet", "how the runtime's client reconnects: rivet, fast, fast:25ms, none")
	flags.StringVar(&f.delays, "delays", "", "when an actor is asked, from the first good /health on: 0,250ms,3s (default: those of the original investigation)")
	f.via = choiceFlag(cmd, "via", "how actors are asked", string(probe.ViaHTTP), string(probe.ViaWebSocket))
	flags.IntVar(&f.repeats, "repeats", 1, "how many actors are asked at each delay")
	flags.IntVar(&f.trials, "trials", 1, "how many restarts")
	flags.DurationVar(&f.timeout, "timeout", time.Second, "the client's patience with an answer")
	flags.DurationVar(&f.bound, "bound", catalog.SweepBound, "how long an actor may take to answer again")
	flags.DurationVar(&f.drainGrace, "drain-grace", 5*time.Second, "drain grace of the runtime's pool, which is how long the engine's own exit takes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		sweep, err := f.sweep()
		if err != nil {
			return err
		}
		t, err := a.newTrials(f.trialFlags)
		if err != nil {
			return err
		}
		jobs, err := t.sweeps(f, sweep)
		if err != nil {
			return err
		}
		return t.carryOut(cmd.Context(), jobs)
	}
	return cmd
}

// sweep reads the flags.
func (f *sweepFlags) sweep() (catalog.Sweep, error) {
	if f.timeout <= 0 {
		return catalog.Sweep{}, usageErrorf("--timeout %v: a client's patience is above zero", f.timeout)
	}
	if f.drainGrace < 0 || f.drainGrace%time.Second != 0 {
		return catalog.Sweep{}, usageErrorf("--drain-grace %v: the engine counts it in whole seconds", f.drainGrace)
	}
	if f.trials < 1 {
		return catalog.Sweep{}, usageErrorf("--trials %d: at least one restart", f.trials)
	}
	if f.repeats < 1 || f.repeats > catalog.MostRepeats {
		return catalog.Sweep{}, usageErrorf("--repeats %d: it must be from 1 to %d", f.repeats, catalog.MostRepeats)
	}
	if _, err := catalog.ParseFault(f.fault); err != nil {
		return catalog.Sweep{}, usageErrorf("--fault: %w", err)
	}
	if _, err := envoy.ParsePolicy(f.reconnect); err != nil {
		word, _, _ := strings.Cut(f.reconnect, ":")
		return catalog.Sweep{}, usageErrorf("--reconnect: %w%s", err, suggest.Hint(word, []string{"rivet", "fast", "none"}))
	}
	delays, err := catalog.ParseDelays(f.delays, f.bound)
	if err != nil {
		return catalog.Sweep{}, usageErrorf("--delays: %w", err)
	}
	s := catalog.Sweep{
		Fault: f.fault, Reconnect: f.reconnect, Via: probe.Via(f.via.value), Repeats: f.repeats,
		Timeout: catalog.Duration(f.timeout), Bound: catalog.Duration(f.bound), DrainGrace: catalog.Duration(f.drainGrace),
		RuntimeImage: f.runtime,
	}
	for _, d := range delays {
		if d >= f.bound {
			return s, usageErrorf("--bound %v: it must be above every delay, and one is %v", f.bound, d)
		}
		s.Delays = append(s.Delays, catalog.Duration(d))
	}
	return s, nil
}

// sweeps are the jobs: so many restarts of each engine, each with a seed of its
// own.
func (t *trials) sweeps(f *sweepFlags, sweep catalog.Sweep) ([]runner.Job, error) {
	var jobs []runner.Job
	for _, engine := range t.engines {
		for n := range f.trials {
			one := sweep
			one.Engine = engine
			if f.trials > 1 {
				one.Trial = n + 1
			}
			s, err := one.Scenario()
			if err != nil {
				return nil, err
			}
			s.Seed = t.Seed + uint64(n)
			s.Again = fmt.Sprintf("killpoint sweep --seed %d --engines %s%s", s.Seed, quoted(engine), t.app.given(sweepChoices))
			jobs = append(jobs, runner.Job{Scenario: s, Spec: catalog.Spec{Sweep: &one}})
		}
	}
	return jobs, nil
}

// sweepChoices are the settings that make a trial of a sweep what it is.
var sweepChoices = []string{"bound", "delays", "drain-grace", "fault", "reconnect", "repeats", "runtime-image", "timeout", "via"}

// given are those of the settings that were chosen, as flags.
func (a *app) given(names []string) string {
	text := ""
	for _, s := range a.settings {
		for _, name := range names {
			if s.Name == name && s.Source != "default" {
				text += " --" + name + " " + quoted(s.Value)
			}
		}
	}
	return text
}
