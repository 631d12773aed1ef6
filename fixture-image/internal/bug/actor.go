package bug

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, req)
	return answer.Code == http.StatusOK
}

// neverStop keeps the old generation: it is not told to stop, nor that its
// life has ended.
func neverStop(p *Plant, _ counter.Identity, a envoy.Actor) envoy.Actor { return immortal{a, p} }

type immortal struct {
	envoy.Actor
	p *Plant
}

func (i immortal) Start(context.Context) error { return i.Actor.Start(i.p.life) }

func (i immortal) Stop(context.Context, wire.StopReason) error { return nil }

func answerWrongKey(p *Plant, id counter.Identity, a envoy.Actor) envoy.Actor {
	return confused{a, p, id.Actor}
}

// confused passes requests on to another actor of the process.
type confused struct {
	envoy.Actor
	p  *Plant
	id string
}

func (c confused) Start(ctx context.Context) error {
	if err := c.Actor.Start(ctx); err != nil {
		return err
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.actors[c.id] = c.Actor
	return nil
}

func (c confused) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := c.Actor
	if c.p.every(3) {
		to = c.other()
	}
	to.ServeHTTP(w, r)
}

// other is any actor that is not c, or c where there is none.
func (c confused) other() envoy.Actor {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	for id, a := range c.p.actors {
		if id != c.id {
			return a
		}
	}
	return c.Actor
}
