// Command tally sums up the trials of one or many runs, as Markdown for the
// research: rates and medians with their intervals, for each scenario and
// engine. It reads their histories alone, and the verdicts that were given
// then:
//
//	go run ./internal/cmd/tally out/*
//	go run ./internal/cmd/tally -scenario '^idle-restart/2.3.19/' out/20260102-*
//	go run ./internal/cmd/tally -brief out/20260102-*
//
// With -brief it prints fewer tables, with a row for each scenario and engine.
//
// Bad input ends it with one line on standard error and exit code 1, a wrong
// flag with 2, and nothing on standard output.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() + " (-h shows the usage)" }

func (e *usageError) Unwrap() error { return e.err }

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("tally", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is told in one line
	scenario := flags.String("scenario", "", "only the scenarios that this regular expression matches, with or without the engine in their names")
	brief := flags.Bool("brief", false, "fewer tables, with a row for each scenario and engine")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(out)
		_, err := fmt.Fprintln(out, "usage: tally [-brief] [-scenario REGEX] DIR...\nDIR is a run's folder, or one above several.")
		flags.PrintDefaults()
		return err
	} else if err != nil {
		return &usageError{err}
	}
	only, err := regexp.Compile(*scenario)
	if err != nil {
		return &usageError{fmt.Errorf("read -scenario: %w", err)}
	}
	if flags.NArg() == 0 {
		return &usageError{errors.New("no folder to read")}
	}
	trials, err := read(flags.Args())
	if err != nil {
		return err
	}
	groups, err := grouped(trials, only)
	if err != nil {
		return err
	}
	sections := fully
	if *brief {
		sections = briefly
	}
	_, err = io.WriteString(out, markdown(groups, sections, strings.Join(args, " ")))
	return err
}
