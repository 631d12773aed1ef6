// Package fault says what is done to a container. When it is done is the
// moment's business; what came of it is in the history.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Target is a container that a fault can strike. *containers.Container is one.
type Target interface {
	// Stop sends the container's stop signal and, when grace has passed
	// without an exit, SIGKILL. It returns the exit record of the incarnation.
	Stop(ctx context.Context, grace time.Duration) (history.Exit, error)
	// StopWith is Stop by the given signals, each gap after the one before. The
	// grace counts from the first.
	StopWith(ctx context.Context, grace, gap time.Duration, signals ...string) (history.Exit, error)
	// Kill sends SIGKILL.
	Kill(ctx context.Context) (history.Exit, error)
	// Terminate sends the container's stop signal and does not wait for what
	// it does.
	Terminate(ctx context.Context) error
	// Pause freezes it, Unpause thaws it.
	Pause(ctx context.Context) error
	Unpause(ctx context.Context) error
	// Exited is closed when the current incarnation has left.
	Exited() <-chan struct{}
}

// Fault strikes a target.
type Fault interface {
	// Strike delivers the fault to a running target.
	// Postcondition without an error: its effect was confirmed, and the exit
	// record is the struck incarnation's, empty where it did not die of it.
	Strike(ctx context.Context, t Target) (history.Exit, error)
	// String is how plans and tables call it.
	String() string
}

// Stop asks the target to leave by its stop signal (SIGTERM), as platforms
// do, and kills it after grace.
func Stop(grace time.Duration) Fault { return stop{grace} }

type stop struct{ grace time.Duration }

func (s stop) Strike(ctx context.Context, t Target) (history.Exit, error) {
	ctx, cancel := bounded(ctx, s.grace+landBound)
	defer cancel()
	return t.Stop(ctx, s.grace)
}

// landBound is how long a fault may take to land besides its own grace. It is
// far above what was measured: only something that is stuck meets it.
const landBound = time.Minute

func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("waited %v for the fault to land: %w", d, context.DeadlineExceeded))
}

func (s stop) String() string { return fmt.Sprintf("SIGTERM, SIGKILL after %v", s.grace) }

// StopWith asks the target to leave by that signal, as in "SIGINT", and kills it
// after grace.
func StopWith(signal string, grace time.Duration) Fault {
	return stopWith{grace: grace, signals: []string{signal}}
}

// StopTwice asks the target to leave by SIGTERM, and once more after the gap, as
// an impatient person or platform does, and kills it grace after the first.
func StopTwice(gap, grace time.Duration) Fault {
	return stopWith{grace: grace, gap: gap, signals: []string{"SIGTERM", "SIGTERM"}}
}

type stopWith struct {
	grace, gap time.Duration
	signals    []string
}

func (s stopWith) Strike(ctx context.Context, t Target) (history.Exit, error) {
	ctx, cancel := bounded(ctx, s.grace+landBound)
	defer cancel()
	return t.StopWith(ctx, s.grace, s.gap, s.signals...)
}

func (s stopWith) String() string {
	text := s.signals[0]
	for _, sig := range s.signals[1:] {
		text += fmt.Sprintf(", %s after %v", sig, s.gap)
	}
	return fmt.Sprintf("%s, SIGKILL after %v", text, s.grace)
}

// Kill ends the target by SIGKILL: no handler, no drain.
func Kill() Fault { return kill{} }

type kill struct{}

func (kill) Strike(ctx context.Context, t Target) (history.Exit, error) {
	ctx, cancel := bounded(ctx, landBound)
	defer cancel()
	return t.Kill(ctx)
}
func (kill) String() string { return "SIGKILL" }

// KillInDrain asks the target to leave by its stop signal and kills it after d
// in the middle of that, as a platform does whose patience ends, or a node
// that fails while it is drained. A target that leaves before is not struck as
// planned: that is [ErrLeft].
func KillInDrain(d time.Duration) Fault { return killInDrain{d} }

type killInDrain struct{ after time.Duration }

// ErrLeft says that the target was gone before the whole fault had struck.
var ErrLeft = errors.New("it left before the fault had struck")

func (k killInDrain) Strike(ctx context.Context, t Target) (history.Exit, error) {
	ctx, cancel := bounded(ctx, k.after+landBound)
	defer cancel()
	gone := t.Exited()
	if err := t.Terminate(ctx); err != nil {
		return history.Exit{}, err
	}
	timer := time.NewTimer(k.after)
	defer timer.Stop()
	select {
	case <-gone:
		return history.Exit{}, fmt.Errorf("kill %v into its drain: %w", k.after, ErrLeft)
	case <-ctx.Done():
		return history.Exit{}, context.Cause(ctx)
	case <-timer.C:
	}
	return t.Kill(ctx)
}

func (k killInDrain) String() string {
	return fmt.Sprintf("SIGTERM, SIGKILL %v into the drain", k.after)
}

// Pause freezes the target and thaws it after d. Nothing dies of it: the exit
// record is empty.
func Pause(d time.Duration) Fault { return pause{d} }

type pause struct{ d time.Duration }

func (p pause) Strike(ctx context.Context, t Target) (_ history.Exit, err error) {
	ctx, cancel := bounded(ctx, p.d+landBound)
	defer cancel()
	if err := t.Pause(ctx); err != nil {
		return history.Exit{}, err
	}
	// Also where the caller has had enough: a frozen container keeps its cell from
	// being removed.
	defer func() { err = errors.Join(err, t.Unpause(context.WithoutCancel(ctx))) }()
	return history.Exit{}, clock.Until(ctx, clock.Now().Add(p.d))
}

func (p pause) String() string { return fmt.Sprintf("frozen for %v", p.d) }

// Signals is a fault as the executioner delivers it while a moment is held.
type Signals struct {
	First string // as in "SIGKILL"
	// Grace is how long after it SIGKILL follows, if the target still lives.
	Grace time.Duration
	// Early says that a target which leaves before its grace has ended was not
	// struck as planned.
	Early bool
	// Resume is how long after it SIGCONT follows.
	Resume time.Duration
}

// Precise is a fault that the executioner can deliver.
type Precise interface {
	Fault
	Signals() Signals
}

// ByDocker is the fault by the Docker API, as platforms deliver it, also where an
// executioner could. At a frame's moment that is held meanwhile.
func ByDocker(f Fault) Fault { return byDocker{f} }

// byDocker is not Precise, for it embeds no more than the interface.
type byDocker struct{ Fault }

func (b byDocker) String() string { return b.Fault.String() + ", by the Docker API" }

// Signals implements [Precise].
func (kill) Signals() Signals { return Signals{First: "SIGKILL"} }

// Signals implements [Precise].
func (s stop) Signals() Signals { return Signals{First: "SIGTERM", Grace: s.grace} }

// Signals implements [Precise].
func (k killInDrain) Signals() Signals {
	return Signals{First: "SIGTERM", Grace: k.after, Early: true}
}

// Signals implements [Precise].
func (p pause) Signals() Signals { return Signals{First: "SIGSTOP", Resume: p.d} }
