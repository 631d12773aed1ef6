package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file that people read: the trial's folder, which is
// another each time, is called DIR in it.
func golden(t *testing.T, name, dir, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got = strings.ReplaceAll(got, dir, "DIR")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "%s: go test ./report -update writes it anew", path)
}

// planned is a builder of a trial with a plan, at its time of each step.
type planned struct {
	ht.Builder
	steps int
}

func newPlanned(steps ...string) *planned {
	p := &planned{}
	p.At(0, history.KindSettings, &history.Settings{"engine": "2.3.19", "fault": "SIGKILL", "seed": "18364758544493064720"}).by("harness")
	p.At(0, history.KindPlan, &history.Plan{Steps: steps}).by("harness")
	return p
}

func (p *planned) At(ms int, kind history.Kind, body any) *planned {
	p.Builder.At(ms, kind, body)
	return p
}

func (p *planned) by(party string) *planned {
	p.H.Events[len(p.H.Events)-1].Party = party
	return p
}

func (p *planned) begin(ms int) *planned {
	p.steps++
	return p.step(ms, history.StepBegun, "")
}

func (p *planned) done(ms int) *planned { return p.step(ms, history.StepDone, "") }

func (p *planned) step(ms int, state history.StepState, err string) *planned {
	return p.At(ms, history.KindStep, &history.Step{N: p.steps, State: state, Error: err}).by("harness")
}

func (p *planned) log(ms int, role string, incarnation int, line string) *planned {
	return p.At(ms, history.KindLog, &history.Log{Role: role, Incarnation: incarnation, Stream: "stdout", Line: line}).by(fmt.Sprintf("%s#%d", role, incarnation))
}

func (p *planned) asked(begin, end int, inv history.Invoke, ret history.Return) *planned {
	inv.Client, inv.Via, inv.Key = "c1", "http", "counter-"+inv.Actor
	from := len(p.H.Events)
	p.Op(begin, end, inv, ret)
	for i := range p.H.Events[from:] {
		p.H.Events[from+i].Party = "client"
	}
	return p
}

var restartPlan = []string{
	"start a cell", "warm 2 actors", "put a load on the others", "strike the engine: SIGKILL", "start the engine again",
	"wait for its first good /health", "probe each actor once", "read the ledgers back",
}

// lostWrite is a whole trial in which the tick op3 was acknowledged and then
// lost. Both engines wrote a log, the second one more than is shown.
func lostWrite() *planned {
	p := newPlanned(restartPlan...)
	p.begin(0).log(200, "engine", 1, "level=info listening").done(1000)
	p.begin(1000).asked(1010, 1030, ht.Tick("a", "op1"), ht.Count(1)).asked(1040, 1050, ht.Tick("a", "op2"), ht.Count(2)).done(1100)
	p.begin(1100).done(1101)
	p.begin(1101).asked(1950, 1990, ht.Tick("a", "op3"), ht.Count(3)).log(1980, "engine", 1, "level=warn last words\x1b[2J")
	p.Restart(2000, 2020, 2100, 2400)
	p.step(2050, history.StepDone, "")
	p.begin(2100).done(2150)
	p.begin(2150)
	for i := range 14 {
		p.log(2200+i, "engine", 2, fmt.Sprintf("level=warn replays actor %d", i))
	}
	p.done(2400)
	p.begin(2400).asked(2410, 2420, ht.Probe("a", 0), ht.OK("a", 2)).done(2500)
	p.begin(2500).asked(2510, 2530, ht.Ledger("a"), ht.Book("op1", "op2")).done(2600)
	p.At(2700, history.KindExit, &history.Exit{Role: "runtime", Incarnation: 1, Signal: "SIGKILL", By: "teardown", Code: 137, LogLines: 40}).by("harness")
	p.End(2710)
	return p
}

