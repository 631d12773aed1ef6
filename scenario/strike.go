package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/probe"
)

// Target is whom a fault strikes.
type Target string

// The targets.
const (
	Engine  Target = "engine" // also ""
	Runtime Target = "runtime"
	Both    Target = "both" // in the same moment, and by a cell's tap only
)

// momentBound is how long a moment may take to come.
const momentBound = 60 * time.Second

// strike is one fault of a trial: what, on whom, and when.
type strike struct {
	fault fault.Fault
	on    Target
	at    moment.Moment
	after time.Duration // the first good answer that followed the strike before
	drop  bool
}

func (s strike) String() string {
	text := fmt.Sprintf("strike the %s", s.on)
	if s.on == Both {
		text = "strike engine and runtime in the same moment"
	}
	if !s.at.IsNow() {
		text += " at " + s.at.String()
	}
	if s.drop {
		text += ", the frame dropped"
	}
	return text + ": " + s.fault.String()
}

// who is started again after it.
func (s strike) who() string {
	if s.on == Both {
		return "engine and runtime"
	}
	return "the " + string(s.on)
}

// firstAnswer is what its end is known by.
func (s strike) firstAnswer() string {
	if s.on == Runtime {
		return "the runtime's first answer"
	}
	return "its first good /health"
}

// strikes are all of the scenario, in their order.
func (s Scenario) strikes() []strike {
	if s.Fault == nil {
		return nil
	}
	all := []strike{{fault: s.Fault, on: s.On, at: s.At, drop: s.Drop}}
	for _, l := range s.Then {
		all = append(all, strike{fault: l.Fault, on: l.On, at: l.At, after: l.After, drop: l.Drop})
	}
	for i := range all {
		if all[i].on == "" {
			all[i].on = Engine
		}
	}
	return all
}

// tapped is whether the trial needs a tap.
func (s Scenario) tapped() bool {
	return s.Tap != nil || slices.ContainsFunc(s.strikes(), func(k strike) bool { return k.at.NeedsTap() || k.on == Both })
}

// endsEngine is whether the engine is to die: of a trial in which it is not
// there is no outage of its to read.
func (s Scenario) endsEngine() bool {
	return slices.ContainsFunc(s.strikes(), func(k strike) bool { return k.on != Runtime && k.kills() })
}

// kills is whether somebody dies of it.
func (k strike) kills() bool {
	p, ok := k.fault.(fault.Precise)
	return !ok || p.Signals().Resume == 0
}

// armed waits for a moment and strikes there. It returns when the strike has
// landed.
type armed func(ctx context.Context) error

// strikeAt does the same. coming ends when the moment can come no more; what
// follows a moment that came has the time of ctx.
type strikeAt func(coming, ctx context.Context) error

// arm sets the strike up, so that no moment from now on can be missed.
func (t *trial) arm(ctx context.Context, k strike) (armed, error) {
	if k.at.IsNow() {
		return func(ctx context.Context) error { return t.strikeNow(ctx, k) }, nil
	}
	t.moment(k, "armed", history.Moment{})
	var strike strikeAt
	var err error
	switch {
	case k.at.NeedsTap():
		strike, err = t.armFrame(ctx, k)
	default:
		strike, err = t.armSeen(ctx, k)
	}
	if err != nil {
		return nil, fmt.Errorf("arm %v: %w", k.at, err)
	}
	return func(ctx context.Context) error {
		coming, cancel := t.momentBounded(ctx, k)
		defer cancel()
		return strike(coming, ctx)
	}, nil
}

// momentBounded ends when the moment has had its time, or can come no more
// because all that goes on in the trial is over.
func (t *trial) momentBounded(ctx context.Context, k strike) (context.Context, context.CancelFunc) {
	ctx, stop := bounded(ctx, momentBound, k.at.String())
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for _, p := range t.parts {
			if p.course.Over == nil {
				return
			}
			select {
			case <-p.course.Over:
			case <-ctx.Done():
				return
			}
		}
		if len(t.parts) == 0 {
			return
		}
		// What it set going last may still be on its way.
		if clock.Until(ctx, clock.Now().Add(lateMoment)) == nil {
			cancel(fmt.Errorf("%w: %v", errNeverCame, k.at))
		}
	}()
	return ctx, func() { cancel(nil); stop() }
}

// lateMoment is how long after the end of all work a moment may still come.
const lateMoment = time.Second

// errNeverCame is why a trial whose moment can come no more proves nothing.
var errNeverCame = errors.New("all work of the trial is over, and the moment did not come")

