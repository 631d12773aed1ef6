package catalog

import (
	"fmt"
	"time"

	"github.com/killpoint/killpoint/scenario"
)

// Spec says in JSON which scenario a trial carried out, so that its history can
// be judged again: one of the catalog, or a sweep.
type Spec struct {
	// Scenario is the [Entry]'s name; the fields after it are its options.
	Scenario string     `json:"scenario,omitempty"`
	Engine   string     `json:"engine,omitempty"`
	Delays   []Duration `json:"delays,omitempty"`
	Repeats  int        `json:"repeats,omitempty"`
	Runtime  string     `json:"runtime_image,omitempty"`

	Sweep *Sweep `json:"sweep,omitempty"`
}

// Spec is the entry on that engine with those options.
func (e Entry) Spec(engine string, o Options) Spec {
	s := Spec{Scenario: e.Name(), Engine: engine, Repeats: o.Repeats, Runtime: o.RuntimeImage}
	for _, d := range o.Delays {
		s.Delays = append(s.Delays, Duration(d))
	}
	return s
}

// Build is the scenario that was carried out.
func (s Spec) Build() (scenario.Scenario, error) {
	if s.Sweep != nil {
		return s.Sweep.Scenario()
	}
	e, ok := Find(s.Scenario)
	if !ok {
		return scenario.Scenario{}, fmt.Errorf("this version of killpoint has no scenario %q", s.Scenario)
	}
	o := Options{Repeats: s.Repeats, RuntimeImage: s.Runtime}
	for _, d := range s.Delays {
		o.Delays = append(o.Delays, time.Duration(d))
	}
	return e.On(s.Engine, o), nil
}
