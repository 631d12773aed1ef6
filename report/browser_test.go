package report_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
	"github.com/killpoint/killpoint/report"
)

// The tests of this file open the page in a real browser, which never talks to a
// network. KILLPOINT_BROWSER names it; KILLPOINT_SCREENSHOTS is a folder that
// keeps what they looked at.

// quiet switches off all that a browser does by itself, and resolves no name.
var quiet = []chromedp.ExecAllocatorOption{
	chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.DisableGPU,
	chromedp.NoSandbox, // as root there is none
	chromedp.Flag("disable-background-networking", true),
	chromedp.Flag("disable-component-update", true),
	chromedp.Flag("disable-client-side-phishing-detection", true),
	chromedp.Flag("disable-default-apps", true),
	chromedp.Flag("disable-domain-reliability", true),
	chromedp.Flag("disable-extensions", true),
	chromedp.Flag("disable-sync", true),
	chromedp.Flag("disable-dev-shm-usage", true), // small in containers
	chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter,AutofillServerCommunication"),
	chromedp.Flag("metrics-recording-only", true),
	chromedp.Flag("hide-scrollbars", true),
	chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"),
}

// findBrowser skips on a machine that has none, and fails where CI promised one.
func findBrowser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser: not run with -short")
	}
	for _, name := range []string{os.Getenv("KILLPOINT_BROWSER"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	const missing = "no browser on this machine: scripts/browser-up.sh installs one on Debian, or KILLPOINT_BROWSER names it"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing + " (with CI set, this fails)")
	return ""
}

// screen is what somebody looks at the page on.
type screen struct {
	name          string
	width, height int64
	dark          bool
}

var (
	desktop = screen{"desktop", 1280, 900, false}
	phone   = screen{"phone", 390, 844, true}
)

// tab is a page in a browser, with all that it asked for and complained of.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	errors   []string
}

