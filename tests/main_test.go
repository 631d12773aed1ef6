// Package tests holds the integration scenarios that `make itest` runs on the
// real engine. It uses only what a user of the library could use.
//
// Settings are environment variables:
//
//	KILLPOINT_OUT      the folder of the run (default: a new one under the system's temporary folder)
//	KILLPOINT_ENGINES  engines to test, separated by commas (default: 2.3.19)
//	KILLPOINT_SEED     what decides which actor is probed at which delay (default: random, and printed)
//	KILLPOINT_DELAYS   of TestIdleRestart's sweeps, as "0,250ms,3s" (default: those of the original investigation)
//	KILLPOINT_REPEATS  how many actors those sweeps ask at each delay (default: 1)
//	CI                 set to anything: a machine without Docker fails instead of skipping
package tests

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
)

// exitInterrupted is the exit code after SIGINT, as shells count.
const exitInterrupted = 130

// run is the one run of this process.
var run struct {
	ctx context.Context
	dir string
	// id names the run, after its folder.
	id    string
	began time.Time
	// seed is that of all trials; delays and repeats are those of the sweeps.
	seed    uint64
	delays  []time.Duration
	repeats int
	// open opens the session at its first call, so that tests without Docker
	// run without it; opened is what close has to close.
	open func() (*containers.Session, error)

	mu     sync.Mutex
	opened *containers.Session
	trials []report.Trial
	// sections are added to the end of the summary.
	sections []string
	// refused says once why there is no session.
	refused sync.Once
	// asked is set once a test has wanted a session.
	asked atomic.Bool
	// carried counts the carryings-out of each scenario.
	carried map[string]int
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(realMain(m))
}

func realMain(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends the process at once; the reaper cleans up after it.
	context.AfterFunc(ctx, stop)
	if err := setUp(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "killpoint:", err)
		return 1
	}
	code := m.Run()
	if err := tearDown(); err != nil {
		fmt.Fprintln(os.Stderr, "killpoint:", err)
		code = max(code, 1)
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case code == 0 && os.Getenv("KILLPOINT_OUT") != "" && !run.asked.Load():
		// A run that was asked for its results and has none is no success.
		fmt.Fprintln(os.Stderr, "killpoint: RUN matches no scenario; `go test ./tests -list .` names the tests")
		return 1
	}
	return code
}

func setUp(ctx context.Context) (err error) {
	// Its banner of ten lines would head every run.
	tclog.SetDefault(log.New(io.Discard, "", 0))
	run.ctx, run.began, run.carried = ctx, time.Now(), map[string]int{}
	if err := readSettings(); err != nil {
		return err
	}
	if run.dir = os.Getenv("KILLPOINT_OUT"); run.dir == "" {
		if run.dir, err = os.MkdirTemp("", "killpoint-run-"); err != nil {
			return fmt.Errorf("make the run's folder: %w", err)
		}
	}
	if run.dir, err = filepath.Abs(run.dir); err != nil {
		return fmt.Errorf("find the run's folder %s: %w", run.dir, err)
	}
	run.id = filepath.Base(run.dir)
	run.open = sync.OnceValues(openSession)
	return nil
}

