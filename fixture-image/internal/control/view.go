package control

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// State is the runtime at one moment.
type State struct {
	BootID string     `json:"boot_id"`
	Now    clock.Mono `json:"now"`
	// Connection is the last event of the connection to the engine, null
	// before the first.
	Connection *history.Envoy `json:"connection"`
	// Actors are the generations that run.
	Actors      []Running          `json:"actors"`
	Breakpoints []breakpoint.State `json:"breakpoints"`
}

// Running is a generation that runs, since a time.
type Running struct {
	Actor      string     `json:"actor"`
	Key        string     `json:"key"`
	Generation uint32     `json:"generation"`
	Since      clock.Mono `json:"since"`
}

// View watches the events that the process records: the state is read off
// them, so that it can say nothing else than the history.
type View struct {
	bootID string
	next   history.Recorder
	out    io.Writer

	mu     sync.Mutex
	conn   *history.Envoy
	actors map[generation]Running
	subs   map[chan []byte]bool
	closed bool
}

type generation struct {
	actor string
	n     uint32
}

// NewView emits events to out and watches them.
func NewView(out io.Writer, bootID string) *View {
	v := &View{bootID: bootID, out: out, actors: map[generation]Running{}, subs: map[chan []byte]bool{}}
	v.next = history.NewEmitter(tee{v})
	return v
}

// Record implements [history.Recorder].
func (v *View) Record(party string, kind history.Kind, body any) {
	v.RecordAt(clock.Now(), party, kind, body)
}

// RecordAt implements [history.Recorder].
func (v *View) RecordAt(t clock.Mono, party string, kind history.Kind, body any) {
	v.watch(t, body)
	v.next.RecordAt(t, party, kind, body)
}

func (v *View) watch(t clock.Mono, body any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch b := body.(type) {
	case history.Envoy:
		v.conn = &b
	case *history.Envoy:
		c := *b
		v.conn = &c
	case history.Actor:
		v.watchActor(t, b)
	case *history.Actor:
		v.watchActor(t, *b)
	}
}

func (v *View) watchActor(t clock.Mono, a history.Actor) {
	g := generation{a.Actor, a.Generation}
	switch a.What {
	case "running":
		v.actors[g] = Running{a.Actor, a.Key, a.Generation, t}
	case "stopped":
		delete(v.actors, g)
	}
}

func (v *View) state() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := State{BootID: v.bootID, Now: clock.Now(), Connection: v.conn, Actors: []Running{}}
	for _, r := range v.actors {
		s.Actors = append(s.Actors, r)
	}
	slices.SortFunc(s.Actors, func(a, b Running) int {
		if c := strings.Compare(a.Actor, b.Actor); c != 0 {
			return c
		}
		return int(int64(a.Generation) - int64(b.Generation))
	})
	return s
}

// tee is where the emitter writes its lines.
type tee struct{ v *View }

func (t tee) Write(line []byte) (int, error) {
	t.v.publish(line)
	return t.v.out.Write(line)
}

// backlog is how many lines a follower may lag behind.
const backlog = 1024

// publish hands a line to the followers. One that does not keep up is cut
// off: the process must not wait for it, and it must not miss lines unawares.
func (v *View) publish(line []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.subs {
		select {
		case c <- slices.Clone(line):
		default:
			v.drop(c)
		}
	}
}

func (v *View) drop(c chan []byte) {
	if v.subs[c] {
		delete(v.subs, c)
		close(c)
	}
}

func (v *View) subscribe() chan []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := make(chan []byte, backlog)
	v.subs[c] = true
	if v.closed {
		v.drop(c)
	}
	return c
}

func (v *View) unsubscribe(c chan []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(c)
}

// Close ends the streams of all followers. Events are still emitted.
func (v *View) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for c := range v.subs {
		v.drop(c)
	}
}

func (v *View) follow(w http.ResponseWriter, r *http.Request) {
	c := v.subscribe()
	defer v.unsubscribe(c)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	if err := out.Flush(); err != nil { // says that the stream has begun
		return
	}
	for {
		select {
		case line, ok := <-c:
			if !ok {
				return
			}
			if _, err := w.Write(line); err != nil {
				return
			}
			if err := out.Flush(); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
