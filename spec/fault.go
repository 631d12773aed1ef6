package spec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/suggest"
)

// Fault is what is done, in its text form: "kill", "stop" or "stop:5s" (the
// grace until SIGKILL follows), "pause" or "pause:500ms" (how long until it is
// resumed).
type Fault string

// Kind is a fault without its time.
type Kind string

// The kinds.
const (
	Kill  Kind = "kill"  // SIGKILL
	Stop  Kind = "stop"  // SIGTERM, and SIGKILL after a grace
	Pause Kind = "pause" // SIGSTOP, and SIGCONT after a time
)

// Kinds are all of them.
var Kinds = []Kind{Kill, Stop, Pause}

// What a fault without a time means.
const (
	defaultGrace = 8 * time.Second
	defaultPause = 500 * time.Millisecond
	longestFault = 10 * time.Minute
)

// Parse takes it apart. The time of a kill is 0.
func (f Fault) Parse() (Kind, time.Duration, error) {
	word, arg, timed := strings.Cut(string(f), ":")
	k, d := Kind(word), time.Duration(0)
	switch {
	case !slices.Contains(Kinds, k):
		return k, 0, suggest.Unknown("fault", word, Kinds)
	case k == Kill && timed:
		return k, 0, fmt.Errorf("fault %.40q: a kill takes no time", string(f))
	case k == Stop:
		d = defaultGrace
	case k == Pause:
		d = defaultPause
	}
	if !timed {
		return k, d, nil
	}
	d, err := time.ParseDuration(arg)
	if err != nil || d <= 0 || d > longestFault {
		return k, 0, fmt.Errorf("fault %.40q: want a time up to %v after the colon, as in %s:500ms", string(f), longestFault, k)
	}
	return k, d, nil
}
