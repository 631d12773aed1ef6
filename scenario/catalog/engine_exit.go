package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/fault"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/leaving"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/report"
	"github.com/killpoint/killpoint/scenario"
)

// EngineExit is the group of the engine's own exits: what is open × how it is
// asked to leave × the grace that it gets.
const EngineExit = "engine-exit"

// work is something that is open when the engine is asked to leave.
type work struct {
	name     string
	parts    []scenario.Part
	protocol int
	// actors are warmed and asked again after the restart, besides the parts'.
	actors int
	// starting strikes an engine that has not served yet.
	starting bool
	// from and to bound the time after which it leaves by itself; why says what it
	// takes it for. silent: who has it open is told nothing until then. told, where
	// it is set, says why it leaves at once if its actors were told to stop.
	from, to time.Duration
	why      string
	silent   bool
	told     string
}

const (
	// exitGrace is the pool's drain grace period here: none of the graces, so that no
	// exit is a race between the two.
	exitGrace = 3 * time.Second
	// exitPatience is longer than every grace, so that no client ends the engine's
	// wait.
	exitPatience = 45 * time.Second
	// forever is longer than every grace: 434 s, when it was measured.
	forever = 5 * time.Minute
	// dying is how long a process may take to be gone after what ends it, on a busy
	// host.
	dying = 1500 * time.Millisecond
	// starts is how long an engine that heard its signal early may go on starting.
	starts = time.Second
)

var works = []work{
	{
		name: "idle", parts: []scenario.Part{scenario.Asleep(0)}, to: dying,
		why: "no actor runs, so there is nothing to wait for: it is gone at once, or at its next look, a second later",
	},
	{
		name: "stream", actors: 1, from: exitGrace, to: exitGrace + dying,
		why:  "an actor runs, whose serverless stream is open: it waits for as long as the pool's drain grace, for it has closed the connection by which the actor would be told",
		told: "its stop overtook the closing of the runtime's connection, so the actor stopped and its stream ended",
	},
	{
		name: "request", actors: 1, parts: []scenario.Part{scenario.InFlight(2*time.Second, exitPatience)}, from: forever, to: forever, silent: true,
		why: "it has closed the connection by which the answer would come, and waits for it until all retries are used up",
	},
	{
		name: "commit", actors: 1, parts: []scenario.Part{scenario.CommitHeld()}, from: 28 * time.Second, to: 30*time.Second + dying, silent: true,
		why: "as with any request in flight, until its client's patience of 30 s ends",
	},
	{
		name: "websocket-idle", actors: 1, parts: []scenario.Part{scenario.OpenWebSocket()}, from: 30 * time.Second, to: 30*time.Second + dying, silent: true,
		why: "it waits for the WebSocket, which it gives up when a ping to the runtime has no answer for 30 s",
	},
	{
		name: "websocket-active", actors: 1, parts: []scenario.Part{scenario.ActiveWebSocket(500 * time.Millisecond)}, from: 17 * time.Second, to: 22 * time.Second, silent: true,
		why: "it waits for the WebSocket, which it gives up when the client's message has no answer for some 19 s",
	},
	{
		name: "streaming", actors: 1, protocol: 8, parts: []scenario.Part{scenario.Streaming()}, from: 28 * time.Second, to: 30*time.Second + dying, silent: true,
		why: "it waits for the rest of the answer, which cannot come any more, for some 30 s",
	},
	// Whether it heard the signal goes by how far its start was.
	{
		name: "starting", actors: 1, starting: true,
	},
}

// asking is a way to ask the engine to leave. A grace of 0 is none: SIGKILL.
type asking struct {
	name  string
	fault fault.Fault
	grace time.Duration
	// quick are the works with which it is part of make itest.
	quick []string
}