func TestALostWriteIsToldInFull(t *testing.T) {
	dir := stored(t, t.TempDir(), &lostWrite().Builder)
	tr, err := report.Judge(dir, nil, check.LedgerKeeps("tick", "ledger"), check.AnswersWithin(5*time.Second), check.NoPanic())
	require.NoError(t, err)
	tr.Again = "make itest RUN='TestRestartUnderLoad/2.3.19/kill' SEED=18364758544493064720"

	text := failureOf(t, tr)
	first, rest, _ := strings.Cut(text, "\n")
	assert.Equal(t, "fail: ledger-keeps-acked-writes: acknowledged tick op3 of actor a is missing from its ledger, at event 48", first)
	assert.Contains(t, rest, "strike the engine: SIGKILL\n          ^ the fault: kill of engine#1 at +2.000 s\n")
	assert.Contains(t, rest, ">  8. done                +2.500 s  read the ledgers back\n          ^ the failure shows here, at event 48\n")
	assert.Contains(t, rest, "run it again (seed 18364758544493064720)\n    make itest RUN='TestRestartUnderLoad/2.3.19/kill' SEED=18364758544493064720\n")
	golden(t, "lost-write.txt", dir, text)

	var all strings.Builder
	require.NoError(t, tr.Text(&all))
	assert.True(t, strings.HasPrefix(all.String(), first+"\n  idle-restart/kill\n  engine 2.3.19"), "the failure comes before all else:\n%s", all.String())
	assert.True(t, strings.HasSuffix(all.String(), rest), "the block follows the table")
	assert.Contains(t, all.String(), "sent after /health")
}

// The text says at which line of the file an event is, and where the logs are:
// both are looked up.
func TestWhatTheFailurePointsAtIsThere(t *testing.T) {
	dir := stored(t, t.TempDir(), &lostWrite().Builder)
	_, err := report.Judge(dir, nil, check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)

	raw, err := os.ReadFile(report.HistoryPath(dir))
	require.NoError(t, err)
	line := strings.Split(string(raw), "\n")[49-1] // sed -n 49p
	assert.Contains(t, line, `"seq":48,`)
	assert.Contains(t, line, `"op1","op2"`)

	one, err := os.ReadFile(filepath.Join(dir, "engine-1.log"))
	require.NoError(t, err)
	assert.Equal(t, "-1.800 s  stdout  level=info listening\n-0.020 s  stdout  level=warn last words\x1b[2J\n", string(one), "as it was written")
	two, err := os.ReadFile(filepath.Join(dir, "engine-2.log"))
	require.NoError(t, err)
	assert.Equal(t, 14, bytes.Count(two, []byte("\n")), "all of it")
	assert.NoFileExists(t, filepath.Join(dir, "runtime-1.log"), "it wrote no line of its own")
}

// brokenOff is a trial whose step under way ends it.
func brokenOff(state history.EndState, err string) *planned {
	p := newPlanned(restartPlan...)
	p.begin(0).log(200, "engine", 1, "level=error thread pool is on fire").done(1000)
	p.begin(1000).done(1100)
	p.begin(1100).done(1101)
	p.begin(1101)
	p.At(2000, history.KindFault, &history.Fault{Kind: "kill", Target: "engine#1", Phase: history.FaultBegun, Way: "pidfd"}).by("harness")
	p.done(2050)
	p.begin(2100).step(7100, history.StepFailed, err)
	p.At(7150, history.KindEnd, &history.End{State: state, Error: "step 5 of 8, start the engine again: " + err + "\nremove the cell: the daemon is gone"}).by("harness")
	return p
}

func TestAFailureOfTheHarnessMarksItsStep(t *testing.T) {
	dir := stored(t, t.TempDir(), &brokenOff(history.EndFailed, "create engine#2: no space left on device\n    engine: its last line").Builder)
	tr, err := report.Judge(dir, nil, check.FaultLanded(), check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)
	tr.Again = "make itest RUN=X"
	text := failureOf(t, tr)
	first, _, _ := strings.Cut(text, "\n")
	assert.Equal(t, "inconclusive: trial-complete: the trial ended failed: step 5 of 8, start the engine again: create engine#2: no space left on device, at event 14", first)
	assert.Contains(t, text, ">  5. FAILED HERE         +2.100 s  start the engine again\n          create engine#2: no space left on device\n          engine: its last line\n     6. not reached ")
	assert.Contains(t, text, "    then: remove the cell: the daemon is gone\n", "what the step's error does not say")
	golden(t, "harness-failed.txt", dir, text)
}

