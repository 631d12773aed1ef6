package report_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
)

// hostile is what no text may do anything with, wherever it is shown.
const hostile = `</script><script>window.harmed=1</script><img src=x onerror=window.harmed=1>"'` + "`${window.harmed=1}`" + `<!--`

func pageOf(t *testing.T, r report.Run) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.Page(&b))
	return b.String()
}

// hostileRun is a run whose every text is hostile.
func hostileRun(t *testing.T, dir string) report.Run {
	t.Helper()
	p := newPlanned(hostile, "two")
	p.begin(0).log(1, "engine", 1, hostile).log(2, hostile, 1, hostile)
	p.At(3, history.KindSettings, &history.Settings{hostile: hostile, "engine": hostile})
	p.Restart(1000, 1010, 1100, 1160)
	inv := ht.Probe(hostile, 0)
	p.asked(1160, 1170, inv, history.Return{Outcome: history.Fail, Cause: history.CauseStatus, Status: 503, Code: hostile, Detail: hostile, Generation: -1})
	p.step(2000, history.StepFailed, hostile)
	p.At(2001, history.KindEnd, &history.End{State: history.EndFailed, Error: hostile})
	tr, err := report.Judge(stored(t, filepath.Join(dir, "t"), &p.Builder), nil, check.AnswersWithin(time.Second))
	require.NoError(t, err)
	tr.Name, tr.Again, tr.Title = hostile, hostile, hostile
	return report.Run{Dir: dir, Trials: []report.Trial{tr}, Sections: []string{"## x" + hostile + "\n\n| a |\n|---|\n| " + hostile + " |\n\n[a](javascript:window.harmed=1)\n"}}
}

func TestNoTextBecomesPartOfThePage(t *testing.T) {
	page := pageOf(t, hostileRun(t, t.TempDir()))
	assert.NotContains(t, page, "<script>window.harmed")
	assert.NotContains(t, page, "<img")
	assert.NotContains(t, page, "javascript:")
	assert.Equal(t, strings.Count(page, "<script"), strings.Count(page, "</script>"))
	assert.Equal(t, 2, strings.Count(page, "<script"), "the block of its one trial, and its own")
	assert.NotContains(t, page, "ZgotmplZ", "nothing that the template had to refuse")
}

// The page fetches nothing, and says so to the browser.
func TestThePageStandsAlone(t *testing.T) {
	tr, dir := trial(t)
	page := pageOf(t, report.Run{Dir: dir, Trials: []report.Trial{tr}})
	assert.NotRegexp(t, `https?://`, page)
	assert.NotRegexp(t, `@import|url\(`, page)
	assert.Contains(t, page, `http-equiv="Content-Security-Policy" content="default-src 'none';`)
}

func TestThePageShowsTheTrial(t *testing.T) {
	dir := t.TempDir()
	tr, err := report.Judge(stored(t, filepath.Join(dir, "t1"), &lostWrite().Builder), nil, check.LedgerKeeps("tick", "ledger"))
	require.NoError(t, err)
	tr.Again = "make itest RUN='X'"
	page := pageOf(t, report.Run{Dir: dir, Trials: []report.Trial{tr}, Sections: []string{"## Score card\n\n| bug | F |\n|---|---|\n| one | **F** |\n"}})
	for _, want := range []string{
		"fail: ledger-keeps-acked-writes: acknowledged tick op3", "make itest RUN=&#39;X&#39;", "18364758544493064720",
		`data-seq="48"`, "the failure shows here, at event 48", "<h2>Score card</h2>", "<strong>F</strong>", "engine draining", "sed -n 49p",
		`title="0 ms: answered at once"`,
	} {
		assert.Contains(t, page, want)
	}
}

// drawing is the block of a trial as the page's script has it.
type drawing struct {
	T, Seq, Row []int
	Words       []string
	Rows        []struct{ Lane, Name string }
	Styles      []string
	Style       []int
	Bars        struct {
		N                          int
		Row, From, To, T, D, Style []int
	}
	Origin int
	Logs   []struct {
		Party, End string
		Line       []string
	}
}

func blockOf(t *testing.T, page string) drawing {
	t.Helper()
	m := regexp.MustCompile(`<script type="text/plain" id="b0">([^<]*)</script>`).FindStringSubmatch(page)
	require.NotNil(t, m)
	zipped, err := base64.StdEncoding.DecodeString(m[1])
	require.NoError(t, err)
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	var d drawing
	require.NoError(t, json.Unmarshal(b, &d))
	return d
}

// bars are those of a row, as "style from-to" in milliseconds.
func (d drawing) bars(lane, name string) []string {
	var out []string
	for i := range d.Bars.N {
		if r := d.Rows[d.Bars.Row[i]]; r.Lane == lane && r.Name == name {
			out = append(out, fmt.Sprintf("%s %d-%d", d.Styles[d.Bars.Style[i]], d.Bars.T[i]/1000, (d.Bars.T[i]+d.Bars.D[i])/1000))
		}
	}
	return out
}

