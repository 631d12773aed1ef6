// Package leaving reads a history and says how an engine left: how long it took and
// what it waited for, how it ended, what clients with something open got, what
// its actors were told, and what came back with the next engine.
package leaving

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// Never stands for a time that did not come.
const Never = time.Duration(-1)

// Client is an operation that was open when the engine was asked to leave.
type Client struct {
	Op, Name string
	// Ended is how long after the first signal its client knew how it ended, and
	// Return how; Never: not in this history.
	Ended  time.Duration
	Return history.Return
	Seqs   []uint64 // its invoke and return
}

// Exit is the last time that the engine was struck and left. Times count from
// the first signal.
type Exit struct {
	Party string
	// How the engine was asked to leave, in words, and the grace that it had.
	How  string
	Told clock.Mono
	// Took is the time to its end, Code its exit code; Killed: its grace ran out
	// and SIGKILL was sent.
	Took   time.Duration
	Code   int
	Killed bool
	Signal string // the last one
	// Starting: it had not served yet when it was asked.
	Starting bool
	// Closed is when the first runtime's connection was closed, and Reason what
	// the engine said to it; Never: it was open to the end.
	Closed time.Duration
	Reason string
	// Stops are the actors' generations that were told to stop while the engine
	// was leaving, and Replayed those that were by the next engine.
	Stops, Replayed int
	// AllTold: generations ran when it was asked, and each was told to stop before
	// it was gone.
	AllTold bool
	// Clients are the operations that were open.
	Clients []Client
	// Kept are the actors of which the same generation goes on with the next
	// engine, Moved those that have a new one.
	Kept, Moved int
	// Staying are those of the kept that the next engine did not tell to stop.
	Staying int
	// Watched is for how long clients were answered by the next engine, from its first
	// good /health on.
	Watched time.Duration
	// Serves is from the next engine's start to its first good /health, Answers
	// from that to the first good answer of an actor, Never: none.
	Serves, Answers time.Duration
	// ActorDrain is the pool's drain grace period.
	ActorDrain time.Duration
	Noise      window.Noise // from the signal to the end
	Seqs       []uint64     // its first signal and its end
}

// Read finds the engine's exit in a history.
func Read(h *history.History) (*Exit, error) {
	o, err := window.Read(h)
	if err != nil {
		return nil, err
	}
	last := o.Strikes[len(o.Strikes)-1]
	x := &Exit{
		Party: last.Fault.Target, How: last.Fault.Detail, Told: last.T,
		Took: o.ExitT.Sub(last.T), Code: o.Exit.Code, Killed: o.Exit.GraceEnded, Signal: o.Exit.Signal,
		Closed: Never, Serves: o.Healthy.Sub(o.StartT), Answers: Never,
		Noise: window.NoiseBetween(h, last.T, o.ExitT),
	}
	for _, row := range slices.Concat(o.Rows, o.Beside) {
		if row.AnsweredAt >= 0 && (x.Answers == Never || row.AnsweredAt < x.Answers) {
			x.Answers = row.AnsweredAt
		}
	}
	events := h.ByTime()
	x.Starting = starting(events, last)
	x.witness(events, last.T, o.ExitT)
	x.settings(events)
	x.told(events, o)
	x.runtimes(events, o)
	x.clients(events, o.ExitT)
	x.generations(events, o)
	return x, nil
}

func (x *Exit) witness(events []history.Event, told, left clock.Mono) {
	for _, e := range events {
		f, fault := e.Body.(*history.Fault)
		exit, gone := e.Body.(*history.Exit)
		if fault && e.T == told && f.Phase == history.FaultBegun || gone && e.T == left && exit.Role == "engine" {
			x.Seqs = append(x.Seqs, e.Seq)
		}
	}
}

// starting: the incarnation had begun less than a second before it was struck, and
// nobody had seen it serve.
func starting(events []history.Event, s window.Strike) bool {
	begun := clock.Mono(0)
	for _, e := range events {
		if e.T > s.T {
			break
		}
		switch b := e.Body.(type) {
		case *history.Container:
			if b.Role == "engine" && b.What == history.ContainerStarting {
				begun = e.T
			}
		case *history.Health:
			begun = 0
		}
	}
	return begun != 0 && s.T.Sub(begun) < time.Second
}

func (x *Exit) settings(events []history.Event) {
	for _, e := range events {
		s, ok := e.Body.(*history.Settings)
		if !ok {
			continue
		}
		if text, ok := (*s)["drain grace"].(string); ok {
			// One that cannot be read is none.
			x.ActorDrain, _ = time.ParseDuration(text)
			return
		}
	}
}

// told says whether every generation that ran at the signal was told to stop
// before the engine was gone.
func (x *Exit) told(events []history.Event, o *window.Outage) {
	live := map[string]bool{}
	ran := 0
	for _, e := range events {
		b, ok := e.Body.(*history.Actor)
		if !ok || e.T > o.ExitT {
			continue
		}
		switch generation := fmt.Sprint(b.Actor, b.Generation); {
		case b.What == "running" && e.T < x.Told:
			live[generation] = true
		case b.What == "stop" || b.What == "stopped":
			delete(live, generation)
		}
		if e.T < x.Told {
			ran = len(live)
		}
	}
	x.AllTold = ran > 0 && len(live) == 0
}

