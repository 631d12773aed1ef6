// Command wiretap is killpoint's tap: it stands on the wires between engine,
// runtime and clients, writes each frame to its standard output as an event of
// a history, holds the one that it is asked to hold, and strikes a process
// meanwhile. README.md documents its settings and its control port.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/killpoint/killpoint/internal/tap"
)

// Exit codes.
const (
	exitFailed   = 1
	exitSettings = 2
)

func main() {
	// A disposition of PID 1 is explicit: without Notify the kernel would
	// ignore SIGTERM, or Go's runtime would exit with 2.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	os.Exit(run(os.Environ(), signals))
}

// run is the life of the process; it returns the exit code.
func run(environ []string, signals <-chan os.Signal) int {
	cfg, err := table.Read(environ)
	if err != nil {
		return failed(exitSettings, fmt.Errorf("settings: %w", err))
	}
	cfg.Out = os.Stdout
	t, err := tap.Start(cfg)
	if err != nil {
		return failed(exitFailed, err)
	}
	select {
	case <-signals:
		err = t.Close()
	case err = <-t.Failed():
		err = errors.Join(err, t.Close())
	}
	if err != nil {
		return failed(exitFailed, err)
	}
	return 0
}

// failed says why in one line, however many reasons there are.
func failed(code int, err error) int {
	fmt.Fprintln(os.Stderr, "wiretap:", strings.ReplaceAll(err.Error(), "\n", "; "))
	return code
}
