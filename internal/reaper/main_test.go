package reaper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/internal/image"
)

// sessionEnv makes the test binary act as the process of that session.
const sessionEnv = "KILLPOINT_TEST_SESSION"

func TestMain(m *testing.M) {
	if session := os.Getenv(sessionEnv); session != "" {
		if err := actAsSession(session); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// actAsSession starts a reaper and a cell's worth of things, says so, and lives
// until it is killed (or its parent dies, and its input with it).
func actAsSession(session string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	r, err := Start(ctx, docker, session)
	if err != nil {
		return err
	}
	if err := occupy(ctx, docker, session); err != nil {
		return errors.Join(err, r.Close(ctx))
	}
	fmt.Println(r.id)
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, r.Close(ctx))
}

// occupy makes a running container, a network and a volume of the session, the
// first holding the other two.
func occupy(ctx context.Context, docker client.APIClient, session string) error {
	labels := map[string]string{SessionLabel: session}
	name := "killpoint-test-" + session
	ref, err := image.Rig(ctx, docker)
	if err != nil {
		return err
	}
	if _, err := docker.NetworkCreate(ctx, name, network.CreateOptions{Labels: labels}); err != nil {
		return err
	}
	if _, err := docker.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: labels}); err != nil {
		return err
	}
	made, err := docker.ContainerCreate(ctx,
		&container.Config{Image: ref, Cmd: []string{"sandbox"}, Labels: labels},
		&container.HostConfig{
			NetworkMode: container.NetworkMode(name),
			CapAdd:      []string{"NET_ADMIN"},
			Mounts:      []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: "/data"}},
		}, nil, nil, name)
	if err != nil {
		return err
	}
	return docker.ContainerStart(ctx, made.ID, container.StartOptions{})
}
