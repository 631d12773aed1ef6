// Package restarts reads a history and says how the platform brought a runtime
// back: each of its lives, the daemon's back-off between them, what the engine did
// meanwhile, and when its users were served again.
package restarts

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/workload"
)

// Docker's back-off: it waits for the least before the first restart, and twice as
// long before each that follows, up to the most; a life of more than Reset begins
// it anew.
const (
	Least = 100 * time.Millisecond
	Most  = time.Minute
	Reset = 10 * time.Second
)

// Never stands for a time that did not come.
const Never = time.Duration(-1)

// Life is one incarnation of the runtime.
type Life struct {
	N                      int
	Started, Serves, Ended clock.Mono // 0: never, or not seen
	ByDaemon               bool
	Code                   int
	OOM                    bool
	Signal, By             string
	startedSeq, endedSeq   uint64
}

// Gap is the time without a process before a life that the daemon started.
type Gap struct {
	From        clock.Mono // the death
	Took, Least time.Duration
	Seqs        []uint64 // the death and the start
}

// Restarts are all lives of a runtime, from its first to its crash and on.
type Restarts struct {
	Lives []Life
	Gaps  []Gap
	// Crashed is the first death, Back when the first life that the daemon started
	// and that stayed served, Answered the first good answer that was asked for
	// after the crash: 0 for never.
	Crashed, Back, Answered clock.Mono
	// Starts are the engine's calls that give an actor to the runtime, between the
	// crash and the first good answer; Refused those of them that nobody took.
	Starts, Refused int
	// Spent is by how many generations the actor that spent most went on.
	Spent int
	// Requests of the flow that were sent from the crash to the first good answer,
	// and those that failed.
	Requests, Failed int
}

// ErrNone is the reason for which there is nothing to read.
var ErrNone = errors.New("no runtime was started again by the daemon")

// Read finds the runtime's lives in a history.
func Read(h *history.History) (*Restarts, error) {
	r, events := &Restarts{}, h.ByTime()
	r.lives(events)
	if !slices.ContainsFunc(r.Lives, func(l Life) bool { return l.ByDaemon }) {
		return nil, ErrNone
	}
	r.gaps()
	r.answers(events)
	r.calls(events)
	r.generations(events)
	return r, nil
}

func (r *Restarts) lives(events []history.Event) {
	of, serves := map[int]*Life{}, map[string]clock.Mono{}
	var all []*Life
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Container:
			if b.Role == "runtime" && b.What == history.ContainerStarted {
				of[b.Incarnation] = &Life{N: b.Incarnation, Started: e.T, ByDaemon: b.By == "daemon", startedSeq: e.Seq}
				all = append(all, of[b.Incarnation])
			}
		case *history.Exit:
			if l := of[b.Incarnation]; b.Role == "runtime" && l != nil && b.By != "teardown" {
				l.Ended, l.Code, l.OOM, l.Signal, l.By, l.endedSeq = e.T, b.Code, b.OOM, b.Signal, b.By, e.Seq
			}
		}
		// Before the daemon's word that it runs, mostly.
		if e.Kind == kindListening && serves[e.Party] == 0 {
			serves[e.Party] = e.T
		}
	}
	for _, l := range all {
		l.Serves = serves[fmt.Sprintf("runtime#%d", l.N)]
		r.Lives = append(r.Lives, *l)
	}
	slices.SortStableFunc(r.Lives, func(a, b Life) int { return cmp.Compare(a.N, b.N) })
}

// kindListening is the fixture's own.
const kindListening = "runtime.listening"

