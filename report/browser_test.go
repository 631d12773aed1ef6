package report_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/browsertest"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
)

// tab is a page with what these tests do in it.
type tab struct{ *browsertest.Tab }

func open(t *testing.T, dir string, s browsertest.Screen) tab {
	t.Helper()
	return tab{browsertest.Open(t, dir, s)}
}

func eval[T any](tb tab, expression string) T {
	tb.T.Helper()
	return browsertest.Eval[T](tb.Tab, expression)
}

// forced are a run that failed, one that was interrupted, and one whose harness
// failed: their trials are drawn as any.
func forced(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	p := lostWrite()
	p.Life(1005, 1012, "a", 1)
	lost, err := report.Judge(stored(t, filepath.Join(dir, "lost"), &p.Builder), nil, check.LedgerKeeps("tick", "ledger"), check.AnswersWithin(5*time.Second))
	require.NoError(t, err)
	lost.Name, lost.Again = "restart-under-load/2.3.19/kill", "make itest RUN='TestRestartUnderLoad/2.3.19/kill' SEED=7"
	interrupted, err := report.Judge(stored(t, filepath.Join(dir, "interrupted"), &brokenOff(history.EndInterrupted, "interrupt").Builder), nil)
	require.NoError(t, err)
	interrupted.Name = "idle-restart/2.3.19/stop"
	harness, err := report.Judge(stored(t, filepath.Join(dir, "harness"), &brokenOff(history.EndFailed, "no space left on device").Builder), nil)
	require.NoError(t, err)
	harness.Name = "idle-restart/2.3.19/kill"
	good, err := report.Judge(stored(t, filepath.Join(dir, "good"), restarted(140)), nil, check.FaultLanded())
	require.NoError(t, err)
	good.Name = "idle-restart/2.3.19/good"
	require.NoError(t, report.Run{Dir: dir, Trials: []report.Trial{good, lost, interrupted, harness}}.Write())
	return dir
}

// restarted is a whole trial with a sweep, whose gap is so long.
func restarted(gap int) *ht.Builder {
	b := (&ht.Builder{}).Restart(1000, 1010, 1100, 1160)
	b.Op(1160, 1160+gap, ht.Probe("a", 0), ht.OK("a", 2))
	b.At(1900, history.KindLog, &history.Log{Role: "engine", Incarnation: 2, Stream: "stdout", Line: "level=warn x"})
	b.End(2000)
	return b
}

func TestTheReportOfAFailedRunInABrowser(t *testing.T) {
	dir := forced(t)
	tb := open(t, dir, browsertest.Desktop)
	assert.Equal(t, "fail", tb.Text("h1 .badge"))
	assert.Equal(t, "restart-under-load/2.3.19/kill", tb.Text(".trials tbody tr:first-child a"), "what needs looking after is first")
	img := tb.Shot("failed-index")
	assert.Greater(t, browsertest.Share(img, browsertest.LightBack), 0.05)
	assert.Greater(t, browsertest.Share(img, browsertest.LightFail), 0.0005, "a red badge")

	tb.Do(chromedp.Click(`.filter[data-state="pass"]`, chromedp.ByQuery))
	assert.Equal(t, 1, eval[int](tb, `[...document.querySelectorAll(".trials tbody tr")].filter(r => !r.hidden).length`))
	tb.Do(chromedp.Click(`.filter[data-state="pass"]`, chromedp.ByQuery), chromedp.SendKeys("#find", "under-load", chromedp.ByQuery))
	assert.Equal(t, 1, eval[int](tb, `[...document.querySelectorAll(".trials tbody tr")].filter(r => !r.hidden).length`))

	id := tb.Opened(0)
	assert.Contains(t, tb.Text(id+" .line"), "acknowledged tick op3 of actor a is missing")
	assert.Contains(t, tb.Text(id+" .plan .here"), "the failure shows here, at event 48")
	tb.Do(chromedp.Click(id+` .findings .jump[data-seq="48"]`, chromedp.ByQuery))
	assert.Contains(t, tb.Text(id+" .detail"), "event 48 +0.530 s from the fault, client: op5 ended ok: ledger of actor counter-a (a)")
	assert.Equal(t, "CANVAS", eval[string](tb, "document.activeElement.tagName"), "the keys work from there on")
	img = tb.Shot("failed-trial")
	assert.Greater(t, browsertest.Share(img, browsertest.LightRunning), 0.0005, "lanes are drawn")

	tb.keys(id)
	tb.mouse(id)
	tb.pointer(id)
	tb.lists(id)
	tb.Do(chromedp.Click(id+` .crumbs a[href="#index"]`, chromedp.ByQuery), chromedp.WaitVisible("#index", chromedp.ByQuery))
	tb.QuietAndHarmless()
}

