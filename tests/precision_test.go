package tests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/stats"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/workload"
)

// TestPrecision measures how long after its moment a strike is made: the engine is
// killed again and again while a frame is held, by the executioner, by the Docker
// API and by the docker command, in one run. `make precision` runs it; elsewhere
// it is skipped, for it takes minutes.
func TestPrecision(t *testing.T) {
	strikes, err := strconv.Atoi(os.Getenv("KILLPOINT_STRIKES"))
	if err != nil || strikes < 1 {
		t.Skip("takes minutes: run by `make precision`, or with KILLPOINT_STRIKES set to a number of strikes")
	}
	sess := session(t)
	var table strings.Builder
	table.WriteString("## Moment to signal, moment to death\n\n| way | strikes | moment to signal call, ms: p50 | p99 | worst | moment to death, ms: p50 | p99 | worst |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, way := range []struct {
		name  string
		fault fault.Fault
	}{{"executioner", fault.Kill()}, {"Docker API", fault.ByDocker(fault.Kill())}, {"docker command", commandKill{}}} {
		s := struckAgain(way.fault, strikes)
		s.Name = "precision/" + strings.ReplaceAll(way.name, " ", "-")
		dir := filepath.Join(run.Dir, s.Slug())
		_, err := s.Run(run.ctx, sess, run.ID, dir, nil)
		require.NoError(t, err)
		signal, death := momentDelays(t, dir)
		require.Len(t, signal, strikes, "every strike has its moment")
		fmt.Fprintf(&table, "| %s | %d | %s | %s |\n", way.name, len(signal), quantiles(signal), quantiles(death))
		if way.name == "executioner" {
			assert.Less(t, stats.Quantile(signal, 0.99), time.Millisecond, "p99 from the frame's arrival to the signal call")
		}
	}
	fmt.Println(table.String())
	run.Section(table.String())
}

// struckAgain kills the engine at every next request of a load, when it was well
// again.
func struckAgain(f fault.Fault, times int) scenario.Scenario {
	next := moment.Frame("request-start", 1, moment.BeforeDelivery)
	s := scenario.Scenario{
		Engine: engines()[0], Fault: f, At: next, Reconnect: "fast", Drop: true,
		Parts: []scenario.Part{asking{workload.Load{Pause: 10 * time.Millisecond, Timeout: 5 * time.Second}}},
	}
	for range times - 1 {
		s.Then = append(s.Then, scenario.Later{Fault: f, At: next, Drop: true})
	}
	s.Sweep.Bound = time.Minute
	return s
}

// asking is a load that is under way at once: a strike's moment lies in it.
type asking struct{ workload.Load }

func (asking) String() string                { return "a client that asks" }
func (asking) Actors() ([]string, int)       { return []string{"asked"}, 0 }
func (asking) Invariants() []check.Invariant { return nil }

func (a asking) Begin(ctx context.Context, s *scenario.Stage) (scenario.Course, error) {
	stop := s.Counter.Start(ctx, a.Load, s.Actors)
	return scenario.Course{End: func(context.Context) error { stop(); return nil }}, nil
}

// momentDelays are the times from the moments to the signal calls and to the deaths, in
// ascending order.
func momentDelays(t *testing.T, dir string) (signal, death []time.Duration) {
	t.Helper()
	h, err := history.ReadFile(report.HistoryPath(dir))
	require.NoError(t, err)
	for _, e := range h.Events {
		if m, ok := e.Body.(*history.Moment); ok && m.What == "struck" {
			signal = append(signal, m.SignalT.Sub(m.ReachedT))
			death = append(death, m.DiedT.Sub(m.ReachedT))
		}
	}
	slices.Sort(signal)
	slices.Sort(death)
	return signal, death
}

func quantiles(d []time.Duration) string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }
	return ms(stats.Quantile(d, 0.5)) + " | " + ms(stats.Quantile(d, 0.99)) + " | " + ms(d[len(d)-1])
}

// commandKill is what a person or a script does.
type commandKill struct{}

func (commandKill) String() string { return "docker kill, the command" }

func (commandKill) Strike(ctx context.Context, target fault.Target) (history.Exit, error) {
	named, ok := target.(*containers.Container)
	if !ok {
		return history.Exit{}, errors.New("the target has no name to give the docker command")
	}
	if out, err := exec.CommandContext(ctx, "docker", "kill", named.Name()).CombinedOutput(); err != nil {
		return history.Exit{}, fmt.Errorf("docker kill %s: %w: %s", named.Name(), err, out)
	}
	return named.Wait(ctx) // until the daemon has reported the exit: it cannot be started before
}
