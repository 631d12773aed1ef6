package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/scenario/catalog"
)

func newReportCommand(a *app) *cobra.Command {
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Judge the histories of a stored run again and write its report anew",
		Long: `Judge the histories of a stored run again and write its report anew. It needs no
container and no engine: a run that was carried out elsewhere, or long ago, or
that was killed in the middle, gets the report that this version writes.

` + exitCodesHelp,
		Args: needs(1, 1, "the folder of one run"),
		RunE: func(_ *cobra.Command, args []string) error { return a.rewrite(args[0], asJSON, verbose) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result for a program")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print the table of every trial, not only of those that did not pass")
	return cmd
}

// rewrite judges the run in dir, writes its report, and returns the verdict as an
// error.
func (a *app) rewrite(dir string, asJSON, verbose bool) error {
	run, notes, err := runner.Read(dir, buildStored)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	for _, n := range notes {
		_, _ = fmt.Fprintf(a.err, "killpoint: %s\n", n)
	}
	plan, err := runner.ReadPlan(run.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if table := catalog.KnownBugsTable(run.Trials, enginesOf(run.Trials)); table != "" {
		run.Sections = append(run.Sections, table)
	}
	return a.finish(run, plan.Trials, asJSON, verbose)
}

// finish writes and prints a run, and returns the verdict as an error: no pass
// where a trial that was planned is missing.
func (a *app) finish(run report.Run, planned []string, asJSON, verbose bool) error {
	if err := errors.Join(run.Write(), a.show(run, asJSON, verbose)); err != nil {
		return err
	}
	state := run.State()
	if missing := missing(run, planned); len(missing) > 0 {
		_, _ = fmt.Fprintf(a.err, "%s not carried out: %s\n", count(len(missing), "trial"), shortened(missing))
		state = check.Worse(state, check.Inconclusive)
	}
	return verdict(state)
}

// buildStored makes the scenario that is stored beside a history.
func buildStored(spec json.RawMessage) (scenario.Scenario, error) {
	var s catalog.Spec
	if err := json.Unmarshal(spec, &s); err != nil {
		return scenario.Scenario{}, fmt.Errorf("read the scenario: %w", err)
	}
	return s.Build()
}

// enginesOf are the engines that trials of known bugs name.
func enginesOf(trials []report.Trial) []string {
	var engines []string
	for _, t := range trials {
		levels := strings.Split(t.Name, "/")
		if len(levels) > 1 && !slices.Contains(engines, levels[1]) {
			engines = append(engines, levels[1])
		}
	}
	return engines
}
