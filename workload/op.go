package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/suggest"
)

// Op is one operation of a scripted workload, in its text form: what is done,
// then, where it takes one, a colon and its argument, then, where it is not the
// golden actor, an @ and the actor's key:
//
//	create
//	stream:3
//	wait:250ms
//	tick@other
type Op string

// The operations. Each is one in the history, under the name given with it.
const (
	OpCreate    Op = "create"    // make the actor ("create")
	OpTick      Op = "tick"      // write ("tick"); wakes an actor that sleeps
	OpGetCount  Op = "getCount"  // read ("getCount")
	OpKVPut     Op = "kvPut"     // write to the key-value store ("kvPut")
	OpKVGet     Op = "kvGet"     // read it ("kvGet")
	OpHealth    Op = "health"    // ask the actor whether it is there ("health")
	OpWebSocket Op = "websocket" // open a WebSocket, exchange ping and pong ("ping")
	OpStream    Op = "stream"    // read a streamed answer, 3 chunks or :N of them ("stream")
	OpSleep     Op = "sleep"     // have the engine put the actor to sleep, until it does ("sleep")
	OpLedger    Op = "ledger"    // read the ledger back ("ledger")
	OpDestroy   Op = "destroy"   // have the engine destroy the actor, until it has ("destroy")
	OpWait      Op = "wait"      // let a time pass, as in wait:250ms; it is no operation
)

// Ops are all of them.
var Ops = []Op{
	OpCreate, OpTick, OpGetCount, OpKVPut, OpKVGet, OpHealth, OpWebSocket, OpStream, OpSleep, OpLedger, OpDestroy, OpWait,
}

// GoldenKey is the key of the golden workload's actor, and that of an operation
// which names none.
const GoldenKey = "golden"

// Golden is a workload that takes an actor through all of its life: made and
// woken by its first write, written to, read, asked in every way there is, put
// to sleep, woken again, and destroyed. Its ledger is read back before the end,
// because afterwards there is none.
func Golden() []Op {
	return []Op{
		OpCreate, OpTick, OpTick, OpGetCount, OpKVPut, OpKVGet, OpWebSocket, OpStream,
		OpSleep, OpTick, OpKVGet, OpGetCount, OpLedger, OpDestroy,
	}
}

const (
	defaultChunks = 3
	mostChunks    = 1000
	longestWait   = 10 * time.Minute
)

// step is an operation taken apart.
type step struct {
	do     Op
	key    string
	chunks int
	wait   time.Duration
}

// Validate says what is wrong with its text, or nothing.
func (o Op) Validate() error {
	_, err := o.parse()
	return err
}

// Name is what is done, without argument and key.
func (o Op) Name() Op {
	what, _, _ := strings.Cut(string(o), "@")
	what, _, _ = strings.Cut(what, ":")
	return Op(what)
}

// Key is the key of the actor that it concerns.
func (o Op) Key() string {
	if _, key, named := strings.Cut(string(o), "@"); named {
		return key
	}
	return GoldenKey
}

func (o Op) parse() (step, error) {
	s := step{do: o.Name(), key: o.Key(), chunks: defaultChunks}
	what, _, _ := strings.Cut(string(o), "@")
	_, arg, hasArg := strings.Cut(what, ":")
	var err error
	switch {
	case !slices.Contains(Ops, s.do):
		return s, suggest.Unknown("operation", string(s.do), Ops)
	case s.key == "":
		err = fmt.Errorf("no key after the @")
	case s.do == OpStream && hasArg:
		if s.chunks, err = strconv.Atoi(arg); err != nil || s.chunks < 1 || s.chunks > mostChunks {
			err = fmt.Errorf("%.40q chunks: want a number from 1 to %d", arg, mostChunks)
		}
	case s.do == OpWait:
		if s.wait, err = time.ParseDuration(arg); err != nil || s.wait < 0 || s.wait > longestWait {
			err = fmt.Errorf("a time of %.40q: want one up to %v, as in wait:250ms", arg, longestWait)
		}
	case hasArg:
		err = fmt.Errorf("it takes no argument, %.40q was given", arg)
	}
	if err != nil {
		return s, fmt.Errorf("operation %.80q: %w", string(o), err)
	}
	return s, nil
}

// AsksActor is whether it is the actor that answers, not the engine.
func (o Op) AsksActor() bool {
	switch o.Name() {
	case OpCreate, OpSleep, OpDestroy, OpWait:
		return false
	}
	return true
}

// Names are the operations by their names in a history, with the creations that
// a script inserts where an actor is needed and there is none.
func Names(ops []Op) []string {
	var names []string
	made := map[string]bool{}
	for _, o := range ops {
		key := o.Key()
		if !made[key] && o.Name() != OpCreate && o.Name() != OpWait {
			names = append(names, Create)
		}
		switch o.Name() {
		case OpWait:
			continue
		case OpWebSocket:
			names = append(names, Ping)
		default:
			names = append(names, string(o.Name()))
		}
		made[key] = o.Name() != OpDestroy
	}
	return names
}

// Smaller are the same operation with less to do or to wait for, the least
// first; none where there is nothing to take away.
func (o Op) Smaller() (all []Op) {
	st, err := o.parse()
	if err != nil {
		return nil
	}
	at := ""
	if _, key, named := strings.Cut(string(o), "@"); named {
		at = "@" + key
	}
	switch half := (st.wait / 2).Truncate(time.Millisecond); {
	case st.do == OpWait && half > 0:
		all = append(all, Op(fmt.Sprintf("%s:%v", OpWait, half)))
	case st.do == OpStream && st.chunks > 1:
		all = append(all, Op(fmt.Sprintf("%s:1%s", OpStream, at)))
	}
	return all
}
