package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
)

// The exit codes. Those from 64 on say that killpoint could not do what it was
// asked, as sysexits.h has it; 130 is how shells count SIGINT.
const (
	exitPassed       = 0
	exitFailed       = 1
	exitInconclusive = 2
	exitUsage        = 64
	exitData         = 65
	exitEnvironment  = 69
	exitInternal     = 70
	exitInterrupted  = 130
)

const exitCodesHelp = `Exit codes:
    0  passed: every trial passed, or met nothing but known bugs of the engine
    1  failed: a trial failed
    2  inconclusive: none failed, and at least one proved nothing
   64  usage: a command, flag or setting is wrong
   65  data: a stored run cannot be read
   69  environment: Docker or something else is missing; see killpoint doctor
   70  killpoint itself could not go on
  130  interrupted by Ctrl-C or SIGTERM
`

// exitError is an error with the exit code that it means.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageErrorf says what of the command line or the settings is wrong.
func usageErrorf(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// environmentError says that something that killpoint needs is not there.
func environmentError(err error) error { return &exitError{exitEnvironment, err} }

// verdictError ends a command whose work is done and whose result is no pass.
// Whoever returns it has shown the result.
type verdictError struct{ state check.State }

func (e *verdictError) Error() string { return string(e.state) }

// verdict is the error, if any, that a command with that result ends with.
func verdict(state check.State) error {
	if state == check.Pass || state == check.Known {
		return nil
	}
	return &verdictError{state}
}

// exitCode is the code for how a command ended. reached says that its own work
// had begun: an error from before is the command line's.
func exitCode(ctx context.Context, err error, reached bool) int {
	var coded *exitError
	var result *verdictError
	var docker *containers.UnavailableError
	switch {
	case err == nil:
		return exitPassed
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &result) && result.state == check.Fail:
		return exitFailed
	case errors.As(err, &result):
		return exitInconclusive
	case errors.As(err, &docker):
		return exitEnvironment
	case !reached:
		return exitUsage
	}
	return exitInternal
}
