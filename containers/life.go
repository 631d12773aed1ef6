package containers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/internal/pidfd"
)

const (
	// drainTimeout bounds the wait for the rest of the output after a death. The
	// daemon itself waits 2 s for it before it reports the exit.
	drainTimeout = 10 * time.Second
	// reportTimeout bounds the wait for the daemon's report of a death that was
	// seen already. It is late by up to 200 ms on an idle machine.
	reportTimeout = 15 * time.Second
)

// How a death was seen, in [history.Exit].
const (
	sourcePidfd  = "pidfd"
	sourceDocker = "docker"
)

// life is one incarnation of a container.
type life struct {
	c     *Container
	n     int
	began clock.Mono // before its start
	book  *logBook

	// exited is closed when the death is seen, done when the exit is recorded
	// and the output complete. Once done is closed, exit and err do not change.
	exited chan struct{}
	done   chan struct{}
	exit   history.Exit
	err    error

	byDaemon bool // started by a restart policy

	cancel  context.CancelFunc      // ends the follower and the wait for the daemon's report
	stream  *types.HijackedResponse // nil where the output is read from the daemon's log
	drained chan struct{}
	reports <-chan exitReport

	mu         sync.Mutex
	process    *pidfd.Process // nil where it is not to be had
	processErr error          // why
	number     int            // PID, as the daemon says
	signal     string
	by         string
	signalT    clock.Mono
	graceEnded bool
	died       clock.Mono
}

// newLife numbers the next incarnation.
func (c *Container) newLife() *life {
	n := int(c.count.Add(1))
	return &life{
		c: c, n: n, began: clock.Now(),
		book: &logBook{
			rec: c.rec, role: c.role, name: c.name, incarnation: n, party: party(c.role, n),
			bootID: c.session.bootID, keep: c.keep,
		},
		exited:  make(chan struct{}),
		done:    make(chan struct{}),
		drained: make(chan struct{}),
	}
}

// begin prepares the next incarnation: its output is followed and its exit
// awaited from before its start, so that neither a line nor the exit can be
// missed. The output is attached to rather than read from the daemon's log,
// because a log goes on over restarts and an attachment ends with the process.
func (c *Container) begin(ctx context.Context) (*life, error) {
	l := c.newLife()
	// The follower and the wait live as long as the incarnation, not as this call.
	var living context.Context
	living, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stream, err := c.session.docker.ContainerAttach(call, c.id, container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		l.cancel()
		return nil, fmt.Errorf("attach to its output: %w", err)
	}
	l.stream = &stream
	if c.policy != RestartNever {
		c.keeper.expect(living, l)
		return l, nil
	}
	l.reports, err = c.session.awaitExit(living, call, c.id)
	if err != nil {
		l.cancel()
		stream.Close()
		return nil, fmt.Errorf("wait for its exit: %w", err)
	}
	return l, nil
}

// exitReport is what the daemon says of an exit.
type exitReport struct {
	code int
	oom  bool       // by the daemon's events, where those are followed
	at   clock.Mono // when the daemon says that it was; 0: now
	err  error      // the daemon could not say
}

// awaitExit registers with the daemon for the container's next exit, which
// must happen before its start, and returns where the report will arrive. call
// bounds the registration; the end of living ends the wait with an error.
func (s *Session) awaitExit(living, call context.Context, id string) (<-chan exitReport, error) {
	registered, reports := make(chan error, 1), make(chan exitReport, 1)
	go func() {
		// It returns when the daemon has registered the wait, or refused to.
		result, errs := s.docker.ContainerWait(living, id, container.WaitConditionNextExit)
		select {
		case err := <-errs:
			registered <- err
			return
		default:
			registered <- nil
		}
		select {
		case err := <-errs:
			reports <- exitReport{err: err}
		case r := <-result:
			if r.Error != nil {
				reports <- exitReport{err: errors.New(r.Error.Message)}
				return
			}
			reports <- exitReport{code: int(r.StatusCode)}
		}
	}()
	select {
	case err := <-registered:
		return reports, err
	case <-call.Done():
		return nil, context.Cause(call) // the caller ends living, and with it the goroutine
	}
}

