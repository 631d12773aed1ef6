package containers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/testcontainers/testcontainers-go"

	"github.com/killpoint/killpoint/internal/image"
	"github.com/killpoint/killpoint/internal/tap"
	"github.com/killpoint/killpoint/moment"
)

// TapConfig puts a tap between engine and runtime, on both ways: it reads each
// frame, and its executioner can strike while one is held.
type TapConfig struct {
	// Gateway has clients reach the engine's gateway through it as well.
	Gateway bool

	// For tests of what it lacks.
	user   string
	change func(*container.HostConfig)
}

// What the cell's network calls the tap, and where it listens inside of its
// container.
const (
	tapAlias       = "tap"
	tapServerless  = 8080
	tapGateway     = 6430
	tapControlPort = 8090
)

// WayExecutioner signals the process itself, from a container beside the tap in
// the daemon's PID namespace: while a frame is held, within a millisecond of its
// arrival, and with any daemon.
const WayExecutioner Way = "executioner"

// ErrNoTap says that a cell has no tap, which frames and the executioner need.
var ErrNoTap = errors.New("the cell has no tap: set CellConfig.Tap")

// Tap is a cell's tap and executioner.
type Tap struct {
	cell      *Cell
	container *Container
	client    *tap.Client
	ports     map[int]*port
	token     string // of its control port

	mu      sync.Mutex
	strikes map[*strike]bool // that may yet end somebody
	rules   int
}

// Tap is the cell's tap, nil where it has none.
func (c *Cell) Tap() *Tap { return c.tap }

// buildTap starts the tap. It takes calls when this returns.
func (c *Cell) buildTap(ctx context.Context, rig string) error {
	ref, err := image.Wiretap(ctx, c.session.docker)
	if err != nil {
		return err
	}
	inside := []int{tapControlPort}
	if c.cfg.Tap.Gateway {
		inside = append(inside, tapGateway)
	}
	sandbox, ports, err := c.startSandbox(ctx, sandboxSpec{alias: tapAlias}, rig, inside...)
	if err != nil {
		return err
	}
	t := &Tap{cell: c, ports: ports, strikes: map[*strike]bool{}}
	c.tap = t
	token := rand.Text()
	if t.container, err = c.createTap(ctx, ref, token, sandbox); err != nil {
		return err
	}
	t.token = token
	return t.start(ctx)
}

// start starts the tap's container, and returns when it takes calls.
func (t *Tap) start(ctx context.Context) error {
	if err := t.container.Start(ctx); err != nil {
		return err
	}
	t.client = tap.NewClient(t.cell.url(t.ports[tapControlPort]), t.token, t.cell.session.host)
	return t.ready(ctx)
}

// ready waits until the tap takes calls. It asks, as of the other parties: a
// published port accepts connections long before.
func (t *Tap) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ctx, stop := t.living(ctx)
	defer stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		_, err := t.client.State(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return t.explain("wait for the tap to take calls", errors.Join(context.Cause(ctx), err))
		}
	}
}

// createTap gives it the daemon's processes to see, and the right to signal
// them, and nothing more.
func (c *Cell) createTap(ctx context.Context, ref, token string, sandbox *Container) (*Container, error) {
	return c.create(ctx, "tap", tapAlias, ref, "SIGTERM",
		testcontainers.WithEnv(map[string]string{
			"KILLPOINT_WIRETAP_TOKEN":      token,
			"KILLPOINT_WIRETAP_ENGINE":     net.JoinHostPort(engineAlias, strconv.Itoa(enginePort)),
			"KILLPOINT_WIRETAP_RUNTIME":    net.JoinHostPort(runtimeAlias, strconv.Itoa(c.cfg.Runtime.Port)),
			"KILLPOINT_WIRETAP_ENVOY":      ":" + strconv.Itoa(enginePort),
			"KILLPOINT_WIRETAP_SERVERLESS": ":" + strconv.Itoa(tapServerless),
			"KILLPOINT_WIRETAP_GATEWAY":    ":" + strconv.Itoa(tapGateway),
			"KILLPOINT_WIRETAP_CONTROL":    ":" + strconv.Itoa(tapControlPort),
		}),
		testcontainers.WithConfigModifier(func(cfg *container.Config) { cfg.User = c.cfg.Tap.user }),
		inSandbox(sandbox, func(h *container.HostConfig) {
			h.PidMode = "host"
			h.CapDrop = []string{"ALL"}
			h.CapAdd = []string{"KILL"}
			if c.cfg.Tap.change != nil {
				c.cfg.Tap.change(h)
			}
		}),
	)
}

