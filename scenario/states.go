package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/rivet"
	"github.com/killpoint/killpoint/workload"
)

// Asleep has an actor go to sleep, and sleep for a time, before the fault; with
// a time of 0 that strikes as soon as the engine says that the actor sleeps.
// From the first good /health on it is asked for its health, which wakes it.
// That request reads nothing and writes nothing: one that did would have work
// of its own to wait for, and set the time anew after which the actor sleeps.
func Asleep(since time.Duration) Part { return asleep{since} }

type asleep struct{ since time.Duration }

// key tells an actor that has just fallen asleep from another.
func (a asleep) key() string {
	if a.since == 0 {
		return "just-asleep"
	}
	return "asleep"
}

func (a asleep) String() string {
	if a.since == 0 {
		return "an actor that has just fallen asleep"
	}
	return fmt.Sprintf("an actor asleep for %v", a.since)
}

func (a asleep) Actors() ([]string, int) { return []string{a.key()}, 0 }

func (a asleep) Invariants() []check.Invariant {
	return []check.Invariant{check.AsleepWhenStruck(a.key())}
}

func (a asleep) Begin(ctx context.Context, s *Stage) (Course, error) {
	if err := s.sleep(ctx, s.Actors[0]); err != nil {
		return Course{}, err
	}
	return Course{Recovered: func(ctx context.Context, healthy clock.Mono) error {
		return s.AskAll(ctx, healthy, s.Actors, workload.HealthProbe())
	}}, clock.Until(ctx, clock.Now().Add(a.since))
}

// sleepInterval is how often the engine is asked whether an actor sleeps, which
// it announces to nobody.
const sleepInterval = 10 * time.Millisecond

// sleep has the engine put one actor to sleep: the setting of the fixture would
// put those of the sweep to sleep as well. It returns when the runtime has ended
// the generation, and the engine knows of it.
func (s *Stage) sleep(ctx context.Context, t probe.Target) error {
	stopped := s.expectActor(t.Actor, "stopped")
	if err := s.Cell.API().SleepActor(ctx, s.Counter.Namespace, t.Actor); err != nil {
		return fmt.Errorf("put actor %s (%s) to sleep: %w", t.Key, t.Actor, err)
	}
	if err := stopped(ctx, holdBound, "actor "+t.Actor+" to stop in the runtime"); err != nil {
		return err
	}
	ctx, cancel := bounded(ctx, holdBound, "the engine to say that actor "+t.Actor+" sleeps")
	defer cancel()
	tick := time.NewTicker(sleepInterval)
	defer tick.Stop()
	for {
		a, err := s.Cell.API().GetActor(ctx, s.Counter.Namespace, t.Actor)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("ask whether actor %s (%s) sleeps: %w", t.Key, t.Actor, err)
		}
		if err == nil && a.SleepTS != nil && a.ConnectableTS == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; last seen: %s", context.Cause(ctx), lifeOf(a))
		}
	}
}

func lifeOf(a rivet.Actor) string {
	said := func(ts *int64) string {
		if ts == nil {
			return "none"
		}
		return fmt.Sprint(*ts)
	}
	return fmt.Sprintf("sleep_ts %s, connectable_ts %s", said(a.SleepTS), said(a.ConnectableTS))
}

// OpenWebSocket has a client hold a WebSocket to an actor open. Where it is
// still open at the first good /health, it must carry a ping and its pong within
// the sweep's bound. Meanwhile another client opens a new one, as a user does
// whose connection broke.
func OpenWebSocket() Part { return openWebSocket{} }

type openWebSocket struct{}

func (openWebSocket) String() string { return "a WebSocket held open" }

func (openWebSocket) Actors() ([]string, int) { return []string{"websocket"}, 0 }

func (openWebSocket) Invariants() []check.Invariant {
	return []check.Invariant{check.SocketEndSeen(workload.HeldSocket)}
}

