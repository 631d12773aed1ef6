package report_test

import (
	"encoding/json"
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

// stored writes a history as a harness would and returns the trial's folder.
func stored(t *testing.T, dir string, b *ht.Builder) string {
	t.Helper()
	w, err := history.Create(report.HistoryPath(dir), history.Header{Run: "r", Trial: "idle-restart/kill"})
	require.NoError(t, err)
	for _, e := range b.H.Events {
		w.RecordAt(e.T, e.Party, e.Kind, e.Body)
	}
	require.NoError(t, w.Close())
	return dir
}

func trial(t *testing.T) (report.Trial, string) {
	t.Helper()
	run := t.TempDir()
	b := (&ht.Builder{}).At(0, history.KindSettings, &history.Settings{"engine": "2.3.19", "reconnect": "rivet"})
	b.Restart(1000, 1010, 1100, 1160)
	b.Op(1160, 2160, ht.Probe("a", 0), ht.TimedOut())
	b.Op(2210, 3560, ht.Recovery("a"), ht.OK("a", 2))
	b.Op(1300, 1310, ht.Probe("b", 140*time.Millisecond), history.Return{Outcome: history.Fail, Cause: history.CauseStatus, Status: 503, Code: "guard.x", Generation: -1})
	b.End(4000)
	tr, err := report.Judge(stored(t, filepath.Join(run, "t1"), b), nil, check.FaultLanded(), check.AnswersWithin(time.Second))
	require.NoError(t, err)
	tr.Again = "make itest RUN=idle"
	return tr, run
}

func TestTextShowsTheSweepAndHowToRunAFailureAgain(t *testing.T) {
	tr, _ := trial(t)
	var b strings.Builder
	require.NoError(t, tr.Text(&b))
	for _, want := range []string{
		"idle-restart/kill", "engine 2.3.19 · reconnect rivet",
		"timed out", "1000 ms", "2400 ms", "error 503 guard.x", "never",
		"2.56 s to the first answer", "never until nobody had to wait",
		"SIGKILL, dead after 0.01 s, exit code 137",
		"fail: answers-within-bound", "make itest RUN=idle",
	} {
		assert.Contains(t, b.String(), want)
	}
}

func TestRunWritesSummaryAndResult(t *testing.T) {
	tr, dir := trial(t)
	run := report.Run{Dir: dir, Trials: []report.Trial{tr}}
	require.NoError(t, run.Write())
	assert.Equal(t, check.Fail, run.State())

	b, err := os.ReadFile(filepath.Join(dir, "result.json"))
	require.NoError(t, err)
	var got struct {
		State  string
		Trials []struct {
			History string
			Outage  struct {
				WindowMS    float64 `json:"window_ms"`
				WindowAllMS float64 `json:"window_all_ms"`
				Sweep       []struct{ Class, Code string }
			}
		}
	}
	require.NoError(t, json.Unmarshal(b, &got))
	assert.Equal(t, "fail", got.State)
	require.Len(t, got.Trials, 1)
	assert.Equal(t, "t1/history.jsonl", got.Trials[0].History, "relative, so that the folder can be moved")
	assert.InDelta(t, 2560, got.Trials[0].Outage.WindowMS, 0.01)
	assert.InDelta(t, -1, got.Trials[0].Outage.WindowAllMS, 0)
	assert.Equal(t, "guard.x", got.Trials[0].Outage.Sweep[1].Code)

	md, err := os.ReadFile(filepath.Join(dir, "summary.md"))
	require.NoError(t, err)
	assert.Contains(t, string(md), "| 0 ms | timed out | 1000 ms | 2400 ms | - |")
	assert.Contains(t, string(md), "| idle-restart/kill | fail | 2.56 s to never | 2.40 s to never | not measured |")
	assert.Contains(t, string(md), "fail: answers-within-bound: ")
	assert.Contains(t, string(md), "run it again\n    make itest RUN=idle\n```")
}

func TestABusyHostIsMarkedInEveryForm(t *testing.T) {
	for busy, want := range map[float64]string{0.9: "| busy |", 0.1: "| quiet |"} {
		b := (&ht.Builder{}).Restart(1000, 1010, 1100, 1160).Op(1160, 1170, ht.Probe("a", 0), ht.OK("a", 1))
		b.At(1500, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: busy})
		tr, err := report.Judge(stored(t, t.TempDir(), b), nil)
		require.NoError(t, err)
		var text strings.Builder
		require.NoError(t, tr.Text(&text))
		assert.Equal(t, busy > 0.5, strings.Contains(text.String(), "BUSY HOST"))
		assert.Contains(t, report.Run{Trials: []report.Trial{tr}}.Markdown(), want)
	}
}

