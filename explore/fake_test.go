package explore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/spec"
	"github.com/killpoint/killpoint/workload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world carries trials out as an engine would that answers everything at once:
// each operation has a few frames, and the one that a strike lies in is sent
// again.
type world struct {
	mu      sync.Mutex
	carried []spec.Trial
	// loses says of which struck frames an acknowledged write is lost.
	loses func(t spec.Trial, at moment.FrameAt, op int) bool
	// before is called before each trial; what it returns is returned.
	before func(ctx context.Context, n int, t spec.Trial) error
	// hides is whether a frame of that operation does not come again in a trial
	// with strikes.
	hides func(op int) bool
	// after is whether the moments of breakpoints come.
	places []string
}

var errMissed = errors.New("the moment did not come")

func (w *world) carry(ctx context.Context, t spec.Trial, dir string) (check.Verdict, error) {
	w.mu.Lock()
	w.carried = append(w.carried, t)
	n := len(w.carried)
	w.mu.Unlock()
	if err := t.Write(dir); err != nil {
		return check.Verdict{}, err
	}
	if w.before != nil {
		if err := w.before(ctx, n, t); err != nil {
			return check.Verdict{State: check.Inconclusive}, err
		}
	}
	rec, err := history.Create(report.HistoryPath(dir), history.Header{Trial: t.Name})
	if err != nil {
		return check.Verdict{}, err
	}
	r := &fakeRun{world: w, w: rec, t: t, now: 1e9, counts: map[frameKind]int{}}
	lost, err := r.all()
	rec.RecordAt(r.now, "harness", history.KindEnd, &history.End{State: history.EndComplete})
	if cerr := rec.Close(); cerr != nil {
		return check.Verdict{}, cerr
	}
	v := check.Verdict{State: check.Pass, Findings: []check.Finding{{Invariant: "ledger", State: check.Pass}}}
	if lost {
		v = check.Verdict{State: check.Fail, Findings: []check.Finding{{Invariant: "ledger", State: check.Fail, Summary: "a write is gone"}}}
	}
	if err != nil {
		v = check.Verdict{State: check.Inconclusive, Findings: []check.Finding{{Invariant: "trial-complete", State: check.Inconclusive, Summary: err.Error()}}}
	}
	return v, err
}

type fakeRun struct {
	*world
	w      *history.Writer
	t      spec.Trial
	now    clock.Mono
	counts map[frameKind]int
	frame  uint64
	ops    int
	struck bool
	lost   bool
	// in is the operation under way.
	in int
}

func (r *fakeRun) record(kind history.Kind, body any) {
	r.now += 1e6
	r.w.RecordAt(r.now, "harness", kind, body)
}

func (r *fakeRun) all() (lost bool, err error) {
	r.record(history.KindPlan, &history.Plan{Steps: []string{"work", "read back"}})
	r.record(history.KindStep, &history.Step{N: 1, State: history.StepBegun})
	for _, k := range r.t.Strikes {
		r.record(history.KindMoment, &history.Moment{Moment: k.At.String(), What: "armed", Target: string(k.Target)})
	}
	if r.t.Runtime.Env["KILLPOINT_FIXTURE_ARM"] != "" {
		for _, p := range r.places {
			r.record(history.KindBreakpoint, &history.Breakpoint{Name: p, What: "reached"})
		}
	}
	for i, o := range r.t.Ops {
		r.in = i
		r.op(o, "")
	}
	if len(r.t.Strikes) > 0 && !r.struck {
		r.record(history.KindMoment, &history.Moment{Moment: r.t.Strikes[0].At.String(), What: "missed"})
		return false, errMissed
	}
	r.record(history.KindStep, &history.Step{N: 1, State: history.StepDone})
	r.record(history.KindStep, &history.Step{N: 2, State: history.StepBegun})
	return r.lost, nil
}

// op carries an operation out, again where a strike fell into it.
func (r *fakeRun) op(o workload.Op, retryOf string) {
	r.ops++
	id := fmt.Sprintf("op%d", r.ops)
	was := r.struck
	name := string(o.Name())
	r.record(history.KindInvoke, &history.Invoke{Op: id, RetryOf: retryOf, Name: name, Key: "golden"})
	r.frames(name)
	ret := &history.Return{Op: id, Outcome: history.OK}
	if r.struck && !was {
		ret.Outcome, ret.Cause = history.Info, history.CauseRefused
	}
	r.record(history.KindReturn, ret)
	if ret.Outcome != history.OK {
		r.op(o, id)
	}
}

func (r *fakeRun) frames(name string) {
	r.arrives(history.Frame{Wire: "envoy", Direction: "to-runtime", Type: "request-start", Detail: "POST /action/" + name, Key: "golden"})
	if name == "tick" {
		r.arrives(history.Frame{Wire: "envoy", Direction: "to-engine", Type: "exec-request", Detail: "commit", Key: "golden"})
		r.arrives(history.Frame{Wire: "envoy", Direction: "to-runtime", Type: "exec-response", Detail: "commit", Key: "golden"})
	}
	r.arrives(history.Frame{Wire: "envoy", Direction: "to-runtime", Type: "ping"})
	r.arrives(history.Frame{Wire: "envoy", Direction: "to-engine", Type: "response-start", Detail: "200", Key: "golden"})
}

func (r *fakeRun) arrives(f history.Frame) {
	if len(r.t.Strikes) > 0 && r.hides != nil && r.hides(r.in) {
		return
	}
	r.frame++
	f.N, f.What = r.frame, "arrived"
	r.record(history.KindFrame, &f)
	r.counts[frameKind{f.Wire, f.Direction, f.Type, f.Detail, f.Key}]++
	if r.struck || len(r.t.Strikes) == 0 {
		return
	}
	at, ok := r.t.Strikes[0].At.AtFrame()
	if !ok {
		r.struck = true // at a breakpoint
	} else {
		kind, n := frameKind{at.Wire, at.Direction, at.Type, at.Detail, at.Key}, 0
		for k, c := range r.counts {
			if kind.takes(k) {
				n += c
			}
		}
		r.struck = n == at.Nth && kind.takes(frameKind{f.Wire, f.Direction, f.Type, f.Detail, f.Key})
	}
	if !r.struck {
		return
	}
	for _, k := range r.t.Strikes {
		r.record(history.KindMoment, &history.Moment{Moment: k.At.String(), What: "struck", SignalT: r.now, Frame: f.N})
	}
	r.lost = r.loses != nil && r.loses(r.t, at, r.in)
}

// workloadOf is a trial of the operations without strikes.
func workloadOf(ops ...workload.Op) spec.Trial {
	return spec.Trial{Name: "w", Ops: ops}
}

func has(t *testing.T, path ...string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(path...))
	require.True(t, err == nil || errors.Is(err, os.ErrNotExist), "%v", err)
	return err == nil
}