func askings() []asking {
	all := []asking{{"KILL", fault.Kill(), 0, nil}}
	quick := map[time.Duration][]string{
		time.Second:     {"idle", "stream", "request", "websocket-active", "streaming"},
		5 * time.Second: {"idle", "stream"}, // which leave by themselves by then
	}
	for _, g := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second} {
		all = append(all, asking{fmt.Sprintf("TERM/%v", g), fault.StopWith("SIGTERM", g), g, quick[g]})
	}
	return append(all,
		asking{"INT/5s", fault.StopWith("SIGINT", 5*time.Second), 5 * time.Second, nil},
		asking{"TERM-TERM/5s", fault.StopTwice(200*time.Millisecond, 5*time.Second), 5 * time.Second, nil},
	)
}

// want is how the engine is to leave: by itself, or by SIGKILL when its grace ends;
// where the two fall together, by either.
func (w work) want(a asking) check.ExitWant {
	const left, killed = 0, 137
	var told *check.ExitWant
	if w.told != "" {
		told = &check.ExitWant{Codes: []int{left}, To: dying, Why: w.told}
	}
	if a.grace == 0 {
		return check.ExitWant{Codes: []int{killed}, To: dying, Why: "SIGKILL asks nobody"}
	}
	switch {
	case w.starting:
		return check.ExitWant{
			Codes: []int{killed}, From: a.grace, To: a.grace + dying, Why: "the signal was lost: the kernel keeps default actions from PID 1, and there was no handler yet",
			Else: &check.ExitWant{Codes: []int{left}, To: starts + dying, Why: "its handler was there in time, and no actor runs"},
		}
	case a.grace < w.from:
		return check.ExitWant{Codes: []int{killed}, From: a.grace, To: a.grace + dying, Why: w.why + "; its grace ends first", Told: told}
	case a.grace > w.to:
		return check.ExitWant{Codes: []int{left}, From: w.from, To: w.to, Why: w.why, Told: told}
	}
	return check.ExitWant{Codes: []int{left, killed}, From: w.from, To: a.grace + dying, Why: w.why, Told: told}
}

func engineExits() []Entry {
	var entries []Entry
	for _, w := range works {
		for _, a := range askings() {
			e := Entry{
				Group: EngineExit, Variant: w.name + "/" + a.name, Test: "TestEngineExit",
				Extra: !slices.Contains(a.quick, w.name),
				build: func(Options) scenario.Scenario { return w.scenario(a) },
			}
			if w.protocol == 8 {
				e.Skip = noStreams
			}
			entries = append(entries, e)
		}
	}
	return entries
}

func (w work) scenario(a asking) scenario.Scenario {
	s := scenario.Scenario{
		Fault: a.fault, Reconnect: "fast", Protocol: w.protocol, DrainGrace: exitGrace, Parts: w.parts,
		Sweep: probe.Sweep{Delays: slices.Repeat([]time.Duration{0}, w.actors), Timeout: time.Second, Bound: 15 * time.Second},
	}
	s.Invariants = []check.Invariant{check.EngineExits(w.want(a))}
	if w.name != "idle" && !w.starting {
		s.Invariants = append(s.Invariants, check.GenerationsAfterExit(a.grace == 0))
	}
	if w.silent && a.grace > 0 && a.grace < w.from {
		s.Invariants = append(s.Invariants, check.ClientsHeardNothing())
	}
	if w.name == "idle" && a.fault == fault.Kill() {
		// A kill within 6 s of that would leave a lease behind: see states.go.
		s.Parts = []scenario.Part{scenario.Asleep(sleepsSound)}
	}
	if w.starting {
		s.Fault = scenario.AtStart(0, a.fault)
	}
	return s
}

// EngineExitTable is how the engine left in each trial of the group, in Markdown; ""
// where there is none.
func EngineExitTable(trials []report.Trial) string {
	var rows []string
	for _, t := range trials {
		rest, ok := strings.CutPrefix(t.Name, EngineExit+"/")
		if !ok {
			continue
		}
		h, err := history.ReadFile(report.HistoryPath(t.Dir))
		if err != nil {
			continue // its verdict says so
		}
		x, err := leaving.Read(h)
		if err != nil {
			continue
		}
		rows = append(rows, x.Row(rest))
	}
	if len(rows) == 0 {
		return ""
	}
	return "## The engine's own exit\n\nTimes count from the first signal.\n\n" + leaving.Head + strings.Join(rows, "")
}
