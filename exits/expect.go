package exits

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Ending is what ended the runtime.
type Ending string

// The endings.
const (
	Itself   Ending = "itself"          // it exited, or its own signal ended it
	ByStrike Ending = "SIGKILL"         // the strike was one that nobody survives
	ByGrace  Ending = "grace ran out"   // a stop's SIGKILL
	ByUs     Ending = "stays"           // it outlived Patience, and was killed for that
	ByKernel Ending = "out of memory"   // the kernel's OOM killer
	Unknown  Ending = "cannot be known" // the history does not say
)

// Expected is what a case is to come to.
type Expected struct {
	// Codes and Endings are those that are right: more than one of each is a race,
	// and Why says between what.
	Codes   []int
	Endings []Ending
	// AtMost is how long after the strike it is to end.
	AtMost time.Duration
	// Drained: the drain comes to its end. Reraised: the signal is then raised again,
	// and Swallowed: in vain.
	Drained, Reraised, Swallowed bool
	// StopHooks are the actors, of two, whose stop hook runs; from and to.
	StopHooks [2]int
	// AbortHooks are those whose abort hook runs instead.
	AbortHooks int
	// Answered: the client of the write in flight gets its answer.
	Answered bool
	// AnswerRaces: whether it does is a race, and either is right.
	AnswerRaces bool
	// Why is the reason in a line: who does it, and by which rule.
	Why string
}

// quick is at most how long it takes to be told and to go at once, through a
// daemon on a busy machine.
const quick = 1500 * time.Millisecond

// leaveWithin is at most how long a runtime needs from the end of its drain to its
// own, where it does not wait to be killed.
const leaveWithin = time.Second

// Expected is what the case is to come to.
func (c Case) Expected() Expected {
	e := c.ends()
	e.Reraised = e.Drained && (c.Behaviour == DrainReraise || c.Behaviour == DrainReset)
	// Go's own handler, which Reset brings back, exits instead.
	e.Swallowed = e.Reraised && c.Behaviour == DrainReraise && c.Place == PID1
	return e
}

func (c Case) ends() Expected {
	left := c.leaves()
	switch grace, stop := c.Strike.Grace(); {
	case c.Strike == KILL:
		return Expected{Codes: []int{137}, Endings: []Ending{ByStrike}, AtMost: quick, Why: c.killed()}
	case stop && grace == 0:
		return c.stoppedNow(left)
	case stop && left.after >= grace:
		e := left.lived(grace)
		e.Codes, e.Endings, e.AtMost = []int{137}, []Ending{ByGrace}, grace+quick
		e.Why = "Docker: SIGKILL when the grace ends; " + left.why
		return e
	case left.after >= Patience:
		e := left.lived(Patience)
		e.Codes, e.Endings, e.AtMost = []int{137}, []Ending{ByUs}, Patience+quick
		e.Why = left.why
		return e
	}
	e := left.lived(left.after)
	e.Codes, e.Endings, e.AtMost, e.Why = []int{left.code}, []Ending{left.by}, left.after+quick, left.why
	if left.drains {
		e.AtMost = Patience
	}
	switch c.Behaviour {
	case DrainOvertime:
		e.Drained, e.AbortHooks, e.AnswerRaces = true, 1, true
	case DrainCutShort:
		e.StopHooks[1] = 1 // an idle actor may have been stopped before the second signal
	case OOM:
		e.AtMost = Patience // at the limit the kernel first evicts the program's own pages
	}
	return e
}

func (c Case) killed() string {
	if c.Place == Init {
		return "kernel: the init dies, and all of its PID namespace with it"
	}
	return "kernel: nothing handles SIGKILL"
}

// stoppedNow: Docker sends SIGKILL as soon as it has sent the stop signal, some
// milliseconds later. Who needs no more than that wins the race at times.
func (c Case) stoppedNow(left leaving) Expected {
	e := Expected{Codes: []int{137}, Endings: []Ending{ByGrace}, AtMost: quick, Why: "Docker: SIGKILL follows the stop signal at once"}
	if !left.deaf {
		e.StopHooks[1] = 1 // that of the idle actor, where SIGKILL is late
	}
	if left.after == 0 {
		e.Codes, e.Endings = append(e.Codes, left.code), append(e.Endings, left.by)
		e.Why += "; a race with an end that takes no longer: " + left.why
	}
	return e
}

