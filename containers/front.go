package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// Front is the load balancer that stands before a cell's runtimes, so that one
// can take over from another as platforms do it: new calls go to the new one,
// and what is under way stays where it is.
type Front string

// The fronts.
const (
	// FrontNone has the engine call the runtime itself.
	FrontNone Front = ""
	// FrontHTTP chooses for each call, as an ingress, Cloud Run or an application
	// load balancer does.
	FrontHTTP Front = "http"
	// FrontTCP chooses for each connection, as a Kubernetes service or a network
	// load balancer does: who keeps a connection open keeps the runtime.
	FrontTCP Front = "tcp"
)

// What the front's container calls itself and its ports.
const (
	frontRole    = "front"
	frontPort    = 8080
	frontControl = 8081
)

// ErrNoFront says that the cell has no front to route by.
var ErrNoFront = errors.New("the cell has no front: set CellConfig.Front")

// runtimeHost is the name on the cell's network of the nth runtime, from 1: its
// own, where the pool's belongs to the front.
func (c *Cell) runtimeHost(n int) string {
	if c.cfg.Front == FrontNone {
		return runtimeAlias
	}
	return runtimeAlias + "-" + strconv.Itoa(n)
}

func (c *Cell) buildFront(ctx context.Context, rig string) (err error) {
	if c.cfg.Front == FrontNone {
		return nil
	}
	c.front, c.frontPorts, err = c.startSandbox(ctx, sandboxSpec{
		role: frontRole, what: frontRole, alias: runtimeAlias, command: []string{"front", string(c.cfg.Front)},
	}, rig, frontPort, frontControl)
	return err
}

// added is a runtime beside the cell's first.
type added struct {
	ctr   *Container
	host  string
	ports map[int]*port
}

// AddRuntime starts one more runtime beside those that there are, in a sandbox of
// its own, and returns when it serves. No call of the engine reaches it before
// [Cell.Route] says so. Its incarnations go on from those of the others, so that
// no two of them have a name in common. The cell needs a front.
func (c *Cell) AddRuntime(ctx context.Context, cfg RuntimeConfig) (*Container, error) {
	if c.cfg.Front == FrontNone {
		return nil, fmt.Errorf("add a runtime: %w", ErrNoFront)
	}
	whole, err := CellConfig{Name: c.cfg.Name, Runtime: cfg, Recorder: c.cfg.Recorder}.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("add a runtime: %w", err)
	}
	cfg = whole.Runtime
	rig, err := c.session.rig(ctx)
	if err != nil {
		return nil, err
	}
	stopSignal, err := c.stopSignalOf(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	one := &added{host: c.runtimeHost(len(c.added) + 2)}
	c.added = append(c.added, one)
	c.mu.Unlock()
	var sandbox *Container
	sandbox, one.ports, err = c.startSandbox(ctx, sandboxSpec{what: one.host + "-sandbox", alias: one.host}, rig, cfg.inside()...)
	if err != nil {
		return nil, err
	}
	ctr, err := c.createRuntimeAs(ctx, one.host, cfg, stopSignal, sandbox)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	one.ctr = ctr
	c.mu.Unlock()
	if err := ctr.Start(ctx); err != nil {
		return nil, err
	}
	return ctr, c.waitRuntime(ctx, ctr, one.ports[cfg.Port])
}

// inside are the ports that a runtime has on the host.
func (r RuntimeConfig) inside() []int {
	if r.ControlPort == 0 {
		return []int{r.Port}
	}
	return []int{r.Port, r.ControlPort}
}

// Route has the front pass each new call on to that runtime, of whatever is to
// come. It returns when the front does.
func (c *Cell) Route(ctx context.Context, to *Container) error {
	what := fmt.Sprintf("route the engine's calls to %s", to.Name())
	if c.front == nil {
		return fmt.Errorf("%s: %w", what, ErrNoFront)
	}
	host, port := c.runtimeHost(1), c.cfg.Runtime.Port
	c.mu.Lock()
	for _, one := range c.added {
		if one.ctr == to {
			host = one.host
		}
	}
	c.mu.Unlock()
	q := url.Values{"to": {net.JoinHostPort(host, strconv.Itoa(port))}, "as": {to.Party()}}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(c.frontPorts[frontControl])+"/route?"+q.Encode(), nil)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return errors.Join(fmt.Errorf("%s: the front answered with status %d", what, resp.StatusCode), err)
	}
	return err
}
