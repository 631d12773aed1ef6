package standing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/killpoint/killpoint/containers"
)

// goneBound is how long the reaper may take to remove what a killed holder left.
const goneBound = time.Minute

// Down ends the cell and returns when nothing of it is left. Where its holder is
// dead it waits for the reaper to have done that. [ErrNotUp] says that there was
// nothing to end.
func Down(ctx context.Context, dir, name string) (err error) {
	p, err := at(dir, name)
	if err != nil {
		return err
	}
	unlock, err := p.take()
	if errors.Is(err, ErrUp) {
		unlock, err = p.askOrOutlive(ctx)
	}
	if err != nil || unlock == nil {
		return errors.Join(err, p.dropLog())
	}
	defer func() { err = errors.Join(err, unlock()) }()
	cell, err := Read(dir, name)
	if err != nil {
		return errors.Join(err, p.clear())
	}
	if err := awaitGone(ctx, cell); err != nil {
		return err
	}
	return errors.Join(p.clear(), p.dropLog())
}

// askOrOutlive has the holder end the cell. A holder that dies instead of answering
// leaves its lock to us.
func (p place) askOrOutlive(ctx context.Context) (unlock func() error, err error) {
	err = p.askDown(ctx)
	if !errors.Is(err, errNoAnswer) {
		return nil, err
	}
	unlock, lerr := p.outlive(ctx, dyingBound)
	if lerr != nil {
		return nil, errors.Join(err, lerr)
	}
	return unlock, nil
}

// dyingBound is how long a holder that does not answer may take to be gone.
const dyingBound = 5 * time.Second

// outlive takes the lock of a holder that is about to be gone: its socket dies some
// time before its lock. A lock can be waited for, but not with a bound, so it is
// tried.
func (p place) outlive(ctx context.Context, bound time.Duration) (unlock func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		unlock, err := p.take()
		if !errors.Is(err, ErrUp) {
			return unlock, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waited %v for the holder of cell %s to be gone, which does not answer; it still has its lock %s", bound, p.name, p.lockFile())
		}
	}
}

// errNoAnswer says that the holder could not be asked, or said nothing.
var errNoAnswer = errors.New("its holder does not answer")

// dropLog removes the holder's log, unless it has something to say.
func (p place) dropLog() error {
	path := Log(p.dir, p.name)
	if info, err := os.Stat(path); err != nil || info.Size() > 0 {
		return nil
	}
	return os.Remove(path)
}

// askDown asks the holder, who lives.
func (p place) askDown(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", p.socket())
	if err != nil {
		return fmt.Errorf("ask the holder of cell %s, who lives, to end it (its log is %s): %w: %w", p.name, Log(p.dir, p.name), errNoAnswer, err)
	}
	defer func() { _ = conn.Close() }()
	// It may be starting still, and then has to end what it has started.
	if err := conn.SetDeadline(time.Now().Add(startBound + closeBound)); err != nil {
		return fmt.Errorf("ask the holder of cell %s to end it: %w", p.name, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintln(conn, askDown); err != nil {
		return fmt.Errorf("ask the holder of cell %s to end it: %w: %w", p.name, errNoAnswer, err)
	}
	said, err := io.ReadAll(conn)
	switch text := strings.TrimSpace(string(said)); {
	case err != nil:
		return fmt.Errorf("wait for the holder of cell %s to end it (its log is %s): %w: %w", p.name, Log(p.dir, p.name), errNoAnswer, errors.Join(err, context.Cause(ctx)))
	case text == "":
		return fmt.Errorf("end cell %s: %w", p.name, errNoAnswer)
	case text != saidDone:
		return fmt.Errorf("end cell %s: %s", p.name, text)
	}
	return nil
}

// awaitGone waits until the session of a dead holder has left nothing. Three kinds
// of things go, and the daemon has no one event for the last of them: it is asked.
func awaitGone(ctx context.Context, cell Cell) (err error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("make Docker client: %w", err)
	}
	defer func() { err = errors.Join(err, docker.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, goneBound)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := leftovers(ctx, docker, cell.Session)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited %v for the reaper of session %s to remove what its dead holder left; still there: %s", goneBound, cell.Session, strings.Join(left, ", "))
		}
	}
}

// leftovers are the names of what exists of a session.
func leftovers(ctx context.Context, docker client.APIClient, session string) ([]string, error) {
	mine := filters.NewArgs(filters.Arg("label", containers.SessionLabel+"="+session))
	var left []string
	cs, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range cs {
		left = append(left, strings.Join(c.Names, " "))
	}
	ns, err := docker.NetworkList(ctx, network.ListOptions{Filters: mine})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	for _, n := range ns {
		left = append(left, n.Name)
	}
	vs, err := docker.VolumeList(ctx, volume.ListOptions{Filters: mine})
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	for _, v := range vs.Volumes {
		left = append(left, v.Name)
	}
	return left, nil
}
