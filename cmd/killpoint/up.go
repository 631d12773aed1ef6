package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/internal/standing"
	"github.com/killpoint/killpoint/internal/suggest"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// defaultCell is the name of a cell that nobody named.
const defaultCell = "default"

// upFlags describe the cell.
type upFlags struct {
	name, engine, reconnect, runtime string
	attach, json                     bool
}

func newUpCommand(a *app) *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cell to play with, which stays until killpoint down",
		Long: `Start a cell to play with: an engine, a runtime, a network, a volume. It stays when
this command has ended, until killpoint down, and prints where it answers and
what to try. A process in the background holds it; should that be killed, the
cell is removed as well.`,
		Example: `  killpoint up
  killpoint up --name old --engines 2.3.5
  killpoint up --attach      # in the foreground, until Ctrl-C`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), f) },
	}
	addCellFlags(cmd, f)
	cmd.Flags().BoolVar(&f.attach, "attach", false, "stay in the foreground, and end the cell with Ctrl-C")
	cmd.Flags().BoolVar(&f.json, "json", false, "print it for a program")
	return cmd
}

func addCellFlags(cmd *cobra.Command, f *upFlags) {
	cmd.Flags().StringVar(&f.name, "name", defaultCell, "the cell's name: several can be up at once")
	cmd.Flags().StringVar(&f.engine, "engines", catalog.DefaultEngine, "the engine: a version, an image reference or the path of a binary")
	cmd.Flags().StringVar(&f.reconnect, "reconnect", "rivet", "how the fixture's client reconnects: rivet, fast, fast:25ms, none")
	cmd.Flags().StringVar(&f.runtime, "runtime-image", "", "image of a runtime in place of the fixture")
}

// newHoldCommand is the process in the background that holds a cell.
func newHoldCommand(a *app) *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use: "hold", Hidden: true, Short: "Hold a cell for killpoint up", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.hold(cmd.Context(), f, func(c standing.Cell) error {
				// Whoever waits reads to the end.
				return errors.Join(json.NewEncoder(a.out).Encode(c), os.Stdout.Close())
			})
		},
	}
	addCellFlags(cmd, f)
	return cmd
}

func newDownCommand(a *app) *cobra.Command {
	var name string
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a cell that killpoint up started, and leave nothing of it",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := standing.Dir()
			if err != nil {
				return err
			}
			names := []string{name}
			if all {
				if names, err = standing.Names(dir); err != nil {
					return err
				}
			}
			var errs []error
			for _, n := range names {
				errs = append(errs, a.down(cmd.Context(), dir, n))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringVar(&name, "name", defaultCell, "the cell's name")
	cmd.Flags().BoolVar(&all, "all", false, "end every cell that is up")
	return cmd
}

func (a *app) down(ctx context.Context, dir, name string) error {
	err := standing.Down(ctx, dir, name)
	if errors.Is(err, standing.ErrNotUp) {
		names, _ := standing.Names(dir) // for the hint alone
		_, _ = fmt.Fprintf(a.err, "no cell %s is up%s\n", name, suggest.Hint(name, names))
		return nil
	}
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.out, "cell %s is down, and nothing of it is left\n", name)
	return nil
}

func (a *app) up(ctx context.Context, f *upFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.attach {
		return a.hold(ctx, f, func(c standing.Cell) error {
			err := a.describe(c, f.json)
			_, _ = fmt.Fprintln(a.err, "Ctrl-C ends it")
			return err
		})
	}
	dir, err := standing.Dir()
	if err != nil {
		return err
	}
	if c, err := standing.Find(dir, f.name); err == nil {
		if c.Engine != f.engine {
			return usageErrorf("cell %s is up already, with engine %s: give this one a --name, or end that one with killpoint down%s", c.Name, c.Engine, nameFlag(c.Name))
		}
		_, _ = fmt.Fprintf(a.err, "cell %s is up already\n", c.Name)
		return a.describe(c, f.json)
	} else if !errors.Is(err, standing.ErrNotUp) {
		return &exitError{exitUsage, err}
	}
	_, _ = fmt.Fprintf(a.err, "starting cell %s: engine %s (the first time it is fetched and built, which takes a minute or two)\n", f.name, f.engine)
	c, err := startHolder(ctx, dir, f)
	if err != nil {
		return err
	}
	return a.describe(c, f.json)
}

// check reads the settings before anything is started.
func (f *upFlags) check() error {
	engines, err := runner.ParseEngines(f.engine)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if len(engines) != 1 {
		return usageErrorf("--engines %s: a cell has one engine; start several with --name", f.engine)
	}
	f.engine = engines[0]
	if _, err := envoy.ParsePolicy(f.reconnect); err != nil {
		return usageErrorf("--reconnect: %w", err)
	}
	return nil
}

