package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/killpoint/killpoint/internal/settings"
	"github.com/killpoint/killpoint/internal/suggest"
)

// app is one call of the program.
type app struct {
	out, err io.Writer
	lookup   func(string) (string, bool)
	environ  func() []string

	// settings are those of the command that runs, once it does.
	settings settings.Settings
	// reached is set when a command's own work begins.
	reached bool

	config       string
	showSettings bool
}

func newApp(out, err io.Writer) *app {
	return &app{out: out, err: err, lookup: os.LookupEnv, environ: os.Environ}
}

// errShown ends a command that was only to show its settings.
var errShown = errors.New("settings shown")

func (a *app) execute(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if errors.Is(err, errShown) {
		return exitPassed
	}
	code := exitCode(ctx, err, a.reached)
	var result *verdictError
	if err != nil && !errors.As(err, &result) {
		_, _ = fmt.Fprintf(a.err, "killpoint: %v\n", err)
	}
	return code
}

// rootCommand has all commands. Each is in a file of its own; to add one, write
// its constructor and name it here.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "killpoint",
		Short: "Kill a stateful serverless engine at a chosen instant, and prove what its users saw",
		Long: `killpoint kills a container of a stateful serverless engine at a chosen instant,
brings it back, and proves from a recorded history what its users saw.

Every setting is a flag; else an environment variable, KILLPOINT_ and the flag's
name in capitals; else a line in killpoint.yaml. --show-settings says which.

` + exitCodesHelp,
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       noSuchCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE:          func(cmd *cobra.Command, _ []string) error { return a.begin(cmd) },
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringVar(&a.config, "config", "", "file of settings (default killpoint.yaml, where there is one)")
	root.PersistentFlags().BoolVar(&a.showSettings, "show-settings", false, "print the settings in force and where each comes from, and do nothing else")
	root.AddCommand(
		newRunCommand(a),
		newSweepCommand(a),
		newMatrixCommand(a),
		newCompareCommand(a),
		newWindowCommand(a),
		newExploreCommand(a),
		newReplayCommand(a),
		newShrinkCommand(a),
		newReportCommand(a),
		newMergeCommand(a),
		newUpCommand(a),
		newDownCommand(a),
		newHoldCommand(a),
		newDoctorCommand(a),
		newVersionCommand(a),
	)
	root.CompletionOptions.HiddenDefaultCmd = false
	a.watch(root)
	return root
}

// notSettings are flags that only a command line can have.
var notSettings = []string{"help", "config", "show-settings", "no-descriptions"}

// begin resolves the settings of the command that was chosen.
func (a *app) begin(cmd *cobra.Command) error {
	known := knownSettings(cmd.Root())
	if path, ok := a.lookup(settings.Variable("config")); ok && a.config == "" {
		a.config = path
	}
	file, err := settings.Read(a.config, known)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	a.settings, err = settings.Resolve(cmd.Flags(), a.lookup, file, cmd.Name(), notSettings...)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	for _, line := range settings.Misspelt(a.environ(), append(known.Names(), "config")) {
		_, _ = fmt.Fprintln(a.err, "killpoint: warning:", line)
	}
	if a.showSettings {
		a.printSettings()
		return errShown
	}
	return nil
}

func (a *app) printSettings() {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, s := range a.settings {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Value, s.Source)
	}
	_ = w.Flush()
}

// knownSettings are the settings of each command.
func knownSettings(root *cobra.Command) settings.Known {
	known := settings.Known{}
	for _, cmd := range root.Commands() {
		var names []string
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			for _, not := range notSettings {
				if f.Name == not {
					return
				}
			}
			names = append(names, f.Name)
		})
		if len(names) > 0 {
			known[cmd.Name()] = names
		}
	}
	return known
}

// watch notes when a command's own work begins.
func (a *app) watch(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.watch(sub)
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.reached = true
			return run(cmd, args)
		}
	}
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usageErrorf("there is no command %q%s (killpoint help lists them)", args[0], suggest.Hint(args[0], names))
}

// flagError adds to what pflag says of a flag what may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	see := fmt.Sprintf("(%s --help lists the flags)", cmd.CommandPath())
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		name := unknown.GetSpecifiedName()
		dashes := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		return usageErrorf("%s has no flag %s%s%s %s", cmd.CommandPath(), dashes, name, dashed(suggest.Hint(name, names)), see)
	}
	return usageErrorf("%w %s", err, see)
}

// dashed writes the names in a hint as flags.
func dashed(hint string) string {
	before, names, found := strings.Cut(hint, "did you mean ")
	if !found {
		return hint
	}
	return before + "did you mean --" + strings.ReplaceAll(names, ", ", ", --")
}
