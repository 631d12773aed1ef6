package containers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/killpoint/killpoint/history"
)

// joinTimeout bounds the wait for the exit record of a container that was
// removed.
const joinTimeout = 5 * time.Second

// Close removes the cell from Docker and waits until its last output and exits
// are recorded. It may be called again, also after an error.
func (c *Cell) Close(ctx context.Context) error {
	c.closing.Lock()
	defer c.closing.Unlock()
	if c.closed {
		return nil
	}
	err := c.remove(ctx)
	c.join()
	for _, ctr := range c.containers() {
		if ctr.keeper != nil {
			ctr.keeper.end()
		}
	}
	if c.api != nil {
		c.api.Close()
	}
	if c.tap != nil && c.tap.client != nil {
		c.tap.client.Close()
	}
	c.client.CloseIdleConnections()
	if err != nil {
		return c.session.explain("remove cell "+c.cfg.Name, err)
	}
	c.closed = true
	for _, ctr := range c.containers() {
		ctr.record(ctr.Incarnation(), history.ContainerRemoved, 0)
	}
	c.session.mu.Lock()
	delete(c.session.open, c)
	c.session.mu.Unlock()
	errs := []error{releaseAll(c.enginePorts), releaseAll(c.runtimePorts), releaseAll(c.frontPorts)}
	for _, one := range c.added {
		errs = append(errs, releaseAll(one.ports))
	}
	if c.tap != nil {
		errs = append(errs, releaseAll(c.tap.ports))
	}
	return errors.Join(errs...)
}

// remove takes away all that bears the cell's label: what this process knows
// of and what it does not, because a call that made it was cut off.
func (c *Cell) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	mine := filters.NewArgs(filters.Arg("label", cellLabel+"="+c.id))
	if err := c.removeContainers(ctx, mine); err != nil {
		return err
	}
	return allOf(
		func() error { return c.removeNetworks(ctx, mine) },
		func() error { return c.removeVolumes(ctx, mine) },
	)
}

// allOf runs the steps at once and joins their errors; one that fails does not stop
// the others.
func allOf(steps ...func() error) error {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, step := range steps {
		wg.Go(func() { errs[i] = step() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Cell) removeContainers(ctx context.Context, mine filters.Args) error {
	list, err := c.session.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	if err != nil {
		return fmt.Errorf("list its containers: %w", err)
	}
	for _, ctr := range c.containers() {
		if l, err := ctr.living(); err == nil {
			l.note("SIGKILL", "teardown", false)
		}
	}
	steps := make([]func() error, len(list))
	for i, ctr := range list {
		steps[i] = func() error {
			err := c.session.docker.ContainerRemove(ctx, ctr.ID, removal)
			if errdefs.IsConflict(err) {
				return nil // somebody else is removing it
			}
			return gone(err)
		}
	}
	return allOf(steps...)
}

func (c *Cell) removeNetworks(ctx context.Context, mine filters.Args) error {
	list, err := c.session.docker.NetworkList(ctx, network.ListOptions{Filters: mine})
	if err != nil {
		return fmt.Errorf("list its networks: %w", err)
	}
	for _, n := range list {
		if err := gone(c.session.docker.NetworkRemove(ctx, n.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cell) removeVolumes(ctx context.Context, mine filters.Args) error {
	list, err := c.session.docker.VolumeList(ctx, volume.ListOptions{Filters: mine})
	if err != nil {
		return fmt.Errorf("list its volumes: %w", err)
	}
	for _, v := range list.Volumes {
		if err := gone(c.session.docker.VolumeRemove(ctx, v.Name, true)); err != nil {
			return err
		}
	}
	return nil
}

// gone forgives that a thing to be removed is not there.
func gone(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// join waits for the goroutines of all incarnations. Those whose exit the
// daemon does not report are let go.
func (c *Cell) join() {
	timer := time.NewTimer(joinTimeout)
	defer timer.Stop()
	expired := false
	for _, ctr := range c.containers() {
		l := ctr.current()
		if l == nil {
			continue
		}
		if !expired {
			select {
			case <-l.done:
			case <-timer.C:
				expired = true
			}
		}
		if expired {
			l.letGo()
			<-l.done
		}
	}
}
