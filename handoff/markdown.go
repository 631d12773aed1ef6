package handoff

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// mostFailed bounds how many failed requests a table lists one by one.
const mostFailed = 12

// Head is the head of the table that rows of [Handoff.Row] belong to.
const Head = "| handoff | requests | at once | held | failed | doubled | p50 | p99 | worst | old runtime | actors without a generation |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---|\n"

// Row is the handoff as a row of a table.
func (d *Handoff) Row(name string) string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %s | %s | %s | %s | %s |\n", name, len(d.Requests),
		d.Count(AtOnce), d.Count(Held), d.Count(Failed)+d.Count(Open), d.Doubled(),
		whole(d.Quantile(0.5)), whole(d.Quantile(0.99)), whole(d.Worst().Took), d.leaving(), d.gaps())
}

// leaving is how the old runtime left.
func (d *Handoff) leaving() string {
	if d.Left == 0 || d.Told == 0 {
		return "did not leave"
	}
	return fmt.Sprintf("gone %s after it was told, code %d", whole(d.Left.Sub(d.Told)), d.Exit.Code)
}

// gaps are the least and the most of the moves'.
func (d *Handoff) gaps() string {
	if len(d.Moves) == 0 {
		return "none moved"
	}
	least, most, never := time.Duration(-1), time.Duration(-1), 0
	for _, m := range d.Moves {
		switch g := m.Gap(); {
		case g < 0:
			never++
		default:
			most = max(most, g)
			if least < 0 || g < least {
				least = g
			}
		}
	}
	text := fmt.Sprintf("%s to %s", whole(least), whole(most))
	if never > 0 {
		text += fmt.Sprintf("; %d of %d never came back", never, len(d.Moves))
	}
	return text
}

// Failures lists the failed requests, each with its phase, its answer and why; ""
// where there is none.
func (d *Handoff) Failures(name string) string {
	var b strings.Builder
	n := 0
	for _, r := range d.Requests {
		if r.Class != Failed && r.Class != Open {
			continue
		}
		if n++; n > mostFailed {
			continue
		}
		if n == 1 {
			fmt.Fprintf(&b, "\nRequests of %s that failed; sent: from the first word to the old runtime or to one of its actors.\n\n| operation | actor | sent | in | took | answer | why |\n|---|---|---:|---|---:|---|---|\n", name)
		}
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s | %s | %s | %s |\n", r.Name, r.Op, r.Key, whole(r.Sent.Sub(cmp.Or(d.Told, d.Routed))), r.Phase, whole(r.Took), r.Answer(), strings.ReplaceAll(r.Why, "|", "\\|"))
	}
	if n > mostFailed {
		fmt.Fprintf(&b, "\nAnd %d more.\n", n-mostFailed)
	}
	return b.String()
}

// whole is a duration in whole milliseconds; a negative one stands for none.
func whole(d time.Duration) string {
	if d < 0 && d > -time.Millisecond || d == -1 {
		return "-"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
