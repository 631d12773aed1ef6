package exits

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// What a case consists of, as the history names it: the actor whose write is in
// flight, and the one that clients ask all the while and hold a WebSocket to. Keys
// are these words and the case's number.
const (
	KeyBusy  = "busy"
	KeyAsked = "asked"

	opTick, opLedger, opSocket = "tick", "ledger", "held-websocket"
)

// Result is what a history says of one case. Times are counted from the strike.
type Result struct {
	Case
	// Done: it was carried out to its end; else Error says why not.
	Done  bool
	Error string
	// Exit is the record of the incarnation that was struck, nil for none.
	Exit   *history.Exit
	Ending Ending
	// PID is what the runtime was in its own namespace, 0 where it did not say.
	PID int
	// Death is when it was dead.
	Death time.Duration
	// Steps are what the runtime said of its way out, with their times.
	Steps []Step
	// StopHooks and AbortHooks count the hooks of the case's two actors.
	StopHooks, AbortHooks int
	// Strangers are actors of other cases that lived when it was struck.
	Strangers []string
	InFlight  Write
	Clients   Clients
	// Acked counts the writes that were acknowledged before their ledger was read;
	// Lost are those of them that it has not.
	Acked int
	Lost  []string
	// Unread are the case's actors whose ledgers could not be read back.
	Unread []string
	// Known are the known bugs of the engine by which the verdict explains what is
	// wrong. Read leaves it empty; [Result.Judged] takes it from a verdict.
	Known []string

	witness []uint64
	held    clock.Mono // since when the write in flight was
	struck  clock.Mono
	died    clock.Mono
}

// Step is one word of the runtime on its way out.
type Step struct {
	history.Shutdown
	At time.Duration
}

// Write is the request in flight, as its client saw it.
type Write struct {
	history.Return
	Took time.Duration
	// Kept: the ledger has it.
	Kept bool
}

// Clients are those who asked the other actor all the while, from the strike until
// the next runtime had answered one.
type Clients struct {
	// Quick answers took less than Held; Slow ones did not.
	Quick, Slow int
	// Failed counts the others by what came instead of an answer.
	Failed map[string]int
	// Worst is the longest that one of them waited, answered or not.
	Worst time.Duration
	// Back is the time from the death to the first answer after it; -1 for none.
	Back time.Duration
	// Socket is how the WebSocket ended that one of them held.
	Socket string
}

// Held is the time from which on an answer counts as held.
const Held = 100 * time.Millisecond

// Read reads the cases of a history, in the order in which they were carried out.
func Read(h *history.History) ([]Result, error) {
	var all []Result
	var open *reader
	live := living{}
	for _, e := range h.ByTime() {
		live.event(e)
		b, ok := e.Body.(*history.Case)
		switch {
		case !ok && open != nil:
			open.event(e)
		case !ok:
		case b.State == history.StepBegun:
			c, err := Parse(b.Name)
			if err != nil {
				return all, fmt.Errorf("event %d: %w", e.Seq, err)
			}
			open = newReader(c, e, live)
		case open != nil:
			open.Done, open.Error = b.State == history.StepDone, b.Error
			all = append(all, open.result())
			open = nil
		}
	}
	if open != nil {
		open.Error = "the history was cut off in it"
		all = append(all, open.result())
	}
	return all, nil
}

// reader gathers one case.
type reader struct {
	Result
	party   string // the incarnation that is struck
	live    living
	keys    map[string]string // of the actors that its clients asked, by id
	invoked map[string]history.Event
	ops     []op
	ledgers map[string][]string // by actor
	hooks   []hook
	steps   []history.Event
	next    map[string]int64 // the first generation of an actor in the next runtime
}

// op is an operation that has returned.
type op struct {
	*history.Invoke
	ret        *history.Return
	begun, end clock.Mono
}

type hook struct {
	party string
	*history.Actor
}

// living are the actors that run, by party: those of earlier cases too.
type living map[string]map[string]bool

