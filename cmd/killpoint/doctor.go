package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/check"
	engineimage "github.com/killpoint/killpoint/engine-image"
	"github.com/killpoint/killpoint/internal/doctor"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

func newDoctorCommand(a *app) *cobra.Command {
	var engines string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks, and the command that mends it",
		Long: `Say what this machine lacks, and the command that mends it. It changes nothing;
for a moment it starts a container, if Docker answers, to see whether it may.

It ends with 0 where killpoint can work, also with warnings, and with 69 where it
cannot.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := runner.ParseEngines(engines)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return a.doctor(doctor.Examine(cmd.Context(), doctor.Here(), pinned(list)), asJSON)
		},
	}
	cmd.Flags().StringVar(&engines, "engines", catalog.DefaultEngine, "engines that are to be tested, separated by commas")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it for a program")
	return cmd
}

// pinned are those of the engines that have to be fetched.
func pinned(engines []string) []string {
	return slices.DeleteFunc(engines, func(e string) bool {
		s, err := engineimage.ParseSource(e)
		return err != nil || s.Kind() != engineimage.KindRelease
	})
}

// levels are how findings are marked, and coloured as verdicts are.
var levels = map[doctor.Level]check.State{doctor.OK: check.Pass, doctor.Warn: check.Inconclusive, doctor.Fail: check.Fail}

func (a *app) doctor(findings []doctor.Finding, asJSON bool) error {
	worst := doctor.Worst(findings)
	if asJSON {
		if err := printJSON(a.out, map[string]any{"level": worst, "findings": findings}); err != nil {
			return err
		}
	} else {
		a.printFindings(findings)
	}
	if worst == doctor.Fail {
		return environmentError(errors.New("this machine lacks what killpoint needs: see above"))
	}
	return nil
}

func (a *app) printFindings(findings []doctor.Finding) {
	for _, f := range findings {
		_, _ = fmt.Fprintf(a.out, "%s  %-18s  %s\n", a.colour(a.out, levels[f.Level], fmt.Sprintf("%-4s", f.Level)), f.Check, f.Says)
		if f.Mend != "" {
			_, _ = fmt.Fprintf(a.out, "      %-18s  -> %s\n", "", f.Mend)
		}
	}
}
