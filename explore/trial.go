package explore

import (
	"cmp"
	"maps"

	engineimage "github.com/killpoint/killpoint/engine-image"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/spec"
)

// Scenario is the trial as package scenario carries it out. Its cell has a tap,
// also where no moment needs one, so that each of its trials has the same way and
// its history the frames.
func Scenario(t spec.Trial) scenario.Scenario {
	t = t.WithDefaults()
	s := scenario.Scenario{
		Name:         t.Name,
		Engine:       cmp.Or(t.Engine, engineimage.Default),
		Tap:          &containers.TapConfig{},
		Reconnect:    t.Runtime.Reconnect,
		Protocol:     t.Runtime.Protocol,
		Heartbeat:    t.Runtime.Heartbeat,
		RuntimeImage: t.Runtime.Image,
		RuntimeEnv:   maps.Clone(t.Runtime.Env),
		Seed:         t.Seed,
		Parts:        []scenario.Part{scenario.Script{Ops: t.Ops, Patience: t.Patience, Bound: t.Bound}},
		// A fault that asks somebody to leave may meet an open transaction.
		Known: []check.KnownBug{check.HalfTransaction},
	}
	if t.Runtime.Bug != "" {
		if s.RuntimeEnv == nil {
			s.RuntimeEnv = map[string]string{}
		}
		s.RuntimeEnv["KILLPOINT_FIXTURE_BUG"] = t.Runtime.Bug
	}
	for i, k := range t.Strikes {
		l := scenario.Later{At: k.At, Fault: faultOf(k.Fault), On: scenario.Target(k.Target), Drop: k.Held == spec.Drop}
		if i == 0 {
			s.Fault, s.At, s.On, s.Drop = l.Fault, l.At, l.On, l.Drop
		} else {
			s.Then = append(s.Then, l)
		}
	}
	return s
}

// faultOf is a fault of a validated trial.
func faultOf(f spec.Fault) fault.Fault {
	switch kind, d, _ := f.Parse(); kind {
	case spec.Stop:
		return fault.Stop(d)
	case spec.Pause:
		return fault.Pause(d)
	}
	return fault.Kill()
}
