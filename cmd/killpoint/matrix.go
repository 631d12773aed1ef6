package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/exits"
	"github.com/killpoint/killpoint/internal/suggest"
	"github.com/killpoint/killpoint/scenario/catalog"
)

func newMatrixCommand(a *app) *cobra.Command {
	var details bool
	cmd := &cobra.Command{
		Use:   "matrix [BEHAVIOUR...]",
		Short: "Carry out the exit matrix: how a runtime goes, and what its platform makes of it",
		Long: `Carry out the exit matrix: how a runtime goes, and what its platform makes of it.

Each behaviour of the runtime, as PID 1 and under an init, is told to go by each
signal and by docker stop with graces of 0 s, shorter and longer than its drain,
with a request in flight on the real engine. Each case is judged by what is
expected of it; docs/exit-semantics.md explains them. The behaviours are
` + strings.Join(behaviours(), ", ") + `.

` + exitCodesHelp,
		Example: `  killpoint matrix
  killpoint matrix drain drain-reraise --details`,
		ValidArgs: behaviours(),
	}
	f := addTrialFlags(cmd)
	cmd.Flags().BoolVar(&details, "details", false, "print a row for each case as well: what its clients saw, what ran, why")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		entries, err := lanes(args)
		if err != nil {
			return err
		}
		t, err := a.newTrials(f)
		if err != nil {
			return err
		}
		t.print = func() { t.printExits(details) }
		apart, beside := t.jobs(entries, catalog.Options{RuntimeImage: f.runtime}, "")
		return t.carryOut(cmd.Context(), apart, beside)
	}
	return cmd
}

func behaviours() []string {
	names := make([]string, len(exits.Behaviours))
	for i, b := range exits.Behaviours {
		names[i] = string(b)
	}
	return names
}

// lanes are the scenarios of the behaviours; without one, of all.
func lanes(of []string) ([]catalog.Entry, error) {
	for _, name := range of {
		if !slices.Contains(behaviours(), name) {
			return nil, usageErrorf("%w", suggest.Unknown("behaviour", name, exits.Behaviours))
		}
	}
	return slices.DeleteFunc(catalog.Group(catalog.ExitMatrix), func(e catalog.Entry) bool {
		behaviour, _, _ := strings.Cut(e.Variant, "/")
		return len(of) > 0 && !slices.Contains(of, behaviour)
	}), nil
}

// printExits prints the matrix, which the report has too.
func (t *trials) printExits(details bool) {
	if t.flags.json {
		return
	}
	matrix, rows := catalog.ExitTables(t.Report().Trials)
	_, _ = fmt.Fprintln(t.app.out, matrix)
	if details {
		_, _ = fmt.Fprintln(t.app.out, rows)
	}
}
