package check

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

// HalfTransaction: the engine drops its SQLite handle of an actor before it
// hands the runtime any stop for that actor, whatever is under way on it, and
// the next statement of the same generation opens a new one
// (pegboard-envoy: actor_lifecycle::stop_actor, remote_sqlite_executor_cell).
// What a transaction did before is rolled back, what follows is carried out
// statement by statement, and only its COMMIT is refused. A stop that is
// replayed after a restart meets a transaction often, because requests that
// were held are let go in the same moment.
var HalfTransaction = KnownBug{
	Name:   "half-transaction",
	Says:   "a stop that comes while a transaction is open drops what it did, and what follows of it is carried out statement by statement",
	Ends:   "the refused COMMIT; what was carried out by itself stays",
	Sees:   []string{"ledger-keeps-acked-writes", "linearizable", "applied-once"},
	Mark:   halfTransactions,
	Allows: func(h *history.History) *history.History { return halved(h, halves(h)) },
}

// noTransaction is how SQLite refuses a COMMIT ("cannot commit - ") or a
// ROLLBACK ("cannot rollback - ") outside of a transaction. The engine puts no
// code to it, so its text is all there is.
const noTransaction = " - no transaction is active"

// halfTransactions finds the actors of which a generation had a transaction
// refused as if it had never begun, and was told to stop on the connection over
// which it heard so. The stop may be read after the refusal, for the engine
// sends it after it dropped the handle. On a connection that ended in between,
// the runtime itself would have refused the rest of the transaction.
func halfTransactions(h *history.History) map[string][]uint64 {
	struck := map[string][]uint64{}
	for _, f := range halves(h) {
		struck[f.actor] = append(struck[f.actor], f.stop.seq, f.refused.seq)
	}
	return struck
}

// half is a transaction of which a half may have been carried out.
type half struct {
	actor, op     string // op is the write's identity
	stop, refused mark
}

// soon is the longest between a stop and the refusal of a transaction that it
// met.
const soon = 5 * time.Second

func halves(h *history.History) []half {
	type generation struct {
		party, actor string
		number       uint32
	}
	stops, refused := map[generation]mark{}, map[generation][]half{}
	ends := map[string][]clock.Mono{} // of a runtime's connections
	for _, e := range h.ByTime() {
		m := mark{e.T, e.Seq}
		switch b := e.Body.(type) {
		case *history.Envoy:
			if b.What == "closed" {
				ends[e.Party] = append(ends[e.Party], e.T)
			}
		case *history.Actor:
			g := generation{e.Party, b.Actor, b.Generation}
			switch {
			case b.What == "stop" || b.What == "sleep":
				stops[g] = m
			case b.What == "write" && strings.Contains(b.Error, noTransaction):
				refused[g] = append(refused[g], half{actor: b.Actor, op: b.Reason, refused: m})
			}
		}
	}
	var out []half
	for g, writes := range refused {
		stop, ok := stops[g]
		for _, w := range writes {
			w.stop = stop
			if ok && max(w.refused.t.Sub(stop.t), stop.t.Sub(w.refused.t)) <= soon && !anyBetween(ends[g.party], stop.t, w.refused.t) {
				out = append(out, w)
			}
		}
	}
	slices.SortFunc(out, func(a, b half) int { return cmp.Compare(a.refused.seq, b.refused.seq) })
	return out
}

// codeHalf stands in a history for what the caller was told of such a write: it
// may be in the ledger, and it may be counted, once, and neither says anything of
// the other.
const codeHalf = "known.half_transaction"