func (openWebSocket) Begin(ctx context.Context, s *Stage) (Course, error) {
	held, err := s.Counter.HoldSocket(ctx, s.Actors[0])
	if err != nil {
		return Course{}, err
	}
	return Course{
		Recovered: func(ctx context.Context, healthy clock.Mono) error {
			proved := make(chan struct{})
			go func() {
				defer close(proved)
				held.Prove(ctx, healthy.Add(s.Sweep.Bound))
			}()
			err := s.reconnect(ctx, healthy)
			<-proved
			return err
		},
		End: func(context.Context) error { return held.Close() },
	}, nil
}

// reconnect asks as AskAll does, by WebSocket.
func (s *Stage) reconnect(ctx context.Context, healthy clock.Mono) error {
	return s.beside(probe.ViaWebSocket, 0, s.Actors).Run(ctx, s.Counter.Gateway, healthy, s.Actors, workload.PingProbe())
}

// Streaming has a client read an answer that is still being sent when the fault
// strikes: a chunk every 50 ms. After it the actor is asked for its health, and
// for a new stream. It needs protocol 8, and an engine from 2.3.17 on: earlier
// ones give an empty answer in the place of a streamed one.
func Streaming() Part { return streaming{} }

type streaming struct{}

func (streaming) String() string { return "an answer being streamed" }

func (streaming) Actors() ([]string, int) { return []string{"stream"}, 0 }

func (streaming) Invariants() []check.Invariant {
	return []check.Invariant{check.StreamNotCutSilently(workload.Stream, againBound), check.WorksAgain(workload.Stream, againBound)}
}

const (
	chunkInterval = 50 * time.Millisecond
	// longStream is for longer than any fault and restart, so that it cannot
	// be over by then; shortStream is over soon.
	longStream  = 1200
	shortStream = 5
	// chunksBefore the fault show that it is under way, not only begun.
	chunksBefore = 5
	// againBound is how long after the first good /health a new stream may take
	// to work, and the client of the old one to be told of its end.
	againBound = 15 * time.Second
)

func (streaming) Begin(ctx context.Context, s *Stage) (Course, error) {
	flowing, over := make(chan struct{}), make(chan struct{})
	// Whoever reads it is stopped at the end of the part.
	reading, stop := context.WithCancel(ctx)
	go func() {
		defer close(over)
		s.Counter.Stream(reading, s.Actors[0], longStream, chunkInterval, 0, func(n int) {
			if n == chunksBefore {
				close(flowing)
			}
		})
	}()
	course := Course{
		Recovered: func(ctx context.Context, healthy clock.Mono) error {
			if err := s.AskAll(ctx, healthy, s.Actors, workload.HealthProbe()); err != nil {
				return err
			}
			if err := s.streamAgain(ctx, healthy.Add(againBound)); err != nil {
				return err
			}
			// The client of the old stream is to know its end. Where it does not
			// by then, the invariant says so.
			return clock.UntilOr(ctx, healthy.Add(againBound), over)
		},
		End: func(context.Context) error {
			stop()
			<-over
			return nil
		},
	}
	waiting, cancel := bounded(ctx, holdBound, fmt.Sprintf("%d chunks of the stream", chunksBefore))
	defer cancel()
	select {
	case <-flowing:
		return course, nil
	case <-over:
		return course, errors.New("the stream ended before the fault; how is in the history")
	case <-waiting.Done():
		return course, context.Cause(waiting)
	}
}

// streamAgain asks for a new stream until one comes whole, or the deadline has
// passed.
func (s *Stage) streamAgain(ctx context.Context, deadline clock.Mono) error {
	for {
		asked := clock.Now()
		ret := s.Counter.Stream(ctx, s.Actors[0], shortStream, chunkInterval, max(deadline.Sub(asked), s.Sweep.Timeout), nil)
		if ret.Outcome == history.OK || clock.Now() >= deadline {
			return context.Cause(ctx)
		}
		if err := clock.Until(ctx, asked.Add(probe.RecoveryPause)); err != nil {
			return err
		}
	}
}

