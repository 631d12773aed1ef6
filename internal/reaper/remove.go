package reaper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"
)

// kind is a kind of thing that a session leaves, in the order of removal:
// containers hold networks and volumes.
type kind int

const (
	kindContainer kind = iota
	kindNetwork
	kindVolume
)

func (k kind) String() string { return [...]string{"container", "network", "volume"}[k] }

// removalWidth bounds how many removals the daemon is given at once.
const removalWidth = 8

type leftover struct {
	kind kind
	id   string // of a volume, its name
	name string
}

// list finds what bears the session's label, save the reaper.
func list(ctx context.Context, docker client.APIClient, session string) ([]leftover, error) {
	var left []leftover
	containers, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled(session)})
	if err != nil {
		return nil, fmt.Errorf("list containers of session %s: %w", session, err)
	}
	for _, c := range containers {
		if c.Labels[RoleLabel] != Role {
			left = append(left, leftover{kindContainer, c.ID, fmt.Sprint(c.Names)})
		}
	}
	networks, err := docker.NetworkList(ctx, network.ListOptions{Filters: labelled(session)})
	if err != nil {
		return nil, fmt.Errorf("list networks of session %s: %w", session, err)
	}
	for _, n := range networks {
		left = append(left, leftover{kindNetwork, n.ID, n.Name})
	}
	volumes, err := docker.VolumeList(ctx, volume.ListOptions{Filters: labelled(session)})
	if err != nil {
		return nil, fmt.Errorf("list volumes of session %s: %w", session, err)
	}
	for _, v := range volumes.Volumes {
		left = append(left, leftover{kindVolume, v.Name, v.Name})
	}
	return left, nil
}

// removeAll removes kind by kind, each kind at once.
func removeAll(ctx context.Context, docker client.APIClient, left []leftover, out io.Writer) error {
	var errs []error
	for _, k := range []kind{kindContainer, kindNetwork, kindVolume} {
		ofKind := slices.DeleteFunc(slices.Clone(left), func(l leftover) bool { return l.kind != k })
		errs = append(errs, removeKind(ctx, docker, ofKind, out))
	}
	return errors.Join(errs...)
}

func removeKind(ctx context.Context, docker client.APIClient, left []leftover, out io.Writer) error {
	errs := make([]error, len(left))
	var group errgroup.Group
	group.SetLimit(removalWidth)
	for i, l := range left {
		group.Go(func() error {
			errs[i] = remove(ctx, docker, l.kind, l.id)
			return nil // one failure must not keep the others
		})
	}
	_ = group.Wait()
	for i, l := range left {
		outcome := "removed"
		if errs[i] != nil {
			outcome = "could not remove"
			errs[i] = fmt.Errorf("remove %s %s %.12s: %w", l.kind, l.name, l.id, errs[i])
		}
		// The log is for people; the sweep goes on without it.
		_, _ = fmt.Fprintf(out, "%s %s %s %.12s\n", outcome, l.kind, l.name, l.id)
	}
	return errors.Join(errs...)
}

// remove takes away one thing. That it is gone, or being removed by somebody
// else, is success: the next listing tells.
func remove(ctx context.Context, docker client.APIClient, k kind, id string) error {
	var err error
	switch k {
	case kindContainer:
		err = docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	case kindNetwork:
		err = docker.NetworkRemove(ctx, id)
	case kindVolume:
		err = docker.VolumeRemove(ctx, id, true)
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// removeStillborn removes reapers that were created age ago or earlier and never
// started, because their process was killed in between. Nobody else would. The
// filters narrow the search further.
func removeStillborn(ctx context.Context, docker client.APIClient, age time.Duration, narrower ...filters.KeyValuePair) error {
	which := filters.NewArgs(append(narrower, filters.Arg("label", RoleLabel+"="+Role), filters.Arg("status", "created"))...)
	found, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: which})
	if err != nil {
		return fmt.Errorf("list reapers that never started: %w", err)
	}
	for _, c := range found {
		if time.Since(time.Unix(c.Created, 0)) < age {
			continue
		}
		if err := remove(ctx, docker, kindContainer, c.ID); err != nil && !errdefs.IsConflict(err) { // conflict: another process is at it
			return fmt.Errorf("remove reaper %.12s, which never started: %w", c.ID, err)
		}
	}
	return nil
}

// removeReaper removes the session's reaper: called in it, the last thing it does.
func removeReaper(ctx context.Context, docker client.APIClient, session string) error {
	which := labelled(session)
	which.Add("label", RoleLabel+"="+Role)
	found, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: which})
	if err != nil {
		return fmt.Errorf("find the reaper of session %s: %w", session, err)
	}
	for _, c := range found {
		if err := remove(ctx, docker, kindContainer, c.ID); err != nil {
			return fmt.Errorf("remove the reaper of session %s: %w", session, err)
		}
	}
	return nil
}
