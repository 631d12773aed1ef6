// Command fixture is the runtime that killpoint tests an engine with: it hosts
// the counter actor, runs as PID 1 of a scratch container, and writes what
// happens to its standard output as a history's events. README.md documents
// its settings and its control channel.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/fixture-image/internal/bug"
	"github.com/killpoint/killpoint/fixture-image/internal/control"
	"github.com/killpoint/killpoint/fixture-image/internal/counter"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// party is the fixture's name in its events. The rig adds the incarnation.
const party = "runtime"

// Exit codes; a signal's is 128 plus its number.
const (
	exitFailed   = 1
	exitSettings = 2
)

var errSettings = errors.New("settings")

func main() {
	// A disposition of PID 1 is explicit: without Notify the kernel would
	// ignore SIGTERM, or Go's runtime would exit with 2.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, endSignals...)
	os.Exit(run(os.Environ(), signals))
}

// run is the life of the process; it returns the exit code.
func run(environ []string, signals <-chan os.Signal) int {
	s, err := table.Read(environ)
	if err != nil {
		// One line, however many mistakes.
		fmt.Fprintf(os.Stderr, "fixture: %v: %s\n", errSettings, strings.ReplaceAll(err.Error(), "\n", "; "))
		return exitSettings
	}
	if s.exit == exitUnhandled {
		signal.Reset(endSignals...)
	}
	dies, err := s.crash.due()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fixture:", err)
		return exitFailed
	}
	if dies && !s.crash.onStart {
		tellAndPanic("fixture: told to crash as it begins")
	}
	p, err := start(&s, dies)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fixture:", strings.ReplaceAll(err.Error(), "\n", "; "))
		if errors.Is(err, errSettings) {
			return exitSettings
		}
		return exitFailed
	}
	return p.wait(signals)
}

// process is the running fixture.
type process struct {
	settings *settings
	dies     bool // of the first actor that it is given
	view     *control.View
	points   *breakpoint.Set
	plant    *bug.Plant
	runtime  *envoy.Runtime
	servers  []*http.Server
	failed   chan error // a server that ended by itself
	memory   int64      // the limit of the container's, where the end needs one
}

func start(s *settings, dies bool) (*process, error) {
	boot, err := clock.BootID()
	if err != nil {
		return nil, err
	}
	p := &process{settings: s, dies: dies, view: control.NewView(os.Stdout, boot), failed: make(chan error, 2)}
	if s.exit == exitOOM {
		if p.memory, err = memoryLimit(); err != nil {
			return nil, fmt.Errorf("%w: %w", errSettings, err)
		}
	}
	// First of all, so that who reads the log knows the clock of the rest.
	p.view.Record(party, history.KindClock, history.Clock{BootID: boot})
	p.plant = bug.New(s.bug, func(kind history.Kind, body any) { p.view.Record(party, kind, body) })
	if s.bug != bug.None {
		fmt.Fprintln(os.Stderr, "fixture: wrong on purpose:", s.bug)
	}
	p.points = breakpoint.NewSet(func(b history.Breakpoint) { p.view.Record(party, history.KindBreakpoint, b) })
	for _, a := range s.arms {
		p.points.Arm(a.name, "", a.deadline)
	}
	if p.runtime, err = envoy.New(p.envoyConfig()); err != nil {
		return nil, fmt.Errorf("%w: %w", errSettings, err)
	}
	if err := p.listen(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *process) envoyConfig() envoy.Config {
	s := p.settings
	actors := counter.Config{Heartbeat: s.heartbeat, SleepAfter: s.sleepAfter, CommitHold: s.commitHold, Breakpoints: p.points, Seams: p.plant.Seams()}
	return envoy.Config{
		Endpoint: s.endpoint, Token: s.token, EnvoyKey: s.envoyKey,
		Version: s.version, Protocol: s.protocol, Reconnect: s.reconnect,
		ForgetStopped: s.forgetStopped, DropAnswers: s.dropAnswers, NoRetryHint: s.noRetryHint,
		AckEvery: s.ackEvery, Lost: s.lost,
		ActorName: []string{counter.Name},
		New:       p.plant.Actors(func(h *envoy.Handle) envoy.Actor { return counter.New(actors, h) }),
		Recorder:  p.plant.Recorder(p.view), Party: party,
	}
}

// listen serves the engine's calls and, where it is wanted, the control
// channel.
func (p *process) listen() error {
	var on Listening
	var err error
	calls := p.runtime.Handler()
	if p.dies {
		calls = p.settings.crash.atStart(calls)
	}
	if on.Serverless, err = p.serve("serverless", p.settings.listen, calls); err != nil {
		return err
	}
	if p.settings.control != "" {
		on.Control, err = p.serve("control", p.settings.control, control.Handler(p.view, p.points, p.runtime.CutConnection))
	}
	if err != nil {
		return err
	}
	p.view.Record(party, kindListening, on)
	return nil
}

// Listening is the body of a "runtime.listening" event: from now on calls are
// answered. Control is empty where there is no control channel.
type Listening struct {
	Serverless string `json:"serverless"`
	Control    string `json:"control,omitempty"`
}

const kindListening history.Kind = "runtime.listening"

func (p *process) serve(what, addr string, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen for %s calls: %w", what, err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	p.servers = append(p.servers, srv)
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.failed <- fmt.Errorf("serve %s calls: %w", what, err)
		}
	}()
	return l.Addr().String(), nil
}