// runtimes takes what the runtimes were told.
func (x *Exit) runtimes(events []history.Event, o *window.Outage) {
	for _, e := range events {
		if e.T < x.Told {
			continue
		}
		switch b := e.Body.(type) {
		case *history.Envoy:
			if b.What == "closed" && x.Closed == Never && e.T <= o.ExitT {
				x.Closed = e.T.Sub(x.Told)
				x.Reason, _, _ = strings.Cut(b.Reason, "#")
			}
		case *history.Actor:
			switch {
			case b.What != "stop":
			case e.T <= o.ExitT:
				x.Stops++
			case e.T >= o.StartT:
				x.Replayed++
			}
		}
	}
}

// clients are the operations that were open when the engine was asked to leave.
func (x *Exit) clients(events []history.Event, exit clock.Mono) {
	open := map[string]*Client{}
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if e.T < x.Told {
				open[b.Op] = &Client{Op: b.Op, Name: b.Name, Ended: Never, Seqs: []uint64{e.Seq}}
			}
		case *history.Return:
			c := open[b.Op]
			switch {
			case c == nil:
			case e.T < x.Told:
				delete(open, b.Op)
			default:
				c.Ended, c.Return, c.Seqs = e.T.Sub(x.Told), *b, append(c.Seqs, e.Seq)
			}
		}
	}
	for _, c := range open {
		x.Clients = append(x.Clients, *c)
	}
	slices.SortFunc(x.Clients, func(a, b Client) int { return cmp.Compare(a.Op, b.Op) })
}

// generations compares those before the signal with those that ran once the next
// engine served.
func (x *Exit) generations(events []history.Event, o *window.Outage) {
	before, after, told := map[string]uint32{}, map[string]uint32{}, map[string]bool{}
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Actor:
			if b.What == "stop" && e.T >= o.StartT {
				told[b.Actor] = true
			}
			if b.What == "running" && e.T < x.Told {
				before[b.Actor] = max(before[b.Actor], b.Generation)
			}
			if b.What == "running" && e.T > o.StartT {
				after[b.Actor] = max(after[b.Actor], b.Generation)
			}
		case *history.Return:
			if e.T > o.Healthy && b.Outcome == history.OK {
				x.Watched = e.T.Sub(o.Healthy)
			}
			if e.T > o.Healthy && b.Outcome == history.OK && b.Generation >= 0 && b.AnsweredBy != "" {
				after[b.AnsweredBy] = max(after[b.AnsweredBy], uint32(b.Generation))
			}
		}
	}
	for actor, old := range before {
		switch now, ok := after[actor]; {
		case !ok:
		case now == old:
			x.Kept++
			if !told[actor] {
				x.Staying++
			}
		default:
			x.Moved++
		}
	}
}

// near is how far from each other two things are that are taken for cause and
// effect: the engine looks after some of its waits only once a second.
const near = 1200 * time.Millisecond

// Waited says what the engine took its time for, as far as the history shows.
func (x *Exit) Waited() string {
	if x.Signal == "SIGKILL" && !x.Killed {
		return "nothing: it had no say"
	}
	end := "left"
	if x.Killed && x.Code == killedCode {
		end = "was killed"
	}
	var open []string
	for _, c := range x.Clients {
		if c.Ended == Never || c.Ended > x.Took-near/4 {
			open = append(open, c.Name)
		}
	}
	slices.Sort(open)
	open = slices.Compact(open)
	switch grace := x.ActorDrain; {
	case x.Starting && end == "was killed":
		return "nothing: the signal came before it handled any, and PID 1 has no default action"
	case end == "left" && x.Took < near && x.AllTold:
		return "nothing: every actor had been told to stop"
	case end == "left" && x.Took < near && x.Took > near*3/4:
		return "its next look, after a second"
	case end == "left" && x.Took < near:
		return "nothing"
	case end == "left" && x.Took >= grace-near/4 && x.Took < grace+near:
		return fmt.Sprintf("the pool's drain grace, %v", grace)
	case end == "was killed" && x.Took < grace:
		return fmt.Sprintf("the pool's drain grace, %v, but its own ended first", grace)
	case len(open) > 0:
		return fmt.Sprintf("%s, open until it %s", strings.Join(open, ", "), end)
	case end == "was killed":
		return "something that does not show"
	}
	for _, c := range x.Clients {
		if c.Ended != Never && x.Took-c.Ended >= 0 && x.Took-c.Ended < near {
			return fmt.Sprintf("%s, which ended %v after the signal", c.Name, c.Ended.Round(10*time.Millisecond))
		}
	}
	return "something that does not show"
}

// killedCode is the exit code of a process that SIGKILL ended.
const killedCode = 137
