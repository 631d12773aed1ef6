package scenario

import (
	"errors"
	"fmt"
	"slices"

	"github.com/killpoint/killpoint/fault"
)

// needy is a part with needs that not every scenario meets. fits says which one
// this does not; last is whether no part begins after it.
type needy interface {
	fits(s Scenario, last bool) error
}

var (
	errNeedsLast  = errors.New("the fault must strike as soon as it has begun: it has to be the last of the parts")
	errNeedsFault = errors.New("it waits for the engine to be down: the scenario needs a fault")
	errNeedsBeats = errors.New("no actor would beat: the scenario needs a heartbeat")
)

// valid reports what of the scenario cannot be carried out, before anything is
// made.
func (s Scenario) valid() error {
	if s.Fault == nil && len(s.Then) > 0 {
		return fmt.Errorf("scenario %q has %d faults that follow another (Then), and none that is the first (Fault)", s.Name, len(s.Then))
	}
	if s.Fault == nil && (!s.At.IsNow() || s.On != "") {
		return fmt.Errorf("scenario %q says when or whom to strike (At, On), and not with what (Fault)", s.Name)
	}
	for _, k := range s.strikes() {
		if err := k.valid(); err != nil {
			return fmt.Errorf("scenario %q: %v: %w", s.Name, k, err)
		}
	}
	if d := s.Sweep.Delays; len(d) > 0 && s.Sweep.Bound <= slices.Max(d) {
		return fmt.Errorf("scenario %q sweeps up to a delay of %v with a bound of %v, which must be above it", s.Name, slices.Max(d), s.Sweep.Bound)
	}
	for i, p := range s.Parts {
		if n, ok := p.(needy); ok {
			if err := n.fits(s, i == len(s.Parts)-1); err != nil {
				return fmt.Errorf("scenario %q, part %q: %w", s.Name, p, err)
			}
		}
	}
	return nil
}

func (k strike) valid() error {
	_, precise := k.fault.(fault.Precise)
	switch {
	case !slices.Contains([]Target{Engine, Runtime, Both}, k.on):
		return fmt.Errorf("target %q: want %s, %s or %s", k.on, Engine, Runtime, Both)
	case k.on == Both && !precise:
		return errNotPrecise
	case k.after > 0 && !k.at.IsNow():
		return errors.New("it has both a time after the last fault and a moment: want one of them")
	case k.drop && !k.at.NeedsTap():
		return errors.New("it drops a frame, and its moment is none")
	}
	return nil
}

func (commitHeld) fits(_ Scenario, last bool) error { return strikesAtOnce(last) }

func (AlarmDue) fits(_ Scenario, last bool) error { return strikesAtOnce(last) }

// strikesAtOnce is the need of a part that is bound to the moment of the strike.
func strikesAtOnce(last bool) error {
	if !last {
		return errNeedsLast
	}
	return nil
}

func (stopHeld) fits(s Scenario, _ bool) error {
	if s.Fault == nil {
		return errNeedsFault
	}
	return nil
}

func (p actionProbes) fits(s Scenario, _ bool) error {
	if p.when == AfterHeartbeat && orDefault(s.Heartbeat, "none") == "none" {
		return errNeedsBeats
	}
	return nil
}
