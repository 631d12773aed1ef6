package check

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// SingleLiveGeneration: at no time do two generations of an actor live.
//
// What is compared are the runtimes' own words and stamps. A generation lives
// from its "running" until it has said all of its end: the runtime its
// "stopped" and, where the actor's own code announced itself ("wake"), that
// code its "stop-hook" or "abort-hook"; or until its runtime's process exited.
//
// One overlap is allowed, and counted in the summary: where the engine started
// the later generation although it had not told the earlier one to stop (no
// "stop", "sleep" or "lost" before the later "start"), and the earlier one did
// end. The runtime could not know before. An engine that does so is not
// acquitted: what the earlier generation did meanwhile is for
// [OldGenerationSilent].
//
// It does not see a generation in a runtime that says nothing of itself.
func SingleLiveGeneration() Invariant {
	return Invariant{Name: "single-live-generation", Check: func(h *history.History) Finding {
		var all findings
		lives, ordered := 0, 0
		for _, of := range readLives(h) {
			lives += len(of)
			for i, later := range of {
				for _, earlier := range of[:i] {
					f, ok := overlap(earlier, later)
					all.add(f)
					if !ok {
						ordered++
					}
				}
			}
		}
		if lives == 0 {
			return undecided("no generation of an actor ran")
		}
		all.add(passed(""))
		return all.sum("%d generations, no two of an actor at a time but for %d overlaps that the engine ordered", lives, ordered)
	}}
}

// overlap is false where two generations lived at a time, rightly or not.
func overlap(earlier, later *life) (Finding, bool) {
	end := earlier.end()
	if end <= later.running.t || later.end() <= earlier.running.t {
		return passed(""), true
	}
	byEngine := earlier.told.t == 0 || earlier.told.t > later.start.t
	if byEngine && end != never {
		return passed(""), false
	}
	witness := []uint64{earlier.running.seq, later.running.seq}
	if end == never {
		return failed(witness, "%s was running, and had not ended at all, when generation %d ran", earlier, later.generation), false
	}
	return failed(append(witness, earlier.last().seq), "%s ended %v after generation %d ran", earlier, end.Sub(later.running.t), later.generation), false
}

// OldGenerationSilent: nothing of a generation is stamped after a later
// generation of its actor was announced as running: no write or heartbeat that
// succeeded, no request or WebSocket that it began to serve. The stamps are the
// runtimes' own, so that an answer that was on its way is no violation. Beside
// them, no client that asked after that announcement was answered by the
// earlier generation: such an answer was given after it was asked for.
//
// Nothing is tolerated. A write that failed is none; that it was tried is not
// held against a generation. An effect that the runtime does not write down
// (another process's, or a KV write outside of a heartbeat) is not seen.
func OldGenerationSilent() Invariant {
	return Invariant{Name: "old-generation-silent", Check: func(h *history.History) Finding {
		deeds := readDeeds(h)
		replaced := 0
		for _, of := range readLives(h) {
			for _, later := range of[1:] {
				replaced++
				for _, d := range deeds[later.actor] {
					if d.generation < later.generation && d.t > later.running.t {
						return failed([]uint64{later.running.seq, d.seq}, "generation %d of actor %s %s %v after generation %d was announced as running",
							d.generation, later.actor, d.what, d.t.Sub(later.running.t), later.generation)
					}
				}
			}
		}
		if replaced == 0 {
			return undecided("no generation followed another")
		}
		return passed("%d generations were followed by another and silent from then on", replaced)
	}}
}

// StopsWriting: a generation that was told to stop and has reported "stopped"
// makes no further write or heartbeat that succeeds, by the runtimes' own
// words and stamps. Writes between the command and the report are its last ones
// and allowed.
//
// It does not see what a generation does that was never told to stop, nor what
// the runtime does not write down.
func StopsWriting() Invariant {
	return Invariant{Name: "stops-writing", Check: func(h *history.History) Finding {
		deeds := readDeeds(h)
		stopped := 0
		for _, of := range readLives(h) {
			for _, l := range of {
				if l.told.t == 0 || l.stopped.t == 0 {
					continue
				}
				stopped++
				for _, d := range deeds[l.actor] {
					if d.generation == l.generation && d.writes && d.t > l.stopped.t {
						return failed([]uint64{l.told.seq, l.stopped.seq, d.seq}, "%s %s %v after it had reported that it stopped", l, d.what, d.t.Sub(l.stopped.t))
					}
				}
			}
		}
		if stopped == 0 {
			return undecided("no generation was told to stop and did")
		}
		return passed("%d generations stopped and wrote no more", stopped)
	}}
}

// mark is when something was said, and where.
type mark struct {
	t   clock.Mono // 0: never
	seq uint64
}

// life is one generation of an actor that ran, as its runtime tells it.
type life struct {
	actor      string
	generation uint32
	party      string

	start, running mark
	told           mark // the first stop command
	stopped        mark
	wake, hook     mark // the actor's own words
	exit           mark // of its runtime's process
}