// hold holds the cell in this process.
func (a *app) hold(ctx context.Context, f *upFlags, ready func(standing.Cell) error) error {
	dir, err := standing.Dir()
	if err != nil {
		return err
	}
	err = standing.Hold(ctx, dir, standing.Config{Name: f.name, Engine: f.engine, Reconnect: f.reconnect, RuntimeImage: f.runtime}, ready)
	if errors.Is(err, standing.ErrUp) {
		return &exitError{exitUsage, err}
	}
	return err
}

// startHolder starts the process that holds the cell, in a session of its own, so
// that neither Ctrl-C nor the terminal's end reaches it, and waits until the cell
// stands.
func startHolder(ctx context.Context, dir string, f *upFlags) (standing.Cell, error) {
	self, err := os.Executable()
	if err != nil {
		return standing.Cell{}, fmt.Errorf("find this program, to start it in the background: %w", err)
	}
	log, err := os.OpenFile(standing.Log(dir, f.name), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return standing.Cell{}, fmt.Errorf("make the log of the cell's holder: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(self, "hold", "--name", f.name, "--engines", f.engine, "--reconnect", f.reconnect, "--runtime-image", f.runtime)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return standing.Cell{}, fmt.Errorf("start the cell's holder: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	said, err := io.ReadAll(out)
	var c standing.Cell
	if err == nil && len(said) > 0 && json.Unmarshal(said, &c) == nil {
		return c, cmd.Process.Release()
	}
	return c, holderFailed(cmd, log)
}

// holderFailed is why the holder ended before its cell stood: what it said, with
// its exit code.
func holderFailed(cmd *exec.Cmd, log *os.File) error {
	_ = cmd.Wait() // its exit code says more
	text := make([]byte, 16<<10)
	n, _ := log.ReadAt(text, 0)
	_ = os.Remove(log.Name()) // told here
	said := strings.TrimPrefix(strings.TrimSpace(string(text[:n])), "killpoint: ")
	if said == "" {
		said = "the cell's holder ended: " + cmd.ProcessState.String()
	}
	return &exitError{max(cmd.ProcessState.ExitCode(), exitFailed), errors.New(said)}
}

// describe prints where a cell answers and what to try.
func (a *app) describe(c standing.Cell, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, c)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "cell\t%s\n", c.Name)
	_, _ = fmt.Fprintf(w, "engine\t%s, container %s\n", c.Engine, c.EngineContainer)
	_, _ = fmt.Fprintf(w, "runtime\tcontainer %s\n", c.RuntimeContainer)
	_, _ = fmt.Fprintf(w, "gateway\t%s (token %s, namespace %s, pool %s)\n", c.Gateway, c.Token, c.Namespace, c.Pool)
	if c.Control != "" {
		_, _ = fmt.Fprintf(w, "control\t%s (the fixture's breakpoints)\n", c.Control)
	}
	_, _ = fmt.Fprintf(w, "history\t%s\n", c.History)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "\ntry\n%s", strings.Join(tries(c), ""))
	return err
}

// tries are commands to play with, each of which works as it is.
func tries(c standing.Cell) []string {
	actor := func(path string) string {
		return fmt.Sprintf("-H 'Authorization: Bearer %s' '%s/gateway/counter/request%s?rvt-namespace=%s&rvt-method=getOrCreate&rvt-key=mine&rvt-pool=%s&rvt-crash-policy=sleep'",
			c.Token, c.Gateway, path, c.Namespace, c.Pool)
	}
	action := "-H 'Content-Type: application/json' -H 'X-Rivet-Encoding: json' -d '{\"args\":[]}' "
	list := []string{
		fmt.Sprintf("  curl -s %s/health\n", c.Gateway),
		fmt.Sprintf("  curl -s %s\n", actor("/health")),
		fmt.Sprintf("  curl -s %s%s\n", action, actor("/action/tick")),
		fmt.Sprintf("  curl -s %s%s\n", action, actor("/action/getCount")),
	}
	if c.Control != "" {
		list = append(list, fmt.Sprintf("  curl -s %s/state\n", c.Control))
	}
	return append(list,
		fmt.Sprintf("  docker kill --signal KILL %s; docker start %s\n", c.EngineContainer, c.EngineContainer),
		fmt.Sprintf("  killpoint down%s\n", nameFlag(c.Name)),
	)
}

func nameFlag(name string) string {
	if name == defaultCell {
		return ""
	}
	return " --name " + name
}