// AlarmDue has an actor set an alarm that falls due while the engine is down,
// see [StayDown]. An actor that runs is asked for its health from the first good
// /health on. One that sleeps is asked only when the alarm has fired, or Within
// has passed, because a request would wake it. It is the last of the parts.
type AlarmDue struct {
	// After the fault it is due, which strikes when this part has begun.
	After time.Duration
	// Asleep is for how long the actor sleeps before the fault; 0: it runs.
	Asleep time.Duration
	// Within is how long after the first good /health the alarm may fire.
	Within time.Duration
}

var _ Part = AlarmDue{}

// String implements [Part].
func (a AlarmDue) String() string {
	who := "a running actor"
	if a.Asleep > 0 {
		who = fmt.Sprintf("an actor asleep for %v", a.Asleep)
	}
	return fmt.Sprintf("an alarm of %s, due %v after the fault", who, a.After)
}

const alarmKey = "alarm"

// Actors implements [Part].
func (AlarmDue) Actors() ([]string, int) { return []string{alarmKey}, 0 }

// Invariants implements [Part].
func (a AlarmDue) Invariants() []check.Invariant {
	all := []check.Invariant{check.AlarmFires(workload.SetAlarm, a.Within)}
	if a.Asleep > 0 {
		all = append(all, check.AsleepWhenStruck(alarmKey))
	}
	return all
}

// alarmLead is the least time from the setting of an alarm to the fault: enough
// for the engine to store what it was told, which it confirms to nobody.
const alarmLead = 1500 * time.Millisecond

// Begin implements [Part].
func (a AlarmDue) Begin(ctx context.Context, s *Stage) (Course, error) {
	t := s.Actors[0]
	fired := s.expectActor(t.Actor, "alarm")
	lead := max(a.Asleep, alarmLead)
	strike := clock.Now().Add(lead)
	if ret := s.Counter.SetAlarm(ctx, t, lead+a.After); ret.Outcome != history.OK {
		return Course{}, fmt.Errorf("set an alarm of actor %s (%s): it ended %v", t.Key, t.Actor, ret)
	}
	if a.Asleep > 0 {
		if err := s.sleep(ctx, t); err != nil {
			return Course{}, err
		}
	}
	return Course{Recovered: func(ctx context.Context, healthy clock.Mono) error {
		return a.recovered(ctx, s, healthy, fired)
	}}, clock.Until(ctx, strike)
}

func (a AlarmDue) recovered(ctx context.Context, s *Stage, healthy clock.Mono, fired wait) error {
	if a.Asleep == 0 {
		if err := s.AskAll(ctx, healthy, s.Actors, workload.HealthProbe()); err != nil {
			return err
		}
	}
	// Whether it fired is for the invariant to say; here only the trial's own
	// end counts.
	err := fired(ctx, healthy.Add(a.Within).Sub(clock.Now()), "the alarm to fire")
	switch {
	case ctx.Err() != nil:
		return err
	case a.Asleep == 0:
		return nil
	}
	return s.askLate(ctx, healthy)
}

// askLate asks as AskAll does, at the next whole second after the first good
// /health, if there is one within the bound.
func (s *Stage) askLate(ctx context.Context, healthy clock.Mono) error {
	delay := clock.Now().Sub(healthy).Truncate(time.Second) + time.Second
	if delay >= s.Sweep.Bound {
		return nil
	}
	return s.beside(probe.ViaHTTP, delay, s.Actors).Run(ctx, s.Counter.Gateway, healthy, s.Actors, workload.HealthProbe())
}

// StayDown is the fault, after which the engine stays down for a time: for what
// has to fall into it.
func StayDown(f fault.Fault, d time.Duration) fault.Fault { return stayDown{f, d} }

type stayDown struct {
	fault.Fault
	d time.Duration
}

func (f stayDown) Strike(ctx context.Context, t fault.Target) (history.Exit, error) {
	exit, err := f.Fault.Strike(ctx, t)
	if err != nil {
		return exit, err
	}
	return exit, clock.Until(ctx, clock.Now().Add(f.d))
}

func (f stayDown) String() string { return fmt.Sprintf("%v, and down for %v", f.Fault, f.d) }
