package scenario

import (
	"context"
	"time"

	"github.com/killpoint/killpoint/history"
)

// wait waits for what was expected, for at most d; what names it where it does
// not come.
type wait = func(ctx context.Context, d time.Duration, what string) error

// Expect watches for an event from now on. The function that it returns waits
// for it, for at most d; what names it where it does not come.
func (s *Stage) Expect(match func(history.Event) bool) (wait func(ctx context.Context, d time.Duration, what string) error) {
	seen := make(chan struct{}, 1)
	s.History.Subscribe(func(e history.Event) {
		if match(e) {
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	})
	return func(ctx context.Context, d time.Duration, what string) error {
		ctx, cancel := bounded(ctx, d, what)
		defer cancel()
		select {
		case <-seen:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// expectActor is Expect for a word of the actor's life.
func (s *Stage) expectActor(actor, word string) wait {
	return s.Expect(func(e history.Event) bool {
		b, ok := e.Body.(*history.Actor)
		return ok && b.Actor == actor && b.What == word
	})
}

// expectEnvoy is Expect for an event of the runtime's connection.
func (s *Stage) expectEnvoy(word string) wait {
	return s.Expect(func(e history.Event) bool {
		b, ok := e.Body.(*history.Envoy)
		return ok && b.What == word
	})
}

// expectReached is Expect for the actor to be held at the place.
func (s *Stage) expectReached(actor string, at Place) wait {
	return s.Expect(func(e history.Event) bool {
		who, ok := reached(e, at)
		return ok && who == actor
	})
}

// reached is the actor of which the event says that it is held at the place.
func reached(e history.Event, at Place) (actor string, ok bool) {
	b, ok := e.Body.(*history.Breakpoint)
	if !ok || b.Name != string(at) || b.What != "reached" {
		return "", false
	}
	return b.Actor, true
}