// announced tells the executioner of an incarnation that just began. Where it
// cannot strike that, the start is of no use to a trial, and fails.
func (t *Tap) announced(ctx context.Context, l *life) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := t.client.Announce(ctx, l.c.role, tap.Target{PID: l.pid(), ContainerID: l.c.id, Party: party(l.c.role, l.n)})
	if err != nil {
		return fmt.Errorf("announce %s to the executioner: %w", party(l.c.role, l.n), err)
	}
	return nil
}

// explain says that the tap is gone where it is. A death shows as a broken
// connection first, and as an exit a moment later.
func (t *Tap) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var refused *tap.RefusedError
	if !errors.As(err, &refused) {
		timer := time.NewTimer(exitFollows)
		defer timer.Stop()
		select {
		case <-t.container.Exited():
			err = errors.Join(fmt.Errorf("the tap is gone: %w", t.container.exitedError(t.container.current())), err)
		case <-timer.C:
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// exitFollows is how long after a broken connection an exit may be seen.
const exitFollows = 500 * time.Millisecond

// living ends with the tap, too.
func (t *Tap) living(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-t.container.Exited():
			cancel(errors.New("the tap has exited"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Armed is a rule of the tap that waits for its frame, or is done.
type Armed struct {
	tap  *Tap
	rule tap.Rule
	blow *Blow
	note *strike
}

// Arm has the tap wait for a frame, and do with it what the rule says. Its ID is
// filled in. A rule that strikes is for [Tap.StrikeAt].
func (t *Tap) Arm(ctx context.Context, r tap.Rule) (*Armed, error) {
	if t == nil {
		return nil, ErrNoTap
	}
	t.mu.Lock()
	t.rules++
	r.ID = "rule-" + strconv.Itoa(t.rules)
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := t.client.Arm(ctx, r); err != nil {
		return nil, t.explain("arm a rule of the tap", err)
	}
	return &Armed{tap: t, rule: r}, nil
}

// Hold has the tap hold a frame at its moment until it is released.
func (t *Tap) Hold(ctx context.Context, m moment.Moment) (*Armed, error) {
	match, when, err := frameOf(m)
	if err != nil {
		return nil, err
	}
	return t.Arm(ctx, tap.Rule{Match: match, When: when, Do: tap.DoHold, Deadline: callTimeout})
}

// frameOf is the frame's moment as the tap selects it.
func frameOf(m moment.Moment) (tap.Match, tap.When, error) {
	at, ok := m.AtFrame()
	if !ok {
		return tap.Match{}, "", fmt.Errorf("the moment %v is no frame", m)
	}
	return tap.Match{
		Wire: tap.Wire(at.Wire), Direction: at.Direction, Type: at.Type, Detail: at.Detail, Key: at.Key, Nth: at.Nth,
	}, tap.When(at.Side), nil
}

// Outcome is how far the rule is.
func (a *Armed) Outcome(ctx context.Context) (tap.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	o, err := a.tap.client.Wait(ctx, a.rule.ID, "") // it always is in some state
	return o, a.tap.explain("ask the tap for a rule", err)
}

// Reached waits until a frame is held, or the rule is done with it. The outcome
// also comes with an error, and says how far it got.
func (a *Armed) Reached(ctx context.Context) (tap.Outcome, error) {
	return a.wait(ctx, func(s tap.State) bool { return s != tap.Armed })
}

// Done waits until the rule is done, has failed or expired.
func (a *Armed) Done(ctx context.Context) (tap.Outcome, error) {
	return a.wait(ctx, tap.State.Final)
}

func (a *Armed) wait(ctx context.Context, until func(tap.State) bool) (tap.Outcome, error) {
	waiting, cancel := a.tap.living(ctx)
	defer cancel()
	state := tap.Armed
	for {
		o, err := a.tap.client.Wait(waiting, a.rule.ID, state)
		switch {
		case err != nil:
			last, lerr := a.Outcome(context.WithoutCancel(ctx)) // bounded by itself
			return last, a.tap.explain("wait for a rule of the tap", errors.Join(context.Cause(waiting), err, lerr))
		case o.State == tap.Failed:
			return o, fmt.Errorf("the tap's rule has failed: %s", o.Error)
		case until(o.State):
			return o, nil
		}
		state = o.State
	}
}

// Release lets a held frame go, or drops it.
func (a *Armed) Release(ctx context.Context, drop bool) error {
	held := tap.Deliver
	if drop {
		held = tap.Drop
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := a.tap.client.Release(ctx, a.rule.ID, held)
	return a.tap.explain("have the tap release a frame", err)
}

// Disarm takes the rule back. One that holds a frame delivers it.
func (a *Armed) Disarm(ctx context.Context) error {
	a.tap.forget(a.note)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := a.tap.client.Disarm(ctx, a.rule.ID)
	return a.tap.explain("disarm a rule of the tap", err)
}