func TestAnInterruptedTrialMarksItsStep(t *testing.T) {
	dir := stored(t, t.TempDir(), &brokenOff(history.EndInterrupted, "interrupt").Builder)
	tr, err := report.Judge(dir, nil)
	require.NoError(t, err)
	text := failureOf(t, tr)
	assert.True(t, strings.HasPrefix(text, "inconclusive: trial-complete: the trial ended interrupted: step 5 of 8, start the engine again: interrupt, at event 14\n"), text)
	assert.Contains(t, text, ">  5. INTERRUPTED HERE    +2.100 s  start the engine again\n")
	assert.NotContains(t, text, "FAILED")
	golden(t, "interrupted.txt", dir, text)
}

// A history that breaks off in the middle of a line still has its plan, and
// the logs until then.
func TestOfACorruptHistoryTheReadablePartIsTold(t *testing.T) {
	dir := stored(t, t.TempDir(), &lostWrite().Builder)
	raw, err := os.ReadFile(report.HistoryPath(dir))
	require.NoError(t, err)
	lines := bytes.SplitAfter(raw, []byte("\n"))
	cut := append(bytes.Join(lines[:30], nil), lines[30][:20]...)
	require.NoError(t, os.WriteFile(report.HistoryPath(dir), cut, 0o600))

	tr, err := report.Judge(dir, nil, check.LedgerKeeps("tick", "ledger"))
	var le *history.LineError
	require.ErrorAs(t, err, &le)
	assert.Equal(t, 31, le.Line)
	assert.Equal(t, check.Inconclusive, tr.Verdict.State)
	text := failureOf(t, tr)
	first, _, _ := strings.Cut(text, "\n")
	assert.Regexp(t, `^inconclusive: history-readable: .*history\.jsonl:31: the line is cut off.*, at event 30$`, first)
	assert.Contains(t, text, "witness: line 31 of the history cannot be read: sed -n 31p "+dir)
	assert.Contains(t, text, ">  6. CUT OFF HERE ")
	assert.FileExists(t, filepath.Join(dir, "engine-1.log"))
	golden(t, "corrupt.txt", dir, text)
}

func TestAHarnessThatDiedLeavesTheStepItWasAt(t *testing.T) {
	p := newPlanned(restartPlan...)
	p.begin(0).done(1000).begin(1000)
	tr, err := report.Judge(stored(t, t.TempDir(), &p.Builder), nil)
	require.NoError(t, err)
	text := failureOf(t, tr)
	assert.Contains(t, text, "was cut off after event 5, at event 5\n")
	assert.Contains(t, text, ">  2. CUT OFF HERE        +1.000 s  warm 2 actors\n     3. not reached                -  put a load on the others\n")
	assert.Contains(t, text, "(who ran the trial gave no command)")
}

