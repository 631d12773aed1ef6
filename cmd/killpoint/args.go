package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/internal/suggest"
)

// noArgs is for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("%s takes no arguments, and got %q (%s --help)", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// needs is for commands that take at least n arguments, called what; most of
// 0 is no bound.
func needs(n, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usageErrorf("%s wants %s, as in: %s", cmd.CommandPath(), what, cmd.UseLine())
		case most > 0 && len(args) > most:
			return usageErrorf("%s wants %s, and got %d: %s", cmd.CommandPath(), what, len(args), strings.Join(args, " "))
		}
		return nil
	}
}

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	choices []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "word" }

func (c *choice) Set(word string) error {
	if !slices.Contains(c.choices, word) {
		return fmt.Errorf("it is one of %s%s", strings.Join(c.choices, ", "), suggest.Hint(word, c.choices))
	}
	c.value = word
	return nil
}

// choiceFlag adds a flag that takes one of the choices, of which the first is
// the default. A shell completes them.
func choiceFlag(cmd *cobra.Command, name, usage string, choices ...string) *choice {
	c := &choice{choices[0], choices}
	cmd.Flags().Var(c, name, fmt.Sprintf("%s: %s", usage, strings.Join(choices, ", ")))
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return choices, cobra.ShellCompDirectiveNoFileComp
	})
	return c
}