func openSession() (*containers.Session, error) {
	s, err := containers.Open(run.ctx)
	if err != nil {
		return nil, err
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	run.opened = s
	fmt.Printf("session %s, seed %d, results in %s\n", s.ID(), run.seed, run.dir)
	return s, nil
}

// tearDown removes what is left of the session, on a context of its own, since
// the run's has ended if it was interrupted, and writes and prints the report.
func tearDown() error {
	run.mu.Lock()
	defer run.mu.Unlock()
	err := closeSession()
	if len(run.trials) == 0 {
		return err
	}
	fmt.Println()
	slices.SortStableFunc(run.trials, func(a, b report.Trial) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range run.trials {
		err = errors.Join(err, t.Text(os.Stdout))
		fmt.Println()
	}
	where := ""
	if table := knownBugsTable(run.trials); table != "" {
		run.sections = append(run.sections, table)
		fmt.Println(table)
	}
	if werr := (report.Run{Dir: run.dir, Trials: run.trials, Sections: run.sections}).Write(); werr != nil {
		err = errors.Join(err, werr)
	} else {
		where = "; summary in " + filepath.Join(run.dir, "summary.md")
	}
	fmt.Printf("%d trials, %d not passed, in %.0f s%s\n", len(run.trials), notPassed(run.trials), time.Since(run.began).Seconds(), where)
	return err
}

func notPassed(trials []report.Trial) int {
	n := 0
	for _, t := range trials {
		if !fine(t) {
			n++
		}
	}
	return n
}

func closeSession() error {
	if run.opened == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return run.opened.Close(ctx)
}

// session is the process's, or the end of the test: skipped with the reason on
// a machine without Docker, failed where CI promised one.
func session(t *testing.T) *containers.Session {
	t.Helper()
	noteSettings()
	if testing.Short() {
		t.Skip("needs containers: not run with -short")
	}
	run.asked.Store(true)
	s, err := run.open()
	var missing *containers.UnavailableError
	switch {
	case errors.As(err, &missing) && os.Getenv("CI") == "":
		t.Skipf("%v (with CI set, this fails)", err)
	case err != nil:
		run.refused.Do(func() { fmt.Fprintln(os.Stderr, "killpoint:", err) })
		t.Fatal("no session: see the error above")
	}
	return s
}

// attempts bounds how often a trial is carried out that proved nothing.
const attempts = 3

// carryOut runs a scenario as a test: its verdict is the test's. A trial that
// is inconclusive is carried out again, a few times at most, and the report
// says why; one that fails never is.
func carryOut(t *testing.T, s scenario.Scenario) report.Trial {
	t.Helper()
	sess := session(t)
	if s.Seed == 0 {
		s.Seed = run.seed
	}
	var missed []report.Attempt
	for {
		trial, err := s.Run(run.ctx, sess, run.id, trialDir(s), progress(s.Name))
		trial.Repeats = missed
		if err == nil && trial.Verdict.State == check.Inconclusive && len(missed) < attempts-1 && run.ctx.Err() == nil {
			missed = append(missed, report.Attempt{Dir: trial.Dir, Verdict: trial.Verdict})
			fmt.Printf("%6.1f s  %-34s proved nothing, again: %v\n", time.Since(run.began).Seconds(), s.Name, trial.Verdict)
			continue
		}
		conclude(t, trial, err)
		return trial
	}
}

// conclude makes the trial's verdict the test's. err is the harness's own: the
// verdict shows it too, unless the history was no more to be written.
func conclude(t *testing.T, trial report.Trial, err error) {
	t.Helper()
	run.mu.Lock()
	run.trials = append(run.trials, trial)
	run.mu.Unlock()
	switch {
	case !fine(trial):
		var b strings.Builder
		if ferr := trial.Failure(&b); ferr != nil {
			t.Error(ferr)
		}
		t.Error(b.String())
		if err != nil {
			t.Error(err)
		}
	case err != nil:
		t.Errorf("the trial could not be carried out: %v", err)
	}
}

// fine: the trial passed, or met nothing but known bugs.
func fine(trial report.Trial) bool {
	return trial.Verdict.State == check.Pass || trial.Verdict.State == check.Known
}

// trialDir is a folder of its own for each carrying-out, also with -count.
func trialDir(s scenario.Scenario) string {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.carried[s.Name]++
	dir := filepath.Join(run.dir, s.Slug())
	if n := run.carried[s.Name]; n > 1 {
		dir += fmt.Sprintf("-%d", n)
	}
	return dir
}

// progress prints the steps of a trial as they begin, and what went wrong.
func progress(name string) scenario.Observe {
	var steps []string
	say := func(format string, args ...any) {
		fmt.Printf("%6.1f s  %-34s %s\n", time.Since(run.began).Seconds(), name, fmt.Sprintf(format, args...))
	}
	return func(e history.Event) {
		switch b := e.Body.(type) {
		case *history.Plan:
			steps = b.Steps
		case *history.Step:
			switch b.State {
			case history.StepBegun:
				say("%s", steps[b.N-1])
			case history.StepFailed:
				first, _, _ := strings.Cut(b.Error, "\n")
				say("FAILED: %s", first)
			}
		}
	}
}