func TestAnUnreadableOrEmptyFolderIsToldToo(t *testing.T) {
	dir := t.TempDir()
	tr, err := report.Judge(dir, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	text := failureOf(t, tr)
	assert.True(t, strings.HasPrefix(text, "inconclusive: history-readable: judge the trial in "), text)
	assert.Contains(t, text, "plan: the history has none")
	assert.Contains(t, text, "the history knows no container")

	require.NoError(t, os.WriteFile(report.HistoryPath(dir), []byte("{}\n"), 0o600))
	tr, err = report.Judge(dir, nil)
	require.ErrorIs(t, err, history.ErrFormat)
	assert.Contains(t, failureOf(t, tr), "line 1 of the history cannot be read")
	assert.Equal(t, "inconclusive: nothing was checked", strings.Split(failureOf(t, report.Trial{}), "\n")[0])
}

// The log is around the failure, not at its own end.
func TestTheLogIsShownAroundTheFailure(t *testing.T) {
	p := newPlanned("all")
	p.begin(0)
	for i := range 30 {
		p.log(1000+i, "engine", 1, fmt.Sprintf("line %d", i))
	}
	p.log(1015, "runtime", 1, "panic: assignment to entry in nil map")
	p.done(5000).End(5000)
	tr, err := report.Judge(stored(t, t.TempDir(), &p.Builder), nil, check.NoPanic())
	require.NoError(t, err)
	text := failureOf(t, tr)
	assert.Contains(t, text, "      (9 earlier)\n      +1.009 s  stdout  line 9\n")
	assert.Contains(t, text, "      +1.018 s  stdout  line 18\n      (11 later)\n")
	assert.Contains(t, text, "stdout of runtime#1: panic: assignment to entry in nil map")
}

func TestAFailureAfterTheLastStepIsMarkedAfterThePlan(t *testing.T) {
	p := newPlanned("all")
	p.begin(0).done(1000).log(1500, "runtime", 1, "panic: while it was removed").End(2000)
	tr, err := report.Judge(stored(t, t.TempDir(), &p.Builder), nil, check.NoPanic())
	require.NoError(t, err)
	assert.Contains(t, failureOf(t, tr), "  all\n  > the failure shows at +1.500 s, event 5, when no step was under way\n")
}

// An actor that never answers is asked on for its whole bound.
func TestALongWitnessIsShortenedInTheMiddle(t *testing.T) {
	p := newPlanned("all")
	p.begin(0).Restart(1000, 1010, 1020, 1030)
	p.asked(1030, 2030, ht.Probe("a", 0), ht.TimedOut())
	for i := range 40 {
		p.asked(2100+100*i, 2150+100*i, ht.Recovery("a"), ht.TimedOut())
	}
	p.done(9000).End(9000)
	dir := stored(t, t.TempDir(), &p.Builder)
	tr, err := report.Judge(dir, nil, check.AnswersWithin(time.Second))
	require.NoError(t, err)
	text := failureOf(t, tr)
	assert.Contains(t, text, "    (62 more; result.json has all)\n")
	assert.Equal(t, 20, strings.Count(text, "    event ")-1, "and the line that says where they are")
	assert.Contains(t, text, "op41 ended fail (certainly without effect): health of actor counter-a (a)", "the last one")
	assert.Len(t, results(t, tr).Trials[0].Failure.Witness, 82)
}

func TestLogsStayInTheTrialsFolder(t *testing.T) {
	p := newPlanned("all")
	p.begin(0).log(1, "../../escaped/x", 1, "hello").log(2, "sandbox", 1, "sandbox ready")
	p.At(3, history.KindContainer, &history.Container{Role: "sandbox", Incarnation: 1, What: history.ContainerStarted})
	p.At(3, history.KindContainer, &history.Container{Role: "runtime", Incarnation: 1, What: history.ContainerStarted})
	p.At(4, history.KindExit, &history.Exit{Role: "sandbox", Incarnation: 1})
	run := t.TempDir()
	dir := stored(t, filepath.Join(run, "a", "b"), &p.Builder)
	tr, err := report.Judge(dir, nil)
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(dir, "------escaped-x-1.log"))
	assert.Contains(t, failureOf(t, tr), "runtime#1, no exit recorded: log lines kept: 0\n", "it ran, and said nothing")
	assert.NotContains(t, failureOf(t, tr), "    sandbox#1,", "the rig's own")
}