// halved is the history with codeHalf for the answers to those writes: of each,
// to the last attempt before it was refused. Where the gateway sent that attempt
// on again, and it was good in the end, the half is an attempt beside it.
func halved(h *history.History, all []half) *history.History {
	answers := map[string]*history.Return{} // by attempt
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Return); ok {
			answers[b.Op] = b
		}
	}
	out := *h
	out.Events = slices.Clone(h.Events)
	for _, f := range all {
		at, asked := f.attempt(out.Events)
		switch answer := answers[asked.Op]; {
		case at < 0:
		case answer == nil || answer.Outcome == history.OK:
			beside := *asked
			beside.Op, beside.RetryOf = fmt.Sprintf("%s/half-%d", asked.Op, f.refused.seq), identity(asked)
			sent := out.Events[at]
			told := sent
			sent.Body, told.Body = &beside, &history.Return{Op: beside.Op, Outcome: history.Info, Code: codeHalf}
			out.Events = slices.Insert(out.Events, at+1, sent, told)
		default:
			for i, e := range out.Events {
				if e.Body == any(answer) {
					told := *answer
					told.Outcome, told.Code = history.Info, codeHalf
					out.Events[i].Body = &told
				}
			}
		}
	}
	return &out
}

// attempt is the last one at the write before it was refused, and where it is
// among the events; -1 where there is none.
func (f half) attempt(events []history.Event) (at int, asked *history.Invoke) {
	at, asked = -1, &history.Invoke{}
	for i, e := range events {
		b, ok := e.Body.(*history.Invoke)
		if ok && b.Actor == f.actor && identity(b) == f.op && e.T <= f.refused.t && (at < 0 || e.T > events[at].T) {
			at, asked = i, b
		}
	}
	return at, asked
}

// anyBetween reports whether one of the instants is between a and b, in
// either order.
func anyBetween(instants []clock.Mono, a, b clock.Mono) bool {
	for _, t := range instants {
		if min(a, b) < t && t < max(a, b) {
			return true
		}
	}
	return false
}

// DeliveredTwice: the gateway sends a request again, whatever its method, when
// the actor that has it stops, is lost or takes longer than
// pegboard.gateway_response_start_timeout_ms (5 min) before it answers
// (guard-core: is_retryable_guard_http_error). That the request may have been
// carried out does not count.
var DeliveredTwice = KnownBug{
	Name: "delivered-twice",
	Says: "a write that was carried out, and whose answer did not come, is sent to the actor again although its client sent it once",
	Ends: "the actor itself, if it knows an operation by its id",
	Sees: []string{"delivered-once"},
	Mark: func(h *history.History) map[string][]uint64 {
		struck := map[string][]uint64{}
		for _, d := range deliveries(h) {
			if d.again() {
				struck[d.actor] = append(struck[d.actor], d.seqs()...)
			}
		}
		return struck
	},
}

// DeliveredOnce: no write reached its actor again after it was carried out,
// unless its client sent it again. The actors' own words for their writes tell,
// and what the client was told: that the first attempt was a repetition. Where
// there is neither it is inconclusive.
//
// It proves nothing of a write that reached an actor twice before it was
// carried out, which does no harm, nor of one that an actor took and did not
// get to.
func DeliveredOnce() Invariant {
	return Invariant{Name: "delivered-once", Check: func(h *history.History) Finding {
		all := deliveries(h)
		if len(all) == 0 {
			return undecided("no actor said anything of a write")
		}
		for _, d := range all {
			if d.again() {
				return failed(d.seqs(), "%s", d)
			}
		}
		return passed("%d writes reached their actors as often as they were sent", len(all))
	}}
}

// delivery is a write as its client sent it and as its actor had it.
type delivery struct {
	op, actor string
	sent      []uint64 // the invokes of all its attempts
	writes    []uint64 // what the actor said of it, in order
	first     int      // which of those first said that it succeeded; -1: none
	// repeated is the answer to the first attempt, if it was that the actor had
	// carried the write out before; 0: it was not.
	repeated uint64
}

// again: it came once more than it was sent, after it had been carried out.
func (d *delivery) again() bool {
	return d.repeated != 0 || len(d.writes) > len(d.sent) && d.first >= 0 && d.first < len(d.writes)-1
}

func (d *delivery) String() string {
	if d.repeated != 0 {
		return fmt.Sprintf("the first attempt at the write %s was answered by actor %s as a repetition", d.op, d.actor)
	}
	return fmt.Sprintf("the write %s, sent %d times, reached actor %s %d times, also after it was carried out", d.op, len(d.sent), d.actor, len(d.writes))
}

