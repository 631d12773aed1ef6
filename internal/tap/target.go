package tap

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/internal/pidfd"
)

// process is what the executioner needs of a hold on one.
type process interface {
	Signal(sig unix.Signal) error
	Wait() error // returns at the death
	Close() error
}

// target is a process that was announced.
type target struct {
	Target
	role    string
	process process
	died    chan struct{} // closed at its death
	diedT   clock.Mono    // set before that
}

// alive says that it can be struck.
func (g *target) alive() bool {
	select {
	case <-g.died:
		return false
	default:
		return true
	}
}

// release ends the watch over it.
func (g *target) release() { g.process.Close() } //nolint:errcheck // nothing was written to it

// openTarget holds the process, and proves that it is the container's and may
// be signalled.
func openTarget(to Target) (process, error) {
	p, err := pidfd.Open(to.PID, to.ContainerID)
	switch {
	case err == nil:
		return p, nil
	case os.Getpid() == 1:
		return nil, fmt.Errorf("%w: the tap is PID 1 of a PID namespace of its own, start its container with the host's", err)
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("%w: the tap lacks CAP_KILL, start its container with it", err)
	}
	return nil, err
}

// Announce tells which process a target is from now on.
func (t *Tap) Announce(role string, to Target) error {
	if role != roleEngine && role != roleRuntime {
		return fmt.Errorf("target %q: want %s or %s", role, roleEngine, roleRuntime)
	}
	if to.Party == "" {
		to.Party = role
	}
	e := history.TapTarget{Target: role, Party: to.Party, PID: to.PID, What: "announced"}
	p, err := t.cfg.open(to)
	if err != nil {
		e.What, e.Error = "refused", err.Error()
		t.record(history.KindTapTarget, &e)
		return fmt.Errorf("announce %s: %w", to.Party, err)
	}
	g := &target{Target: to, role: role, process: p, died: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return errors.Join(errClosed, p.Close())
	}
	t.record(history.KindTapTarget, &e)
	t.targets[role] = g
	t.all = append(t.all, g)
	t.bump()
	t.timers.Go(func() { t.watch(g) })
	return nil
}

// watch sees the target's death.
func (t *Tap) watch(g *target) {
	if err := g.process.Wait(); err != nil {
		return // released
	}
	g.diedT = clock.Now()
	close(g.died)
	t.emit.emit(g.diedT, history.KindTapTarget, &history.TapTarget{Target: g.role, Party: g.Party, PID: g.PID, What: "died"})
	t.mu.Lock()
	defer t.mu.Unlock()
	g.release()
	for i, other := range t.all {
		if other == g {
			t.all = append(t.all[:i:i], t.all[i+1:]...)
			break
		}
	}
	t.bump()
}

// Withdraw takes an announcement back. Signals of strikes that are due later
// are sent all the same.
func (t *Tap) Withdraw(role string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.targets[role]
	if g == nil {
		return
	}
	delete(t.targets, role)
	t.record(history.KindTapTarget, &history.TapTarget{Target: role, Party: g.Party, PID: g.PID, What: "withdrawn"})
	t.bump()
}

// announced are the targets of the roles, or what is missing. The lock is held.
func (t *Tap) announced(roles []string) (targets []*target, missing error) {
	for _, role := range roles {
		g := t.targets[role]
		switch {
		case g == nil:
			return nil, fmt.Errorf("no %s was announced", role)
		case !g.alive():
			return nil, fmt.Errorf("%s is dead already, and no other %s was announced", g.Party, role)
		}
		targets = append(targets, g)
	}
	return targets, nil
}
