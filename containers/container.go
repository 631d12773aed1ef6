package containers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// ErrNotRunning says that there is no living incarnation to act upon.
var ErrNotRunning = errors.New("the container is not running")

// ErrRunning says that the container cannot be started because it runs.
var ErrRunning = errors.New("the container is running")

// Way is how a signal reaches its target.
type Way string

// The ways.
const (
	// WayDocker asks the daemon, as platforms do. It takes about 10 ms.
	WayDocker Way = "docker-api"
	// WayPidfd signals the process itself, within about a millisecond. It needs
	// root and a daemon whose containers are processes of this kernel.
	WayPidfd Way = "pidfd"
)

// WayError says that a signal cannot be sent that way here.
type WayError struct {
	Way Way
	Err error
}

func (e *WayError) Error() string {
	return fmt.Sprintf("no signal can be sent by %s here: %v; it needs root and a daemon on this machine; where it need not be a crash to the daemon, use %s",
		e.Way, e.Err, WayDocker)
}

func (e *WayError) Unwrap() error { return e.Err }

// Container is a party's container through all of its incarnations. Its
// methods are safe for concurrent use; those that change its state wait for
// one another, except that signals get through while a Stop waits.
type Container struct {
	session    *Session
	rec        history.Recorder
	role, name string
	id         string
	image      string
	stopSignal string
	keep       func(line string) bool // which lines of output the history gets
	// count numbers the incarnations. Containers that do the same work beside each
	// other share it.
	count *atomic.Int64
	// policy is the daemon's; keeper follows what it does by that, from the first
	// Start on.
	policy RestartPolicy
	keeper *keeper
	tap    *Tap // that strikes it, nil where there is none

	starting sync.Mutex // held by Start

	mu    sync.Mutex
	lives []*life
}

// Name is the container's name in Docker.
func (c *Container) Name() string { return c.name }

// Role is "engine" or "runtime".
func (c *Container) Role() string { return c.role }

// ID is the container's id in Docker.
func (c *Container) ID() string { return c.id }

// Incarnation counts the container's lives; those of a runtime that was added go
// on from the others'. It is 0 before the first Start.
func (c *Container) Incarnation() int {
	if l := c.current(); l != nil {
		return l.n
	}
	return 0
}

// Party names the current incarnation in a history: "engine#2".
func (c *Container) Party() string { return party(c.role, c.Incarnation()) }

func party(role string, incarnation int) string { return fmt.Sprintf("%s#%d", role, incarnation) }

func (c *Container) current() *life {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lives) == 0 {
		return nil
	}
	return c.lives[len(c.lives)-1]
}

// at is the incarnation that lived at that instant: the daemon may have started
// another one since. nil: none did yet.
func (c *Container) at(t clock.Mono) *life {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.lives) - 1; i >= 0; i-- {
		if c.lives[i].began <= t {
			return c.lives[i]
		}
	}
	return nil
}

// Start begins the next incarnation, and returns when the daemon says that it
// runs, which is before it serves. It fails with [ErrRunning] while one lives.
func (c *Container) Start(ctx context.Context) error {
	c.starting.Lock()
	defer c.starting.Unlock()
	if l := c.current(); l != nil {
		select {
		case <-l.done:
		default:
			return fmt.Errorf("start %s: %w", c.name, ErrRunning)
		}
	}
	if err := c.watchDaemon(ctx); err != nil {
		return c.session.explain("follow what the daemon does with "+c.name, err)
	}
	l, err := c.begin(ctx)
	if err != nil {
		c.count.Add(-1) // nothing was said of that one
		return c.session.explain("start "+c.name, err)
	}
	c.mu.Lock()
	c.lives = append(c.lives, l)
	c.mu.Unlock()
	if err = l.start(ctx); err == nil && c.tap != nil {
		err = c.tap.announced(ctx, l)
	}
	return c.session.explain("start "+c.name, err)
}

// Stop sends the container's stop signal by the Docker API, waits for the exit
// and, when grace has passed without one, sends SIGKILL. Unlike Docker's own
// stop it takes any duration, not whole seconds. It returns the exit record.
//
// When ctx ends first, the container is left as it is then, signalled.
func (c *Container) Stop(ctx context.Context, grace time.Duration) (history.Exit, error) {
	return c.StopWith(ctx, grace, 0, c.stopSignal)
}