// keys goes over the lanes without a mouse.
func (tb tab) keys(id string) {
	tb.T.Helper()
	tb.Do(chromedp.KeyEvent("n"))
	assert.Contains(tb.T, tb.Text(id+" .detail"), "event 49 ")
	tb.Do(chromedp.KeyEvent("p"), chromedp.KeyEvent("p"))
	assert.Contains(tb.T, tb.Text(id+" .detail"), "event 47 ")
	before := tb.canvas(id)
	tb.Do(chromedp.KeyEvent("+"))
	assert.NotEqual(tb.T, before, tb.canvas(id), "zoomed")
	tb.Do(chromedp.KeyEvent("0"))
	all := tb.canvas(id)
	tb.Do(chromedp.KeyEvent("+"), chromedp.KeyEvent("0"))
	assert.Equal(tb.T, all, tb.canvas(id), "and back")
}

// canvas is the picture as a text, once it was drawn.
func (tb tab) canvas(id string) string {
	tb.T.Helper()
	return eval[string](tb, fmt.Sprintf(`new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(document.querySelector(%q).toDataURL()))))`, id+" canvas"))
}

// pointer hovers until something is under it.
func (tb tab) pointer(id string) {
	tb.T.Helper()
	found := eval[string](tb, fmt.Sprintf(`(() => {
		const c = document.querySelector(%q), tip = document.querySelector(%q), box = c.getBoundingClientRect();
		for (let y = 50; y < box.height; y += 9) for (let x = 160; x < box.width; x += 15) {
			c.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x, clientY: box.top + y, pointerId: 1, bubbles: true }));
			if (!tip.hidden && tip.textContent.includes("tick")) return tip.textContent;
		}
		return "";
	})()`, id+" canvas", id+" .tip"))
	assert.Contains(tb.T, found, "answered at once, 0.", "the bar of an operation")
}

// mouse drags the lanes, and turns the wheel over them, as a real one.
func (tb tab) mouse(id string) {
	tb.T.Helper()
	x, y := tb.middle(id)
	before := tb.canvas(id)
	tb.Do(input.DispatchMouseEvent(input.MouseWheel, x, y).WithDeltaX(0).WithDeltaY(-240))
	assert.NotEqual(tb.T, before, tb.canvas(id), "the wheel zooms where the lanes have the focus")
	before = tb.canvas(id)
	tb.Do(
		input.DispatchMouseEvent(input.MousePressed, x, y).WithButton(input.Left).WithClickCount(1),
		input.DispatchMouseEvent(input.MouseMoved, x-200, y).WithButton(input.Left),
		input.DispatchMouseEvent(input.MouseReleased, x-200, y).WithButton(input.Left).WithClickCount(1))
	assert.NotEqual(tb.T, before, tb.canvas(id), "dragged")
	tb.Do(chromedp.KeyEvent("0"))
}

// middle is a place over the lanes where nothing is: the axis.
func (tb tab) middle(id string) (x, y float64) {
	tb.T.Helper()
	at := eval[[]float64](tb, fmt.Sprintf(`(() => {
		const c = document.querySelector(%q);
		c.scrollIntoView({ block: "start" });
		const box = c.getBoundingClientRect();
		return [box.left + box.width / 2, box.top + 20];
	})()`, id+" canvas"))
	return at[0], at[1]
}

