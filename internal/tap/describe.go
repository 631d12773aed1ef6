package tap

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/killpoint/killpoint/envoy/wire"
)

// account is what a frame says: what it is, and whom it concerns.
type account struct {
	typ, detail string
	actors      []string // distinct, in their order
	key         string
	generation  uint32
	err         string // why it is undecoded
}

func (a *account) concerns(actor string, generation uint32) {
	if actor == "" {
		return
	}
	if !slices.Contains(a.actors, actor) {
		a.actors = append(a.actors, actor)
	}
	if generation != 0 && len(a.actors) == 1 {
		a.generation = generation
	}
}

// asked is what an answer inherits from its request.
type asked struct {
	actor      string
	generation uint32
	detail     string
}

// tunnel names a tunnelled request. Its answer may come on a later connection.
type tunnel struct{ gateway, request [4]byte }

// tunnelsMax bounds how many requests without a last word are remembered.
const tunnelsMax = 1 << 16

// acquaintance is what the frames so far have told of the actors.
type acquaintance struct {
	mu      sync.Mutex
	keys    map[string]string // by actor
	tunnels map[tunnel]asked
}

func newAcquaintance() *acquaintance {
	return &acquaintance{keys: map[string]string{}, tunnels: map[tunnel]asked{}}
}

// dialogue is what one envoy connection has asked and not had answered. It is
// guarded by its acquaintance's lock, as both directions use it.
type dialogue struct {
	*acquaintance
	version  wire.Version
	requests map[uint32]asked // KV and SQL requests share the runtime's numbers
}

func (q *acquaintance) dialogue(v wire.Version) *dialogue {
	return &dialogue{acquaintance: q, version: v, requests: map[uint32]asked{}}
}

// keyOf is the key of the actor that is the only one concerned.
func (q *acquaintance) keyOf(a *account) {
	if a.key != "" || len(a.actors) != 1 {
		return
	}
	q.mu.Lock()
	a.key = q.keys[a.actors[0]]
	q.mu.Unlock()
}

// keysOf are the keys of all actors that a frame concerns.
func (q *acquaintance) keysOf(actors []string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var keys []string
	for _, actor := range actors {
		keys = append(keys, q.keys[actor])
	}
	return keys
}

// undecoded is the account of a frame that cannot be read.
func undecoded(err error) account { return account{typ: Undecoded, err: err.Error()} }

// toEngine reads a frame of the runtime.
func (d *dialogue) toEngine(data []byte) account {
	msg, err := wire.DecodeToEngine(d.version, data)
	if err != nil {
		return undecoded(err)
	}
	a := account{typ: wire.Kind(msg)}
	d.mu.Lock()
	d.runtimeSays(&a, msg)
	d.mu.Unlock()
	d.keyOf(&a)
	return a
}

// toRuntime reads a frame of the engine.
func (d *dialogue) toRuntime(data []byte) account {
	msg, err := wire.DecodeToRuntime(d.version, data)
	if err != nil {
		return undecoded(err)
	}
	a := account{typ: wire.Kind(msg)}
	d.mu.Lock()
	d.engineSays(&a, msg)
	d.mu.Unlock()
	d.keyOf(&a)
	return a
}

// start reads the body of POST /start.
func (q *acquaintance) start(body []byte) account {
	_, msg, err := wire.DecodeStart(body)
	if err != nil {
		return account{err: err.Error()}
	}
	a := account{}
	if cs, ok := msg.(wire.Commands); ok {
		q.mu.Lock()
		q.commands(&a, cs)
		q.mu.Unlock()
		q.keyOf(&a)
	}
	a.detail = ""
	return a
}

func (d *dialogue) runtimeSays(a *account, msg wire.ToEngine) {
	switch m := msg.(type) {
	case wire.Events:
		events(a, m)
	case wire.AckCommands:
		checkpoints(a, m.Checkpoints)
	case wire.KVRequest:
		d.ask(a, m.RequestID, asked{m.ActorID, 0, kvOp(m.Op)})
	case wire.ToEngineTunnel:
		d.answerPart(a, m)
	case wire.GetPagesRequest:
		d.ask(a, m.RequestID, asked{m.ActorID, older(m.ExpectedGeneration), ""})
	case wire.CommitRequest:
		d.ask(a, m.RequestID, asked{m.ActorID, older(m.ExpectedGeneration), ""})
	case wire.CommitStageBeginRequest:
		d.ask(a, m.RequestID, asked{m.ActorID, older(m.ExpectedGeneration), ""})
	case wire.CommitStageSegmentRequest:
		d.ask(a, m.RequestID, asked{m.ActorID, older(m.ExpectedGeneration), ""})
	case wire.CommitFinalizeRequest:
		d.ask(a, m.RequestID, asked{m.ActorID, older(m.ExpectedGeneration), ""})
	case wire.ExecRequest:
		d.ask(a, m.RequestID, asked{m.ActorID, uint32(m.Generation), verb(m.SQL)})
	case wire.ExecuteRequest:
		d.ask(a, m.RequestID, asked{m.ActorID, uint32(m.Generation), verb(m.SQL)})
	case wire.ExecuteBatchRequest:
		var verbs []string
		for _, s := range m.Statements {
			verbs = append(verbs, verb(s.SQL))
		}
		d.ask(a, m.RequestID, asked{m.ActorID, uint32(m.Generation), distinct(verbs)})
	}
}