// StopWith is Stop by other signals than the container's own: each is sent gap
// after the one before, unless the container has left by then. The grace counts
// from the first.
func (c *Container) StopWith(ctx context.Context, grace, gap time.Duration, signals ...string) (history.Exit, error) {
	f := c.fault("stop", WayDocker, stopText(grace, gap, signals))
	return c.end(ctx, f, func(l *life) error {
		over := clock.Now().Add(grace)
		for i, sig := range signals {
			if i > 0 {
				if left, err := l.leavesBy(ctx, min(clock.Now().Add(gap), over)); left || err != nil {
					return err
				}
			}
			if err := l.send(ctx, sig, WayDocker); err != nil {
				if i > 0 && errors.Is(err, ErrNotRunning) {
					return nil // it left in the very moment
				}
				return err
			}
		}
		return l.killAfter(ctx, over.Sub(clock.Now()), strings.Join(signals, ", "))
	})
}

func stopText(grace, gap time.Duration, signals []string) string {
	text := signals[0]
	for _, sig := range signals[1:] {
		text += fmt.Sprintf(", %s after %v", sig, gap)
	}
	return fmt.Sprintf("%s, SIGKILL after %v", text, grace)
}

// leavesBy waits for the life's end until then, and says whether it came.
func (l *life) leavesBy(ctx context.Context, then clock.Mono) (bool, error) {
	timer := time.NewTimer(then.Sub(clock.Now()))
	defer timer.Stop()
	select {
	case <-l.exited:
		return true, nil
	case <-ctx.Done():
		return false, fmt.Errorf("wait for the exit after a signal: %w", context.Cause(ctx))
	case <-timer.C:
		return false, nil
	}
}

// Kill sends SIGKILL by the Docker API and returns the exit record.
func (c *Container) Kill(ctx context.Context) (history.Exit, error) {
	f := c.fault("kill", WayDocker, "SIGKILL")
	return c.end(ctx, f, func(l *life) error { return l.send(ctx, "SIGKILL", WayDocker) })
}

// end strikes the current incarnation with what must end it, and waits for
// the end.
func (c *Container) end(ctx context.Context, f fault, strike func(*life) error) (history.Exit, error) {
	what := f.kind + " " + c.name
	l, err := c.living()
	if err != nil {
		return history.Exit{}, fmt.Errorf("%s: %w", what, err)
	}
	f.record(history.FaultBegun, "")
	if err := strike(l); err != nil {
		f.record(history.FaultFailed, err.Error())
		return history.Exit{}, c.session.explain(what, err)
	}
	exit, err := c.ended(ctx, l)
	if err != nil {
		f.record(history.FaultFailed, err.Error())
		return exit, c.session.explain(what, err)
	}
	f.landed(l.diedAt())
	return exit, nil
}

// ended waits for the exit of a life that was killed. SIGKILL needs no help from
// the process: a long wait means that the daemon or the kernel is stuck.
func (c *Container) ended(ctx context.Context, l *life) (history.Exit, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no exit within %v after the signal", callTimeout))
	defer cancel()
	return l.wait(ctx)
}

func (c *Container) living() (*life, error) {
	l := c.current()
	if l == nil {
		return nil, ErrNotRunning
	}
	select {
	case <-l.exited:
		return nil, ErrNotRunning
	default:
		return l, nil
	}
}

// Signal sends a signal, as in "SIGUSR1", and does not wait for what it does.
// [WayPidfd] fails with a [*WayError] where it is not to be had.
func (c *Container) Signal(ctx context.Context, sig string, way Way) error {
	what := fmt.Sprintf("send %s to %s", sig, c.name)
	l, err := c.living()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	f := c.fault("signal", way, sig)
	f.record(history.FaultBegun, "")
	if err := l.send(ctx, sig, way); err != nil {
		f.record(history.FaultFailed, err.Error())
		return c.session.explain(what, err)
	}
	f.record(history.FaultLanded, "")
	return nil
}

// Terminate sends the container's stop signal by the Docker API, and does not
// wait for what it does.
func (c *Container) Terminate(ctx context.Context) error {
	return c.Signal(ctx, c.stopSignal, WayDocker)
}

// Pause freezes all processes of the container, by the Docker API.
func (c *Container) Pause(ctx context.Context) error {
	return c.freeze(ctx, "pause", history.FaultLanded, history.ContainerPaused, c.session.docker.ContainerPause)
}

// Unpause thaws them: it heals a Pause.
func (c *Container) Unpause(ctx context.Context) error {
	return c.freeze(ctx, "unpause", history.FaultHealed, history.ContainerUnpaused, c.session.docker.ContainerUnpause)
}

func (c *Container) freeze(ctx context.Context, what string, phase history.FaultPhase, state history.ContainerState, call func(context.Context, string) error) error {
	l, err := c.living()
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, c.name, err)
	}
	f := c.fault("pause", WayDocker, what)
	if phase == history.FaultLanded {
		f.record(history.FaultBegun, "")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := call(ctx, c.id); err != nil {
		f.record(history.FaultFailed, err.Error())
		return c.session.explain(what+" "+c.name, err)
	}
	f.record(phase, "")
	c.record(l.n, state, l.pid())
	return nil
}

