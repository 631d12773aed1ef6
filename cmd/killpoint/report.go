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
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// storedFlags are the settings of commands that judge what is stored.
type storedFlags struct{ json, verbose, salvage bool }

func addStoredFlags(cmd *cobra.Command) *storedFlags {
	f := &storedFlags{}
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result for a program")
	cmd.Flags().BoolVar(&f.verbose, "verbose", false, "print the table of every trial, not only of those that did not pass")
	cmd.Flags().BoolVar(&f.salvage, "salvage", false, "take a history that breaks off as far as it can be read, instead of refusing it")
	return f
}

func newReportCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Judge the histories of a stored run again and write its report anew",
		Long: `Judge the histories of a stored run again and write its report anew. It needs no
container and no engine: a run that was carried out elsewhere, or long ago, or
that was killed in the middle, gets the report that this version writes.

` + exitCodesHelp,
		Args: needs(1, 1, "the folder of one run"),
	}
	f := addStoredFlags(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error { return a.rewrite(args[0], f) }
	return cmd
}

// rewrite judges the run in dir, writes its report, and returns the verdict as an
// error.
func (a *app) rewrite(dir string, f *storedFlags) error {
	run, err := runner.Read(dir, buildStored, f.salvage)
	switch {
	case errors.Is(err, report.ErrNoRun), errors.Is(err, fs.ErrNotExist):
		return &exitError{exitUsage, err}
	case err != nil:
		return &exitError{exitData, a.salvageable(err, f)}
	}
	a.notes(run.Trials)
	plan, err := runner.ReadPlan(run.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &exitError{exitData, err}
	}
	run.Sections = renewed(run.Sections, catalog.Tables(run.Trials, enginesOf(run.Trials)))
	return a.finish(run, plan.Trials, f.json, f.verbose)
}

// renewed puts each table in the place of the stored one with its heading, which is
// of the verdicts of then; a table that nothing stored is like comes last. Other
// sections cannot be made from the trials and stay.
func renewed(stored, tables []string) []string {
	heading := func(section string) string {
		first, _, _ := strings.Cut(section, "\n")
		return first
	}
	all := slices.Clone(stored)
	for _, table := range tables {
		same := func(section string) bool { return heading(section) == heading(table) }
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i] = table
			continue
		}
		all = append(all, table)
	}
	return all
}

// salvageable adds to the error of a history that breaks off what can be done.
func (a *app) salvageable(err error, f *storedFlags) error {
	var line *history.LineError
	if errors.As(err, &line) && !f.salvage {
		return fmt.Errorf("%w (--salvage takes it as far as it can be read)", err)
	}
	return err
}

// notes say of which trials the verdict is not this version's.
func (a *app) notes(trials []report.Trial) {
	why := map[report.Judged]string{
		report.JudgedThen:  "keeps the verdict of then: it cannot be judged again",
		report.JudgedAlone: "is judged by its history alone: its scenario is not known",
	}
	for _, t := range trials {
		if text, ok := why[t.Judged]; ok {
			_, _ = fmt.Fprintf(a.err, "killpoint: %s %s\n", t.Name, text)
		}
	}
}

// finish writes and prints a run, and returns the verdict as an error: no pass
// where a trial that was planned is missing.
func (a *app) finish(run report.Run, planned []string, asJSON, verbose bool) error {
	if err := errors.Join(run.Write(), a.show(run, asJSON, verbose), run.Annotate(a.err)); err != nil {
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