func (d *dialogue) engineSays(a *account, msg wire.ToRuntime) {
	switch m := msg.(type) {
	case wire.Commands:
		d.commands(a, m)
	case wire.AckEvents:
		checkpoints(a, m.Checkpoints)
	case wire.KVResponse:
		_, failed := m.Result.(wire.KVError)
		d.answer(a, m.RequestID, failed)
	case wire.ToRuntimeTunnel:
		d.requestPart(a, m)
	case wire.GetPagesResponse:
		d.answer(a, m.RequestID, m.Err != nil)
	case wire.CommitResponse:
		d.answer(a, m.RequestID, m.Err != nil)
	case wire.CommitStageBeginResponse:
		d.answer(a, m.RequestID, m.Err != nil)
	case wire.CommitStageSegmentResponse:
		d.answer(a, m.RequestID, m.Err != nil)
	case wire.CommitFinalizeResponse:
		d.answer(a, m.RequestID, m.Err != nil)
	case wire.ExecResponse:
		d.answer(a, m.RequestID, m.Err != nil)
	case wire.ExecuteResponse:
		d.answer(a, m.RequestID, m.Err != nil)
	case wire.ExecuteBatchResponse:
		d.answer(a, m.RequestID, m.Err != nil)
	}
}

func (d *dialogue) ask(a *account, id uint32, q asked) {
	d.requests[id] = q
	a.detail = q.detail
	a.concerns(q.actor, q.generation)
}

// answer takes its detail from the request, with "-error" where it says error.
func (d *dialogue) answer(a *account, id uint32, failed bool) {
	q := d.requests[id]
	delete(d.requests, id)
	a.detail = q.detail
	if failed {
		a.detail = strings.TrimPrefix(a.detail+"-error", "-")
	}
	a.concerns(q.actor, q.generation)
}

func (q *acquaintance) commands(a *account, cs wire.Commands) {
	var details []string
	for _, c := range cs {
		switch b := c.Body.(type) {
		case wire.StartActor:
			details = append(details, "start")
			if b.Config.Key != nil {
				q.keys[c.Checkpoint.ActorID] = *b.Config.Key
			}
		case wire.StopActor:
			details = append(details, "stop-"+b.Reason.String())
		}
		a.concerns(c.Checkpoint.ActorID, c.Checkpoint.Generation)
	}
	a.detail = distinct(details)
}

func events(a *account, es wire.Events) {
	var details []string
	for _, e := range es {
		details = append(details, eventDetail(e.Body))
		a.concerns(e.Checkpoint.ActorID, e.Checkpoint.Generation)
	}
	a.detail = distinct(details)
}

func eventDetail(body wire.EventBody) string {
	switch b := body.(type) {
	case wire.Intent:
		return "intent-" + b.String()
	case wire.SetAlarm:
		if b.At == nil {
			return "alarm-clear"
		}
		return "alarm"
	case wire.StateUpdate:
		switch {
		case b.Stopped == nil:
			return "running"
		case b.Stopped.Code == wire.StopOK:
			return "stopped"
		}
		return "stopped-error"
	}
	return ""
}

func checkpoints(a *account, cps []wire.Checkpoint) {
	for _, cp := range cps {
		a.concerns(cp.ActorID, cp.Generation)
	}
}

// requestPart describes a part of a request. Later parts, and those of the
// answer, go by the method and path that its first part names.
func (d *dialogue) requestPart(a *account, m wire.ToRuntimeTunnel) {
	id := tunnel{m.ID.Gateway, m.ID.Request}
	switch p := m.Part.(type) {
	case wire.RequestStart:
		d.open(id, asked{p.ActorID, value(p.Generation), p.Method + " " + pathOf(p.Path)})
	case wire.WebSocketOpen:
		d.open(id, asked{p.ActorID, value(p.Generation), pathOf(p.Path)})
	}
	q := d.tunnels[id]
	a.detail = q.detail
	a.concerns(q.actor, q.generation)
	switch m.Part.(type) {
	case wire.RequestAbort, wire.WebSocketClose:
		delete(d.tunnels, id)
	}
}

func (d *dialogue) open(id tunnel, q asked) {
	if len(d.tunnels) >= tunnelsMax {
		clear(d.tunnels) // requests that never had a last word
	}
	d.tunnels[id] = q
}

func (d *dialogue) answerPart(a *account, m wire.ToEngineTunnel) {
	id := tunnel{m.ID.Gateway, m.ID.Request}
	q := d.tunnels[id]
	a.detail = q.detail
	a.concerns(q.actor, q.generation)
	last := false
	switch p := m.Part.(type) {
	case wire.ResponseStart:
		a.detail, last = fmt.Sprint(p.Status), !p.Stream
	case wire.ResponseChunk:
		last = p.Finish
	case wire.ResponseAbort:
		last = true
	case wire.WebSocketClosed:
		last = !p.Hibernate
	}
	if last {
		delete(d.tunnels, id)
	}
}

func kvOp(op wire.KVOp) string {
	switch op.(type) {
	case wire.KVGet:
		return "get"
	case wire.KVList:
		return "list"
	case wire.KVPut:
		return "put"
	case wire.KVDelete:
		return "delete"
	case wire.KVDeleteRange:
		return "delete-range"
	case wire.KVDrop:
		return "drop"
	}
	return ""
}

// verb is the first word of a statement, in lower case.
func verb(sql string) string {
	sql = strings.TrimLeft(sql, " \t\r\n(;")
	end := strings.IndexFunc(sql, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
	if end < 0 {
		end = len(sql)
	}
	return strings.ToLower(sql[:end])
}

func distinct(words []string) string {
	var out []string
	for _, w := range words {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return strings.Join(out, "+")
}

func pathOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

func value(p *uint32) uint32 {
	if p == nil {
		return 0
	}
	return *p
}

func older(p *uint64) uint32 {
	if p == nil {
		return 0
	}
	return uint32(*p)
}
