package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/compare"
	"github.com/killpoint/killpoint/report/picture"
	"github.com/killpoint/killpoint/window"
)

func newWindowCommand(a *app) *cobra.Command {
	var file, title string
	var busy bool
	cmd := &cobra.Command{
		Use:   "window DIR...",
		Short: "Say what the outages of stored runs consist of, over all their trials",
		Long: `Say what the outages of stored runs consist of, over all their trials: for each
scenario the window and the health gap, their phases, and from which delay on
probes are answered. A folder may be a run's or above several; all are of one
engine. Trials on a busy host are left out, unless --busy says that they count.`,
		Example: `  killpoint window out/20260102-150405
  killpoint window out/a out/b --picture phases.svg`,
		Args: needs(1, 0, "the folders of runs"),
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := compare.Stored(args...)
			if err != nil {
				return usageErrorf("%w", err)
			}
			if file != "" {
				if err := drawPhases(file, title, run, busy); err != nil {
					return err
				}
			}
			for _, name := range slices.Sorted(maps.Keys(run)) {
				if err := windowText(a.out, name, run[name], busy); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "picture", "", "draw the phases into this file, as SVG; of one scenario only")
	cmd.Flags().BoolVar(&busy, "busy", false, "count trials on a busy host, too")
	cmd.Flags().StringVar(&title, "title", "", "the picture's title (default: the scenario)")
	return cmd
}

func drawPhases(file, title string, run compare.Run, busy bool) error {
	if len(run) != 1 {
		return usageErrorf("--picture draws one scenario, and these are %d: %s", len(run), shortened(slices.Sorted(maps.Keys(run))))
	}
	for name, side := range run {
		s := window.Summarize(side.Measured(busy))
		if s.Window.Came == 0 {
			return usageErrorf("there is nothing to draw: none of the %d trials of %s on a quiet host has an outage that ended", len(side.Trials), name)
		}
		if title == "" {
			title = name
		}
		f, err := os.Create(file)
		if err != nil {
			return usageErrorf("--picture: %w", err)
		}
		err = picture.Phases(f, picture.Outage{
			Title: title, Window: s.Window, Phases: s.Phases,
			Note: note(name, s, busy),
		})
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		return err
	}
	return nil
}

func note(name string, s window.Summary, busy bool) string {
	text := fmt.Sprintf("%s: %s", name, count(s.Trials, "trial"))
	switch {
	case busy:
		return text + ", those on a busy host among them."
	case s.Noisy > 0:
		return fmt.Sprintf("%s; %d more left out, for their host was busy.", text, s.Noisy)
	}
	return text + "."
}

func windowText(out io.Writer, name string, side compare.Side, busy bool) error {
	measured := side.Measured(busy)
	s := window.Summarize(measured)
	noisy := window.Summarize(side.Measured(false)).Noisy
	_, _ = fmt.Fprintf(out, "%s\n  %s, %d counted, %d on a busy host\n", name, count(len(side.Trials), "trial"), s.Trials, noisy)
	if s.Trials == 0 {
		_, err := fmt.Fprintln(out)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  time\tmedian\t95 %\t95th percentile\tworst\tshare")
	line := func(name string, d window.Distribution, share string) {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\n", name, timeText(d.Median.At), heldText(d.Median), timeText(d.P95.At), timeText(d.Worst), share)
	}
	line("outage window", s.Window, "")
	line("until nobody waits", s.WindowAll, "")
	line("health gap", s.HealthGap, "")
	for _, p := range s.Phases {
		if p.Worst >= time.Millisecond || p.Phase == window.Unattributed {
			line("  "+string(p.Phase), p.Distribution, fmt.Sprintf("%.2f %%", 100*p.Share))
		}
	}
	_ = w.Flush()
	var outages []*window.Outage
	for _, m := range measured {
		outages = append(outages, m.Outage)
	}
	for _, k := range window.Kinds(outages) {
		if err := kindText(out, k, outages); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out)
	return err
}

// kindText says how often probes of one kind were answered, by their delay.
func kindText(out io.Writer, k window.Kind, outages []*window.Outage) error {
	var of []*window.Outage
	for _, o := range outages {
		of = append(of, o.Of(k))
	}
	r, err := window.Together(of)
	if err != nil {
		return err
	}
	var rates []string
	for _, d := range r.Delays {
		if d.N > 0 {
			i := d.Answered()
			rates = append(rates, fmt.Sprintf("%v %d/%d (%.0f–%.0f %%)", d.Delay, d.Good, d.N, 100*i.Low, 100*i.High))
		}
	}
	_, err = fmt.Fprintf(out, "  %v, patience %v: %s\n  answered: %s\n", k, r.Timeout, edgesText(r.Edges), strings.Join(rates, ", "))
	return err
}

func timeText(d time.Duration) string { return seconds(d.Seconds()) }

func heldText(q window.Quantile) string {
	if q.Low < 0 || q.High < 0 {
		return "too few"
	}
	return timeText(q.Low) + " to " + timeText(q.High)
}
