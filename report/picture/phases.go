// Package picture draws what trials add up to, as SVG that needs nothing else: no
// script, no font, no network. It keeps its own background and follows the
// reader's colour scheme, so that it can be read in a README in light and dark.
package picture

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"

	"github.com/killpoint/killpoint/window"
)

// Outage is what is drawn of one scenario.
type Outage struct {
	// Title says what was done to what; Note, below the picture, how it was
	// measured.
	Title, Note string
	Window      window.Distribution
	Phases      []window.PhaseSpread
}

// The picture's measures, in SVG's units.
const (
	width    = 860
	margin   = 24
	barTop   = 64
	barHigh  = 44
	rowsTop  = 164
	rowHigh  = 30
	plotFrom = 210
	plotTo   = 640
)

// The scale of the rows: from the least that is drawn to the most.
const (
	leastDrawn = time.Millisecond
	leastSpan  = 10 * time.Second
)

// Phases draws the parts of an outage: a bar of their means, which add up, and
// for each a row with its spread over the trials. Those that took a millisecond
// in no trial are left out.
func Phases(w io.Writer, o Outage) error {
	var shown []window.PhaseSpread
	mean := time.Duration(0)
	for _, p := range o.Phases {
		mean += p.Mean
		if p.Worst >= leastDrawn || p.Phase == window.Unattributed {
			shown = append(shown, p)
		}
	}
	d := &drawing{most: leastSpan}
	for _, p := range shown {
		d.most = max(d.most, p.Worst)
	}
	high := rowsTop + rowHigh*len(shown) + 62
	d.open(high, o.Title)
	d.text(margin, 32, "head", "", o.Title)
	d.text(margin, 51, "dim", "", fmt.Sprintf("outage window: median %s (95 %%: %s), 95th percentile %s, worst %s of %d trials",
		short(o.Window.Median.At), between(o.Window.Median), short(o.Window.P95.At), short(o.Window.Worst), o.Window.N))
	d.bar(shown, mean)
	d.axis(rowsTop-14, rowsTop+rowHigh*len(shown)-8)
	for i, p := range shown {
		d.row(rowsTop+rowHigh*i, p)
	}
	d.text(margin, float64(high-28), "dim", "", "Bar: means, which add up. Rows, on a logarithmic scale: line from the least to the worst, box between the quartiles, tick at the median.")
	d.text(margin, float64(high-12), "dim", "", o.Note)
	d.printf("</svg>\n")
	_, err := io.WriteString(w, d.String())
	if err != nil {
		return fmt.Errorf("draw the phases: %w", err)
	}
	return nil
}

// drawing is an SVG under way.
type drawing struct {
	strings.Builder
	most time.Duration // at the right end of the rows' scale
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.Builder, format, args...) }

// style has a colour for each phase that can be told from its neighbours on both
// backgrounds, also by who does not see red and green apart (after M. Okabe,
// K. Ito).
const style = `text{font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.head{font-size:17px;font-weight:600}.dim{font-size:12px;fill:#59636e}.mid{font-size:12px;fill:#000}
.back{fill:#fff;stroke:#d1d9e0}.grid{stroke:#d1d9e0}.line{stroke:#59636e;stroke-width:1.5}.tick{stroke:#1f2328;stroke-width:3}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.dim{fill:#9198a1}.mid{fill:#000}
.back{fill:#0d1117;stroke:#3d444d}.grid{stroke:#3d444d}.line{stroke:#9198a1}.tick{stroke:#f0f6fc}}
`

var colours = map[window.Phase]string{
	window.Earlier: "#b8a9c9", window.Draining: "#56b4e9", window.Down: "#999999", window.Booting: "#009e73",
	window.Reconnecting: "#e69f00", window.Replay: "#f0e442", window.Placement: "#cc79a7", window.Starting: "#8fbf5a",
	window.Unasked: "#c8c8c8", window.Answering: "#5f8fd9", window.Unattributed: "#d55e00",
}