// fingers pinches the lanes, and taps them.
func (tb tab) fingers(id string) {
	tb.T.Helper()
	x, y := tb.middle(id)
	two := func(apart float64) []*input.TouchPoint {
		return []*input.TouchPoint{{X: x - apart, Y: y, ID: 1}, {X: x + apart, Y: y, ID: 2}}
	}
	before := tb.canvas(id)
	tb.Do(
		input.DispatchTouchEvent(input.TouchStart, two(20)),
		input.DispatchTouchEvent(input.TouchMove, two(60)),
		input.DispatchTouchEvent(input.TouchMove, two(100)),
		input.DispatchTouchEvent(input.TouchEnd, []*input.TouchPoint{}))
	assert.NotEqual(tb.T, before, tb.canvas(id), "pinched")
	tb.Do(chromedp.Click(id+` [data-do="fit"]`, chromedp.ByQuery))
	assert.Equal(tb.T, before, tb.canvas(id))

	at := eval[[]float64](tb, fmt.Sprintf(`(() => { const box = document.querySelector(%q).getBoundingClientRect(); return [box.left + box.width - 60, box.top + 75]; })()`, id+" canvas"))
	tb.Do(
		input.DispatchTouchEvent(input.TouchStart, []*input.TouchPoint{{X: at[0], Y: at[1], ID: 1}}),
		input.DispatchTouchEvent(input.TouchEnd, []*input.TouchPoint{}))
	assert.Contains(tb.T, tb.Text(id+" .detail"), "from the fault, harness: ", "the step under the finger")
}

// lists opens all that is folded up.
func (tb tab) lists(id string) {
	tb.T.Helper()
	tb.Do(chromedp.Click(id+" .list summary", chromedp.ByQuery), chromedp.WaitVisible(id+" .events tbody tr", chromedp.ByQuery))
	all := eval[int](tb, fmt.Sprintf("document.querySelectorAll(%q).length", id+" .events tbody tr"))
	assert.Greater(tb.T, all, 40)
	tb.Do(chromedp.SendKeys(id+" .list input", "ledger of", chromedp.ByQuery))
	assert.Equal(tb.T, 2, eval[int](tb, fmt.Sprintf("document.querySelectorAll(%q).length", id+" .events tbody tr")), "asked and answered")
	tb.Do(chromedp.Click(id+" .events tbody tr:first-child button", chromedp.ByQuery))
	assert.Contains(tb.T, tb.Text(id+" .detail"), "op5 is asked")
	tb.Do(chromedp.Click(id+" .tabs button:nth-child(2)", chromedp.ByQuery))
	assert.Contains(tb.T, tb.Text(id+" .log"), "replays actor 13")
	assert.Contains(tb.T, tb.Text(id+" .ending"), "engine#2: no exit recorded")
}

func TestTheReportOfAnInterruptedRunInABrowser(t *testing.T) {
	tb := open(t, forced(t), browsertest.Phone)
	assert.Greater(t, browsertest.Share(tb.Shot("interrupted-index"), browsertest.DarkBack)+browsertest.Share(tb.Shot("interrupted-index"), browsertest.DarkCard), 0.5, "dark")
	for n := range 4 {
		id := tb.Opened(n)
		assert.LessOrEqual(t, eval[int](tb, "document.documentElement.scrollWidth"), 390, "nothing is cut off on a Phone")
		if name := tb.Text(id + " h2"); strings.Contains(name, "stop") {
			assert.Contains(t, tb.Text(id+" .line"), "the trial ended interrupted")
			assert.Contains(t, tb.Text(id+" .plan .here"), "interrupted")
			tb.Shot("interrupted-trial")
			tb.fingers(id)
		}
		tb.Do(chromedp.Click(id+` .crumbs a[href="#index"]`, chromedp.ByQuery), chromedp.WaitVisible("#index", chromedp.ByQuery))
	}
	tb.QuietAndHarmless()
}

// Whatever a log line or a name holds is shown, and does nothing.
func TestAHostileRunDoesNothingToItsReader(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, hostileRun(t, dir).Write())
	tb := open(t, dir, browsertest.Desktop)
	id := tb.Opened(0)
	tb.Do(chromedp.Click(id+" .list summary", chromedp.ByQuery), chromedp.WaitVisible(id+" .events tbody tr", chromedp.ByQuery))
	assert.Contains(t, tb.Text(id+" .log"), hostile)
	assert.Contains(t, tb.Text(id+" h2"), hostile)
	assert.Zero(t, eval[int](tb, `document.images.length`))
	tb.QuietAndHarmless()
}

// contrast is WCAG's, of two of the page's colours.
const contrast = `((a, b) => {
	const css = getComputedStyle(document.documentElement);
	const lum = name => {
		let h = css.getPropertyValue("--" + name).trim().slice(1);
		if (h.length === 3) h = [...h].map(c => c + c).join("");
		const [r, g, bl] = [0, 2, 4].map(i => parseInt(h.slice(i, i + 2), 16) / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
	};
	const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p);
	return (x + 0.05) / (y + 0.05);
})`