func (d *delivery) seqs() []uint64 {
	seqs := slices.Concat(d.sent, d.writes)
	if d.repeated != 0 {
		seqs = append(seqs, d.repeated)
	}
	return seqs
}

// deliveries are the writes that a client sent and an actor spoke of, in its
// log or in its answer, in the order in which they were sent.
func deliveries(h *history.History) []*delivery {
	byOp := map[string]*delivery{}
	var sent []*delivery
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			id := identity(b)
			if byOp[id] == nil {
				byOp[id] = &delivery{op: id, actor: b.Actor, first: -1}
				sent = append(sent, byOp[id])
			}
			byOp[id].sent = append(byOp[id].sent, e.Seq)
		case *history.Return:
			// Under the identity itself goes the first attempt only.
			if d := byOp[b.Op]; d != nil && b.Code == codeRepeated {
				d.repeated = e.Seq
			}
		case *history.Actor:
			if d := byOp[b.Reason]; d != nil && b.What == "write" && d.actor == b.Actor {
				if b.Error == "" && d.first < 0 {
					d.first = len(d.writes)
				}
				d.writes = append(d.writes, e.Seq)
			}
		}
	}
	return slices.DeleteFunc(sent, func(d *delivery) bool { return len(d.writes) == 0 && d.repeated == 0 })
}

// DrainAwaitsAnswer: at SIGTERM the engine closes the runtimes' connections
// first and then waits for the requests that it holds, whose answers can come by
// those connections only (guard-core: server.rs). Each is given up after all
// retries, 434 s; the port accepts connections meanwhile and answers nothing.
var DrainAwaitsAnswer = KnownBug{
	Name: "drain-awaits-lost-answer",
	Says: "an engine that is asked to leave while a client waits for an answer cuts the answer's way back, and then waits for it",
	Ends: "the client's patience, SIGKILL, or 434 s; an idle WebSocket's ping timeout, 30 s",
	Sees: []string{"drain-ends-within-bound"},
	Mark: drainsThatAwait,
	Allows: func(h *history.History) *history.History {
		struck := drainsThatAwait(h)[""]
		return omitting(h, func(e history.Event) bool {
			_, fault := e.Body.(*history.Fault)
			return fault && slices.Contains(struck, e.Seq)
		})
	},
}

// DrainEndsWithin: each time the engine was asked to leave by a stop, it had
// left by itself within the bound. One that was killed before is inconclusive:
// give a stop a longer grace than the bound, and the bound more than the pool's
// drain grace, which an engine takes even where nothing goes on.
func DrainEndsWithin(bound time.Duration) Invariant {
	return Invariant{Name: "drain-ends-within-bound", Check: func(h *history.History) Finding {
		var all findings
		for _, d := range drains(h) {
			all.add(d.endsWithin(bound))
		}
		return all.sum("%d drains ended within %v", len(all), bound)
	}}
}

// drain is one time that the engine was asked to leave.
type drain struct {
	target   string
	told     mark
	left     mark // 0: never
	killed   bool // by SIGKILL, or by something else than the stop
	observed clock.Mono
}

func (d *drain) endsWithin(bound time.Duration) Finding {
	end := d.left.t
	if end == 0 {
		end = d.observed
	}
	took := end.Sub(d.told.t).Round(time.Millisecond)
	seqs := []uint64{d.told.seq}
	if d.left.seq != 0 {
		seqs = append(seqs, d.left.seq)
	}
	switch {
	case took > bound && d.left.t == 0:
		return failed(seqs, "%s had not left %v after it was asked to, when the trial ended, bound %v", d.target, took, bound)
	case took > bound && d.killed:
		return failed(seqs, "%s had not left %v after it was asked to, when it was killed, bound %v", d.target, took, bound)
	case took > bound:
		return failed(seqs, "%s left %v after it was asked to, bound %v", d.target, took, bound)
	case d.left.t == 0 || d.killed:
		return undecided("%s was watched for only %v of the %v that it has to leave", d.target, took, bound)
	}
	return passed("%s left after %v", d.target, took)
}

