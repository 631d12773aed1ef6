package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	engineimage "github.com/killpoint/killpoint/engine-image"
	"github.com/killpoint/killpoint/history"
)

func newVersionCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the engines it knows, and the history format it writes",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versions()
			if asJSON {
				return printJSON(a.out, v)
			}
			_, err := fmt.Fprintf(a.out, "killpoint %s (%s), engine %s, history format %d\n", v.Killpoint, v.Go, v.Engine, v.History)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it for a program")
	return cmd
}

type versionInfo struct {
	Killpoint string `json:"killpoint"`
	Go        string `json:"go"`
	Engine    string `json:"engine"`  // the default one
	History   int    `json:"history"` // the version of the format
}

func versions() versionInfo {
	v := versionInfo{Killpoint: "(devel)", Go: runtime.Version(), Engine: engineimage.Default, History: history.Version}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v.Killpoint = info.Main.Version
	}
	return v
}

// printJSON prints a value for a program.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