func (l *life) String() string {
	return fmt.Sprintf("generation %d of actor %s", l.generation, l.actor)
}

// end is when the last word of its end was said.
func (l *life) end() clock.Mono {
	end := l.stopped.t
	if l.wake.t != 0 {
		end = max(end, l.hook.t)
	}
	if l.stopped.t == 0 || l.wake.t != 0 && l.hook.t == 0 {
		end = never
	}
	if l.exit.t != 0 {
		end = min(end, l.exit.t)
	}
	return end
}

// last is the last word of its end.
func (l *life) last() mark {
	for _, m := range []mark{l.stopped, l.hook, l.exit} {
		if m.t == l.end() {
			return m
		}
	}
	return mark{}
}

// readLives reads the generations that ran, those of an actor together and in
// their order. One that never ran (its start failed) does not count as alive.
func readLives(h *history.History) [][]*life {
	type key struct {
		actor      string
		generation uint32
		party      string
	}
	found := map[key]*life{}
	exits, last := map[string]mark{}, map[string]string{} // by party; the party of each container
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Actor:
			k := key{b.Actor, b.Generation, e.Party}
			if found[k] == nil {
				found[k] = &life{actor: b.Actor, generation: b.Generation, party: e.Party}
			}
			found[k].say(b.What, mark{e.T, e.Seq})
		case *history.Exit:
			party := b.Role + "#" + strconv.Itoa(b.Incarnation)
			if exits[party].t == 0 {
				exits[party] = mark{e.T, e.Seq}
			}
		case *history.Container:
			if b.What != history.ContainerStarting {
				continue
			}
			// An exit that was seen late cannot be later than the container's next start.
			before := last[b.Name]
			last[b.Name] = b.Role + "#" + strconv.Itoa(b.Incarnation)
			if before != "" && exits[before].t == 0 {
				exits[before] = mark{e.T, e.Seq}
			}
		}
	}
	var lives []*life
	for _, l := range found {
		if l.running.t != 0 {
			l.exit = exits[l.party]
			lives = append(lives, l)
		}
	}
	slices.SortFunc(lives, func(a, b *life) int {
		return cmp.Or(strings.Compare(a.actor, b.actor), cmp.Compare(a.generation, b.generation), strings.Compare(a.party, b.party))
	})
	return byActor(lives)
}

// byActor cuts the sorted lives where the actor changes.
func byActor(lives []*life) [][]*life {
	var out [][]*life
	for i, l := range lives {
		if i == 0 || l.actor != lives[i-1].actor {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], l)
	}
	return out
}

// say notes the first time of each word.
func (l *life) say(what string, m mark) {
	to := map[string]*mark{
		"start": &l.start, "running": &l.running, "stopped": &l.stopped,
		"stop": &l.told, "sleep": &l.told, "lost": &l.told,
		"wake": &l.wake, "stop-hook": &l.hook, "abort-hook": &l.hook,
	}[what]
	if to != nil && to.t == 0 {
		*to = m
	}
}

// deed is something that a generation did, or began to.
type deed struct {
	generation uint32
	what       string
	writes     bool
	mark
}

// readDeeds are those of each actor, by time. Those of clients are stamped
// with their asking: the deed came later.
func readDeeds(h *history.History) map[string][]deed {
	deeds := map[string][]deed{}
	asked := map[string]history.Event{}
	for _, e := range h.ByTime() {
		m := mark{e.T, e.Seq}
		switch b := e.Body.(type) {
		case *history.Heartbeat:
			if b.Error == "" {
				deeds[b.Actor] = append(deeds[b.Actor], deed{b.Generation, fmt.Sprintf("beat (beat %d)", b.Beat), true, m})
			}
		case *history.Actor:
			if d, ok := deedOf(b); ok {
				d.mark = m
				deeds[b.Actor] = append(deeds[b.Actor], d)
			}
		case *history.Invoke:
			asked[b.Op] = e
		case *history.Return:
			inv, ok := asked[b.Op]
			if !ok || b.Outcome != history.OK || b.Generation < 0 {
				continue
			}
			actor := inv.Body.(*history.Invoke).Actor
			if b.AnsweredBy != "" && b.AnsweredBy != actor {
				continue // another actor's generation
			}
			deeds[actor] = append(deeds[actor], deed{uint32(b.Generation), "answered " + b.Op + ", asked", false, mark{inv.T, e.Seq}})
		}
	}
	return deeds
}

func deedOf(b *history.Actor) (deed, bool) {
	switch b.What {
	case "write":
		return deed{generation: b.Generation, what: "wrote " + b.Reason, writes: true}, b.Error == ""
	case "request", "websocket":
		return deed{generation: b.Generation, what: "began to serve " + b.Reason}, true
	}
	return deed{}, false
}
