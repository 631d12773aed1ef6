package catalog

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/internal/suggest"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
)

// Sweep is an idle engine's restart with everything to choose: idle-restart
// without an opinion of what is to be seen.
type Sweep struct {
	Engine string `json:"engine"`
	// Fault is "kill", "stop:5s" (SIGKILL follows after 5 s) or
	// "kill-in-drain:1s" (SIGKILL comes 1 s after the SIGTERM).
	Fault string `json:"fault"`
	// Reconnect is the policy of the runtime's client: "rivet", "fast",
	// "fast:25ms", "none".
	Reconnect string    `json:"reconnect"`
	Via       probe.Via `json:"via"`
	// Delays from the first good /health on, and how many actors are asked at
	// each.
	Delays  []Duration `json:"delays"`
	Repeats int        `json:"repeats"`
	// Timeout is the client's patience; Bound how long an actor may take.
	Timeout Duration `json:"timeout"`
	Bound   Duration `json:"bound"`
	// DrainGrace of the pool: the engine's own exit takes as long.
	DrainGrace   Duration `json:"drain_grace"`
	RuntimeImage string   `json:"runtime_image,omitempty"`
	// Trial numbers the trials of one sweep, from 1; 0 where there is one only.
	Trial int `json:"trial,omitempty"`
}

// Duration is one as people write it, also in JSON.
type Duration time.Duration

func (d Duration) String() string               { return time.Duration(d).String() }
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.40q is no duration: write it as in 250ms", text)
	}
	*d = Duration(parsed)
	return nil
}

// faultWords are what a sweep's fault may be.
var faultWords = []string{"kill", "stop", "kill-in-drain"}

// ParseFault reads a fault as [Sweep] has it; the time of "stop" is 5 s, that of
// "kill-in-drain" 1 s.
func ParseFault(text string) (fault.Fault, error) {
	word, arg, timed := strings.Cut(text, ":")
	d := map[string]time.Duration{"stop": 5 * time.Second, "kill-in-drain": time.Second}[word]
	if timed {
		var err error
		if d, err = time.ParseDuration(arg); err != nil || d < 0 {
			return nil, fmt.Errorf("the fault %q: %q is no duration: write it as in stop:5s", text, arg)
		}
	}
	switch {
	case word == "kill" && !timed:
		return fault.Kill(), nil
	case word == "stop" && d%time.Second != 0:
		return nil, fmt.Errorf("the fault %q: Docker counts its grace in whole seconds", text)
	case word == "stop":
		return fault.Stop(d), nil
	case word == "kill-in-drain":
		return fault.KillInDrain(d), nil
	}
	return nil, fmt.Errorf("the fault %q is none: want kill, stop:5s or kill-in-drain:1s%s", text, suggest.Hint(word, faultWords))
}

// Name is what the sweep asks, as the names of trials have it.
func (s Sweep) Name() string {
	via := s.Via
	if via == "" {
		via = probe.ViaHTTP
	}
	name := path.Join("sweep", Label(s.Engine), s.Fault, s.Reconnect, string(via), s.Timeout.String())
	if s.Trial > 0 {
		name += fmt.Sprintf("/%02d", s.Trial)
	}
	return name
}

// Scenario is the sweep as a scenario.
func (s Sweep) Scenario() (scenario.Scenario, error) {
	struck, err := ParseFault(s.Fault)
	if err != nil {
		return scenario.Scenario{}, err
	}
	delays := make([]time.Duration, len(s.Delays))
	for i, d := range s.Delays {
		delays[i] = time.Duration(d)
	}
	return scenario.Scenario{
		Name: s.Name(), Engine: s.Engine, Fault: struck, Reconnect: s.Reconnect,
		DrainGrace: time.Duration(s.DrainGrace), RuntimeImage: s.RuntimeImage, Repeats: s.Repeats,
		Sweep: probe.Sweep{Via: s.Via, Delays: delays, Timeout: time.Duration(s.Timeout), Bound: time.Duration(s.Bound)},
	}, nil
}
