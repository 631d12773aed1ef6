package containers

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/killpoint/killpoint/history"
)

// ErrNotRenewable says that a cell cannot be used for another trial.
var ErrNotRenewable = errors.New("the cell cannot be renewed")

// Halt kills all parties of the cell and returns when their last output and
// their exits are recorded. What is left is the cell's frame, for [Cell.Renew] or
// [Cell.Close].
func (c *Cell) Halt(ctx context.Context) error {
	c.closing.Lock()
	defer c.closing.Unlock()
	steps := make([]func() error, 0, 3)
	for _, ctr := range c.parties() {
		steps = append(steps, func() error { return ctr.halt(ctx) })
	}
	err := allOf(steps...)
	c.api.Close()
	if c.tap != nil {
		c.tap.client.Close()
	}
	return c.session.explain("halt cell "+c.cfg.Name, err)
}

// parties are the containers that work, not those that hold an address.
func (c *Cell) parties() []*Container {
	all := []*Container{c.Engine, c.Runtime}
	if c.tap != nil {
		all = append(all, c.tap.container)
	}
	return all
}

// halt kills the current incarnation, if there is one, as a teardown does.
func (c *Container) halt(ctx context.Context) error {
	l := c.current()
	if l == nil {
		return nil
	}
	undo := l.note("SIGKILL", "teardown", false)
	err := l.kill(ctx)
	if errors.Is(err, ErrNotRunning) {
		undo()
		err = nil
	}
	if err != nil {
		return fmt.Errorf("kill %s: %w", c.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = l.wait(ctx)
	return err
}

// kill sends SIGKILL directly where that can be done.
func (l *life) kill(ctx context.Context) error {
	select {
	case <-l.exited:
		return ErrNotRunning
	default:
	}
	number, err := signalNumber("SIGKILL")
	if err != nil {
		return err
	}
	err = l.sendDirectly(number)
	var elsewhere *WayError
	if !errors.As(err, &elsewhere) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return notRunning(l.c.session.docker.ContainerKill(ctx, l.c.id, "SIGKILL"))
}

// Renew makes of a cell that was halted what [Session.Run] makes: new processes,
// an engine whose database is empty, and incarnations that count from 1. From now
// on everything is recorded by rec. The cell keeps its containers, addresses and
// ports, which is what takes most of the time of making one.
//
// Nothing of the trial before can reach the next: no process of it lives, its
// output was read to the end, and the engine is told another folder for its data.
// A cell that got a front or a further runtime fails with [ErrNotRenewable], as
// does one whose engine was configured to keep its data elsewhere.
func (c *Cell) Renew(ctx context.Context, rec history.Recorder) error {
	if err := c.renewable(); err != nil {
		return fmt.Errorf("renew cell %s: %w", c.cfg.Name, err)
	}
	c.forget(rec)
	c.cfg.Recorder.Record(harness, history.KindClock, &history.Clock{BootID: c.session.bootID})
	for _, ctr := range c.parties() {
		ctr.record(1, history.ContainerCreated, 0)
	}
	if err := c.emptyData(ctx); err != nil {
		return c.session.explain("renew cell "+c.cfg.Name, err)
	}
	if c.tap != nil {
		if err := c.tap.begin(ctx); err != nil {
			return fmt.Errorf("renew cell %s: %w", c.cfg.Name, err)
		}
	}
	err := inParallel(ctx,
		func(ctx context.Context) error {
			if err := c.Engine.Start(ctx); err != nil {
				return err
			}
			_, err := c.WaitHealthy(ctx)
			return err
		},
		func(ctx context.Context) error {
			if err := c.Runtime.Start(ctx); err != nil {
				return err
			}
			return c.WaitRuntime(ctx)
		},
	)
	if err == nil {
		err = c.introduce(ctx)
	}
	if err != nil {
		return fmt.Errorf("renew cell %s: %w", c.cfg.Name, err)
	}
	return nil
}

func (c *Cell) renewable() error {
	_, elsewhere := c.cfg.EngineConfig.Extra["file_system"]
	switch {
	case c.front != nil || len(c.added) > 0:
		return fmt.Errorf("%w: it has a front, or more than one runtime", ErrNotRenewable)
	case elsewhere:
		return fmt.Errorf("%w: EngineConfig.Extra says where the engine keeps its data", ErrNotRenewable)
	}
	for _, ctr := range c.parties() {
		if l := ctr.current(); l != nil {
			select {
			case <-l.done:
			default:
				return fmt.Errorf("%w: %s runs, halt it first", ErrNotRenewable, ctr.name)
			}
		}
	}
	return nil
}

// forget takes the past away. Nothing of the cell runs.
func (c *Cell) forget(rec history.Recorder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewals++
	c.cfg.Recorder = rec
	c.healthy = map[int]bool{}
	for _, ctr := range c.all {
		ctr.mu.Lock()
		ctr.rec = rec
		ctr.mu.Unlock()
	}
	for _, ctr := range c.parties() {
		ctr.mu.Lock()
		ctr.lives = nil
		ctr.count.Store(0)
		ctr.mu.Unlock()
	}
}

// emptyData tells the engine a folder for its data in which nothing is. The old
// ones go with the cell's volume.
func (c *Cell) emptyData(ctx context.Context) error {
	cfg := c.cfg.EngineConfig
	cfg.Extra = merge(map[string]any{"file_system": map[string]any{"path": fmt.Sprintf("%s/db-%d", dataPath, c.renewals)}}, cfg.Extra)
	config, err := engineJSON(cfg, c.engine.Version, c.tap != nil)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err = w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(configPath, "/"), Mode: 0o644, Size: int64(len(config))})
	if err == nil {
		_, err = w.Write(config)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("pack the engine's configuration: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.session.docker.CopyToContainer(ctx, c.Engine.id, "/", &b, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("write the engine's configuration: %w", err)
	}
	return nil
}

// begin starts the tap anew.
func (t *Tap) begin(ctx context.Context) error {
	t.mu.Lock()
	t.strikes, t.rules = map[*strike]bool{}, 0
	t.mu.Unlock()
	return t.start(ctx)
}