// What a probe's row says where there is no status to show.
func TestErrorsWithoutAStatusSayWhatHappened(t *testing.T) {
	b := (&ht.Builder{}).Restart(0, 1, 2, 3)
	reset := history.Return{Outcome: history.Fail, Cause: history.CauseReset, Generation: -1}
	b.Op(3, 10, ht.Probe("a", 0), reset).Op(3, -1, ht.Probe("b", 0), history.Return{})
	tr, err := report.Judge(stored(t, t.TempDir(), b), nil)
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, tr.Text(&text))
	assert.Contains(t, text.String(), "error: the connection broke")
	assert.Regexp(t, `cut off +- +never +-`, text.String())
}

// An engine whose drain takes as long as its grace may leave by itself while
// SIGKILL is on its way.
func TestTheEndOfAGraceIsToldFromWhatEndedTheEngine(t *testing.T) {
	b := (&ht.Builder{}).Restart(1000, 6040, 6100, 6200)
	exit := b.H.Events[1].Body.(*history.Exit)
	exit.GraceEnded, exit.Code, exit.SignalT = true, 0, b.H.Events[0].T.Add(5010*time.Millisecond)
	tr, err := report.Judge(stored(t, t.TempDir(), b.Op(6200, 6210, ht.Probe("a", 0), ht.OK("a", 1))), nil)
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, tr.Text(&text))
	assert.Contains(t, text.String(), "had not left by the end of its grace, SIGKILL sent after 5.01 s, dead after 5.04 s, exit code 0")
}

// Of two strikes the times are those of the one that ended the incarnation
// which the table is about.
func TestTheEndOfTheLastGraceIsTold(t *testing.T) {
	b := (&ht.Builder{}).Restart(1000, 1010, 1100, 1160).Restart(10_000, 15_040, 15_100, 15_200)
	exit := b.H.Events[6].Body.(*history.Exit)
	exit.GraceEnded, exit.SignalT = true, b.H.Events[5].T.Add(5010*time.Millisecond)
	tr, err := report.Judge(stored(t, t.TempDir(), b.Op(15_200, 15_210, ht.Probe("a", 0), ht.OK("a", 1))), nil)
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, tr.Text(&text))
	assert.Contains(t, text.String(), "SIGKILL sent after 5.01 s, dead after 5.04 s")
}

func TestARunOfNothingIsInconclusive(t *testing.T) {
	assert.Equal(t, check.Inconclusive, report.Run{}.State())
}

func TestWriteTellsBothFailures(t *testing.T) {
	err := report.Run{Dir: filepath.Join(t.TempDir(), "missing")}.Write()
	require.ErrorContains(t, err, "summary.md")
	require.ErrorContains(t, err, "result.json")
}

func TestABrokenHistoryIsRefusedWithItsLine(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(report.HistoryPath(dir), []byte("{\"format\":\"killpoint-history\",\"version\":1}\n{\"seq\":1,"), 0o600))
	tr, err := report.Judge(dir, nil)
	var le *history.LineError
	require.ErrorAs(t, err, &le)
	assert.Equal(t, 2, le.Line)
	assert.Equal(t, check.Inconclusive, report.Run{Trials: []report.Trial{tr}}.State(), "a trial that cannot be read never passes")
	assert.Contains(t, tr.Verdict.String(), "history.jsonl:2")
}

func TestATrialWithoutAnOutageStillHasAVerdict(t *testing.T) {
	b := &ht.Builder{}
	b.At(1, history.KindEnd, &history.End{State: history.EndInterrupted, Error: "Ctrl-C"})
	tr, err := report.Judge(stored(t, t.TempDir(), b), nil, check.FaultLanded())
	require.NoError(t, err)
	assert.Nil(t, tr.Outage)
	var out strings.Builder
	require.NoError(t, tr.Text(&out))
	assert.Contains(t, out.String(), "inconclusive")
}

func TestRepeatedScenariosAreSummedUp(t *testing.T) {
	one := func(gap int) report.Trial {
		b := (&ht.Builder{}).Restart(1000, 1010, 1100, 1160)
		b.At(1500, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 0.1})
		b.Op(1160, 1160+gap, ht.Probe("a", 0), ht.OK("a", 2))
		b.End(9000)
		tr, err := report.Judge(stored(t, t.TempDir(), b), nil, check.AnswersWithin(2*time.Second))
		require.NoError(t, err)
		return tr
	}
	md := report.Run{Trials: []report.Trial{one(200), one(3000), one(40)}}.Markdown()
	assert.Contains(t, md, "| idle-restart/kill | 2 of 3 | 3 | 0.36 s (0.20 s to 3.16 s) | 0.20 s (0.04 s to 3.00 s) |")
	assert.Contains(t, md, "| idle-restart/kill | 0 ms | 1 | 2 | 0 | 0 | 0 |")
	assert.NotContains(t, report.Run{Trials: []report.Trial{one(1)}}.Markdown(), "Repeated")
}
