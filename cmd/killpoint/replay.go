package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/explore"
	"github.com/killpoint/killpoint/spec"
)

func newReplayCommand(a *app) *cobra.Command {
	var r explore.Replay
	cmd := &cobra.Command{
		Use:   "replay TRIAL",
		Short: "Repeat a recorded trial, and say how often its result comes again",
		Long: `Repeat the trial that a folder holds, the point of an exploration for one, and
say how often its result comes again. A result is the verdict, and of a failure
the invariant that failed.

It ends with 0 where the result came every time, with 1 where it did not, and
with 2 where a repetition did not come to its strikes.
`,
		Example: `  killpoint replay out/explore/points/0012-engine-kill
  killpoint replay out/explore/points/0012-engine-kill --times 20
  killpoint replay out/explore/points/0012-engine-kill --times 200 --jobs 20`,
		Args: needs(1, 1, "the folder of a trial"),
	}
	cmd.Flags().IntVar(&r.Times, "times", 1, "how often")
	cmd.Flags().IntVar(&r.Jobs, "jobs", 1, "how many side by side; on a loaded machine a race may show more often, or less")
	cmd.Flags().StringVar(&r.Dir, "out", "", "a new folder for the repetitions (default out/replay-TIME)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.replay(cmd.Context(), args[0], r)
	}
	return cmd
}

func (a *app) replay(ctx context.Context, dir string, r explore.Replay) (err error) {
	if r.Times < 1 || r.Jobs < 1 {
		return usageErrorf("--times %d, --jobs %d: want numbers from 1 on", r.Times, r.Jobs)
	}
	if r.Trial, r.Want, err = recorded(dir); err != nil {
		return err
	}
	if r.Dir, err = newFolder(r.Dir, "replay"); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.err, "the result of %s: %v\n", dir, r.Want)
	r.Done = func(n int, rep explore.Repetition) {
		_, _ = fmt.Fprintf(a.err, "%d of %d: %s\n", n, r.Times, rep.Line())
	}
	var rate explore.Rate
	err = a.withTrials(ctx, r.Trial.Engine, r.Dir, func(carry explore.Carry) (err error) {
		r.Carry = carry
		rate, err = r.Run(ctx)
		return err
	})
	if rate.Of > 0 {
		_, _ = fmt.Fprintf(a.out, "%v: %v; repetitions in %s\n", r.Want, rate, r.Dir)
	}
	switch {
	case err != nil:
		return err
	case rate.Met == rate.Of:
		return nil
	case rate.NotReached > 0 && rate.Met+rate.NotReached == rate.Of:
		return verdict(check.Inconclusive)
	}
	return verdict(check.Fail)
}

func newShrinkCommand(a *app) *cobra.Command {
	s := explore.Shrink{}
	cmd := &cobra.Command{
		Use:   "shrink TRIAL",
		Short: "Find the smallest trial that still fails, and print it as a Go test",
		Long: `Take operations, strikes and delays away from a recorded trial for as long as its
result still comes, repeat the smallest to say how often it does, and print that
as a Go test that is ready to paste.
`,
		Example: `  killpoint shrink out/explore/points/0012-engine-kill > shrunk_test.go`,
		Args:    needs(1, 1, "the folder of a trial"),
	}
	cmd.Flags().IntVar(&s.Tries, "tries", 2, "how often a smaller trial is carried out before it counts as one without the result")
	cmd.Flags().IntVar(&s.Times, "times", 10, "how often the smallest is repeated")
	cmd.Flags().StringVar(&s.Dir, "out", "", "a new folder for its trials (default out/shrink-TIME)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.shrink(cmd.Context(), args[0], s) }
	return cmd
}

func (a *app) shrink(ctx context.Context, dir string, s explore.Shrink) (err error) {
	if s.Tries < 1 || s.Times < 1 {
		return usageErrorf("--tries %d, --times %d: want numbers from 1 on", s.Tries, s.Times)
	}
	if s.Trial, s.Want, err = recorded(dir); err != nil {
		return err
	}
	if s.Want.State != check.Fail {
		return usageErrorf("the result of %s is %v: only a failure can be shrunk", dir, s.Want)
	}
	if s.Dir, err = newFolder(s.Dir, "shrink"); err != nil {
		return err
	}
	s.Done = func(t explore.Tried) {
		what := "still"
		if !t.Met {
			what = "no more"
		}
		_, _ = fmt.Fprintf(a.err, "%3d  %s: %s %v\n", t.N, t.What, what, s.Want)
	}
	var got explore.Shrunk
	err = a.withTrials(ctx, s.Trial.Engine, s.Dir, func(carry explore.Carry) (err error) {
		s.Carry = carry
		got, err = s.Run(ctx)
		return err
	})
	if len(got.Trial.Ops) == 0 {
		return err
	}
	src, perr := got.GoTest()
	if perr == nil {
		_, perr = fmt.Fprint(a.out, src)
	}
	_, _ = fmt.Fprintf(a.err, "%v in %v runs of the smallest; %d smaller trials, %d carried out; it is in %s\n", s.Want, got.Rate, got.Tried, got.Carried, got.Dir)
	return errors.Join(err, perr)
}

// recorded is the trial of a folder and its result. What it lacks is the data's
// fault.
func recorded(dir string) (spec.Trial, explore.Want, error) {
	trial, want, err := explore.Recorded(dir)
	if err != nil {
		err = &exitError{exitData, err}
	}
	return trial, want, err
}

// newFolder is the folder of a command's trials, which holds nothing yet.
func newFolder(out, what string) (string, error) {
	if out == "" {
		out = filepath.Join("out", what+"-"+time.Now().Format("20060102-150405"))
	}
	if err := isNew(out); err != nil {
		return "", err
	}
	return out, os.MkdirAll(out, 0o755)
}