// moment records a step of a strike's moment.
func (t *trial) moment(k strike, what string, m history.Moment) {
	m.Moment, m.What, m.Target = k.at.String(), what, string(k.on)
	t.w.Record("harness", history.KindMoment, &m)
}

// armFrame has the tap strike, or hold the frame where the fault is not for the
// executioner.
func (t *trial) armFrame(ctx context.Context, k strike) (strikeAt, error) {
	if _, precise := k.fault.(fault.Precise); !precise {
		return t.armHeld(ctx, k)
	}
	blow, err := t.blow(k)
	if err != nil {
		return nil, err
	}
	rule, err := t.cell.Tap().StrikeAt(ctx, k.at, blow)
	if err != nil {
		return nil, err
	}
	return func(coming, ctx context.Context) error {
		if _, err := rule.Done(coming); err != nil {
			ctx = coming
		}
		o, err := rule.Landed(ctx)
		m := history.Moment{
			Way: string(containers.WayExecutioner), Matched: o.Matched, Frame: o.Frame, Held: string(o.Held), ReachedT: o.ArrivedT,
			SignalT: o.SignalT, SignaledT: o.SignaledT, DiedT: o.DiedT, Severed: o.Severed, Lost: o.Lost,
		}
		if o.SignalT != 0 {
			t.moment(k, "struck", m)
			return k.leftEarly(o.SignalT, err)
		}
		m.Detail = fmt.Sprintf("%d frames of its kind came", o.Matched)
		t.moment(k, "missed", m)
		return errors.Join(fmt.Errorf("%w; %s", err, m.Detail), rule.Disarm(context.WithoutCancel(ctx)))
	}, nil
}

// deathBound is how long a death may take to be seen that a strike has confirmed.
const deathBound = 10 * time.Second

