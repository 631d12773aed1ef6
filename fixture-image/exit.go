package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// exitWay is what the process does when it is told to go. README.md says more of
// each.
type exitWay string

const (
	exitDrain        exitWay = "drain"         // drain, then exit 128 plus the signal's number
	exitDrainZero    exitWay = "drain-zero"    // drain, then exit 0
	exitDrainReraise exitWay = "drain-reraise" // drain, then the signal again, with the kernel's default action
	exitDrainReset   exitWay = "drain-reset"   // drain, then the signal again, after signal.Reset
	exitAtOnce       exitWay = "at-once"       // exit 128 plus the signal's number
	exitIgnore       exitWay = "ignore"
	exitEndless      exitWay = "endless" // begin a drain that never ends
	exitPanic        exitWay = "panic"
	exitOOM          exitWay = "oom"       // take memory until the kernel has none for the container
	exitUnhandled    exitWay = "unhandled" // no handler of ours: Go's runtime alone
)

var exitWays = []exitWay{
	exitDrain, exitDrainZero, exitDrainReraise, exitDrainReset, exitAtOnce, exitIgnore, exitEndless, exitPanic, exitOOM, exitUnhandled,
}

func parseExit(v string) (exitWay, error) {
	if !slices.Contains(exitWays, exitWay(v)) {
		names := make([]string, len(exitWays))
		for i, w := range exitWays {
			names[i] = string(w)
		}
		return "", fmt.Errorf("%.40q: use %s", v, strings.Join(names, ", "))
	}
	return exitWay(v), nil
}

// parseSecond reads what a further signal does to a drain; true ends it.
func parseSecond(v string) (bool, error) {
	switch v {
	case "absorb":
		return false, nil
	case "exit":
		return true, nil
	}
	return false, fmt.Errorf("%.40q: use absorb or exit", v)
}

// endSignals all mean the end, and begin the same: TERM and INT are what
// platforms and terminals send, QUIT is what images may name as their stop
// signal, and HUP comes when a terminal goes, or from who believes that there is
// a configuration to be read again, of which the fixture has none.
var endSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}

// forever is the deadline of a hold that nobody releases.
const forever = 100 * 365 * 24 * time.Hour

// onSignal carries out the end and returns the exit code, if it ever does.
func (p *process) onSignal(sig syscall.Signal, more <-chan os.Signal) int {
	p.note(history.Shutdown{What: history.ShutdownSignal, Signal: nameOf(sig), Exit: string(p.settings.exit), PID: os.Getpid()})
	switch p.settings.exit {
	case exitAtOnce:
		return p.leave(codeOf(sig))
	case exitPanic:
		p.note(history.Shutdown{What: history.ShutdownPanic})
		panic("fixture: told to panic on a signal")
	case exitOOM:
		return p.exhaust()
	case exitEndless:
		// One actor's stop waits for something that never comes.
		p.points.Arm(breakpoint.OnStop, "", forever)
	}
	if second := p.drainAndTell(more); second != 0 {
		p.note(history.Shutdown{What: history.ShutdownCutShort, Signal: nameOf(second)})
		return p.leave(codeOf(second))
	}
	switch p.settings.exit {
	case exitDrainZero:
		return p.leave(0)
	case exitDrainReraise, exitDrainReset:
		return p.reraise(sig, more)
	case exitEndless:
		return p.stay(more)
	}
	return p.leave(codeOf(sig))
}

func (p *process) leave(code int) int {
	p.note(history.Shutdown{What: history.ShutdownExit, Code: code})
	return code
}

// drainAndTell drains, and records how that ended. It returns the signal that cut
// it short, if one did.
func (p *process) drainAndTell(more <-chan os.Signal) (second syscall.Signal) {
	begun := clock.Now()
	second, err := p.drainWithin(more)
	if second != 0 {
		return second
	}
	done := history.Shutdown{What: history.ShutdownDrained, TookNS: int64(clock.Now().Sub(begun))}
	if err != nil {
		done.Error = err.Error()
		fmt.Fprintln(os.Stderr, "fixture: drain:", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	p.note(done)
	return 0
}

// outlived is the time after which the process says that a re-raised signal did
// not end it. A signal with a default action ends the process before the call
// that sends it returns, but for those that dump core, which some thread has to
// take first.
const outlived = 200 * time.Millisecond

// reraise has the signal end the process by its default action, as programs do
// that want whoever waits for them to see the signal. As PID 1 they do not have
// their wish: the kernel drops a signal whose action is the default one.
func (p *process) reraise(sig syscall.Signal, more <-chan os.Signal) int {
	p.note(history.Shutdown{What: history.ShutdownReraised, Signal: nameOf(sig)})
	if p.settings.exit == exitDrainReset {
		// The handler is then Go's own, which resets the signal, raises it once more
		// and, being alive after that, exits with 2.
		signal.Reset(sig)
	} else if err := defaultAction(sig); err != nil {
		fmt.Fprintln(os.Stderr, "fixture:", err)
		return exitFailed
	}
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		fmt.Fprintln(os.Stderr, "fixture: re-raise the signal:", err)
		return exitFailed
	}
	timer := time.NewTimer(outlived)
	defer timer.Stop()
	<-timer.C
	p.note(history.Shutdown{What: history.ShutdownSwallowed, Signal: nameOf(sig)})
	return p.stay(more)
}

// stay does nothing for ever but write down who still asks. It has no way out: that
// is what it is for.
func (p *process) stay(signals <-chan os.Signal) int {
	p.note(history.Shutdown{What: history.ShutdownStays})
	for sig := range signals {
		p.note(history.Shutdown{What: history.ShutdownIgnored, Signal: nameOf(sig)})
	}
	return exitFailed // nobody closes the channel
}

// errNoLimit says that the process would take the machine's memory, not its
// container's.
var errNoLimit = errors.New("there is no memory limit to exceed")

// bound are the limits that count as one: what a test gives a container.
const bound = 1 << 30

// memoryLimit is that of the process's control group, in bytes. In a container it
// is the root of what it sees, by either version of control groups.
func memoryLimit() (int64, error) {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var n int64
		if _, err := fmt.Sscan(string(b), &n); err == nil && n > 0 && n <= bound {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%sEXIT=%s: %w: give the container one of at most %d MiB", prefix, exitOOM, errNoLimit, bound>>20)
}

// exhaust takes memory until the kernel kills the process for it. It stops, with
// an exit code of its own, where the limit does not hold. All is allocated at once,
// so that nothing but the loop below has to run at the limit, where the kernel
// evicts the program's own pages and reads them again.
func (p *process) exhaust() int {
	p.note(history.Shutdown{What: history.ShutdownAllocating})
	taken := make([]byte, 2*p.memory)
	for i := 0; i < len(taken); i += 1 << 12 {
		taken[i] = 1 // untouched, it would cost nothing
	}
	fmt.Fprintf(os.Stderr, "fixture: took %d MiB, twice the memory limit, and was not killed for it\n", len(taken)>>20)
	return p.leave(exitFailed)
}

// codeOf is the exit code that stands for a signal.
func codeOf(sig syscall.Signal) int { return 128 + int(sig) }
