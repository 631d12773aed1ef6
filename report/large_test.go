package report_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/report"
)

// large writes a history of n events into a trial's folder, of the kinds that make
// histories large: operations of a load, what its actors say of them, and frames.
func large(tb testing.TB, run string, n int) {
	tb.Helper()
	dir := filepath.Join(run, "large")
	require.NoError(tb, os.MkdirAll(dir, 0o755))
	f, err := os.Create(report.HistoryPath(dir))
	require.NoError(tb, err)
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = fmt.Fprintln(w, `{"format":"killpoint-history","version":1,"run":"large","trial":"load/kill","seed":7,"boot_id":"b","mono":1000000000,"wall":"2026-11-26T18:00:00Z"}`)
	require.NoError(tb, err)
	for i := range n {
		b, err := json.Marshal(largeEvent(i, n))
		require.NoError(tb, err)
		_, err = w.Write(append(b, '\n'))
		require.NoError(tb, err)
	}
	require.NoError(tb, w.Flush())
	require.NoError(tb, f.Close())
}

func largeEvent(i, n int) history.Event {
	e := history.Event{Seq: uint64(i + 1), T: 1e9, Party: "harness"}
	e.T = e.T.Add(time.Duration(i) * 200 * time.Microsecond)
	actor, key, op := fmt.Sprintf("lfdoib59epd7j908c1wyzom936dl%02d", i/4%8), fmt.Sprintf("load-%02d", i/4%8), fmt.Sprintf("op%d", i/4)
	switch {
	case i == 0:
		e.Kind, e.Body = history.KindSettings, &history.Settings{"engine": "2.3.19", "fault": "SIGKILL", "bound": "15s"}
	case i == 1:
		e.Kind, e.Body = history.KindPlan, &history.Plan{Steps: []string{"put a load on the actors"}}
	case i == 2:
		e.Kind, e.Body = history.KindStep, &history.Step{N: 1, State: history.StepBegun}
	case i == n/2:
		e.Kind, e.Body = history.KindFault, &history.Fault{Kind: "kill", Target: "engine#1", Phase: history.FaultBegun, Way: "pidfd"}
	case i == n-1:
		e.Kind, e.Body = history.KindEnd, &history.End{State: history.EndComplete}
	case i%4 == 0:
		e.Party, e.Kind, e.Body = "client", history.KindInvoke, &history.Invoke{Op: op, Client: key + "/1", Name: "tick", Actor: actor, Key: key, Via: "http", TimeoutNS: 8e9}
	case i%4 == 1:
		e.Party, e.Kind, e.Body = "tap", history.KindFrame, &history.Frame{N: uint64(i), Wire: "envoy", Direction: "to-runtime", Type: "TunnelRequestStart", Detail: "POST /action/tick", Actor: actor, Key: key, Generation: 1, Nth: i, Bytes: 412, What: "delivered"}
	case i%4 == 2:
		e.Party, e.Kind, e.Body = "runtime#1", history.KindActor, &history.Actor{Actor: actor, Key: key, Generation: 1, What: "write", Reason: op}
	default:
		e.Party, e.Kind, e.Body = "client", history.KindReturn, &history.Return{Op: op, Outcome: history.OK, Status: 200, Value: i, AnsweredBy: actor, Generation: 1}
	}
	return e
}

// rewrite is what `killpoint report` does.
func rewrite(tb testing.TB, dir string) {
	tb.Helper()
	run, err := report.Load(dir, report.Loading{})
	require.NoError(tb, err)
	require.Len(tb, run.Trials, 1)
	require.NoError(tb, run.Write())
}

const manyEvents = 100_000

func BenchmarkReportOf100000Events(b *testing.B) {
	dir := b.TempDir()
	large(b, dir, manyEvents)
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		rewrite(b, dir)
	}
	b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
	page, err := os.Stat(filepath.Join(dir, "report.html"))
	require.NoError(b, err)
	b.ReportMetric(float64(page.Size())/1e6, "MB/page")
}

// cpuTime is what this process has used: a busy machine makes it no longer.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// childEnv has this test binary write one report and end, so that the kernel can
// say how much memory that took.
const childEnv = "KILLPOINT_REPORT_OF"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		run, err := report.Load(dir, report.Loading{})
		if err == nil {
			err = run.Write()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// No bound on the time: the machine may be busy with other things. The benchmark
// measures it.
func TestALargeHistoryFitsIntoMemory(t *testing.T) {
	dir := t.TempDir()
	large(t, dir, manyEvents)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	t.Logf("%.2f s (%.2f s of CPU), %d MB at most", time.Since(began).Seconds(), cpu.Seconds(), peak>>20)
	assert.Less(t, peak, int64(200<<20)*memoryFactor)
}
