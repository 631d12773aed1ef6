package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Known bugs that leave an actor unreachable for far longer than a restart
// takes. The files named are those of the engine's repository, under
// engine/packages.

// StoppedForgotten: an engine that was told of a Stopped and died before it
// stored it, or was away when it was said, waits for that Stopped after its
// restart, and lets nobody in: an actor that is going to sleep or away is not
// placed anew before it has stopped (pegboard/src/workflows/actor2/mod.rs,
// listen_for_signals and Main::Wake). A client that sends the Stopped again
// after its reconnect ends that at once; one that forgot it never does.
var StoppedForgotten = KnownBug{
	Name:  "stopped-forgotten",
	Says:  "a Stopped that the engine did not store and the runtime does not send again leaves the actor unreachable",
	Ends:  "the engine's actor_stop_threshold, 30 minutes, counted from its restart where that was after a SIGTERM",
	Sees:  []string{"answers-within-bound"},
	Hides: unreachable,
	Mark:  stoppedForgotten,
}

// LeaseOutlivesEngine: work on an actor that was in the engine's memory when it
// was killed stays leased to the dead engine until that one has not pinged for
// 30 s, which the new one looks for every 10 s (gasoline/src/worker.rs,
// PING_INTERVAL; gasoline/src/db/kv/mod.rs, WORKER_LOST_THRESHOLD_MS and
// clear_expired_leases). In memory is the work on every actor that is not
// asleep, because it looks after it every 15 s and what is due within 16 s is
// waited for in memory (gasoline/src/ctx/workflow.rs); and on one that fell
// asleep less than 6 s before. Such an actor goes on serving if it runs and is
// connectable, but it cannot be started, woken, stopped or destroyed. An engine
// that is killed less than 6 s after its own start leaves no actor that can be
// woken, however long it slept: what an engine takes up at its start is in memory
// for as long (measured; which of it is in the way is not known).
//
// Half a minute becomes a whole one where the engine died within some 20 ms of its
// decision to place the actor. It notes "allocated" before it calls the runtime
// (pegboard-outbound/src/lib.rs); the next engine comes upon that note when the lease
// has ended, and gives a start that nobody carries out the whole of its
// actor_start_threshold, 30 s, from then on. The generation that was to start is spent.
var LeaseOutlivesEngine = KnownBug{
	Name:  "lease-outlives-engine",
	Says:  "an engine that was killed keeps its leases: an actor that had just fallen asleep, or was starting, cannot be reached",
	Ends:  "the first 10 s tick of the new engine at which the killed one has not pinged for 30 s: 20 or 30 s after its start",
	Sees:  []string{"answers-within-bound"},
	Hides: unreachable,
	Mark:  leaseOutlivesEngine,
}

// StoppedEngineCounted: an engine that stops does not take itself off the list
// of those that share the work (gasoline/src/db/kv/mod.rs, mark_worker_inactive
// looks outside of its subspace and finds nothing). Each engine takes the work of
// two of all that are listed (pull_workflows), so that after one restart
// nothing is left over, but after two within 20 s a third of all work or more
// waits for an engine that is gone. Up to 2.3.11 an engine that stops on a busy
// machine may count twice: there one restart can do it.
var StoppedEngineCounted = KnownBug{
	Name:  "stopped-engine-counted",
	Says:  "after two restarts within 20 s a third or more of what the engine has to do waits, because it counts on engines that have stopped",
	Ends:  "all but one of the engines that are gone have not pinged for 20 s, and something is to do",
	Sees:  []string{"answers-within-bound"},
	Hides: unreachable,
	Mark:  stoppedEngineCounted,
}

// farTooLong is longer than a healthy restart takes to reach any actor, by
// twice.
const farTooLong = 5 * time.Second

// inMemory is how long the engine keeps work in memory after its last step: four
// polls of 1.5 s, and some for its bookkeeping. Starting is a step.
const inMemory = 6500 * time.Millisecond

// Bounds of what the engine's leases and its list of engines explain, from the
// start of the new engine on: the last ping of the old one may be as young as
// its death, and what happens at a tick of 10 s may be late on a busy machine.
const (
	leaseExplains = 45 * time.Second
	startExplains = 30 * time.Second // on top of it, where a generation was spent
	listExplains  = 40 * time.Second
)

// runtimeGone is the word of an actor whose runtime died.
const runtimeGone = "gone"

// lifeWords are the steps of an actor's life. The rest of what its code and its
// runtime say, of requests and of commands that were not carried out, is none.
var lifeWords = []string{"start", "running", "stop", "sleep", "lost", "abort", "panic", "stopped"}

// listed is how long an engine is counted after its last ping.
const listed = 20 * time.Second