// Wait waits for the end of the current incarnation and returns its exit
// record. Its output is complete by then.
func (c *Container) Wait(ctx context.Context) (history.Exit, error) {
	l := c.current()
	if l == nil {
		return history.Exit{}, fmt.Errorf("wait for the exit of %s: %w", c.name, ErrNotRunning)
	}
	exit, err := l.wait(ctx)
	if err != nil {
		return exit, c.session.explain("wait for the exit of "+c.name, err)
	}
	return exit, nil
}

// Exited is closed at the death of the current incarnation, or when the rig
// has lost sight of it because the daemon is gone: [Container.Wait] then says
// so. Before the first Start it is nil.
func (c *Container) Exited() <-chan struct{} {
	l := c.current()
	if l == nil {
		return nil
	}
	return l.exited
}

// Logs are the lines that an incarnation has written so far, each once, in
// the order of their arrival. They are all of them once Wait has returned.
func (c *Container) Logs(incarnation int) []LogLine {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lives {
		if l.n == incarnation {
			return l.book.all()
		}
	}
	return nil
}

// awaitLine waits until the current incarnation has written a line, or ended.
func (c *Container) awaitLine(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l := c.current()
	for {
		lines, grown := l.book.growth()
		if slices.ContainsFunc(lines, func(line LogLine) bool { return line.Text == want }) {
			return nil
		}
		select {
		case <-grown:
		case <-l.done:
			return c.exitedError(l)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to write %q: %w; it wrote %s", c.name, want, context.Cause(ctx), tail(lines, tailLines))
		}
	}
}

// ExitedError says that a party left while it was needed.
type ExitedError struct {
	Exit history.Exit
	Tail string // the end of its output
	Err  error  // why there is no exit record, where there is none
}

func (e *ExitedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s is gone, and its exit is unknown: %v; its last lines: %s", e.Exit.Name, e.Err, e.Tail)
	}
	oom := ""
	if e.Exit.OOM {
		oom = " (out of memory)"
	}
	return fmt.Sprintf("%s exited with code %d%s; its last lines: %s", e.Exit.Name, e.Exit.Code, oom, e.Tail)
}

func (e *ExitedError) Unwrap() error { return e.Err }

// tailLines is how much of a party's output an error shows.
const tailLines = 12

// exitedError describes an ended life. It waits for done.
func (c *Container) exitedError(l *life) error {
	<-l.done // bounded by the life's own timeouts
	e := &ExitedError{Exit: l.exit, Tail: tail(l.book.all(), tailLines), Err: l.err}
	e.Exit.Name = c.name
	return e
}

func (c *Container) record(incarnation int, what history.ContainerState, pid int) {
	c.rec.Record(harness, history.KindContainer, &history.Container{
		Role: c.role, Name: c.name, ID: c.id, Image: c.image, Incarnation: incarnation, What: what, PID: pid,
	})
}

// fault records what is done to an incarnation.
type fault struct {
	rec                  history.Recorder
	kind, target, detail string
	way                  Way
}

func (c *Container) fault(kind string, way Way, detail string) fault {
	return c.faultOf(c.Party(), kind, way, detail)
}

func (c *Container) faultOf(target, kind string, way Way, detail string) fault {
	return fault{rec: c.rec, kind: kind, target: target, way: way, detail: detail}
}

func (f fault) body(phase history.FaultPhase, failure string) *history.Fault {
	detail := f.detail
	if failure != "" {
		detail += ": " + failure
	}
	return &history.Fault{Kind: f.kind, Target: f.target, Way: string(f.way), Phase: phase, Detail: detail}
}

func (f fault) record(phase history.FaultPhase, failure string) {
	f.rec.Record(harness, history.KindFault, f.body(phase, failure))
}

func (f fault) landed(at clock.Mono) {
	f.rec.RecordAt(at, harness, history.KindFault, f.body(history.FaultLanded, ""))
}

// signalNumber reads "SIGTERM", "TERM" or "term".
func signalNumber(name string) (unix.Signal, error) {
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	n := unix.SignalNum(full)
	if n == 0 {
		return 0, fmt.Errorf("unknown signal %q: want a name as in SIGTERM", name)
	}
	return n, nil
}

// notRunning maps the daemon's way of saying so.
func notRunning(err error) error {
	if errdefs.IsConflict(err) || errdefs.IsNotFound(err) {
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	return err
}

// removal is how a container is taken away: killed if it lives, with the
// volumes that have no name.
var removal = container.RemoveOptions{Force: true, RemoveVolumes: true}