func (l living) event(e history.Event) {
	b, ok := e.Body.(*history.Actor)
	switch {
	case !ok:
	case b.What == "running":
		if l[e.Party] == nil {
			l[e.Party] = map[string]bool{}
		}
		l[e.Party][b.Actor] = true
	case b.What == "stopped":
		delete(l[e.Party], b.Actor)
	}
}

func newReader(c Case, e history.Event, live living) *reader {
	return &reader{
		Result: Result{Case: c, witness: []uint64{e.Seq}},
		live:   live, keys: map[string]string{},
		invoked: map[string]history.Event{}, ledgers: map[string][]string{}, next: map[string]int64{},
	}
}

func (r *reader) event(e history.Event) {
	switch b := e.Body.(type) {
	case *history.Invoke:
		r.invoked[b.Op] = e
		if b.Actor != "" && b.Key != "" {
			r.keys[b.Actor] = b.Key
		}
	case *history.Return:
		if inv, ok := r.invoked[b.Op]; ok {
			r.returned(inv, e, b)
		}
	case *history.Fault:
		r.fault(e, b)
	case *history.Exit:
		r.exit(e, b)
	case *history.Actor:
		r.actor(e, b)
	case *history.Breakpoint:
		if b.Name == "after-commit" && b.What == "reached" && r.held == 0 {
			r.held = e.T
		}
	case *history.Shutdown:
		r.steps = append(r.steps, e)
	}
}

func (r *reader) returned(inv, e history.Event, b *history.Return) {
	o := op{Invoke: inv.Body.(*history.Invoke), ret: b, begun: inv.T, end: e.T}
	r.ops = append(r.ops, o)
	if o.Name != opLedger || b.Outcome != history.OK {
		return
	}
	ids, _ := b.Value.([]any)
	book := []string{}
	for _, id := range ids {
		if text, ok := id.(string); ok {
			book = append(book, text)
		}
	}
	r.ledgers[o.Actor] = book
}

// fault takes the first on a runtime for the strike.
func (r *reader) fault(e history.Event, b *history.Fault) {
	if b.Phase != history.FaultBegun || r.struck != 0 || !strings.HasPrefix(b.Target, "runtime#") {
		return
	}
	r.struck, r.party = e.T, b.Target
	r.witness = append(r.witness, e.Seq)
	for actor := range r.live[b.Target] {
		if r.keys[actor] == "" {
			r.Strangers = append(r.Strangers, actor)
		}
	}
	slices.Sort(r.Strangers)
}

func (r *reader) exit(e history.Event, b *history.Exit) {
	if b.Role == "runtime" && r.Exit == nil && r.struck != 0 {
		r.Exit, r.died = b, e.T
		r.witness = append(r.witness, e.Seq)
	}
}

func (r *reader) actor(e history.Event, b *history.Actor) {
	if b.What == "start" && r.struck != 0 && e.Party != r.party && r.next[b.Actor] == 0 {
		r.next[b.Actor] = int64(b.Generation)
	}
	if b.What == "stop-hook" || b.What == "abort-hook" {
		r.hooks = append(r.hooks, hook{e.Party, b})
	}
}

// result sums up. What the case does not tell stays as it is.
func (r *reader) result() Result {
	r.Ending, r.Clients.Back = Unknown, -1
	for _, e := range r.steps {
		b := e.Body.(*history.Shutdown)
		if e.Party != r.party {
			continue
		}
		r.Steps = append(r.Steps, Step{*b, e.T.Sub(r.struck)})
		r.PID = max(r.PID, b.PID)
	}
	if r.Exit != nil {
		r.Death, r.Ending = r.died.Sub(r.struck), r.ending()
	}
	for _, h := range r.hooks {
		switch {
		case h.party != r.party || r.keys[h.Actor.Actor] == "":
		case h.What == "stop-hook":
			r.StopHooks++
		default:
			r.AbortHooks++
		}
	}
	r.writes()
	r.clients()
	return r.Result
}