// drains are all stops of the engine.
func drains(h *history.History) []*drain {
	_, last := h.Span()
	var out []*drain
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Fault:
			if b.Kind == "stop" && b.Phase == history.FaultBegun && strings.HasPrefix(b.Target, "engine#") {
				out = append(out, &drain{target: b.Target, told: mark{e.T, e.Seq}, observed: last})
			}
		case *history.Exit:
			for _, d := range out {
				if d.left.t == 0 && b.Role == "engine" && d.target == fmt.Sprintf("engine#%d", b.Incarnation) {
					d.left, d.killed = mark{e.T, e.Seq}, b.Signal == "SIGKILL" || b.Code == killedCode
				}
			}
		}
	}
	return out
}

// lastMoment is how long before its exit an engine may give up the last
// request that it waited for.
const lastMoment = time.Second

// drainsThatAwait finds the drains in which the engine closed a runtime's
// connection as going away while an operation was open that stayed so to the
// end of the engine. What is struck is the engine.
func drainsThatAwait(h *history.History) map[string][]uint64 {
	var seqs []uint64
	for _, d := range drains(h) {
		end := d.left.t
		if end == 0 {
			end = d.observed
		}
		cut := goingAway(h, d.told.t, end)
		if cut.t == 0 {
			continue
		}
		for _, op := range openOps(h, d.told.t, end.Add(-lastMoment)) {
			seqs = append(seqs, d.told.seq, op, cut.seq)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	slices.Sort(seqs)
	return map[string][]uint64{"": slices.Compact(seqs)}
}

// goingAway is the first time between from and to that an engine which leaves
// closed a runtime's connection.
func goingAway(h *history.History, from, to clock.Mono) mark {
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Envoy)
		if ok && b.What == "closed" && strings.HasPrefix(b.Reason, "ws.going_away") && e.T >= from && e.T <= to {
			return mark{e.T, e.Seq}
		}
	}
	return mark{}
}

// openOps are the invokes of the operations that were under way from from to
// to at the least.
func openOps(h *history.History, from, to clock.Mono) []uint64 {
	began := map[string]mark{}
	var ops []string
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if e.T < from {
				began[b.Op] = mark{e.T, e.Seq}
				ops = append(ops, b.Op)
			}
		case *history.Return:
			if e.T < to {
				delete(began, b.Op)
			}
		}
	}
	var out []uint64
	for _, op := range ops {
		if m, ok := began[op]; ok {
			out = append(out, m.seq)
		}
	}
	return out
}

// GenerationsSpent: while no runtime answers, the engine makes one generation of
// an actor after the other for each request that waits, without a pause between
// them that grows, about nine a request.
var GenerationsSpent = KnownBug{
	Name: "generations-spent",
	Says: "each request to an actor whose runtime is down costs it some nine generations within a second or two, without a back-off",
	Ends: "the runtime's return; the next generation answers at once",
	Sees: []string{"generations-in-step"},
	Mark: func(h *history.History) map[string][]uint64 {
		struck := map[string][]uint64{}
		for _, j := range jumps(h) {
			if j.over(fewGenerations) && j.from.party != j.to.party {
				struck[j.actor] = append(struck[j.actor], j.from.seq, j.to.seq)
			}
		}
		return struck
	},
}

// fewGenerations is more than any restart of engine or runtime was seen to cost.
const fewGenerations = 3

// GenerationsInStep: from one generation of an actor that a runtime was given
// to the next, the number grew by no more than most.
func GenerationsInStep(most uint32) Invariant {
	return Invariant{Name: "generations-in-step", Check: func(h *history.History) Finding {
		all := jumps(h)
		if len(all) == 0 {
			return undecided("no actor began a second generation")
		}
		for _, j := range all {
			if j.over(most) {
				return failed([]uint64{j.from.seq, j.to.seq}, "actor %s: generation %d followed generation %d, %v later", j.actor, j.to.number, j.from.number, j.to.t.Sub(j.from.t).Round(time.Millisecond))
			}
		}
		return passed("%d generations followed the one before them", len(all))
	}}
}