func (d *drawing) open(high int, title string) {
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" role="img" aria-label="%s">`+"\n", width, high, width, html.EscapeString(title))
	d.printf("<style>%s</style>\n", style)
	d.printf(`<rect class="back" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>`+"\n", width-1, high-1)
}

// text writes at a baseline; anchor is "" for its start, "middle" or "end".
func (d *drawing) text(x, y float64, class, anchor, text string) {
	if anchor != "" {
		anchor = fmt.Sprintf(` text-anchor="%s"`, anchor)
	}
	d.printf(`<text x="%.1f" y="%.1f" class="%s"%s>%s</text>`+"\n", x, y, class, anchor, html.EscapeString(text))
}

// bar is the phases' means, one after the other. What has room has its share in
// it, and its mean below.
func (d *drawing) bar(phases []window.PhaseSpread, mean time.Duration) {
	x := float64(margin)
	for _, p := range phases {
		wide := float64(width-2*margin) * float64(p.Mean) / float64(max(mean, 1))
		d.printf(`<rect x="%.2f" y="%d" width="%.2f" height="%d" fill="%s"><title>%s: mean %s, %.1f %%</title></rect>`+"\n",
			x, barTop, wide, barHigh, colours[p.Phase], html.EscapeString(string(p.Phase)), html.EscapeString(short(p.Mean)), 100*p.Share)
		if wide > 90 {
			d.text(x+wide/2, barTop+19, "mid", "middle", string(p.Phase))
			d.text(x+wide/2, barTop+35, "mid", "middle", fmt.Sprintf("%s, %.0f %%", short(p.Mean), 100*p.Share))
		}
		x += wide
	}
	d.text(margin, barTop+barHigh+15, "dim", "", "fault")
	d.text(width-margin, barTop+barHigh+15, "dim", "end", "first good answer, "+short(mean)+" later in the mean")
}

// at is where a time is on the scale of the rows.
func (d *drawing) at(t time.Duration) float64 {
	share := math.Log(float64(max(t, leastDrawn))/float64(leastDrawn)) / math.Log(float64(d.most)/float64(leastDrawn))
	return plotFrom + share*(plotTo-plotFrom)
}

func (d *drawing) axis(top, bottom int) {
	for t := leastDrawn; t <= d.most; t *= 10 {
		d.printf(`<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", d.at(t), top, d.at(t), bottom)
		d.text(d.at(t), float64(top)-4, "dim", "middle", short(t))
	}
}

func (d *drawing) row(y int, p window.PhaseSpread) {
	mid := float64(y) + rowHigh/2 - 5
	d.printf(`<rect x="%d" y="%.1f" width="12" height="12" rx="2" fill="%s"/>`+"\n", margin, mid-6, colours[p.Phase])
	d.text(margin+20, mid+4, "", "", string(p.Phase))
	if p.Came > 0 {
		least, most := d.at(p.Least), d.at(p.Worst)
		d.printf(`<line class="line" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", least, mid, most, mid)
		q1, q3 := d.at(p.Quarter), d.at(p.ThreeQuarters)
		d.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="14" rx="2" fill="%s"/>`+"\n", q1, mid-7, max(q3-q1, 2), colours[p.Phase])
		d.printf(`<line class="tick" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", d.at(p.Median.At), mid-9, d.at(p.Median.At), mid+9)
	}
	d.text(plotTo+16, mid+4, "", "", short(p.Median.At))
	d.text(width-margin, mid+4, "dim", "end", short(p.Least)+" to "+short(p.Worst))
}

// between is what a median lies between.
func between(q window.Quantile) string {
	if q.Low < 0 || q.High < 0 {
		return "too few trials"
	}
	return short(q.Low) + " to " + short(q.High)
}

// short is a time as a picture has room for.
func short(t time.Duration) string {
	switch {
	case t < 0:
		return "never"
	case t >= 10*time.Second:
		return fmt.Sprintf("%.0f s", t.Seconds())
	case t >= time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", t.Seconds()), ".00") + " s"
	case t > 0 && t < leastDrawn:
		return "under 1 ms"
	}
	return fmt.Sprintf("%d ms", t.Round(time.Millisecond).Milliseconds())
}