// leaving is what a behaviour comes to if it is left alone after the signal.
type leaving struct {
	code   int
	by     Ending
	after  time.Duration // from the strike; never for one that stays
	drains bool          // the drain comes to its end
	holds  bool          // one of two actors never ends its stop
	deaf   bool          // no drain is begun
	why    string
}

const never = time.Duration(1<<63 - 1)

// lived is what has happened when it has lived for d after the strike.
func (l leaving) lived(d time.Duration) Expected {
	e := Expected{Drained: l.drains && d >= InFlight, Answered: d >= InFlight}
	hooks := 0
	switch {
	case l.deaf || d == 0:
	case l.holds && d >= InFlight, !l.holds && d < InFlight:
		hooks = 1 // the other is held for good; it still answers the request in flight
	case !l.holds:
		hooks = 2
	}
	e.StopHooks = [2]int{hooks, hooks}
	return e
}

// leaves is the behaviour's rule.
func (c Case) leaves() leaving {
	sig := c.Strike.Signal()
	number := int(unix.SignalNum(sig))
	of := 128 + number
	drained := leaving{code: of, by: Itself, after: InFlight, drains: true}
	with := func(l leaving, code int, why string) leaving {
		l.code, l.why = code, why
		return l
	}
	gone := leaving{code: of, by: Itself, deaf: true}
	switch c.Behaviour {
	case Drain:
		return with(drained, of, fmt.Sprintf("fixture: drains, then os.Exit(128 + %d)", number))
	case DrainCutShort:
		return with(gone, of, "fixture: the second signal ends the drain, os.Exit(128 + 15)")
	case DrainOvertime:
		drained.after = ownGrace
		return with(drained, of, fmt.Sprintf("fixture: its drain gives up after %v and aborts the actor that still answers, then os.Exit(128 + %d); its last answer and the word that it has stopped go off together, and the gateway takes either first", ownGrace, number))
	case DrainZero:
		return with(drained, 0, "fixture: drains, then os.Exit(0)")
	case DrainReraise:
		return c.reraised(drained, of)
	case DrainReset:
		return c.reset(drained, of)
	case AtOnce:
		return with(gone, of, fmt.Sprintf("fixture: os.Exit(128 + %d), nobody is told", number))
	case Ignore:
		return leaving{after: never, deaf: true, why: "fixture: its handler does nothing"}
	case Endless:
		return leaving{after: never, holds: true, why: "fixture: the stop of one actor never ends, and the drain has no grace"}
	case Panic:
		return with(gone, 2, "Go's runtime: a panic that nobody recovers exits with 2")
	case OOM:
		gone.by = ByKernel
		return with(gone, 137, "kernel: the OOM killer of the control group sends SIGKILL"+c.throughInit())
	}
	return c.unhandled(gone, of)
}

// throughInit is what an init adds to a child's end.
func (c Case) throughInit() string {
	if c.Place == Init {
		return "; tini: exits with 128 plus the number of the signal that ended its child"
	}
	return ""
}

func (c Case) reraised(l leaving, of int) leaving {
	l.code = of
	l.why = "kernel: the default action ends the process" + c.throughInit()
	if c.Place == PID1 {
		l.after = never
		l.why = "kernel: PID 1 never gets a signal whose action is the default one, from itself neither: the re-raise is swallowed"
	}
	return l
}

func (c Case) reset(l leaving, of int) leaving {
	switch {
	case c.Strike == QUIT:
		l.code, l.why = 2, "Go's runtime: its own handler of QUIT prints all goroutines and exits with 2"
	case c.Place == PID1:
		l.code, l.why = 2, "Go's runtime: its own handler raises the signal with the default action, outlives that as PID 1, and exits with 2"
	default:
		l.code, l.why = of, "Go's runtime: its own handler raises the signal with the default action"+c.throughInit()
	}
	return l
}

func (c Case) unhandled(l leaving, of int) leaving {
	l = c.reset(l, of)
	if c.Strike == Twice {
		l.why += "; the second signal finds nobody"
	}
	return l
}
