package catalog

import (
	"fmt"
	"time"

	"github.com/killpoint/killpoint/scenario"
)

// Spec says in JSON which scenario of the catalog a trial carried out, so that
// its history can be judged again.
type Spec struct {
	// Scenario is the [Entry]'s name.
	Scenario string   `json:"scenario"`
	Engine   string   `json:"engine"`
	Delays   []string `json:"delays,omitempty"`
	Repeats  int      `json:"repeats,omitempty"`
	Runtime  string   `json:"runtime_image,omitempty"`
}

// Spec is the entry on that engine with those options.
func (e Entry) Spec(engine string, o Options) Spec {
	s := Spec{Scenario: e.Name(), Engine: engine, Repeats: o.Repeats, Runtime: o.RuntimeImage}
	for _, d := range o.Delays {
		s.Delays = append(s.Delays, d.String())
	}
	return s
}

// Build is the scenario that was carried out.
func (s Spec) Build() (scenario.Scenario, error) {
	e, ok := Find(s.Scenario)
	if !ok {
		return scenario.Scenario{}, fmt.Errorf("this version of killpoint has no scenario %q", s.Scenario)
	}
	o := Options{Repeats: s.Repeats, RuntimeImage: s.Runtime}
	for _, text := range s.Delays {
		d, err := time.ParseDuration(text)
		if err != nil {
			return scenario.Scenario{}, fmt.Errorf("the delay %q of scenario %q is no duration", text, s.Scenario)
		}
		o.Delays = append(o.Delays, d)
	}
	return e.On(s.Engine, o), nil
}