func TestTextCanBeReadAndControlsHaveNames(t *testing.T) {
	dir := forced(t)
	for _, s := range []browsertest.Screen{browsertest.Desktop, browsertest.Phone} {
		tb := open(t, dir, s)
		for _, text := range []string{"fg", "muted", "link", "pass", "fail", "known", "inconclusive"} {
			for _, on := range []string{"bg", "card"} {
				assert.GreaterOrEqual(t, eval[float64](tb, fmt.Sprintf("%s(%q, %q)", contrast, text, on)), 4.5, "%s: %s on %s", s.Name, text, on)
			}
		}
		tb.Opened(0)
		assert.Equal(t, []string{}, eval[[]string](tb, `[...document.querySelectorAll("button, input, canvas, a")]
			.filter(e => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels && e.labels[0] && e.labels[0].textContent.trim()))
			.map(e => e.outerHTML)`))
	}
}

func TestThePageCanBePrinted(t *testing.T) {
	tb := open(t, forced(t), browsertest.Screen{Name: "desktop", Width: 1280, Height: 900, Dark: true})
	tb.Opened(0)
	var pdf []byte
	tb.Do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		pdf, _, err = page.PrintToPDF().WithPrintBackground(true).Do(ctx)
		return err
	}))
	assert.True(t, bytes.HasPrefix(pdf, []byte("%PDF")))
	if out := os.Getenv("KILLPOINT_SCREENSHOTS"); out != "" {
		require.NoError(t, os.WriteFile(filepath.Join(out, "printed.pdf"), pdf, 0o644))
	}
}

// frames drives the lanes over so many frames, zooming and moving, and returns how
// long each took to draw.
const frames = `(async (sel, n) => {
	const c = document.querySelector(sel), took = []; c.focus();
	const box = c.getBoundingClientRect();
	for (let i = 0; i < n; i++) {
		c.dispatchEvent(new WheelEvent("wheel", { deltaY: i < n / 2 ? -60 : 60, deltaX: 0, clientX: box.left + box.width / 2, clientY: box.top + 90, ctrlKey: true, bubbles: true, cancelable: true }));
		const begin = performance.now();
		await new Promise(r => requestAnimationFrame(() => setTimeout(r)));
		took.push(performance.now() - begin);
	}
	return took.sort((a, b) => a - b);
})`

// The bounds are wide, as the machine may be busy with anything; what is measured
// is in the log.
func TestThePageIsQuickWithManyEvents(t *testing.T) {
	for _, n := range []int{10_000, manyEvents / memoryFactor} {
		dir := t.TempDir()
		large(t, dir, n)
		rewrite(t, dir)
		tb := open(t, dir, browsertest.Desktop)
		began := time.Now()
		id := tb.Opened(0)
		ready := time.Since(began)
		took := eval[[]float64](tb, fmt.Sprintf("%s(%q, 80)", frames, id+" canvas"))
		require.Len(t, took, 80)
		median, worst := took[40], took[76]
		t.Logf("%d events: opened in %.2f s; a frame takes %.1f ms in the median, %.1f ms at the 95th percentile", n, ready.Seconds(), median, worst)
		tb.Shot(fmt.Sprintf("events-%d", n))
		assert.Less(t, median, 150.0)
		assert.Less(t, ready, 20*time.Second)
		tb.QuietAndHarmless()
	}
}

// A page of many trials reads none of their events before one is opened.
func TestThePageOfManyTrialsOpensAtOnce(t *testing.T) {
	dir, run := t.TempDir(), report.Run{}
	large(t, dir, 1000)
	one, err := report.Load(dir, report.Loading{})
	require.NoError(t, err)
	for i := range 60 {
		tr := one.Trials[0]
		tr.Name = fmt.Sprintf("load/%d", i)
		run.Trials = append(run.Trials, tr)
	}
	run.Dir = dir
	require.NoError(t, run.Write())
	tb := open(t, dir, browsertest.Desktop)
	loaded := eval[float64](tb, "performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart")
	began := time.Now()
	tb.Opened(59)
	t.Logf("a page of 60 trials and 60,000 events: there after %.0f ms, a trial of it after %.0f ms more", loaded, time.Since(began).Seconds()*1000)
	assert.Less(t, loaded, 10_000.0)
	assert.Equal(t, 1, eval[int](tb, `document.querySelectorAll("main[data-ready]").length`))
}