// start starts the container and the goroutines that watch it. A start that
// fails is an end as well: done is closed, and err says why.
func (l *life) start(ctx context.Context) error {
	c := l.c
	go l.follow()
	c.record(l.n, history.ContainerStarting, 0)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.session.docker.ContainerStart(ctx, c.id, container.StartOptions{}); err != nil {
		l.abandon(fmt.Errorf("incarnation %d never ran: %w", l.n, err))
		return err
	}
	l.hold(ctx, time.Time{})
	c.record(l.n, history.ContainerStarted, l.pid())
	go l.watch()
	return nil
}

// abandon ends a life that did not begin.
func (l *life) abandon(err error) {
	l.err = err
	l.cancel()
	<-l.reports // ended by the cancel
	if l.c.keeper != nil {
		l.c.keeper.forget(l)
	}
	l.closeStream()
	<-l.drained
	close(l.exited)
	close(l.done)
}

// follow reads the output until the process has ended, or the stream is closed.
func (l *life) follow() {
	defer close(l.drained)
	stdout := &lineSplitter{emit: func(b []byte) { l.book.add("stdout", b) }}
	stderr := &lineSplitter{emit: func(b []byte) { l.book.add("stderr", b) }}
	// A broken stream shows as an exit that the daemon does not report either.
	_, _ = stdcopy.StdCopy(stdout, stderr, l.stream.Reader)
	stdout.flush()
	stderr.flush()
}

// hold opens a pidfd of the process where that can be done. The daemon may have begun
// another life by now: began is when it said that it had begun this one, and zero where
// only the rig can have.
func (l *life) hold(ctx context.Context, began time.Time) {
	c := l.c
	info, err := c.session.docker.ContainerInspect(ctx, c.id)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.processErr = err
		return
	}
	l.number = info.State.Pid
	if started, err := time.Parse(time.RFC3339Nano, info.State.StartedAt); err == nil && !began.IsZero() && started.After(began) {
		l.number, l.processErr = 0, fmt.Errorf("the daemon has begun another life since, at %s", info.State.StartedAt)
		return
	}
	switch {
	case c.session.local:
		l.process, l.processErr = pidfd.Open(info.State.Pid, c.id)
	case c.session.near:
		l.process, l.processErr = pidfd.Find(info.State.Pid, c.id)
	default:
		l.processErr = errors.New("the Docker daemon is on another machine")
	}
}

func (l *life) pid() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.number
}

func (l *life) diedAt() clock.Mono {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.died
}

// watch waits for the death, at its source where possible, and records the
// exit when the daemon has reported it and the output is complete.
func (l *life) watch() {
	defer close(l.done)
	if p := l.held(); p != nil && p.Wait() == nil {
		l.dead(clock.Now())
		l.finish(sourcePidfd, l.reported())
		return
	}
	r := <-l.reports
	l.dead(cmp.Or(r.at, clock.Now()))
	l.finish(sourceDocker, r)
}

// closeStream ends an attachment.
func (l *life) closeStream() {
	if l.stream != nil {
		l.stream.Close()
	}
}

// reported waits for the daemon's report of a death that was seen already.
func (l *life) reported() exitReport {
	timer := time.NewTimer(reportTimeout)
	defer timer.Stop()
	select {
	case r := <-l.reports:
		return r
	case <-timer.C:
		l.cancel()
		r := <-l.reports
		r.err = fmt.Errorf("the process died, but the daemon did not report it within %v: %w", reportTimeout, r.err)
		return r
	}
}

func (l *life) held() *pidfd.Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.process
}

// letGo ends the watch although the process may live on: the daemon is gone,
// or is not to be waited for any longer.
func (l *life) letGo() {
	l.cancel()
	l.closeStream()
	if p := l.held(); p != nil {
		_ = p.Close() // wakes its waiter
	}
}