// marks are those of a row, in the same way.
func (d drawing) marks(lane, name string) []string {
	var out []string
	at := 0
	for i := range d.T {
		at += d.T[i]
		if r := d.Rows[d.Row[i]]; r.Lane == lane && r.Name == name && d.Styles[d.Style[i]] != "end" {
			out = append(out, fmt.Sprintf("%s %d", d.Styles[d.Style[i]], at/1000))
		}
	}
	return out
}

func drawn(t *testing.T, b *ht.Builder) drawing {
	t.Helper()
	dir := t.TempDir()
	tr, err := report.Judge(stored(t, filepath.Join(dir, "t"), b), nil)
	require.NoError(t, err)
	return blockOf(t, pageOf(t, report.Run{Dir: dir, Trials: []report.Trial{tr}}))
}

func TestTheLanesOfARestart(t *testing.T) {
	b := (&ht.Builder{}).At(0, history.KindContainer, &history.Container{Role: "engine", Incarnation: 1, What: history.ContainerStarting})
	b.At(100, history.KindHealth, &history.Health{What: "ok"})
	b.At(150, history.KindEnvoy, &history.Envoy{What: "dialing"}).At(160, history.KindEnvoy, &history.Envoy{What: "connected"})
	b.Life(200, 250, "a", 1)
	b.Restart(1000, 1100, 1200, 1300)
	b.At(1110, history.KindEnvoy, &history.Envoy{What: "closed"}).At(1110, history.KindEnvoy, &history.Envoy{What: "backoff", WaitNS: 300e6})
	b.Op(1300, 2300, ht.Probe("a", 0), ht.TimedOut()).Op(2400, 2410, ht.Recovery("a"), ht.OK("a", 1)).Op(2500, -1, ht.Read("a"), history.Return{})
	b.Stopped(2600, 2650, "a", 1)
	d := drawn(t, b.At(3000, history.KindExit, &history.Exit{Role: "engine", Incarnation: 2, By: "teardown"}))

	assert.Equal(t, []string{"booting 0-100", "up 100-1000", "draining 1000-1100", "booting 1200-1300", "up 1300-3000"}, d.bars("engine", "container"))
	assert.Equal(t, []string{"up 100-1100", "up 1300-3000"}, d.bars("gateway", "/health"))
	assert.Equal(t, []string{"fault 1000-1100"}, d.bars("faults", "engine#1"))
	assert.Equal(t, []string{"timeout 1300-2300", "answered 2400-2410", "open 2500-3000"}, d.bars("clients", "key-a"))
	assert.Equal(t, []string{"timeout 2300", "answered 2410"}, d.marks("gateway", "answers"))
	assert.Equal(t, []string{"dialing 150-160", "linked 160-1110", "backoff 1110-1410"}, d.bars("wire", "connection"))
	assert.Equal(t, []string{"starting 200-250", "running 250-2600", "stopping 2600-2650"}, d.bars("runtime", "key-a"))
	assert.Equal(t, 1_000_000, d.Origin)
	var lanes []string
	for _, r := range d.Rows {
		if len(lanes) == 0 || lanes[len(lanes)-1] != r.Lane {
			lanes = append(lanes, r.Lane)
		}
	}
	assert.Equal(t, []string{"faults", "clients", "gateway", "wire", "runtime", "engine"}, lanes)
}

func TestTheLanesOfTheWireAndOfBreakpoints(t *testing.T) {
	frame := func(n uint64, wire, to, what string) *history.Frame {
		return &history.Frame{N: n, Wire: wire, Direction: to, Type: "Stopped", What: what}
	}
	b := (&ht.Builder{}).At(0, history.KindFrame, frame(1, "envoy", "to-engine", "arrived"))
	b.At(1, history.KindFrame, frame(1, "envoy", "to-engine", "held")).At(50, history.KindFrame, frame(1, "envoy", "to-engine", "dropped"))
	b.At(60, history.KindFrame, frame(2, "serverless", "to-runtime", "delivered")).At(70, history.KindFrame, frame(3, "gateway", "to-engine", "delivered"))
	b.At(80, history.KindBreakpoint, &history.Breakpoint{Name: "before-commit", Actor: "a", What: "reached"})
	b.At(90, history.KindBreakpoint, &history.Breakpoint{Name: "before-commit", Actor: "a", What: "released"})
	d := drawn(t, b)
	assert.Equal(t, []string{"frame 0-1", "held 1-50"}, d.bars("wire", "envoy → engine"))
	assert.Equal(t, []string{"lost 50"}, d.marks("wire", "envoy → engine"))
	assert.Equal(t, []string{"frame 60"}, d.marks("wire", "serverless → runtime"))
	assert.Equal(t, []string{"frame 70"}, d.marks("gateway", "gateway → engine"))
	assert.Equal(t, []string{"held 80-90"}, d.bars("faults", "held: before-commit"))
}