// open opens the page of a stored run.
func open(t *testing.T, dir string, s screen) *tab {
	t.Helper()
	path := findBrowser(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(quiet, chromedp.ExecPath(path))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	tb := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, tb.listen)
	scheme := map[bool]string{true: "dark", false: "light"}[s.dark]
	tb.do(network.Enable(),
		emulation.SetDeviceMetricsOverride(s.width, s.height, 1, s.width < 600),
		emulation.SetTouchEmulationEnabled(s.width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate("file://"+filepath.Join(dir, "report.html")),
		chromedp.WaitReady("html.js", chromedp.ByQuery))
	return tb
}

func (tb *tab) listen(ev any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		tb.requests = append(tb.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		tb.errors = append(tb.errors, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		for _, a := range e.Args {
			tb.errors = append(tb.errors, string(a.Value))
		}
	}
}

func (tb *tab) do(actions ...chromedp.Action) {
	tb.t.Helper()
	require.NoError(tb.t, chromedp.Run(tb.ctx, actions...), "%v", tb.complaints())
}

func (tb *tab) complaints() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.errors
}

// eval is what an expression of the page is.
func eval[T any](tb *tab, expression string) T {
	tb.t.Helper()
	var v T
	tb.do(chromedp.Evaluate(expression, &v, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return v
}

// opened opens the nth trial of the index, and waits until its lanes are drawn.
func (tb *tab) opened(n int) string {
	tb.t.Helper()
	id := fmt.Sprintf("#t%d", n)
	tb.do(chromedp.Click(`a[href="`+id+`"]`, chromedp.ByQuery), chromedp.WaitVisible(id+"[data-ready]", chromedp.ByQuery))
	return id
}

func (tb *tab) text(selector string) string {
	tb.t.Helper()
	return eval[string](tb, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// quietAndHarmless: nothing was asked for but the page, nothing went wrong in it.
func (tb *tab) quietAndHarmless() {
	tb.t.Helper()
	tb.mu.Lock()
	requests := tb.requests
	tb.mu.Unlock()
	for _, url := range requests {
		assert.True(tb.t, strings.HasPrefix(url, "file://") || strings.HasPrefix(url, "data:"), url)
	}
	assert.Empty(tb.t, tb.complaints())
	assert.Equal(tb.t, "undefined", eval[string](tb, "typeof window.harmed"))
}

// shot looks at what is to be seen, and keeps it where somebody wants it.
func (tb *tab) shot(name string) image.Image {
	tb.t.Helper()
	var b []byte
	tb.do(chromedp.CaptureScreenshot(&b))
	if dir := os.Getenv("KILLPOINT_SCREENSHOTS"); dir != "" {
		require.NoError(tb.t, os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644))
	}
	img, err := png.Decode(bytes.NewReader(b))
	require.NoError(tb.t, err)
	return img
}

// share is how much of the picture is near a colour, 0 to 1.
func share(img image.Image, want color.RGBA) float64 {
	near := func(a uint32, b uint8) bool { d := int(a>>8) - int(b); return d > -12 && d < 12 }
	n, box := 0, img.Bounds()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			if r, g, b, _ := img.At(x, y).RGBA(); near(r, want.R) && near(g, want.G) && near(b, want.B) {
				n++
			}
		}
	}
	return float64(n) / float64(box.Dx()*box.Dy())
}

// Colours of page.css, light and dark.
var (
	lightBack    = color.RGBA{0xf7, 0xf7, 0xf5, 0xff}
	lightRunning = color.RGBA{0x7f, 0xb3, 0xa0, 0xff}
	lightFail    = color.RGBA{0xc0, 0x2b, 0x3c, 0xff}
	darkBack     = color.RGBA{0x12, 0x14, 0x17, 0xff}
	darkCard     = color.RGBA{0x19, 0x1c, 0x20, 0xff}
)

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
	tb := open(t, dir, desktop)
	assert.Equal(t, "fail", tb.text("h1 .badge"))
	assert.Equal(t, "restart-under-load/2.3.19/kill", tb.text(".trials tbody tr:first-child a"), "what needs looking after is first")
	img := tb.shot("failed-index")
	assert.Greater(t, share(img, lightBack), 0.05)
	assert.Greater(t, share(img, lightFail), 0.0005, "a red badge")

	tb.do(chromedp.Click(`.filter[data-state="pass"]`, chromedp.ByQuery))
	assert.Equal(t, 1, eval[int](tb, `[...document.querySelectorAll(".trials tbody tr")].filter(r => !r.hidden).length`))
	tb.do(chromedp.Click(`.filter[data-state="pass"]`, chromedp.ByQuery), chromedp.SendKeys("#find", "under-load", chromedp.ByQuery))
	assert.Equal(t, 1, eval[int](tb, `[...document.querySelectorAll(".trials tbody tr")].filter(r => !r.hidden).length`))

	id := tb.opened(0)
	assert.Contains(t, tb.text(id+" .line"), "acknowledged tick op3 of actor a is missing")
	assert.Contains(t, tb.text(id+" .plan .here"), "the failure shows here, at event 48")
	tb.do(chromedp.Click(id+` .findings .jump[data-seq="48"]`, chromedp.ByQuery))
	assert.Contains(t, tb.text(id+" .detail"), "event 48 +0.530 s from the fault, client: op5 ended ok: ledger of actor counter-a (a)")
	assert.Equal(t, "CANVAS", eval[string](tb, "document.activeElement.tagName"), "the keys work from there on")
	img = tb.shot("failed-trial")
	assert.Greater(t, share(img, lightRunning), 0.0005, "lanes are drawn")

	tb.keys(id)
	tb.mouse(id)
	tb.pointer(id)
	tb.lists(id)
	tb.do(chromedp.Click(id+` .crumbs a[href="#index"]`, chromedp.ByQuery), chromedp.WaitVisible("#index", chromedp.ByQuery))
	tb.quietAndHarmless()
}

// keys goes over the lanes without a mouse.
func (tb *tab) keys(id string) {
	tb.t.Helper()
	tb.do(chromedp.KeyEvent("n"))
	assert.Contains(tb.t, tb.text(id+" .detail"), "event 49 ")
	tb.do(chromedp.KeyEvent("p"), chromedp.KeyEvent("p"))
	assert.Contains(tb.t, tb.text(id+" .detail"), "event 47 ")
	before := tb.canvas(id)
	tb.do(chromedp.KeyEvent("+"))
	assert.NotEqual(tb.t, before, tb.canvas(id), "zoomed")
	tb.do(chromedp.KeyEvent("0"))
	all := tb.canvas(id)
	tb.do(chromedp.KeyEvent("+"), chromedp.KeyEvent("0"))
	assert.Equal(tb.t, all, tb.canvas(id), "and back")
}

// canvas is the picture as a text, once it was drawn.
func (tb *tab) canvas(id string) string {
	tb.t.Helper()
	return eval[string](tb, fmt.Sprintf(`new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(document.querySelector(%q).toDataURL()))))`, id+" canvas"))
}

// pointer hovers until something is under it.
func (tb *tab) pointer(id string) {
	tb.t.Helper()
	found := eval[string](tb, fmt.Sprintf(`(() => {
		const c = document.querySelector(%q), tip = document.querySelector(%q), box = c.getBoundingClientRect();
		for (let y = 50; y < box.height; y += 9) for (let x = 160; x < box.width; x += 15) {
			c.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x, clientY: box.top + y, pointerId: 1, bubbles: true }));
			if (!tip.hidden && tip.textContent.includes("tick")) return tip.textContent;
		}
		return "";
	})()`, id+" canvas", id+" .tip"))
	assert.Contains(tb.t, found, "answered at once, 0.", "the bar of an operation")
}

// mouse drags the lanes, and turns the wheel over them, as a real one.
func (tb *tab) mouse(id string) {
	tb.t.Helper()
	x, y := tb.middle(id)
	before := tb.canvas(id)
	tb.do(input.DispatchMouseEvent(input.MouseWheel, x, y).WithDeltaX(0).WithDeltaY(-240))
	assert.NotEqual(tb.t, before, tb.canvas(id), "the wheel zooms where the lanes have the focus")
	before = tb.canvas(id)
	tb.do(
		input.DispatchMouseEvent(input.MousePressed, x, y).WithButton(input.Left).WithClickCount(1),
		input.DispatchMouseEvent(input.MouseMoved, x-200, y).WithButton(input.Left),
		input.DispatchMouseEvent(input.MouseReleased, x-200, y).WithButton(input.Left).WithClickCount(1))
	assert.NotEqual(tb.t, before, tb.canvas(id), "dragged")
	tb.do(chromedp.KeyEvent("0"))
}

// middle is a place over the lanes where nothing is: the axis.
func (tb *tab) middle(id string) (x, y float64) {
	tb.t.Helper()
	at := eval[[]float64](tb, fmt.Sprintf(`(() => {
		const c = document.querySelector(%q);
		c.scrollIntoView({ block: "start" });
		const box = c.getBoundingClientRect();
		return [box.left + box.width / 2, box.top + 20];
	})()`, id+" canvas"))
	return at[0], at[1]
}

// fingers pinches the lanes, and taps them.
func (tb *tab) fingers(id string) {
	tb.t.Helper()
	x, y := tb.middle(id)
	two := func(apart float64) []*input.TouchPoint {
		return []*input.TouchPoint{{X: x - apart, Y: y, ID: 1}, {X: x + apart, Y: y, ID: 2}}
	}
	before := tb.canvas(id)
	tb.do(
		input.DispatchTouchEvent(input.TouchStart, two(20)),
		input.DispatchTouchEvent(input.TouchMove, two(60)),
		input.DispatchTouchEvent(input.TouchMove, two(100)),
		input.DispatchTouchEvent(input.TouchEnd, []*input.TouchPoint{}))
	assert.NotEqual(tb.t, before, tb.canvas(id), "pinched")
	tb.do(chromedp.Click(id+` [data-do="fit"]`, chromedp.ByQuery))
	assert.Equal(tb.t, before, tb.canvas(id))

	at := eval[[]float64](tb, fmt.Sprintf(`(() => { const box = document.querySelector(%q).getBoundingClientRect(); return [box.left + box.width - 60, box.top + 75]; })()`, id+" canvas"))
	tb.do(
		input.DispatchTouchEvent(input.TouchStart, []*input.TouchPoint{{X: at[0], Y: at[1], ID: 1}}),
		input.DispatchTouchEvent(input.TouchEnd, []*input.TouchPoint{}))
	assert.Contains(tb.t, tb.text(id+" .detail"), "from the fault, harness: ", "the step under the finger")
}

// lists opens all that is folded up.
func (tb *tab) lists(id string) {
	tb.t.Helper()
	tb.do(chromedp.Click(id+" .list summary", chromedp.ByQuery), chromedp.WaitVisible(id+" .events tbody tr", chromedp.ByQuery))
	all := eval[int](tb, fmt.Sprintf("document.querySelectorAll(%q).length", id+" .events tbody tr"))
	assert.Greater(tb.t, all, 40)
	tb.do(chromedp.SendKeys(id+" .list input", "ledger of", chromedp.ByQuery))
	assert.Equal(tb.t, 2, eval[int](tb, fmt.Sprintf("document.querySelectorAll(%q).length", id+" .events tbody tr")), "asked and answered")
	tb.do(chromedp.Click(id+" .events tbody tr:first-child button", chromedp.ByQuery))
	assert.Contains(tb.t, tb.text(id+" .detail"), "op5 is asked")
	tb.do(chromedp.Click(id+" .tabs button:nth-child(2)", chromedp.ByQuery))
	assert.Contains(tb.t, tb.text(id+" .log"), "replays actor 13")
	assert.Contains(tb.t, tb.text(id+" .ending"), "engine#2: no exit recorded")
}

func TestTheReportOfAnInterruptedRunInABrowser(t *testing.T) {
	tb := open(t, forced(t), phone)
	assert.Greater(t, share(tb.shot("interrupted-index"), darkBack)+share(tb.shot("interrupted-index"), darkCard), 0.5, "dark")
	for n := range 4 {
		id := tb.opened(n)
		assert.LessOrEqual(t, eval[int](tb, "document.documentElement.scrollWidth"), 390, "nothing is cut off on a phone")
		if name := tb.text(id + " h2"); strings.Contains(name, "stop") {
			assert.Contains(t, tb.text(id+" .line"), "the trial ended interrupted")
			assert.Contains(t, tb.text(id+" .plan .here"), "interrupted")
			tb.shot("interrupted-trial")
			tb.fingers(id)
		}
		tb.do(chromedp.Click(id+` .crumbs a[href="#index"]`, chromedp.ByQuery), chromedp.WaitVisible("#index", chromedp.ByQuery))
	}
	tb.quietAndHarmless()
}

// Whatever a log line or a name holds is shown, and does nothing.
func TestAHostileRunDoesNothingToItsReader(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, hostileRun(t, dir).Write())
	tb := open(t, dir, desktop)
	id := tb.opened(0)
	tb.do(chromedp.Click(id+" .list summary", chromedp.ByQuery), chromedp.WaitVisible(id+" .events tbody tr", chromedp.ByQuery))
	assert.Contains(t, tb.text(id+" .log"), hostile)
	assert.Contains(t, tb.text(id+" h2"), hostile)
	assert.Zero(t, eval[int](tb, `document.images.length`))
	tb.quietAndHarmless()
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
	for _, s := range []screen{desktop, phone} {
		tb := open(t, dir, s)
		for _, text := range []string{"fg", "muted", "link", "pass", "fail", "known", "inconclusive"} {
			for _, on := range []string{"bg", "card"} {
				assert.GreaterOrEqual(t, eval[float64](tb, fmt.Sprintf("%s(%q, %q)", contrast, text, on)), 4.5, "%s: %s on %s", s.name, text, on)
			}
		}
		tb.opened(0)
		assert.Equal(t, []string{}, eval[[]string](tb, `[...document.querySelectorAll("button, input, canvas, a")]
			.filter(e => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels && e.labels[0] && e.labels[0].textContent.trim()))
			.map(e => e.outerHTML)`))
	}
}