func (l *life) dead(at clock.Mono) {
	l.mu.Lock()
	l.died = at
	l.mu.Unlock()
	close(l.exited)
}

// finish joins what belongs to the life and records its exit.
func (l *life) finish(source string, r exitReport) {
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-l.drained:
	case <-timer.C: // whoever holds the stream open, it is not the process
	}
	l.closeStream()
	<-l.drained
	oom := r.err == nil && (r.oom || l.c.keeper == nil && l.oom())
	if l.c.tap != nil {
		l.c.tap.attribute(l)
	}
	l.cancel()
	if p := l.held(); p != nil {
		_ = p.Close() // nothing was written to it; letGo may have been first
	}
	l.exit, l.err = l.record(source, r.code, oom), r.err
	if l.err == nil {
		l.c.rec.RecordAt(l.diedAt(), harness, history.KindExit, &l.exit)
	}
}

// oom asks the daemon whether memory ran out; no exit code says so.
func (l *life) oom() bool {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	info, err := l.c.session.docker.ContainerInspect(ctx, l.c.id)
	return err == nil && info.State.OOMKilled
}

func (l *life) record(source string, code int, oom bool) history.Exit {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := history.Exit{
		Role: l.c.role, Name: l.c.name, Incarnation: l.n,
		Signal: l.signal, By: l.by, SignalT: l.signalT, GraceEnded: l.graceEnded,
		Code: code, OOM: oom, ToDeathNS: -1, Source: source, LogLines: l.book.count(),
	}
	if l.signal != "" {
		e.ToDeathNS = int64(l.died.Sub(l.signalT))
	}
	return e
}

func (l *life) wait(ctx context.Context) (history.Exit, error) {
	select {
	case <-l.done:
		return l.exit, l.err
	case <-ctx.Done():
		return history.Exit{}, fmt.Errorf("incarnation %d still runs: %w", l.n, context.Cause(ctx))
	}
}

// send sends a signal and notes it for the exit record.
func (l *life) send(ctx context.Context, sig string, way Way) error {
	return l.sendAs(ctx, sig, way, false)
}

func (l *life) sendAs(ctx context.Context, sig string, way Way, graceEnded bool) error {
	number, err := signalNumber(sig)
	if err != nil {
		return err
	}
	undo := l.note(sig, harness, graceEnded)
	switch way {
	case WayPidfd:
		err = l.sendDirectly(number)
	case WayDocker:
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		err = notRunning(l.c.session.docker.ContainerKill(ctx, l.c.id, sig))
	default:
		err = fmt.Errorf("unknown way %q to send a signal", way)
	}
	if err != nil {
		undo()
	}
	return err
}

func (l *life) sendDirectly(number unix.Signal) error {
	l.mu.Lock()
	p, why := l.process, l.processErr
	l.mu.Unlock()
	if p == nil {
		return &WayError{Way: WayPidfd, Err: why}
	}
	err := p.Signal(number)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	return err
}

// note keeps a signal for the exit record before it is sent, since the death
// may be seen before the call that sends it returns. undo is for a signal
// that was not sent after all.
func (l *life) note(sig, by string, graceEnded bool) (undo func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldSignal, oldBy, oldT, oldEnded := l.signal, l.by, l.signalT, l.graceEnded
	l.signal, l.by, l.signalT, l.graceEnded = sig, by, clock.Now(), graceEnded
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.signal, l.by, l.signalT, l.graceEnded = oldSignal, oldBy, oldT, oldEnded
	}
}

// killAfter waits for the exit and, when d has passed without one, sends SIGKILL
// by the Docker API; asked is the signal before it.
func (l *life) killAfter(ctx context.Context, d time.Duration, asked string) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait %v for the exit after %s: %w", d, asked, context.Cause(ctx))
	case <-timer.C:
	}
	err := l.sendAs(ctx, "SIGKILL", WayDocker, true)
	if errors.Is(err, ErrNotRunning) {
		return nil // it left in the very moment
	}
	return err
}
