package main

import "github.com/spf13/cobra"

// noArgs is for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("%s takes no arguments, and got %q (%s --help)", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}