// A moment, what waited for it at the tap, and the strike.
func TestTheLanesOfAMoment(t *testing.T) {
	at := func(ms int) clock.Mono { return clock.Mono(time.Second).Add(time.Duration(ms) * time.Millisecond) }
	b := (&ht.Builder{}).At(0, history.KindMoment, &history.Moment{Moment: "frame:x", What: "armed"})
	b.At(10, history.KindTapRule, &history.TapRule{Rule: "rule-1", What: "reached"})
	b.At(12, history.KindTapStrike, &history.TapStrike{Rule: "rule-1", Target: "engine#1", What: "signaled"})
	b.At(15, history.KindTapStrike, &history.TapStrike{Rule: "rule-1", Target: "engine#1", What: "died"})
	b.At(20, history.KindTapRule, &history.TapRule{Rule: "rule-1", What: "done"})
	b.At(30, history.KindMoment, &history.Moment{Moment: "frame:x", What: "struck", ReachedT: at(10), DiedT: at(15)})
	d := drawn(t, b)
	assert.Equal(t, []string{"held 10-15"}, d.bars("faults", "moment"))
	assert.Equal(t, []string{"held 0", "held 30"}, d.marks("faults", "moment"))
	assert.Equal(t, []string{"fault 12-15"}, d.bars("faults", "executioner"))
	assert.Equal(t, []string{"held 10-20"}, d.bars("wire", "rules"))
}

// Two runtimes that are there at once, a front before them, and the way out of one.
func TestTheLanesOfAHandOff(t *testing.T) {
	container := func(n int, what history.ContainerState) *history.Container {
		return &history.Container{Role: "runtime", Incarnation: n, What: what}
	}
	b := (&ht.Builder{}).At(0, history.KindContainer, container(1, history.ContainerStarting)).At(5, history.KindContainer, container(1, history.ContainerStarted))
	b.At(50, history.KindContainer, container(2, history.ContainerStarting))
	b.At(60, history.KindFront, &history.Front{What: "routed", To: "runtime#2"}).At(70, history.KindFront, &history.Front{What: "call", Status: 200, TookNS: 4e6})
	b.At(80, history.KindShutdown, &history.Shutdown{What: history.ShutdownSignal}).At(90, history.KindShutdown, &history.Shutdown{What: history.ShutdownDrained})
	b.At(95, history.KindExit, &history.Exit{Role: "runtime", Incarnation: 1}).At(100, history.KindContainer, container(3, history.ContainerStarting))
	b.At(120, history.KindEnd, &history.End{State: history.EndComplete})
	d := drawn(t, b)
	assert.Equal(t, []string{"up 0-95"}, d.bars("runtime", "container"))
	assert.Equal(t, []string{"up 50-120"}, d.bars("runtime", "runtime#2"))
	assert.Equal(t, []string{"up 100-120"}, d.bars("runtime", "runtime#3"))
	assert.Equal(t, []string{"frame 70-74"}, d.bars("wire", "front"))
	assert.Equal(t, []string{"draining 80-90"}, d.bars("runtime", "shutdown"))
}

// A load on very many actors is drawn in as many rows as can be looked at, in an
// order that people expect.
func TestALaneHasNoMoreRowsThanCanBeRead(t *testing.T) {
	b := &ht.Builder{}
	for i := range 40 {
		b.Op(i, i+1, history.Invoke{Name: "tick", Key: fmt.Sprintf("counter-%d", i+1)}, ht.Count(1))
	}
	d := drawn(t, b)
	var names []string
	for _, r := range d.Rows {
		if r.Lane == "clients" {
			names = append(names, r.Name)
		}
	}
	require.Len(t, names, 25)
	assert.Equal(t, []string{"counter-1", "counter-2"}, names[:2])
	assert.Equal(t, []string{"counter-9", "counter-10"}, names[8:10])
	assert.Len(t, d.bars("clients", "all others"), 16)
}

// Every kind of event is somewhere on the page, in the order of time, and a kind
// that nobody knows, too.
func TestEveryEventIsDrawn(t *testing.T) {
	p := lostWrite()
	p.At(2800, "later.kind", json.RawMessage(`{"a":1}`)).by("runtime#1")
	d := drawn(t, &p.Builder)
	require.Len(t, d.Seq, len(p.H.Events))
	for i := range d.T {
		assert.GreaterOrEqual(t, d.T[i], 0)
	}
	assert.Contains(t, d.Words, "later.kind: a 1")
	assert.Equal(t, []string{"note 2800"}, d.marks("runtime", "log"))
	require.Len(t, d.Logs, 3)
	assert.Equal(t, "engine#1", d.Logs[0].Party)
	assert.Equal(t, "level=warn last words\x1b[2J", d.Logs[0].Line[1])
}

// Of a history that cannot be read to its end the page has what could be read, and
// says so.
func TestABrokenHistoryIsDrawnAsFarAsItGoes(t *testing.T) {
	run := t.TempDir()
	dir := stored(t, filepath.Join(run, "t"), &lostWrite().Builder)
	b, err := os.ReadFile(report.HistoryPath(dir))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(report.HistoryPath(dir), b[:len(b)-40], 0o600))
	tr, err := report.Judge(dir, nil)
	var line *history.LineError
	require.ErrorAs(t, err, &line)
	page := pageOf(t, report.Run{Dir: run, Trials: []report.Trial{tr}})
	assert.Contains(t, page, fmt.Sprintf("The history cannot be read from its line %d on", line.Line))
	assert.Len(t, blockOf(t, page).Seq, line.Line-2)
}
