// Package browsertest opens the page of a report in a real browser, which never
// talks to a network. KILLPOINT_BROWSER names it; KILLPOINT_SCREENSHOTS is a folder
// that keeps what was looked at.
package browsertest

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
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

// Path is the browser's, "" on a machine that has none.
func Path() string {
	for _, name := range []string{os.Getenv("KILLPOINT_BROWSER"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	return ""
}

// need skips on a machine that has no browser, and fails where CI promised one.
func need(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser: not run with -short")
	}
	if path := Path(); path != "" {
		return path
	}
	const missing = "no browser on this machine: scripts/browser-up.sh installs one on Debian, or KILLPOINT_BROWSER names it"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing + " (with CI set, this fails)")
	return ""
}

// Screen is what somebody looks at the page on.
type Screen struct {
	Name          string
	Width, Height int64
	Dark          bool
}

// The screens that the tests use.
var (
	Desktop = Screen{"desktop", 1280, 900, false}
	Phone   = Screen{"phone", 390, 844, true}
)

// Tab is a page in a browser, with all that it asked for and complained of.
type Tab struct {
	T   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	errors   []string
}

// Open opens the page of a stored run, from its folder. The test's end closes it.
func Open(t *testing.T, dir string, s Screen) *Tab {
	t.Helper()
	path := need(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(quiet, chromedp.ExecPath(path))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	tb := &Tab{T: t, ctx: ctx}
	chromedp.ListenTarget(ctx, tb.listen)
	scheme := map[bool]string{true: "dark", false: "light"}[s.Dark]
	tb.Do(network.Enable(),
		emulation.SetDeviceMetricsOverride(s.Width, s.Height, 1, s.Width < 600),
		emulation.SetTouchEmulationEnabled(s.Width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate("file://"+filepath.Join(dir, "report.html")),
		chromedp.WaitReady("html.js", chromedp.ByQuery))
	return tb
}

func (tb *Tab) listen(ev any) {
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

// Do does what a person would; it fails the test where that cannot be done.
func (tb *Tab) Do(actions ...chromedp.Action) {
	tb.T.Helper()
	require.NoError(tb.T, chromedp.Run(tb.ctx, actions...), "%v", tb.Complaints())
}

// Complaints are all errors and messages of the page.
func (tb *Tab) Complaints() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.errors
}

// Eval is what an expression of the page is.
func Eval[T any](tb *Tab, expression string) T {
	tb.T.Helper()
	var v T
	tb.Do(chromedp.Evaluate(expression, &v, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return v
}

// Opened opens the nth trial of the index, waits until its lanes are drawn, and
// returns what selects it.
func (tb *Tab) Opened(n int) string {
	tb.T.Helper()
	id := fmt.Sprintf("#t%d", n)
	tb.Do(chromedp.Click(`a[href="`+id+`"]`, chromedp.ByQuery), chromedp.WaitVisible(id+"[data-ready]", chromedp.ByQuery))
	return id
}

// Text is that of the first element which the selector finds.
func (tb *Tab) Text(selector string) string {
	tb.T.Helper()
	return Eval[string](tb, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// QuietAndHarmless: nothing was asked for but the page, nothing went wrong in it.
func (tb *Tab) QuietAndHarmless() {
	tb.T.Helper()
	tb.mu.Lock()
	requests := tb.requests
	tb.mu.Unlock()
	for _, url := range requests {
		assert.True(tb.T, strings.HasPrefix(url, "file://") || strings.HasPrefix(url, "data:"), url)
	}
	assert.Empty(tb.T, tb.Complaints())
	assert.Equal(tb.T, "undefined", Eval[string](tb, "typeof window.harmed"))
}

// Shot looks at what is to be seen, and keeps it where somebody wants it.
func (tb *Tab) Shot(name string) image.Image {
	tb.T.Helper()
	var b []byte
	tb.Do(chromedp.CaptureScreenshot(&b))
	if dir := os.Getenv("KILLPOINT_SCREENSHOTS"); dir != "" {
		require.NoError(tb.T, os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644))
	}
	img, err := png.Decode(bytes.NewReader(b))
	require.NoError(tb.T, err)
	return img
}

// Share is how much of the picture is near a colour, 0 to 1.
func Share(img image.Image, want color.RGBA) float64 {
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
	LightBack    = color.RGBA{0xf7, 0xf7, 0xf5, 0xff}
	LightRunning = color.RGBA{0x7f, 0xb3, 0xa0, 0xff}
	LightFail    = color.RGBA{0xc0, 0x2b, 0x3c, 0xff}
	DarkBack     = color.RGBA{0x12, 0x14, 0x17, 0xff}
	DarkCard     = color.RGBA{0x19, 0x1c, 0x20, 0xff}
)
