package counter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/rivetkit"
)

// maxAlarm bounds how far ahead an alarm can be set.
const maxAlarm = 24 * time.Hour

// alarm is one that has not fired.
type alarm struct {
	id  int64
	due time.Time // to the millisecond, as the engine takes it
	// failed: this generation could not mark it as fired. The next one tries
	// again, so the engine goes on knowing of it.
	failed bool
}

// alarms are those of one generation. The database holds them; the engine
// knows the next one, for which it starts the actor again if that sleeps. It
// does not call a running actor: as in RivetKit, a timer of the actor's own
// does.
type alarms struct {
	store *store
	tell  func(time.Time) error // when to be woken; the zero time: never
	note  func(what, reason string, err error)

	mu      sync.Mutex
	pending []alarm   // the next one first
	told    time.Time // what the engine was told last by this generation
	unsure  bool      // what an earlier generation told it may not have arrived
	changed chan struct{}
}

// load takes over what earlier generations left.
func (s *alarms) load(pending []alarm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.unsure = pending, len(pending) > 0
}

// set stores an alarm and tells the engine.
func (s *alarms) set(ctx context.Context, delay time.Duration) (alarm, error) {
	due := time.UnixMilli(time.Now().Add(delay).UnixMilli())
	id, err := s.store.addAlarm(ctx, due)
	if err != nil {
		return alarm{}, err
	}
	a := alarm{id: id, due: due}
	s.note("alarm-set", fmt.Sprintf("alarm %d, in %d ms", id, delay.Milliseconds()), nil)
	s.add(a)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return a, nil
}

// add has the engine told before the alarm can fire.
func (s *alarms) add(a alarm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, a)
	slices.SortFunc(s.pending, func(a, b alarm) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.id, b.id)) })
	s.syncLocked()
}

func (s *alarms) sync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncLocked()
}

// syncLocked tells the engine the next alarm where that has changed. Where it
// cannot, because the generation has ended, the next one does.
func (s *alarms) syncLocked() {
	var next time.Time
	if len(s.pending) > 0 {
		next = s.pending[0].due
	}
	if next.Equal(s.told) && !s.unsure {
		return
	}
	if s.tell(next) == nil {
		s.told, s.unsure = next, false
	}
}

// next is the alarm to wait for.
func (s *alarms) next() (alarm, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.pending, func(a alarm) bool { return !a.failed })
	if i < 0 {
		return alarm{}, false
	}
	return s.pending[i], true
}

// run fires alarms until ctx ends. One that is being fired then is finished,
// unless life ends too.
func (s *alarms) run(ctx, life context.Context) {
	for ctx.Err() == nil {
		a, ok := s.next()
		if ok && !time.Now().Before(a.due) {
			s.fire(life, a)
			continue
		}
		s.sync()
		s.wait(ctx, a.due, ok)
	}
}

// wait waits for due, where there is one, or for another alarm to be set.
func (s *alarms) wait(ctx context.Context, due time.Time, timed bool) {
	var rings <-chan time.Time
	if timed {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		rings = timer.C
	}
	select {
	case <-rings:
	case <-s.changed:
	case <-ctx.Done():
	}
}

// fire marks an alarm as fired and notes it, in this order: it is noted once,
// by the generation whose mark came first.
func (s *alarms) fire(life context.Context, a alarm) {
	f, err := s.mark(life, a.id)
	if err != nil {
		s.fail(a.id)
		s.note("alarm-failed", fmt.Sprintf("alarm %d", a.id), err)
		return
	}
	if f.by == s.store.generation {
		s.note("alarm", fmt.Sprintf("alarm %d, %d ms late", a.id, f.at.Sub(a.due).Milliseconds()), nil)
	}
	s.drop(a.id)
	s.sync()
}

// mark marks an alarm as fired; again, if the connection broke meanwhile.
func (s *alarms) mark(life context.Context, id int64) (fired, error) {
	var unknown error
	for {
		f, err := s.store.fireAlarm(life, id)
		switch {
		case err == nil:
			return f, nil
		case life.Err() == nil && errors.Is(err, envoy.ErrConnectionLost):
			unknown = err
		default:
			return fired{}, errors.Join(unknown, err)
		}
	}
}

func (s *alarms) fail(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.pending {
		if s.pending[i].id == id {
			s.pending[i].failed = true
		}
	}
}

func (s *alarms) drop(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = slices.DeleteFunc(s.pending, func(a alarm) bool { return a.id == id })
}

// setAlarm(delayMs): has the actor note an alarm in so many milliseconds, and
// the engine start it for that if it sleeps.
func (a *Actor) setAlarm(ctx context.Context, args []any) (any, error) {
	delay, err := delayArg(args)
	if err != nil {
		return nil, &rivetkit.Error{Group: "actor", Code: "invalid_request", Message: err.Error()}
	}
	set, err := a.alarms.set(ctx, delay)
	if err != nil {
		return nil, userError("setAlarm", err)
	}
	return map[string]any{"alarm": set.id, "due": set.due.UnixMilli()}, nil
}

func delayArg(args []any) (time.Duration, error) {
	if len(args) == 0 {
		return 0, errors.New("delayMs, the first argument, is missing")
	}
	ms, err := numberArg("delayMs", args[0], float64(maxAlarm.Milliseconds()))
	return time.Duration(ms) * time.Millisecond, err
}