// jump is two generations of an actor that began one after the other.
type jump struct {
	actor    string
	from, to begun
}

// begun is the start of a generation in a runtime.
type begun struct {
	mark
	number uint32
	party  string
}

func (j jump) over(most uint32) bool { return j.to.number > j.from.number+most }

func jumps(h *history.History) []jump {
	last := map[string]begun{}
	var out []jump
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Actor)
		if !ok || b.What != "start" {
			continue
		}
		now := begun{mark{e.T, e.Seq}, b.Generation, e.Party}
		if before, ok := last[b.Actor]; ok {
			out = append(out, jump{b.Actor, before, now})
		}
		last[b.Actor] = now
	}
	return out
}

// AnswerDropped: the gateway does not notice that a runtime's connection was
// lost under a request, if the runtime comes back soon: it goes on waiting for
// an answer that the runtime could not send. RivetKit's client drops such
// answers; one that keeps them and sends them after its reconnect mends it. What
// ends it for a patient client is read in the source, and was not waited for.
var AnswerDropped = KnownBug{
	Name: "answer-dropped",
	Says: "a client whose answer fell into a short loss of the runtime's connection waits for it in vain, while the actor answers others",
	Ends: "the client's patience, or 5 min (pegboard.gateway_response_start_timeout_ms)",
	Sees: []string{"answers-are-not-lost"},
	Mark: droppedAnswers,
}

// AnswersAreNotLost: no operation was under way for longer than the bound while
// its actor answered another that was begun after it. An actor that is away
// answers nobody, and is not this invariant's matter. On a host that was too busy
// meanwhile, one of up to twice the bound is inconclusive.
func AnswersAreNotLost(bound time.Duration) Invariant {
	return Invariant{Name: "answers-are-not-lost", Check: func(h *history.History) Finding {
		ops := operations(h)
		if len(ops) == 0 {
			return undecided("nobody asked for anything")
		}
		busy := Finding{}
		for _, o := range ops {
			if took := o.ended.t.Sub(o.began.t); !o.told && took > bound {
				noise := window.NoiseBetween(h, o.began.t, o.ended.t)
				switch other := o.overtaken(ops); {
				case other == nil:
				case noise.TooNoisy() && took <= 2*bound:
					busy = undecided("%s of actor %s had no answer for %v, on a busy host (%v)", o.inv.Op, o.inv.Actor, took.Round(time.Millisecond), noise)
				default:
					return failed([]uint64{o.began.seq, other.ended.seq}, "%s of actor %s had no answer for %v, while the actor answered a later %s after %v",
						o.inv.Op, o.inv.Actor, took.Round(time.Millisecond), other.inv.Op, other.ended.t.Sub(other.began.t).Round(time.Millisecond))
				}
			}
		}
		if busy.State != "" {
			return busy
		}
		return passed("no answer of %d was lost for longer than %v", len(ops), bound)
	}}
}

// operation is one from its invoke to its return, or to the end of the history.
type operation struct {
	inv          *history.Invoke
	began, ended mark
	told         bool // something, by whomever
	served       bool // by the actor
}

func operations(h *history.History) []*operation {
	_, last := h.Span()
	byOp := map[string]*operation{}
	var out []*operation
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			o := &operation{inv: b, began: mark{e.T, e.Seq}, ended: mark{last, e.Seq}}
			byOp[b.Op], out = o, append(out, o)
		case *history.Return:
			if o := byOp[b.Op]; o != nil {
				o.ended = mark{e.T, e.Seq}
				o.told, o.served = b.Status != 0 || b.Outcome == history.OK, b.AnsweredBy == o.inv.Actor
			}
		}
	}
	return out
}

// overtaken is an operation that the same actor answered and that was begun
// and over while o was under way.
func (o *operation) overtaken(all []*operation) *operation {
	for _, p := range all {
		if p != o && p.inv.Actor == o.inv.Actor && p.served && p.began.t > o.began.t && p.ended.t < o.ended.t {
			return p
		}
	}
	return nil
}

