package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/runner"
)

func newMergeCommand(a *app) *cobra.Command {
	var out string
	var partial bool
	var f *storedFlags
	cmd := &cobra.Command{
		Use:   "merge DIR...",
		Short: "Bring the shards of one run together in one folder, with one report",
		Long: `Bring the shards of one run together in one folder, with one report. The
histories are linked, or copied where that is not possible, and judged again. The
result is that of the same run in one piece: the same trials in the same order,
with the same seeds, commands and verdicts.

` + exitCodesHelp,
		Example: `  killpoint merge --out out/all out/shard-*`,
		Args:    needs(1, 0, "the folders of all shards"),
		RunE: func(_ *cobra.Command, args []string) error {
			if out == "" {
				out = filepath.Join("out", time.Now().Format("20060102-150405")+"-merged")
			}
			if err := isNew(out); err != nil {
				return err
			}
			if _, err := runner.Merge(out, args, partial); err != nil {
				return &exitError{exitUsage, err}
			}
			if err := copySettings(out, args[0]); err != nil {
				return err
			}
			return a.rewrite(out, f)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "a new folder for the whole (default out/TIME-merged)")
	cmd.Flags().BoolVar(&partial, "partial", false, "merge although shards are missing; what they were to carry out makes the result inconclusive")
	f = addStoredFlags(cmd)
	return cmd
}

// copySettings keeps the settings of the first shard, where it has stored some.
func copySettings(out, shard string) error {
	b, err := os.ReadFile(filepath.Join(shard, settingsFile))
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(out, settingsFile), b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("keep the settings of the run: %w", err)
	}
	return nil
}