// What cannot be written beside the verdict does not cost the verdict.
func TestLogsThatCannotBeWrittenCostNoVerdict(t *testing.T) {
	dir := stored(t, t.TempDir(), &lostWrite().Builder)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "engine-1.log"), 0o755))
	tr, err := report.Judge(dir, nil, check.LedgerKeeps("tick", "ledger"))
	require.ErrorContains(t, err, "write the log of engine#1: ")
	assert.Equal(t, check.Fail, tr.Verdict.State)
	assert.Contains(t, failureOf(t, tr), "op3")
	assert.FileExists(t, filepath.Join(dir, "engine-2.log"))
}

// The line is what is left of a trial at the end of a long output.
func TestLine(t *testing.T) {
	tr, err := report.Judge(stored(t, t.TempDir(), &lostWrite().Builder), nil, check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)
	first, _, _ := strings.Cut(failureOf(t, tr), "\n")
	assert.Equal(t, tr.Name+": "+first, tr.Line())
	assert.Contains(t, tr.Line(), "ledger-keeps-acked-writes")

	tr.Verdict.State = check.Pass
	assert.Contains(t, tr.Line(), tr.Name+": pass")
	assert.NotContains(t, tr.Line(), "\n")
}

func failureOf(t *testing.T, tr report.Trial) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, tr.Failure(&b))
	assert.NotContains(t, b.String(), "\x1b", "nothing that a terminal obeys")
	return b.String()
}

type resultFile struct {
	Version int
	State   string
	Trials  []struct {
		Bugs        []string
		Seed, Again string
		Repeats     []struct {
			History string
			Verdict check.Verdict
			Bugs    []string
		}
		Failure *struct {
			Line    string
			Event   uint64
			Finding check.Finding
			Ended   string
			Plan    []struct {
				Step, State, Error string
				BeganAtMS          float64 `json:"began_at_ms"`
				Notes              []string
			}
			Witness []struct {
				Event       uint64
				AtMS        float64 `json:"at_ms"`
				Party, Says string
			}
			Logs []struct {
				Party, File string
				Lines       int
			}
		}
	}
}

// results writes the run of these trials and reads its result.json.
func results(t *testing.T, trials ...report.Trial) resultFile {
	t.Helper()
	dir := filepath.Dir(trials[0].Dir)
	require.NoError(t, report.Run{Dir: dir, Trials: trials}.Write())
	b, err := os.ReadFile(filepath.Join(dir, "result.json"))
	require.NoError(t, err)
	var out resultFile
	require.NoError(t, json.Unmarshal(b, &out))
	return out
}

func TestTheResultHasTheFailureForPrograms(t *testing.T) {
	dir := stored(t, filepath.Join(t.TempDir(), "t1"), &lostWrite().Builder)
	tr, err := report.Judge(dir, nil, check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)
	tr.Again = "make itest RUN=X"
	got := results(t, tr)
	assert.Equal(t, 3, got.Version)
	one := got.Trials[0]
	assert.Equal(t, "18364758544493064720", one.Seed)
	assert.Equal(t, "make itest RUN=X", one.Again)
	f := one.Failure
	require.NotNil(t, f)
	assert.Equal(t, uint64(48), f.Event)
	assert.Equal(t, "ledger-keeps-acked-writes", f.Finding.Invariant)
	assert.True(t, strings.HasPrefix(failureOf(t, tr), f.Line+"\n"))
	require.Len(t, f.Plan, 8)
	assert.Equal(t, "done", f.Plan[3].State)
	assert.InDelta(t, 1101, f.Plan[3].BeganAtMS, 0.01)
	assert.Equal(t, []string{"the fault: kill of engine#1 at +2.000 s"}, f.Plan[3].Notes)
	require.Len(t, f.Witness, 3, "asked, answered, read back")
	assert.InDelta(t, 1990, f.Witness[1].AtMS, 0.01)
	assert.Equal(t, "t1/engine-2.log", f.Logs[1].File)
	assert.Equal(t, 14, f.Logs[1].Lines)
	assert.Empty(t, f.Logs[2].File, "the runtime has none")

	broken, err := report.Judge(stored(t, filepath.Join(t.TempDir(), "t2"), &brokenOff(history.EndFailed, "no engine").Builder), nil)
	require.NoError(t, err)
	f = results(t, broken).Trials[0].Failure
	assert.Equal(t, "failed", f.Plan[4].State)
	assert.Equal(t, "no engine", f.Plan[4].Error)
	assert.Equal(t, "not reached", f.Plan[5].State)
	assert.InDelta(t, -1, f.Plan[5].BeganAtMS, 0)
	assert.Contains(t, f.Ended, "the daemon is gone")
}