// gaps also finds the crash, and the life that stayed.
func (r *Restarts) gaps() {
	due := Least
	for i, l := range r.Lives {
		if i == 0 {
			r.Crashed = l.Ended
			continue
		}
		before := r.Lives[i-1]
		if before.Ended.Sub(before.Started) > Reset {
			due = Least
		}
		if l.ByDaemon && before.Ended != 0 {
			r.Gaps = append(r.Gaps, Gap{From: before.Ended, Took: l.Started.Sub(before.Ended), Least: due, Seqs: []uint64{before.endedSeq, l.startedSeq}})
			due = min(2*due, Most)
		}
	}
	if last := r.Lives[len(r.Lives)-1]; last.Ended == 0 {
		r.Back = last.Serves
	}
}

func (r *Restarts) answers(events []history.Event) {
	sent := map[string]clock.Mono{}
	for _, e := range events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if b.Client == workload.FlowClient && e.T >= r.Crashed && r.Crashed != 0 {
				sent[b.Op] = e.T
			}
		case *history.Return:
			if sent[b.Op] != 0 && b.Outcome == history.OK && r.Answered == 0 {
				r.Answered = e.T
			}
		}
	}
	for _, e := range events {
		b, ok := e.Body.(*history.Return)
		if !ok || sent[b.Op] == 0 || r.Answered != 0 && sent[b.Op] > r.Answered {
			continue
		}
		r.Requests++
		if b.Outcome != history.OK {
			r.Failed++
		}
	}
}

// calls are the engine's, as the front saw them.
func (r *Restarts) calls(events []history.Event) {
	for _, e := range events {
		b, ok := e.Body.(*history.Front)
		if !ok || b.What != "call" || !strings.HasSuffix(b.Path, "/start") || e.T < r.Crashed || r.Answered != 0 && e.T > r.Answered {
			continue
		}
		r.Starts++
		if b.Error != "" || b.Status/100 != 2 {
			r.Refused++
		}
	}
}

func (r *Restarts) generations(events []history.Event) {
	before, after := map[string]uint32{}, map[string]uint32{}
	for _, e := range events {
		b, ok := e.Body.(*history.Actor)
		if !ok || b.What != "running" {
			continue
		}
		if e.T <= r.Crashed {
			before[b.Actor] = max(before[b.Actor], b.Generation)
		} else if after[b.Actor] == 0 {
			after[b.Actor] = b.Generation
		}
	}
	for actor, n := range after {
		if old := before[actor]; old != 0 {
			r.Spent = max(r.Spent, int(n)-int(old))
		}
	}
}

// Recovery is from when a well runtime served to the first good answer.
func (r *Restarts) Recovery() time.Duration { return since(r.Answered, r.Back) }

// Outage is from the crash to the first good answer.
func (r *Restarts) Outage() time.Duration { return since(r.Answered, r.Crashed) }

func since(t, u clock.Mono) time.Duration {
	if t == 0 || u == 0 {
		return Never
	}
	return t.Sub(u)
}

// Head is the head of the table that rows of [Restarts.Row] belong to.
const Head = "| crash | first life ended | lives by the daemon | gaps, and Docker's own wait | engine's starts meanwhile: all, refused | generations | requests meanwhile: all, failed | crash to first answer | served to first answer |\n|---|---|---:|---|---|---:|---|---:|---:|\n"

// Row is all of it as a row of a table.
func (r *Restarts) Row(name string) string {
	first, daemon := r.Lives[0], 0
	for _, l := range r.Lives {
		if l.ByDaemon {
			daemon++
		}
	}
	end := fmt.Sprintf("code %d", first.Code)
	if first.OOM {
		end += ", out of memory"
	}
	var gaps []string
	for _, g := range r.Gaps {
		gaps = append(gaps, fmt.Sprintf("%d (%d)", g.Took.Milliseconds(), g.Least.Milliseconds()))
	}
	return fmt.Sprintf("| %s | %s | %d | %s ms | %d, %d | +%d | %d, %d | %s | %s |\n", name, end, daemon, strings.Join(gaps, ", "),
		r.Starts, r.Refused, r.Spent, r.Requests, r.Failed, ms(r.Outage()), ms(r.Recovery()))
}

func ms(d time.Duration) string {
	if d == Never {
		return "never"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