func stoppedForgotten(h *history.History) map[string][]uint64 {
	if !forgets(h) {
		return nil
	}
	r := readReach(h)
	return r.struck(func(s spell) []uint64 {
		if s.word != "stopped" || !r.unsure(s.said.t) || !r.connected(s.from) {
			return nil
		}
		return []uint64{s.said.seq}
	})
}

func leaseOutlivesEngine(h *history.History) map[string][]uint64 {
	r := readReach(h)
	old, killed := r.before()
	if !killed || !r.works() {
		return nil
	}
	return r.struck(func(s spell) []uint64 {
		before := s.told != 0 && s.told <= old.exit.t
		asleep := s.word == "stopped" && s.said.t <= old.exit.t && old.exit.t.Sub(s.said.t) <= inMemory
		gone := s.word == runtimeGone && before
		anyone := s.word == "stopped" && old.exit.t.Sub(old.healthy.t) <= inMemory
		// It had its command from the old engine, and its answer is for the new one.
		between := before && s.said.t > old.exit.t && r.connected(s.from)
		most := leaseExplains
		if s.spent {
			most += startExplains
		}
		if !asleep && !anyone && !gone && !between || s.to.Sub(r.now.start.t) > most {
			return nil
		}
		return []uint64{old.exit.seq, s.said.seq}
	})
}

func stoppedEngineCounted(h *history.History) map[string][]uint64 {
	r := readReach(h)
	gone := r.listed()
	old, killed := r.before()
	if killed || len(gone) < 2 || !r.works() {
		return nil
	}
	return r.struck(func(s spell) []uint64 {
		// That it runs was said to an engine which was leaving: the next one still has
		// its stop to hand out.
		unheard := s.word == "running" && s.said.t > old.healthy.t && r.unsure(s.said.t)
		if s.word != "stopped" && !unheard || s.to.Sub(r.now.start.t) > listExplains {
			return nil
		}
		return append(slices.Clone(gone), s.said.seq)
	})
}

// forgets: the fixture was set to forget what a killpoint runtime otherwise
// sends again.
func forgets(h *history.History) bool {
	for _, e := range h.Events {
		if s, ok := e.Body.(*history.Settings); ok {
			env, _ := (*s)["runtime_env"].(map[string]any)
			forget, _ := env["KILLPOINT_FIXTURE_FORGET_STOPPED"].(string)
			if yes, err := strconv.ParseBool(forget); err == nil && yes {
				return true
			}
			if env["KILLPOINT_FIXTURE_LOST"] == "drop" {
				return true
			}
		}
	}
	return false
}

// incarnation is one life of the engine.
type incarnation struct {
	start, healthy, exit mark
	killed               bool // by SIGKILL, and not because a grace had ended
}

// spell is the longest time in which an actor was asked and nothing was heard
// of it, with a connection, nor of the connection.
type spell struct {
	from, to clock.Mono
	// word is the actor's last before it, said then. told is when the engine's
	// last command to it came; "" and 0 where there were none.
	word string
	said mark
	told clock.Mono
	// generation is the one whose word it was. spent: what ended the spell is the
	// start of one that is not the next.
	generation uint32
	spent      bool
	// asked are the events of the operations that had no answer in it.
	asked []uint64
}

// reach is what a history says of who could reach whom since the engine's last
// good /health.
type reach struct {
	engines []incarnation
	now     incarnation // the last of them
	end     clock.Mono
	actors  map[string]*reachActor
	// away are the times in which the runtime had no connection, or one to an
	// engine that was being struck.
	away [][2]clock.Mono
	// links are the changes of the connection, greeted its last init.
	links   []clock.Mono
	greeted clock.Mono
	// workers are the ends of what shared the engine's work.
	workers []mark
	// forgets: the runtime is set to forget its actors.
	forgets bool
}

// reachActor is one actor: its words, and what clients asked of it.
type reachActor struct {
	words []reachWord
	ops   map[string]*reachOp
}

type reachWord struct {
	what       string
	generation uint32
	mark
}

type reachOp struct {
	begun mark
	ended mark // 0: never
	ok    bool
	// decisive: an error of which waiting for the actor is not the reason.
	decisive bool
}