// droppedAnswers finds the actors with an operation that was overtaken and
// under which a runtime dropped an answer that it could not send.
func droppedAnswers(h *history.History) map[string][]uint64 {
	struck := map[string][]uint64{}
	ops := operations(h)
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Envoy); !ok || b.What != "answer-dropped" {
			continue
		}
		for _, o := range ops {
			if !o.told && o.began.t < e.T && e.T < o.ended.t && o.overtaken(ops) != nil {
				struck[o.inv.Actor] = append(struck[o.inv.Actor], o.began.seq, e.Seq)
			}
		}
	}
	return struck
}

// DeafConnection: now and then on 2.3.5, when a stop meets an SQL request, the
// engine answers neither that request nor sends anything more over the runtime's
// connection, which stays open. Most likely the task that feeds the connection
// waits for good for the lock under which it drops the actor's SQLite handle.
var DeafConnection = KnownBug{
	Name:  "deaf-connection",
	Says:  "after a stop that met an SQL request, no request and no command reaches the runtime any more, although its connection is open",
	Ends:  "a new connection of the runtime, or a new engine",
	Sees:  []string{"answers-within-bound"},
	Hides: unreachable,
	Mark:  deafActors,
}

// unanswered is how the fixture's writes name a request to the engine that was
// not answered before the generation's end.
const unanswered = "wait for the engine's answer"

// silence is how long nothing has to come over a connection to call it deaf. It
// is longer than the engine's ping timeout, and than any hold that was seen to
// end by itself after a restart but for the leases of a killed engine.
const silence = 20 * time.Second

// deafActors finds the actors of a runtime of which one, told to stop, had an
// SQL request unanswered on a connection that stayed open, and over which
// nothing came from then on, for at least as long as silence.
func deafActors(h *history.History) map[string][]uint64 {
	_, end := h.Span()
	runtimes := map[string]*ears{}
	for _, e := range h.ByTime() {
		r := runtimes[e.Party]
		if r == nil {
			r = &ears{actors: map[string]bool{}, stopped: map[string]mark{}}
			runtimes[e.Party] = r
		}
		switch b := e.Body.(type) {
		case *history.Envoy:
			r.envoy(b)
		case *history.Actor:
			r.actor(e, b)
		}
	}
	struck := map[string][]uint64{}
	for _, r := range runtimes {
		if r.deaf.seq == 0 || end.Sub(r.heard) < silence {
			continue
		}
		for actor := range r.actors {
			struck[actor] = []uint64{r.stop.seq, r.deaf.seq}
		}
	}
	return struck
}

// ears are what a runtime hears over the connection that it has.
type ears struct {
	actors  map[string]bool
	stopped map[string]mark // by actor: it was told to stop over this connection
	heard   clock.Mono      // when something last came
	// stop is that of the actor whose request was not answered, deaf when it
	// said so; 0 where all were.
	stop, deaf mark
}

func (r *ears) envoy(b *history.Envoy) {
	if b.What == "closed" || b.What == "init" {
		clear(r.stopped)
		r.stop, r.deaf = mark{}, mark{}
	}
}

func (r *ears) actor(e history.Event, b *history.Actor) {
	switch b.What {
	case "start":
		r.actors[b.Actor] = true // by HTTP: nothing that came over the connection
	case "stop", "sleep":
		r.stopped[b.Actor] = mark{e.T, e.Seq}
		r.hear(e.T)
	case "request", "websocket", "lost", "replayed", "outdated", "unknown", "not-here":
		r.hear(e.T)
	case "write":
		if stop, ok := r.stopped[b.Actor]; ok && strings.Contains(b.Error, unanswered) {
			r.stop, r.deaf = stop, mark{e.T, e.Seq}
		}
	}
}

// hear notes that something came: the connection is not deaf.
func (r *ears) hear(t clock.Mono) {
	r.heard, r.stop, r.deaf = t, mark{}, mark{}
}
