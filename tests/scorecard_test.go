package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/scenario/catalog"
	"github.com/killpoint/killpoint/workload"
)

// plantedTrials are the rows of the score card: each bug, in a restart that
// lets it do its harm, and the fixture as it is in the same restarts. The stops
// come first, because they take longest.
var plantedTrials = []plantedTrial{
	{bug: "write-after-stop", meant: "stops-writing", restart: stopUnderLoad},
	{bug: "two-live-generations", meant: "single-live-generation", restart: stopUnderLoad},
	{restart: stopUnderLoad},
	{bug: "heartbeat-never-resumes", meant: "heartbeats-resume", restart: killUnderLoad},
	{bug: "health-while-dead", meant: "health-means-alive", restart: killUnderLoad},
	{restart: killUnderLoad},
	{bug: "ack-before-commit", meant: "ledger-keeps-acked-writes", restart: killUnderLoad},
	{bug: "swallow-commit-error", meant: "ledger-keeps-acked-writes", restart: killUnderLoad},
	{bug: "answer-wrong-key", meant: "right-actor", restart: killUnderLoad},
	{bug: "apply-retry-twice", meant: "applied-once", restart: killUnderRetries},
	{restart: killUnderRetries},
}

// TestScorecard proves that the invariants can fail, each by the bug that is
// meant for it, and that without a bug none of them does.
func TestScorecard(t *testing.T) {
	session(t)
	var card scorecard
	t.Run("trials", func(t *testing.T) {
		for _, p := range plantedTrials {
			r := p.restart()
			t.Run(p.name()+"/"+r.Name, func(t *testing.T) {
				t.Parallel()
				card.add(p.carryOut(t))
			})
		}
	})
	table := card.markdown()
	fmt.Println(table)
	require.NoError(t, os.WriteFile(filepath.Join(run.Dir, "scorecard.md"), []byte(table), 0o644))
	run.Section(table)
}

// plantedTrial is a restart of a fixture with one bug, or without.
type plantedTrial struct {
	bug     string // "" is none
	meant   string // the invariant that has to catch it
	restart func() scenario.Scenario
}

func (p plantedTrial) name() string {
	if p.bug == "" {
		return "clean"
	}
	return p.bug
}

func killUnderLoad() scenario.Scenario {
	return scenario.Scenario{
		Name:       "kill",
		Fault:      fault.Kill(),
		Parts:      []scenario.Part{scenario.UnderLoad(workload.Load{Actors: 2, Clients: 2})},
		Invariants: scored(),
	}
}

// killUnderRetries has clients so impatient that they leave before the answer,
// and ask again for what was done.
func killUnderRetries() scenario.Scenario {
	s := killUnderLoad()
	s.Name = "kill, impatient clients"
	s.Parts = []scenario.Part{scenario.UnderLoad(workload.Load{Actors: 2, Clients: 3, Timeout: 20 * time.Millisecond, Retry: true})}
	return s
}

// stopUnderLoad replaces every generation. Its counters are not judged: the
// engine itself breaks them now and then, by dropping a transaction halfway (see
// docs/research/engine-restart-serverless-race.md), and a score card must know whose fault it is.
func stopUnderLoad() scenario.Scenario {
	s := killUnderLoad()
	s.Name = "stop"
	s.Fault = fault.Stop(time.Second)
	s.Invariants = append(lifeInvariants(), check.OldGenerationSilent(), check.StopsWriting())
	return s
}

func scored() []check.Invariant {
	return append(catalog.CounterInvariants(), lifeInvariants()...)
}

func lifeInvariants() []check.Invariant {
	return []check.Invariant{
		check.SingleLiveGeneration(),
		check.HeartbeatsResume(catalog.BeatWithin),
		check.HealthMeansAlive(workload.Health, 5*time.Second),
	}
}

// scenario is the restart with the bug in it.
func (p plantedTrial) scenario() scenario.Scenario {
	s := p.restart()
	s.Engine = engines()[0]
	s.Seed = run.Seed
	s.Again = fmt.Sprintf("KILLPOINT_SEED=%d KILLPOINT_ENGINES=%s go test ./tests -count=1 -v -run 'TestScorecard/trials/%s'", s.Seed, s.Engine, p.name())
	s.Name = fmt.Sprintf("scorecard/%s/%s/%s", s.Engine, p.name(), s.Name)
	s.Reconnect, s.Heartbeat = "fast", "sqlite"
	s.RuntimeEnv = map[string]string{"KILLPOINT_FIXTURE_BUG": p.bug}
	// The last probe leaves the others so much time to beat that the lack of a
	// beat cannot be the host's doing.
	s.Sweep = probe.Sweep{Delays: []time.Duration{0, 2*catalog.BeatWithin + 200*time.Millisecond}, Timeout: time.Second, Bound: 15 * time.Second}
	return s
}

// scoreRow is what became of a planted trial.
type scoreRow struct {
	plantedTrial
	restartName string
	findings    []check.Finding
	tries       int
	missed      []string // why it was repeated
}

// carryOut repeats the trial until it says something.
func (p plantedTrial) carryOut(t *testing.T) scoreRow {
	t.Helper()
	row := scoreRow{plantedTrial: p, restartName: p.restart().Name}
	for row.tries < runner.Attempts {
		row.tries++
		s := p.scenario()
		trial, err := run.Once(run.ctx, runner.Job{Scenario: s}, nil)
		require.NoError(t, err, "the trial could not be carried out")
		row.findings = trial.Verdict.Findings
		why := p.inconclusive(t, trial)
		if why == "" {
			p.judge(t, s, trial)
			return row
		}
		row.missed = append(row.missed, why)
		fmt.Printf("%6.1f s  %-34s says nothing: %s\n", time.Since(run.began).Seconds(), s.Name, why)
	}
	t.Errorf("%s: %d attempts and no conclusion:\n%s", p.name(), runner.Attempts, strings.Join(row.missed, "\n"))
	return row
}