func readReach(h *history.History) *reach {
	r := &reach{actors: map[string]*reachActor{}, forgets: forgets(h)}
	asked := map[string]string{}
	lost := clock.Mono(1) // 0: connected
	for _, e := range h.ByTime() {
		m := mark{e.T, e.Seq}
		switch b := e.Body.(type) {
		case *history.Container:
			if b.Role == "engine" && b.What == history.ContainerStarting {
				r.engines = append(r.engines, incarnation{start: m})
			}
		case *history.Health:
			if n := len(r.engines); n > 0 && r.engines[n-1].healthy.t == 0 {
				r.engines[n-1].healthy = m
			}
		case *history.Exit:
			if b.Role == "runtime" && b.By != "teardown" {
				r.orphan(m)
			}
			if n := len(r.engines); n > 0 && b.Role == "engine" && b.By != "teardown" {
				r.workers = append(r.workers, m)
				r.engines[n-1].exit = m
				r.engines[n-1].killed = b.Signal == "SIGKILL" && !b.GraceEnded && b.Code == killedCode
			}
		case *history.Log:
			if b.Role == "engine" && workerLeft(b.Line) {
				r.workers = append(r.workers, m)
			}
		case *history.Fault:
			if r.strikes(b) && lost == 0 {
				lost = e.T
			}
		case *history.Envoy:
			lost = r.link(b.What, e.T, lost)
		case *history.Actor:
			if slices.Contains(lifeWords, b.What) {
				a := r.actor(b.Actor)
				a.words = append(a.words, reachWord{b.What, b.Generation, m})
			}
		case *history.Invoke:
			if b.Actor != "" {
				asked[b.Op] = b.Actor
				r.actor(b.Actor).ops[b.Op] = &reachOp{begun: m}
			}
		case *history.Return:
			if a, ok := asked[b.Op]; ok {
				op := r.actors[a].ops[b.Op]
				op.ended, op.ok, op.decisive = m, b.Outcome == history.OK, decisive(b, r.forgets)
			}
		}
		if r.end < e.T && !teardown(e.Body) {
			r.end = e.T
		}
	}
	if lost != 0 {
		r.away = append(r.away, [2]clock.Mono{lost, never})
	}
	if n := len(r.engines); n > 0 {
		r.now = r.engines[n-1]
	}
	return r
}

// link follows the runtime's connection. lost is since when there is none, 0
// where there is one, before and after.
func (r *reach) link(what string, t, lost clock.Mono) clock.Mono {
	if what != "init" && what != "closed" {
		return lost
	}
	r.links = append(r.links, t)
	if what == "closed" {
		if lost == 0 {
			return t
		}
		return lost
	}
	r.greeted = t
	if lost != 0 {
		r.away = append(r.away, [2]clock.Mono{lost, t})
	}
	return 0
}

// workerLeft: an engine up to 2.3.11 that stops may start what shares its work
// once more before it leaves, and says so of the first one. There is no code to
// it.
func workerLeft(line string) bool {
	return strings.Contains(line, "service exited unexpectedly") && strings.Contains(line, "service=workflow_worker")
}

// teardown: an event of the cell's removal, which is no part of the trial.
func teardown(body any) bool {
	switch b := body.(type) {
	case *history.Exit:
		return b.By == "teardown"
	case *history.Container:
		return b.What == history.ContainerRemoved
	case *history.End, *history.Noise:
		return true
	}
	return false
}

// strikes: a fault begins that the engine does not survive.
func (r *reach) strikes(f *history.Fault) bool {
	n := len(r.engines)
	return f.Phase == history.FaultBegun && f.Target == "engine#"+strconv.Itoa(n) && (f.Kind == "kill" || f.Kind == "stop" || f.Kind == "signal")
}

func (r *reach) actor(id string) *reachActor {
	if r.actors[id] == nil {
		r.actors[id] = &reachActor{ops: map[string]*reachOp{}}
	}
	return r.actors[id]
}

// orphan has the actors that were at work in the runtime be gone with it.
func (r *reach) orphan(exit mark) {
	for _, a := range r.actors {
		if s := a.at(exit.t); s.word != "" && s.word != "stopped" {
			a.words = append(a.words, reachWord{runtimeGone, s.generation, exit})
		}
	}
}

// connected reports whether the runtime had a connection from then on.
func (r *reach) connected(t clock.Mono) bool {
	return !slices.ContainsFunc(r.away, func(a [2]clock.Mono) bool { return a[0] <= t && t < a[1] })
}

// unsure reports whether what a runtime said then may not have been stored.
func (r *reach) unsure(t clock.Mono) bool {
	return slices.ContainsFunc(r.away, func(a [2]clock.Mono) bool { return a[0] <= t && t <= a[1] })
}

// before is the engine before the last. killed: it had no time to let go of
// anything.
func (r *reach) before() (old incarnation, killed bool) {
	n := len(r.engines)
	if n < 2 {
		return incarnation{}, false
	}
	old = r.engines[n-2]
	return old, old.killed && old.exit.t != 0
}