func deathOf(ctx context.Context, k strike, died <-chan clock.Mono) (clock.Mono, error) {
	ctx, cancel := bounded(ctx, deathBound, fmt.Sprintf("the death of the %s after %v", k.on, k.fault))
	defer cancel()
	select {
	case t := <-died:
		return t, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// armHeld has the tap hold the frame, and strikes by the Docker API meanwhile.
func (t *trial) armHeld(ctx context.Context, k strike) (strikeAt, error) {
	rule, err := t.cell.Tap().Hold(ctx, k.at)
	if err != nil {
		return nil, err
	}
	return func(coming, ctx context.Context) error {
		o, err := rule.Reached(coming)
		m := history.Moment{Way: string(containers.WayDocker), Matched: o.Matched, Frame: o.Frame, ReachedT: o.ArrivedT}
		if err != nil || o.Frame == 0 {
			t.moment(k, "missed", m)
			return errors.Join(fmt.Errorf("%w; %d frames of its kind came", err, o.Matched), rule.Disarm(context.WithoutCancel(ctx)))
		}
		target := t.target(k.on)
		died := seenAt(target.Exited())
		m.SignalT = clock.Now()
		_, err = k.fault.Strike(ctx, target)
		m.SignaledT = clock.Now()
		if k.kills() && err == nil {
			// The strike has confirmed it, unless it is one that kills nobody.
			m.DiedT, err = deathOf(ctx, k, died)
		}
		t.moment(k, "struck", m)
		return errors.Join(err, rule.Release(context.WithoutCancel(ctx), k.drop))
	}, nil
}

// seenAt is when the channel was closed.
func seenAt(done <-chan struct{}) <-chan clock.Mono {
	at := make(chan clock.Mono, 1)
	go func() {
		<-done
		at <- clock.Now()
	}()
	return at
}

// leftEarly holds a strike that has to kill in a drain to that.
func (k strike) leftEarly(asked clock.Mono, err error) error {
	p, _ := k.fault.(fault.Precise)
	if err == nil && p.Signals().Early && clock.Now().Sub(asked) < p.Signals().Grace {
		return fmt.Errorf("%v: %w", k.fault, fault.ErrLeft)
	}
	return err
}

// armSeen strikes when the history tells of the moment.
func (t *trial) armSeen(ctx context.Context, k strike) (strikeAt, error) {
	seen, offset, err := t.watch(ctx, k)
	if err != nil {
		return nil, err
	}
	return func(coming, ctx context.Context) error {
		var at clock.Mono
		select {
		case at = <-seen:
		case <-coming.Done():
			t.moment(k, "missed", history.Moment{})
			return context.Cause(coming)
		}
		if err := clock.Until(ctx, at.Add(offset)); err != nil {
			return err
		}
		t.moment(k, "reached", history.Moment{ReachedT: at})
		err := t.strikeNow(ctx, k)
		return errors.Join(err, t.letGo(ctx, k))
	}, nil
}

// watch returns where the instant of the moment arrives, and how long after it
// the strike is due.
func (t *trial) watch(ctx context.Context, k strike) (<-chan clock.Mono, time.Duration, error) {
	seen := make(chan clock.Mono, 1)
	match := k.at.Watch()
	_, _, _, offset, _ := k.at.AfterEvent()
	if place, key, ok := k.at.AtBreakpoint(); ok {
		actor, err := t.actorOf(key)
		if err == nil {
			err = t.stage(nil).ArmFor(ctx, Place(place), actor, startHold)
		}
		if err != nil {
			return nil, 0, err
		}
		match = func(e history.Event) bool {
			_, ok := reached(e, Place(place))
			return ok
		}
	}
	t.w.Subscribe(func(e history.Event) {
		if match(e) {
			select {
			case seen <- e.T:
			default: // it counts once
			}
		}
	})
	return seen, offset, nil
}

// letGo releases a breakpoint whose runtime lives on.
func (t *trial) letGo(ctx context.Context, k strike) error {
	place, _, ok := k.at.AtBreakpoint()
	if !ok || k.on != Engine && k.kills() {
		return nil
	}
	return t.stage(nil).Release(context.WithoutCancel(ctx), Place(place))
}

// actorOf is the id of a warmed actor by its key; "" for "", which is any.
func (t *trial) actorOf(key string) (string, error) {
	all := slices.Clone(t.targets)
	for _, p := range t.parts {
		all = append(all, p.actors...)
	}
	i := slices.IndexFunc(all, func(a probe.Target) bool { return a.Key == key })
	if key == "" {
		return "", nil
	}
	if i < 0 {
		return "", fmt.Errorf("no actor of key %q was warmed", key)
	}
	return all[i].Actor, nil
}

// strikeNow strikes at once: by the executioner where there is one and it can, as
// platforms do elsewhere.
func (t *trial) strikeNow(ctx context.Context, k strike) error {
	if f, ok := k.fault.(cellFault); ok {
		return f.strikeCell(ctx, t.cell)
	}
	if _, precise := k.fault.(fault.Precise); !precise || t.cell.Tap() == nil {
		// It has a bound of its own, which knows its grace.
		_, err := k.fault.Strike(ctx, t.target(k.on))
		return err
	}
	blow, err := t.blow(k)
	if err != nil {
		return err
	}
	o, err := t.cell.Tap().StrikeNow(ctx, blow)
	if o.SignalT != 0 {
		t.moment(k, "struck", history.Moment{
			Way: string(containers.WayExecutioner), SignalT: o.SignalT, SignaledT: o.SignaledT, DiedT: o.DiedT, Severed: o.Severed, Lost: o.Lost,
		})
		return k.leftEarly(o.SignalT, err)
	}
	return err
}

func (t *trial) target(on Target) *containers.Container {
	if on == Runtime {
		return t.cell.Runtime
	}
	return t.cell.Engine
}

// blow is the strike as the executioner makes it.
func (t *trial) blow(k strike) (containers.Blow, error) {
	p, ok := k.fault.(fault.Precise)
	if !ok {
		return containers.Blow{}, fmt.Errorf("%v: %w", k.fault, errNotPrecise)
	}
	s := p.Signals()
	return containers.Blow{Target: t.target(k.on), Both: k.on == Both, Signal: s.First, Grace: s.Grace, Resume: s.Resume, Drop: k.drop}, nil
}

// errNotPrecise is why a fault cannot be had at a moment.
var errNotPrecise = errors.New("the executioner cannot deliver this fault: use one of package fault")

// restart starts again whoever died of the strike.
func (t *trial) restart(ctx context.Context, k strike) error {
	if !k.kills() {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	if k.on != Runtime {
		g.Go(func() error { return t.cell.Engine.Start(ctx) })
	}
	if k.on != Engine {
		g.Go(func() error { return t.cell.Runtime.Start(ctx) })
	}
	return g.Wait()
}

// recovered waits for who was struck to answer. That is the instant from which
// the sweep's delays count.
func (t *trial) recovered(ctx context.Context, k strike) (err error) {
	ctx, cancel := bounded(ctx, healthyBound, "the "+string(k.on)+" to answer again")
	defer cancel()
	if k.on != Engine {
		if err := t.cell.WaitRuntime(ctx); err != nil {
			return err
		}
		t.healthy = clock.Now()
	}
	if k.on != Runtime {
		t.healthy, err = t.cell.WaitHealthy(ctx)
	}
	return err
}