func (r *reader) ending() Ending {
	e := r.Exit
	_, allocating := r.step(history.ShutdownAllocating)
	switch {
	case r.Strike == KILL:
		return ByStrike
	// Docker does not always say so on a busy machine. A SIGKILL that nobody sent,
	// to a process that takes all memory, is the kernel's.
	case e.OOM, allocating && e.Code == 137 && !e.GraceEnded && e.Signal != "SIGKILL":
		return ByKernel
	case e.Code == 137 && e.GraceEnded:
		return ByGrace
	case e.Signal == "SIGKILL":
		return ByUs
	}
	return Itself
}

// writes compares what was acknowledged with what is in the ledgers.
func (r *reader) writes() {
	for actor, key := range r.keys {
		if _, ok := r.ledgers[actor]; !ok {
			r.Unread = append(r.Unread, key)
		}
	}
	slices.Sort(r.Unread)
	for _, o := range r.ops {
		book, read := r.ledgers[o.Actor]
		kept := slices.Contains(book, o.Op)
		if o.Name == opTick && strings.HasPrefix(o.Key, KeyBusy+"-") && o.begun < r.struck && o.end > r.struck {
			r.InFlight = Write{*o.ret, o.end.Sub(o.begun), kept}
		}
		if o.Name != opTick || o.ret.Outcome != history.OK || !read {
			continue
		}
		if r.Acked++; !kept {
			r.Lost = append(r.Lost, o.Op)
		}
	}
}

func (r *reader) clients() {
	c := &r.Clients
	c.Failed = map[string]int{}
	for _, o := range r.ops {
		if r.died != 0 && r.asks(o) && r.renewed(o) {
			if back := o.end.Sub(r.died); c.Back < 0 || back < c.Back {
				c.Back = back
			}
		}
	}
	over := clock.Mono(1<<63 - 1)
	if c.Back >= 0 {
		over = r.died.Add(c.Back)
	}
	for _, o := range r.ops {
		switch {
		case o.Name == opSocket:
			c.Socket = endOf(o.ret)
		case r.struck != 0 && r.asks(o) && o.end >= r.struck && o.begun <= over:
			c.count(o)
		}
	}
}

// renewed: the next runtime answered. What the dead one had answered may arrive after
// the word of its death.
func (r *reader) renewed(o op) bool {
	first := r.next[o.Actor]
	return o.ret.Outcome == history.OK && first != 0 && o.ret.Generation >= first
}

// asks: it is one of the clients that ask all the while.
func (r *reader) asks(o op) bool {
	return strings.HasPrefix(o.Client, KeyAsked+"-")
}

func (c *Clients) count(o op) {
	took := o.end.Sub(o.begun)
	c.Worst = max(c.Worst, took)
	switch {
	case o.ret.Outcome != history.OK:
		c.Failed[endOf(o.ret)]++
	case took >= Held:
		c.Slow++
	default:
		c.Quick++
	}
}

// endOf says how an operation ended, in the fewest words that tell ends apart.
func endOf(r *history.Return) string {
	code, _, _ := strings.Cut(r.Code, "#") // a ray id follows it
	switch {
	case r.Outcome == history.OK:
		return "ok"
	case r.Status != 0 && code != "":
		return fmt.Sprintf("%d %s", r.Status, code)
	case r.Status != 0:
		return fmt.Sprint(r.Status)
	case code != "":
		return code
	}
	return string(r.Cause)
}

// Drained is the length of the drain, ok where one came to its end.
func (r Result) Drained() (took time.Duration, ok bool) {
	s, ok := r.step(history.ShutdownDrained)
	return time.Duration(s.TookNS), ok
}

// Waited is the time from the end of the drain to the death.
func (r Result) Waited() (time.Duration, bool) {
	s, ok := r.step(history.ShutdownDrained)
	return r.Death - s.At, ok && r.Exit != nil
}

func (r Result) step(what history.ShutdownStep) (Step, bool) {
	i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.What == what })
	if i < 0 {
		return Step{}, false
	}
	return r.Steps[i], true
}