// inconclusive says why a trial says nothing of its bug, or nothing.
func (p plantedTrial) inconclusive(t *testing.T, trial report.Trial) string {
	t.Helper()
	if p.bug == "" {
		if trial.Verdict.State == check.Inconclusive {
			return trial.Verdict.String()
		}
		return ""
	}
	switch f := finding(trial, p.meant); {
	case f.State == check.Fail:
		return ""
	case f.State != check.Pass:
		return fmt.Sprintf("%s: %s", p.meant, f.Summary)
	}
	h, err := history.ReadFile(report.HistoryPath(trial.Dir))
	require.NoError(t, err)
	if !struck(h, p.bug) {
		return "the bug had no chance to do harm"
	}
	return ""
}

// struck: the fixture says that its bug did harm.
func struck(h *history.History, bug string) bool {
	return slices.ContainsFunc(h.Events, func(e history.Event) bool {
		var body struct {
			Bug string `json:"bug"`
		}
		raw, ok := e.Body.(json.RawMessage)
		return ok && e.Kind == "runtime.bug" && json.Unmarshal(raw, &body) == nil && body.Bug == bug
	})
}

func (p plantedTrial) judge(t *testing.T, s scenario.Scenario, trial report.Trial) {
	t.Helper()
	if p.bug == "" {
		run.Add(trial)
		conclude(t, trial, nil)
		return
	}
	f := finding(trial, p.meant)
	where := fmt.Sprintf("history: %s\nrun it again: %s", report.HistoryPath(trial.Dir), s.Again)
	assert.Equal(t, check.Fail, f.State, "the bug survived: it did its harm, and %s says: %s\n%s", p.meant, f.Summary, where)
	assert.NotEmpty(t, f.Witness, "%s has no witness for: %s", p.meant, f.Summary)
	p.readFailure(t, trial)
}

// readFailure reads what a failing trial says, on the real thing: who reads it
// at night has nothing else.
func (p plantedTrial) readFailure(t *testing.T, trial report.Trial) {
	t.Helper()
	var b strings.Builder
	require.NoError(t, trial.Failure(&b))
	text := b.String()
	first, _, _ := strings.Cut(text, "\n")
	assert.Regexp(t, `^fail: [a-z-]+: .+, at event \d+$`, first, "what was lost, by whom, at which event")
	for _, part := range []string{"\n  plan ", "strike the engine", "\n  >", "\n  witness ", "\n  logs ", "engine#1, ", "engine#2, ", "runtime#1, ", "\n  run it again", trial.Again} {
		assert.Contains(t, text, part)
	}
	if p.bug == "ack-before-commit" {
		dir := t.TempDir()
		require.NoError(t, report.Run{Dir: dir, Trials: []report.Trial{trial}}.Write())
		lookAt(t, dir, first)
	}
}

func finding(trial report.Trial, invariant string) check.Finding {
	for _, f := range trial.Verdict.Findings {
		if f.Invariant == invariant {
			return f
		}
	}
	return check.Finding{Summary: "it was not checked"}
}

// scorecard is the matrix planted bug × invariant.
type scorecard struct {
	mu   sync.Mutex
	rows []scoreRow
}

func (c *scorecard) add(r scoreRow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows = append(c.rows, r)
}

// invariants are all that were checked, in the order in which they were.
func (c *scorecard) invariants() []string {
	var names []string
	for _, r := range c.rows {
		for _, f := range r.findings {
			if !slices.Contains(names, f.Invariant) {
				names = append(names, f.Invariant)
			}
		}
	}
	return names
}

func (c *scorecard) markdown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.rows, func(a, b scoreRow) int {
		return strings.Compare(a.bug+"\x00"+a.restartName, b.bug+"\x00"+b.restartName)
	})
	names := c.invariants()
	var b strings.Builder
	b.WriteString("## Score card: planted bug × invariant\n\n| planted bug | restart | tries |")
	for i := range names {
		fmt.Fprintf(&b, " %d |", i+1)
	}
	b.WriteString("\n|---|---|---:|" + strings.Repeat(":-:|", len(names)) + "\n")
	for _, r := range c.rows {
		fmt.Fprintf(&b, "| %s | %s | %d |", r.name(), r.restartName, r.tries)
		for _, n := range names {
			fmt.Fprintf(&b, " %s |", r.mark(n))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, n := range names {
		fmt.Fprintf(&b, "%d %s  \n", i+1, n)
	}
	b.WriteString("\n**F** the invariant meant for the bug failed, f another one failed too, . passed, ? could not be decided, empty: not checked.\n")
	for _, r := range c.rows {
		if f := r.finding(); f.State == check.Fail {
			fmt.Fprintf(&b, "\n%s: %s\n", r.name(), f.Summary)
		}
	}
	for _, r := range c.rows {
		for _, why := range r.missed {
			fmt.Fprintf(&b, "\n%s (%s) was repeated: %s\n", r.name(), r.restartName, why)
		}
	}
	return b.String()
}

// finding is that of the invariant meant for the bug.
func (r scoreRow) finding() check.Finding {
	for _, f := range r.findings {
		if f.Invariant == r.meant {
			return f
		}
	}
	return check.Finding{}
}

func (r scoreRow) mark(invariant string) string {
	i := slices.IndexFunc(r.findings, func(f check.Finding) bool { return f.Invariant == invariant })
	switch {
	case i < 0:
		return " "
	case r.findings[i].State == check.Pass:
		return "."
	case r.findings[i].State != check.Fail:
		return "?"
	case invariant == r.meant:
		return "**F**"
	}
	return "f"
}