// wait is what the process does for the most part.
func (p *process) wait(signals <-chan os.Signal) int {
	for {
		select {
		case sig := <-signals:
			if n, ok := sig.(syscall.Signal); ok && p.settings.exit != exitIgnore {
				return p.onSignal(n, signals)
			}
			p.note(history.Shutdown{What: history.ShutdownIgnored, Signal: nameOf(sig)})
		case err := <-p.failed:
			fmt.Fprintln(os.Stderr, "fixture:", err)
			return exitFailed
		}
	}
}

func (p *process) note(s history.Shutdown) { p.view.Record(party, history.KindShutdown, s) }

// drainWithin drains for the grace at most. Signals that come meanwhile are
// recorded and change nothing, so that who signals twice is told, by the exit,
// that once was enough; or the first of them ends the drain, and is returned.
func (p *process) drainWithin(signals <-chan os.Signal) (second syscall.Signal, err error) {
	drained := make(chan error, 1)
	go func() { drained <- p.drain() }()
	// The drain heeds the grace itself, and closes what is left afterwards.
	// Actor code that does not heed its end must not keep the process.
	var tooLong <-chan time.Time
	if p.settings.exit != exitEndless {
		timer := time.NewTimer(p.settings.drainGrace + closing)
		defer timer.Stop()
		tooLong = timer.C
	}
	for {
		select {
		case sig := <-signals:
			if n, ok := sig.(syscall.Signal); ok && p.settings.secondEnds {
				return n, nil
			}
			p.note(history.Shutdown{What: history.ShutdownAbsorbed, Signal: nameOf(sig)})
		case err := <-drained:
			return 0, err
		case <-tooLong:
			return 0, fmt.Errorf("the actors' code still runs %v after the drain grace of %v", closing, p.settings.drainGrace)
		}
	}
}

// closing is the time for closing everything after the drain grace.
const closing = time.Second

// drain lets the engine take the actors back, within the grace, and closes
// everything.
func (p *process) drain() error {
	ctx := context.Background()
	if p.settings.exit != exitEndless {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.settings.drainGrace, fmt.Errorf("the drain grace of %v has passed", p.settings.drainGrace))
		defer cancel()
	}
	err := p.points.Reach(ctx, breakpoint.InDrain, breakpoint.Where{})
	return errors.Join(err, p.runtime.Drain(ctx), p.close())
}

func (p *process) close() error {
	err := p.runtime.Close()
	p.plant.Close()
	p.view.Close() // ends the control channel's streams
	for _, srv := range p.servers {
		err = errors.Join(err, end(srv))
	}
	return err
}

// end lets the server finish the calls that are being answered, as the last of
// them has ended by now, and cuts off what has not been within a second.
func end(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if srv.Shutdown(ctx) == nil {
		return nil
	}
	return srv.Close()
}
