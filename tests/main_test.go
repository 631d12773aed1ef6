// Package tests holds the integration scenarios that `make itest` runs on the
// real engine. It uses only what a user of the library could use.
//
// Settings are environment variables:
//
//	KILLPOINT_OUT      the folder of the run (default: a new one under the system's temporary folder)
//	KILLPOINT_ENGINES  engines to test, separated by commas (default: 2.3.19)
//	KILLPOINT_SEED     what decides which actor is probed at which delay (default: random, and printed)
//	KILLPOINT_DELAYS   of TestIdleRestart's sweeps, as "0,250ms,3s" (default: those of the original investigation)
//	KILLPOINT_PORTS    host ports that cells take, as "20000-31999", see containers
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

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// exitInterrupted is the exit code after SIGINT, as shells count.
const exitInterrupted = 130

// run is the one run of this process.
var run struct {
	*runner.Runner
	ctx   context.Context
	began time.Time
	// options are the delays and repeats of the sweeps.
	options catalog.Options
	// announced says once where the results are.
	announced sync.Once
	// refused says once why there is no session.
	refused sync.Once
	// removeAtEnd is a folder that some test made for others, or "".
	removeAtEnd string
	// asked is set once a test has wanted a session.
	asked atomic.Bool
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
	run.ctx, run.began = ctx, time.Now()
	seed, err := readSettings()
	if err != nil {
		return err
	}
	dir := os.Getenv("KILLPOINT_OUT")
	if dir == "" {
		if dir, err = os.MkdirTemp("", "killpoint-run-"); err != nil {
			return fmt.Errorf("make the run's folder: %w", err)
		}
	}
	run.Runner, err = runner.New(dir, seed, runner.Lines(os.Stdout, run.began))
	return err
}

// tearDown removes what is left of the session and writes and prints the
// report.
func tearDown() error {
	err := run.Close(run.ctx)
	if run.removeAtEnd != "" {
		err = errors.Join(err, os.RemoveAll(run.removeAtEnd))
	}
	trials := run.Report().Trials
	if len(trials) == 0 {
		return err
	}
	fmt.Println()
	for _, t := range trials {
		err = errors.Join(err, t.Text(os.Stdout))
		fmt.Println()
	}
	where := ""
	for _, table := range catalog.Tables(trials, engines()) {
		run.Section(table)
		fmt.Println(table)
	}
	if werr := run.Report().Write(); werr != nil {
		err = errors.Join(err, werr)
	} else {
		where = "; report in " + filepath.Join(run.Dir, "report.html")
	}
	err = errors.Join(err, run.Report().Annotate(os.Stdout))
	bad := notPassed(trials)
	// Once more at the very end, which is what is left of a long output.
	for _, t := range bad {
		fmt.Println(t.Line())
	}
	fmt.Printf("%d trials, %d not passed, in %.0f s%s\n", len(trials), len(bad), time.Since(run.began).Seconds(), where)
	return err
}

func notPassed(trials []report.Trial) []report.Trial {
	return slices.DeleteFunc(slices.Clone(trials), runner.Fine)
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
	s, err := run.Session(run.ctx)
	var missing *containers.UnavailableError
	switch {
	case errors.As(err, &missing) && os.Getenv("CI") == "":
		t.Skipf("%v (with CI set, this fails)", err)
	case err != nil:
		run.refused.Do(func() { fmt.Fprintln(os.Stderr, "killpoint:", err) })
		t.Fatal("no session: see the error above")
	}
	run.announced.Do(func() { fmt.Printf("session %s, seed %d, results in %s\n", s.ID(), run.Seed, run.Dir) })
	return s
}

// carryOut runs a scenario as a test: its verdict is the test's. A trial that
// is inconclusive is carried out again, a few times at most, and the report
// says why; one that fails never is.
func carryOut(t *testing.T, s scenario.Scenario, spec any) report.Trial {
	t.Helper()
	session(t)
	trial, err := run.CarryOut(run.ctx, runner.Job{Scenario: s, Spec: spec})
	conclude(t, trial, err)
	return trial
}

// conclude makes the trial's verdict the test's. err is the harness's own: the
// verdict shows it too, unless the history was no more to be written.
func conclude(t *testing.T, trial report.Trial, err error) {
	t.Helper()
	switch {
	case !runner.Fine(trial):
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