// listed are the ends of those that the last engine may have counted when it
// started, besides itself.
func (r *reach) listed() []uint64 {
	var out []uint64
	for _, w := range r.workers {
		if w.t < r.now.start.t && r.now.start.t.Sub(w.t) < listed {
			out = append(out, w.seq)
		}
	}
	return out
}

// works: the last engine took the runtime's connection, or somebody was
// answered within farTooLong of its first good /health, so that it is not the
// engine as a whole that is dead.
func (r *reach) works() bool {
	if r.now.start.t != 0 && r.greeted > r.now.start.t {
		return true
	}
	for _, a := range r.actors {
		for _, op := range a.ops {
			if op.ok && r.now.healthy.t != 0 && op.begun.t >= r.now.healthy.t && op.ended.t < r.now.healthy.t.Add(farTooLong) {
				return true
			}
		}
	}
	return false
}

// struck are the actors that were asked for farTooLong while nothing happened,
// and for which why has events.
func (r *reach) struck(why func(spell) []uint64) map[string][]uint64 {
	out := map[string][]uint64{}
	for _, id := range slices.Sorted(maps.Keys(r.actors)) {
		s, ok := r.spell(r.actors[id])
		if !ok || s.to.Sub(s.from) <= farTooLong {
			continue
		}
		if seqs := why(s); len(seqs) > 0 {
			seqs = append(seqs, s.asked...)
			slices.Sort(seqs)
			out[id] = slices.Compact(seqs)
		}
	}
	return out
}

// spell finds the actor's longest one since the last first good /health, from
// its first being asked to its first good answer or decisive error. An actor whose code is at
// work, starting or stopping, has none: it has the word.
func (r *reach) spell(a *reachActor) (spell, bool) {
	from, to, asked := a.waited(r.now.healthy.t, r.end)
	if from == 0 || r.now.healthy.t == 0 {
		return spell{}, false
	}
	cuts := []clock.Mono{from, to}
	for _, w := range a.words {
		cuts = append(cuts, w.t)
	}
	cuts = append(cuts, r.links...)
	cuts = slices.DeleteFunc(cuts, func(t clock.Mono) bool { return t < from || t > to })
	slices.Sort(cuts)
	var longest spell
	for i := 1; i < len(cuts); i++ {
		s := a.at(cuts[i-1])
		s.from, s.to, s.asked = cuts[i-1], cuts[i], asked
		idle := slices.Contains([]string{"", "running", "stopped", runtimeGone}, s.word)
		if idle && s.to.Sub(s.from) > longest.to.Sub(longest.from) {
			longest = s
		}
	}
	longest.spent = slices.ContainsFunc(a.words, func(w reachWord) bool {
		return w.t == longest.to && w.what == "start" && w.generation > longest.generation+1
	})
	return longest, longest.to != 0
}

// stillWaiting are the codes by which the gateway says that it gave up waiting
// for an actor.
var stillWaiting = []string{"guard.actor_ready_timeout", "guard.retry_attempts_exceeded"}

// decisive reports whether the client was told something: an error which is not
// that the actor cannot be reached. A runtime that forgets its actors says so of
// each.
func decisive(b *history.Return, forgets bool) bool {
	switch b.Cause {
	case history.CauseStatus:
		return !slices.Contains(stillWaiting, b.Code) && (!forgets || b.Code != "envoy.actor_not_found")
	case history.CauseRefused, history.CauseReset:
		return true
	}
	return false
}

// waited is from when to when somebody who asked the actor was told nothing, by
// it or of it, and the first and the last of the events that say so. from is 0
// where nobody asked.
func (a *reachActor) waited(since, end clock.Mono) (from, to clock.Mono, seqs []uint64) {
	to = end
	var first, last mark
	for _, op := range a.ops {
		if op.begun.t < since {
			continue
		}
		if first.t == 0 || op.begun.t < first.t {
			first = op.begun
		}
		if (op.ok || op.decisive) && op.ended.t < to {
			to = op.ended.t
		}
	}
	if first.t == 0 {
		return 0, 0, nil
	}
	for _, op := range a.ops {
		if !op.ok && op.ended.t > last.t && op.begun.t >= since && op.ended.t <= to {
			last = op.ended
		}
	}
	seqs = []uint64{first.seq}
	if last.t != 0 {
		seqs = append(seqs, last.seq)
	}
	return first.t, to, seqs
}

// at is what the actor had said last by then.
func (a *reachActor) at(t clock.Mono) spell {
	var s spell
	for _, w := range a.words {
		if w.t > t {
			break
		}
		s.word, s.said, s.generation = w.what, w.mark, w.generation
		if w.what == "start" || w.what == "stop" || w.what == "sleep" {
			s.told = w.t
		}
	}
	return s
}
