package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/window"
)

// KnownBugsTable is bug × engine × behaviour, over those of the trials that are
// of known bugs, in Markdown; "" where there is none.
func KnownBugsTable(trials []report.Trial, engines []string) string {
	rows := map[string][]report.Trial{}
	for _, t := range trials {
		// One that was interrupted says nothing of the rate.
		if strings.HasPrefix(t.Name, KnownBugs+"/") && complete(t) {
			rows[t.Name] = append(rows[t.Name], t)
		}
	}
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("## Known bugs\n\n| bug | engine | the runtime's side | seen | 95 % interval | as expected | last actor answered | ended by |\n|---|---|---|---:|---|---|---|---|\n")
	for _, r := range reproductions {
		for _, engine := range engines {
			name := strings.Join([]string{KnownBugs, Label(engine), r.bug.Name, r.behaviour}, "/")
			if trials := rows[name]; len(trials) > 0 {
				b.WriteString(r.row(engine, trials))
			}
		}
	}
	b.WriteString("\nSeen counts the trials in which the bug's own mark explained what an invariant found wrong. Of a trial that proved nothing and was carried out again only the first counts, as one without: to repeat until it shows would make the rate too high. The last actor's answer counts from the first good `/health`.\n")
	return b.String()
}

func (r reproduction) row(engine string, trials []report.Trial) string {
	seen, ok := 0, true
	var last []time.Duration
	for _, t := range trials {
		if len(t.Repeats) == 0 && slices.Contains(t.Bugs(), r.bug.Name) {
			seen++
		}
		ok = ok && fine(t) && (r.shows != always || len(t.Repeats) == 0)
		if t.Outage != nil {
			last = append(last, lastAnswer(t))
		}
	}
	p := stats.Proportion(seen, len(trials))
	return fmt.Sprintf("| %s | %s | %s | %d of %d | %.0f–%.0f %% | %s | %s | %s |\n", r.bug.Name, Label(engine), r.behaviour,
		seen, len(trials), 100*p.Low, 100*p.High, map[bool]string{true: "yes", false: "**no**"}[ok], spanned(last), r.bug.Ends)
}

// lastAnswer is when the last of all actors asked gave its first good answer;
// -1 if one never did.
func lastAnswer(t report.Trial) time.Duration {
	var last time.Duration
	for _, row := range slices.Concat(t.Outage.Rows, t.Outage.Beside) {
		if row.AnsweredAt < 0 {
			return -1
		}
		// Whoever was asked late and answered at once waited for nothing.
		if row.Class != window.Answered {
			last = max(last, row.AnsweredAt)
		}
	}
	return last
}

// spanned is the least and the most of the times; -1 stands for one that never
// came within the trial.
func spanned(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	slices.Sort(times)
	came := slices.DeleteFunc(slices.Clone(times), func(d time.Duration) bool { return d < 0 })
	never := len(times) - len(came)
	switch {
	case len(came) == 0:
		return "not within the trial"
	case never > 0:
		return fmt.Sprintf("%.1f–%.1f s; not within the trial in %d of %d", came[0].Seconds(), came[len(came)-1].Seconds(), never, len(times))
	}
	return fmt.Sprintf("%.1f–%.1f s", came[0].Seconds(), came[len(came)-1].Seconds())
}

// complete: the plan was carried out to its end.
func complete(t report.Trial) bool {
	return slices.ContainsFunc(t.Verdict.Findings, func(f check.Finding) bool {
		return f.Invariant == "trial-complete" && f.State == check.Pass
	})
}

func fine(t report.Trial) bool {
	return t.Verdict.State == check.Pass || t.Verdict.State == check.Known
}