func TestTheSummaryHasTheFailureInABlockThatNoLogCanEnd(t *testing.T) {
	p := lostWrite()
	p.H.Events[len(p.H.Events)-1].Kind = history.KindLog // before a new end
	p.H.Events[len(p.H.Events)-1].Body = &history.Log{Role: "runtime", Incarnation: 1, Stream: "stderr", Line: "```"}
	p.End(2800)
	tr, err := report.Judge(stored(t, t.TempDir(), &p.Builder), nil, check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)
	md := report.Run{Trials: []report.Trial{tr}}.Markdown()
	assert.Contains(t, md, "at event 48\n\n````\n  plan (times from the trial's start)\n")
	assert.Contains(t, md, "(who ran the trial gave no command)\n````\n")
}

// The seed is exact also where JSON is not.
func TestTheSeedIsTheHeadersWhereThatHasOne(t *testing.T) {
	const seed = uint64(18364758544493064721)
	dir := t.TempDir()
	w, err := history.Create(report.HistoryPath(dir), history.Header{Seed: seed})
	require.NoError(t, err)
	w.Record("harness", history.KindSettings, &history.Settings{"seed": seed})
	require.NoError(t, w.Close())
	tr, err := report.Judge(dir, nil)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint(seed), tr.Seed)

	b := (&ht.Builder{}).At(0, history.KindSettings, &history.Settings{"seed": 42})
	tr, err = report.Judge(stored(t, t.TempDir(), b), nil)
	require.NoError(t, err)
	assert.Equal(t, "42", tr.Seed)
}

// Repeats are told whatever came of the last one.
func TestRepeatsAreReported(t *testing.T) {
	late := check.Finding{Invariant: "fault-landed", State: check.Inconclusive, Summary: "it was late"}
	met := check.Finding{Invariant: "counter", State: check.Known, Bugs: []string{"slow-drain"}}
	for _, known := range [][]check.KnownBug{nil, {lostByDesign("a")}} {
		tr, err := report.Judge(stored(t, t.TempDir(), &lostWrite().Builder), known, check.LedgerKeeps("tick", "ledger"))
		require.NoError(t, err)
		tr.Repeats = []report.Attempt{
			{Dir: tr.Dir + "-1", Verdict: check.Verdict{State: check.Inconclusive, Findings: []check.Finding{
				{Invariant: "commit-held", State: check.Inconclusive, Summary: "no transaction was held\nmore"},
			}}},
			{Dir: tr.Dir + "-2", Verdict: check.Verdict{State: check.Inconclusive, Findings: []check.Finding{met, late}}},
		}
		var text strings.Builder
		require.NoError(t, tr.Text(&text))
		md := report.Run{Trials: []report.Trial{tr}}.Markdown()
		for _, form := range []string{text.String(), md} {
			assert.Contains(t, form, "inconclusive: commit-held: no transaction was held\n")
			assert.Contains(t, form, "inconclusive: fault-landed: it was late\n")
		}
		assert.Contains(t, md, ", after 2 that proved nothing | ")
		got := results(t, tr).Trials[0].Repeats
		require.Len(t, got, 2)
		for i, a := range tr.Repeats {
			assert.Equal(t, filepath.Base(a.Dir)+"/history.jsonl", got[i].History, "relative, so that the folder can be moved")
			assert.Equal(t, a.Verdict, got[i].Verdict)
		}
		assert.Empty(t, got[0].Bugs)
		assert.Equal(t, []string{"slow-drain"}, got[1].Bugs)
	}
}
