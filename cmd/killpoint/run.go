package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/internal/suggest"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// runFlags are the settings of run.
type runFlags struct {
	*trialFlags
	list            bool
	delays, repeats string
}

func newRunCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [SCENARIO...]",
		Short: "Carry out scenarios of the catalog on real engines",
		Long: `Carry out scenarios of the catalog on real engines, and leave a report.

A scenario is named by its name or its first levels, and * stands for any level:
idle-restart, idle-restart/stop, 'idle-restart/*/rivet/1s'. The name of a trial
names one too: idle-restart/2.3.19/stop/rivet/1s. Without a name all are carried
out, but for those known bugs that do not always show, or not soon; --list says
which there are.

` + exitCodesHelp,
		Example: `  killpoint run idle-restart/kill/fast/1s
  killpoint run idle-restart --engines 2.3.19,2.3.5 --delays 0,2s,2500ms --repeats 3
  killpoint run --seed 7 --shard 2/4 --out out/shard-2`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return scenarioNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := &runFlags{trialFlags: addTrialFlags(cmd)}
	cmd.Flags().BoolVar(&f.list, "list", false, "list the scenarios that would be carried out, and do nothing else")
	cmd.Flags().StringVar(&f.delays, "delays", "", "when idle-restart asks, from the first good /health on: 0,250ms,3s (default: those of the original investigation)")
	cmd.Flags().StringVar(&f.repeats, "repeats", "", "how many actors idle-restart asks at each of them (default 1)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), f, args) }
	return cmd
}

func (a *app) run(ctx context.Context, f *runFlags, patterns []string) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	engines, err := runner.ParseEngines(f.engines)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	entries, err := chosen(patterns, engines)
	if err != nil {
		return err
	}
	if f.list {
		return a.list(entries, f.json)
	}
	t, err := a.newTrials(f.trialFlags)
	if err != nil {
		return err
	}
	apart, beside := t.jobs(entries, o, againOptions(f.delays, f.repeats))
	return t.carryOut(ctx, apart, beside)
}

func (f *runFlags) options() (o catalog.Options, err error) {
	o.RuntimeImage = f.runtime
	if o.Delays, err = catalog.ParseDelays(f.delays, catalog.SweepBound); err != nil {
		return o, usageErrorf("--delays: %w", err)
	}
	if o.Repeats, err = catalog.ParseRepeats(f.repeats); err != nil {
		return o, usageErrorf("--repeats: %w", err)
	}
	return o, nil
}

// chosen are the scenarios that the patterns name, each once; without a pattern
// all that are no extra.
func chosen(patterns, engines []string) ([]catalog.Entry, error) {
	if len(patterns) == 0 {
		return slices.DeleteFunc(catalog.All(), func(e catalog.Entry) bool { return e.Extra }), nil
	}
	named := map[string]bool{}
	for _, p := range patterns {
		found, err := catalog.Match(p, engines)
		if err != nil {
			return nil, usageErrorf("the pattern %q: %w", p, err)
		}
		if len(found) == 0 {
			return nil, usageErrorf("no scenario is called %q%s (killpoint run --list)", p, suggest.Hint(p, slices.Concat(catalog.Groups(), scenarioNames())))
		}
		for _, e := range found {
			named[e.Name()] = true
		}
	}
	return slices.DeleteFunc(catalog.All(), func(e catalog.Entry) bool { return !named[e.Name()] }), nil
}

func scenarioNames() []string {
	var names []string
	for _, e := range catalog.All() {
		names = append(names, e.Name())
	}
	return names
}

// list prints the scenarios.
func (a *app) list(entries []catalog.Entry, asJSON bool) error {
	if asJSON {
		names := []string{}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return printJSON(a.out, names)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, e := range entries {
		note := ""
		if e.Extra {
			note = "only by name"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name(), e.Test, note)
	}
	return w.Flush()
}

// jobs are the trials of the scenarios on each engine: those that must run
// apart from others, and the rest.
func (t *trials) jobs(entries []catalog.Entry, o catalog.Options, options string) (apart, beside []runner.Job) {
	for _, engine := range t.engines {
		for _, e := range entries {
			s := e.On(engine, o)
			why := e.Skipped(engine)
			if why == "" && o.RuntimeImage != "" {
				why = s.NeedsFixture()
			}
			if why != "" {
				t.skip(s.Name, why)
				continue
			}
			s.Again = t.again("run"+options, engine, quoted(e.Name()))
			j := runner.Job{Scenario: s, Spec: e.Spec(engine, o)}
			if e.Apart {
				apart = append(apart, j)
			} else {
				beside = append(beside, j)
			}
		}
	}
	return apart, beside
}

// again is the command that runs one trial again.
func (t *trials) again(command, engine, rest string) string {
	text := fmt.Sprintf("killpoint %s --seed %d --engines %s", command, t.Seed, quoted(engine))
	if t.flags.runtime != "" {
		text += " --runtime-image " + quoted(t.flags.runtime)
	}
	return strings.TrimSpace(text + " " + rest)
}

func againOptions(delays, repeats string) string {
	text := ""
	if delays != "" {
		text += " --delays " + quoted(delays)
	}
	if repeats != "" {
		text += " --repeats " + quoted(repeats)
	}
	return text
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:,@", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
