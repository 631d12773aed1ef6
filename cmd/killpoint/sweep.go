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

func addSweepFlags(cmd *cobra.Command) *sweepFlags {
	f := &sweepFlags{trialFlags: addTrialFlags(cmd)}
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
	return f
}

func newSweepCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Restart an idle engine and ask its actors after each of a list of delays",
		Long: `Restart an idle engine and ask its actors after each of a list of delays from its
first good /health on, each delay an actor of its own. It is the scenario
idle-restart with everything to choose and no opinion of what is to be seen: it
passes if every actor answers within the bound and nothing is lost.

With --refine it looks for the delays from which on 10 % and 90 % of the probes
are answered: first it asks at --delays, then around both, until the interval of
each is as narrow as that, or --budget restarts are spent. What it asks follows
from the seed and what it saw.

` + exitCodesHelp,
		Example: `  killpoint sweep --fault kill --reconnect fast
  killpoint sweep --delays 0,1s,2s,2500ms,3s --repeats 3 --trials 5
  killpoint sweep --engines 2.3.5,2.3.19 --via websocket --timeout 5s
  killpoint sweep --refine 400ms --budget 90`,
		Args: noArgs,
	}
	f := addSweepFlags(cmd)
	r := addRefineFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		sweep, err := f.sweep()
		if err != nil {
			return err
		}
		if err := r.valid(f); err != nil {
			return err
		}
		t, err := a.newTrials(f.trialFlags)
		if err != nil {
			return err
		}
		if r.width > 0 {
			return t.refine(cmd.Context(), r, sweep)
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
	if f.trials < 1 {
		return catalog.Sweep{}, usageErrorf("--trials %d: at least one restart", f.trials)
	}
	if f.repeats < 1 || f.repeats > catalog.MostRepeats {
		return catalog.Sweep{}, usageErrorf("--repeats %d: it must be from 1 to %d", f.repeats, catalog.MostRepeats)
	}
	s := catalog.Sweep{
		Fault: f.fault, Reconnect: f.reconnect, Via: probe.Via(f.via.value), Repeats: f.repeats,
		Timeout: catalog.Duration(f.timeout), Bound: catalog.Duration(f.bound), DrainGrace: catalog.Duration(f.drainGrace),
		RuntimeImage: f.runtime,
	}
	if err := validSweep(s); err != nil {
		return s, usageErrorf("--%w", err)
	}
	delays, err := catalog.ParseDelays(f.delays, f.bound)
	if err != nil {
		return s, usageErrorf("--delays: %w", err)
	}
	for _, d := range delays {
		if d >= f.bound {
			return s, usageErrorf("--bound %v: it must be above every delay, and one is %v", f.bound, d)
		}
		s.Delays = append(s.Delays, catalog.Duration(d))
	}
	return s, nil
}

// validSweep says which setting cannot be, by its name.
func validSweep(s catalog.Sweep) error {
	if s.Timeout <= 0 {
		return fmt.Errorf("timeout %v: a client's patience is above zero", s.Timeout)
	}
	if grace := time.Duration(s.DrainGrace); grace < 0 || grace%time.Second != 0 {
		return fmt.Errorf("drain-grace %v: the engine counts it in whole seconds", s.DrainGrace)
	}
	if _, err := catalog.ParseFault(s.Fault); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	if _, err := envoy.ParsePolicy(s.Reconnect); err != nil {
		word, _, _ := strings.Cut(s.Reconnect, ":")
		return fmt.Errorf("reconnect: %w%s", err, suggest.Hint(word, []string{"rivet", "fast", "none"}))
	}
	return nil
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
			job, err := sweepJob(one, t.Seed+uint64(n), t.app.given(sweepChoices))
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// sweepJob is one restart; given are the settings, as flags, that make it what
// it is.
func sweepJob(sweep catalog.Sweep, seed uint64, given string) (runner.Job, error) {
	s, err := sweep.Scenario()
	if err != nil {
		return runner.Job{}, err
	}
	s.Seed = seed
	s.Again = fmt.Sprintf("killpoint sweep --seed %d --engines %s%s", s.Seed, quoted(sweep.Engine), given)
	return runner.Job{Scenario: s, Spec: catalog.Spec{Sweep: &sweep}}, nil
}

// asFlags are all settings of a sweep that make a trial of it what it is.
func asFlags(s catalog.Sweep) string {
	delays := make([]string, len(s.Delays))
	for i, d := range s.Delays {
		delays[i] = d.String()
	}
	text := fmt.Sprintf(" --fault %s --reconnect %s --via %s --delays %s --timeout %v --bound %v --drain-grace %v",
		quoted(s.Fault), quoted(s.Reconnect), s.Via, strings.Join(delays, ","), s.Timeout, s.Bound, s.DrainGrace)
	if s.Repeats > 1 {
		text += fmt.Sprintf(" --repeats %d", s.Repeats)
	}
	if s.RuntimeImage != "" {
		text += " --runtime-image " + quoted(s.RuntimeImage)
	}
	return text
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
