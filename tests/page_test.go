package tests

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/internal/browsertest"
)

// lookAt opens the report of a run in a browser and clicks through its first
// trial, whose first line says what is given. A machine without a browser leaves
// that to the tests of the report, which insist on one in CI.
func lookAt(t *testing.T, dir, line string) {
	t.Helper()
	if browsertest.Path() == "" {
		t.Log("no browser here: nobody looked at the report")
		return
	}
	tab := browsertest.Open(t, dir, browsertest.Desktop)
	id := tab.Opened(0)
	assert.Contains(t, tab.Text(id+" .line"), line)
	tab.Do(chromedp.Click(id+` [data-do="outage"]`, chromedp.ByQuery),
		chromedp.Click(id+" .list summary", chromedp.ByQuery),
		chromedp.WaitVisible(id+" .events tbody tr", chromedp.ByQuery),
		chromedp.Click(id+" .events tbody tr:first-child button", chromedp.ByQuery))
	assert.Contains(t, tab.Text(id+" .detail"), "event 1 ")
	assert.Greater(t, browsertest.Share(tab.Shot("real-"+id[1:]), browsertest.LightBack), 0.01, "it is on the screen")
	tab.QuietAndHarmless()
}
