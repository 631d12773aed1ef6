// Package exits holds the exit matrix: in which ways a runtime goes when it is
// told to, as PID 1 and under an init, by which signal and which stop of Docker's;
// what is expected of each, and why; and what a history says of it. It reads
// histories only: package scenario carries the cases out.
package exits

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/suggest"
)

// Behaviour is what the runtime does when it is told to go.
type Behaviour string

// The behaviours, which fixture-image/README.md describes. DrainCutShort is Drain
// in which a second signal ends the drain, DrainOvertime one whose own grace is shorter
// than what it waits for.
const (
	Drain         Behaviour = "drain"
	DrainZero     Behaviour = "drain-zero"
	DrainReraise  Behaviour = "drain-reraise"
	DrainReset    Behaviour = "drain-reset"
	DrainCutShort Behaviour = "drain-cut-short"
	DrainOvertime Behaviour = "drain-overtime"
	AtOnce        Behaviour = "at-once"
	Ignore        Behaviour = "ignore"
	Endless       Behaviour = "endless"
	Panic         Behaviour = "panic"
	OOM           Behaviour = "oom"
	Unhandled     Behaviour = "unhandled"
)

// Behaviours are all of them.
var Behaviours = []Behaviour{
	Drain, DrainZero, DrainReraise, DrainReset, DrainCutShort, DrainOvertime, AtOnce, Ignore, Endless, Panic, OOM, Unhandled,
}

// Env are the fixture's settings that make it behave so.
func (b Behaviour) Env() map[string]string {
	const prefix = "KILLPOINT_FIXTURE_"
	env := map[string]string{prefix + "EXIT": string(b)}
	switch b {
	case DrainCutShort:
		env[prefix+"EXIT"], env[prefix+"SECOND_SIGNAL"] = string(Drain), "exit"
	case DrainOvertime:
		env[prefix+"EXIT"], env[prefix+"DRAIN_GRACE"] = string(Drain), ownGrace.String()
	}
	return env
}

// Memory is the limit of the container's memory, in bytes: 0 for none.
func (b Behaviour) Memory() int64 {
	if b == OOM {
		return 96 << 20
	}
	return 0
}

// Place is where the runtime stands in its container.
type Place string

// The places.
const (
	PID1 Place = "pid1" // it is the container's first process
	Init Place = "init" // Docker's init is: tini
)

// Places are both.
var Places = []Place{PID1, Init}

// Strike is how a runtime is told to go: a signal, two of them, or a stop of
// Docker's with a grace.
type Strike string

// The strikes.
const (
	TERM      Strike = "TERM"
	INT       Strike = "INT"
	HUP       Strike = "HUP"
	QUIT      Strike = "QUIT"
	Twice     Strike = "TERM-TERM" // the second as soon as the runtime says that the first came
	KILL      Strike = "KILL"
	StopNow   Strike = "stop-0s"
	StopShort Strike = "stop-1s" // shorter than the drain
	StopLong  Strike = "stop-4s" // longer than the drain
)

// Strikes are all of them.
var Strikes = []Strike{TERM, INT, HUP, QUIT, Twice, KILL, StopNow, StopShort, StopLong}

// Times of a case.
const (
	// InFlight is how long the request lasts that is in flight, and with it a
	// drain: the runtime is struck when it has just begun.
	InFlight = 2 * time.Second
	// Patience is how long a runtime that was signalled may live on before it is
	// said to stay, and killed. It is the long grace's, so that the two compare.
	Patience = 4 * time.Second
	// ownGrace is DrainOvertime's: no stop's, so that the two are no race.
	ownGrace = 1500 * time.Millisecond
	short    = time.Second
)

// Grace is that of a stop; ok is false for a signal.
func (s Strike) Grace() (grace time.Duration, ok bool) {
	text, ok := strings.CutPrefix(string(s), "stop-")
	if !ok {
		return 0, false
	}
	grace, err := time.ParseDuration(text)
	return grace, err == nil
}

// Signal is the first signal that it sends.
func (s Strike) Signal() string {
	switch s {
	case INT, HUP, QUIT, KILL:
		return "SIG" + string(s)
	}
	return "SIGTERM"
}

// Case is one cell of the matrix.
type Case struct {
	Behaviour Behaviour
	Place     Place
	Strike    Strike
}

// String is the case's name: "drain-reraise/pid1/stop-4s".
func (c Case) String() string {
	return strings.Join([]string{string(c.Behaviour), string(c.Place), string(c.Strike)}, "/")
}

// Parse reads a case's name.
func Parse(s string) (Case, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return Case{}, fmt.Errorf("the case %.80q: want BEHAVIOUR/PLACE/STRIKE, as in drain/pid1/TERM", s)
	}
	c := Case{Behaviour(parts[0]), Place(parts[1]), Strike(parts[2])}
	switch {
	case !slices.Contains(Behaviours, c.Behaviour):
		return c, suggest.Unknown("behaviour", parts[0], Behaviours)
	case !slices.Contains(Places, c.Place):
		return c, suggest.Unknown("place", parts[1], Places)
	case !slices.Contains(Strikes, c.Strike):
		return c, suggest.Unknown("strike", parts[2], Strikes)
	}
	return c, nil
}

// Matrix are all cases, in the order of its table.
func Matrix() []Case {
	var all []Case
	for _, b := range Behaviours {
		for _, p := range Places {
			for _, s := range Strikes {
				all = append(all, Case{b, p, s})
			}
		}
	}
	return all
}

// Lane is what one cell carries out, one case after the other: those that need the
// same container.
type Lane struct {
	Behaviour Behaviour
	Place     Place
}

// Lanes are all of them.
func Lanes() []Lane {
	var all []Lane
	for _, b := range Behaviours {
		for _, p := range Places {
			all = append(all, Lane{b, p})
		}
	}
	return all
}

// String is the lane's name: "drain-reraise/pid1".
func (l Lane) String() string { return string(l.Behaviour) + "/" + string(l.Place) }

// Cases are the lane's that are carried out.
func (l Lane) Cases() []Case {
	var all []Case
	for _, s := range Strikes {
		if c := (Case{l.Behaviour, l.Place, s}); c.Skipped() == "" {
			all = append(all, c)
		}
	}
	return all
}

// Skipped says why a case is not carried out, or "". It has a place in the table
// all the same. DrainCutShort differs from Drain by what a second signal does, and
// in the other cases none comes; DrainOvertime by what comes of a drain that is left
// alone, by whatever signal it began.
func (c Case) Skipped() string {
	asDrain := "as " + string(Drain)
	switch c.Behaviour {
	case DrainCutShort:
		if c.Strike != Twice {
			return asDrain
		}
	case DrainOvertime:
		switch c.Strike {
		case KILL, StopNow, StopShort:
			return asDrain // which it does not get to the end of either
		case INT, HUP, QUIT, Twice:
			return "as " + string(TERM)
		}
	}
	return ""
}