func TestThePageCanBePrinted(t *testing.T) {
	tb := open(t, forced(t), screen{"desktop", 1280, 900, true})
	tb.opened(0)
	var pdf []byte
	tb.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
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
		tb := open(t, dir, desktop)
		began := time.Now()
		id := tb.opened(0)
		ready := time.Since(began)
		took := eval[[]float64](tb, fmt.Sprintf("%s(%q, 80)", frames, id+" canvas"))
		require.Len(t, took, 80)
		median, worst := took[40], took[76]
		t.Logf("%d events: opened in %.2f s; a frame takes %.1f ms in the median, %.1f ms at the 95th percentile", n, ready.Seconds(), median, worst)
		tb.shot(fmt.Sprintf("events-%d", n))
		assert.Less(t, median, 150.0)
		assert.Less(t, ready, 20*time.Second)
		tb.quietAndHarmless()
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
	tb := open(t, dir, desktop)
	loaded := eval[float64](tb, "performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart")
	began := time.Now()
	tb.opened(59)
	t.Logf("a page of 60 trials and 60,000 events: there after %.0f ms, a trial of it after %.0f ms more", loaded, time.Since(began).Seconds()*1000)
	assert.Less(t, loaded, 10_000.0)
	assert.Equal(t, 1, eval[int](tb, `document.querySelectorAll("main[data-ready]").length`))
}
