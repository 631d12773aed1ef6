package bug

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/fixture-image/internal/counter"
)

// Stale writes: one every staleEvery, until staleWrites have succeeded. They
// can succeed only when the actor's next generation is here.
const (
	staleEvery  = 100 * time.Millisecond
	staleWrites = 5
)

func writeAfterStop(p *Plant, id counter.Identity, a envoy.Actor) envoy.Actor {
	return writer{a, p, id}
}

type writer struct {
	envoy.Actor
	p  *Plant
	id counter.Identity
}

func (w writer) Stop(ctx context.Context, reason wire.StopReason) error {
	err := w.Actor.Stop(ctx, reason)
	w.p.joined.Go(w.goOn)
	return err
}

func (w writer) goOn() {
	for n, done := 1, 0; done < staleWrites && w.p.pause(staleEvery); n++ {
		if w.write(n) {
			w.p.struck(w.id, "a stopped generation wrote")
			done++
		}
	}
}

// write ticks as a caller would.
func (w writer) write(n int) bool {
	args := fmt.Sprintf(`{"args":[16,"stale-%d-%d"]}`, w.id.Generation, n)
	req, err := http.NewRequestWithContext(w.p.life, http.MethodPost, "/action/tick", strings.NewReader(args))
	if err != nil {
		return false
	}
	answer := &status{header: http.Header{}}
	w.ServeHTTP(answer, req)
	return answer.code == http.StatusOK
}

// status is an answer of which only the status counts.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header { return s.header }

func (s *status) WriteHeader(code int) { s.code = code }

func (s *status) Write(b []byte) (int, error) { return len(b), nil }

// neverStop keeps the old generation: it is not told to stop, nor that its
// life has ended.
func neverStop(p *Plant, id counter.Identity, a envoy.Actor) envoy.Actor { return immortal{a, p, id} }

type immortal struct {
	envoy.Actor
	p  *Plant
	id counter.Identity
}

func (i immortal) Start(context.Context) error { return i.Actor.Start(i.p.life) }

func (i immortal) Stop(context.Context, wire.StopReason) error {
	i.p.struck(i.id, "a generation that was told to stop lives on")
	return nil
}

func answerWrongKey(p *Plant, id counter.Identity, a envoy.Actor) envoy.Actor {
	return confused{a, p, id}
}

// confused passes requests on to another actor of the process.
type confused struct {
	envoy.Actor
	p  *Plant
	id counter.Identity
}

func (c confused) Start(ctx context.Context) error {
	if err := c.Actor.Start(ctx); err != nil {
		return err
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.actors[c.id.Actor] = c.Actor
	return nil
}

func (c confused) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := c.Actor
	if c.p.every(3) {
		if to = c.other(); to != c.Actor {
			c.p.struck(c.id, "another actor answers")
		}
	}
	to.ServeHTTP(w, r)
}

// other is any actor that is not c, or c where there is none.
func (c confused) other() envoy.Actor {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	for id, a := range c.p.actors {
		if id != c.id.Actor {
			return a
		}
	}
	return c.Actor
}
