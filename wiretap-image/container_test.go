package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/dockertest"
	"github.com/killpoint/killpoint/internal/image"
	"github.com/killpoint/killpoint/internal/tap"
)

const controlPort = nat.Port("8090/tcp")

// runContainer starts the tap's image and returns the container, with its control port
// published.
func runContainer(t *testing.T, docker client.APIClient, user string, host container.HostConfig) container.InspectResponse {
	t.Helper()
	ctx := t.Context()
	img, err := image.Wiretap(ctx, docker)
	require.NoError(t, err)
	host.PortBindings = nat.PortMap{controlPort: {{HostIP: "127.0.0.1"}}}
	made, err := docker.ContainerCreate(ctx, &container.Config{
		Image: img, User: user, Env: []string{prefix + "TOKEN=" + secret}, ExposedPorts: nat.PortSet{controlPort: {}},
	}, &host, nil, nil, "")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := dockertest.Context(t)
		defer cancel()
		err := docker.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true})
		assert.True(t, err == nil || errdefs.IsNotFound(err), "%v", err)
	})
	require.NoError(t, docker.ContainerStart(ctx, made.ID, container.StartOptions{}))
	info, err := docker.ContainerInspect(ctx, made.ID)
	require.NoError(t, err)
	return info
}

// control is the client of a tap that answers.
func control(t *testing.T, info container.InspectResponse) *tap.Client {
	t.Helper()
	bound := info.NetworkSettings.Ports[controlPort]
	require.NotEmpty(t, bound)
	c := tap.NewClient("http://"+net.JoinHostPort(bound[0].HostIP, bound[0].HostPort), secret)
	t.Cleanup(c.Close)
	require.Eventually(t, func() bool { // docker-proxy accepts before there is anybody to answer
		_, err := c.State(t.Context())
		return err == nil
	}, patience, 20*time.Millisecond, "the tap does not answer")
	return c
}

// TestExecutioner strikes a container from another one that has nothing but the
// host's PID namespace and CAP_KILL; with less it says what is missing when it
// is told of its target.
func TestExecutioner(t *testing.T) {
	docker := dockertest.Client(t)
	victim := runContainer(t, docker, "", container.HostConfig{})
	target := tap.Target{PID: victim.State.Pid, ContainerID: victim.ID, Party: "engine#1"}
	able := container.HostConfig{PidMode: "host", CapDrop: []string{"ALL"}, CapAdd: []string{"KILL"}}
	unable := able
	unable.CapAdd = nil
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()

	alone := control(t, runContainer(t, docker, "", container.HostConfig{CapDrop: []string{"ALL"}, CapAdd: []string{"KILL"}}))
	assert.ErrorContains(t, alone.Announce(ctx, "engine", target), "start its container with the host's")
	powerless := control(t, runContainer(t, docker, "65534", unable))
	assert.ErrorContains(t, powerless.Announce(ctx, "engine", target), "the tap lacks CAP_KILL")

	info := runContainer(t, docker, "", able)
	c := control(t, info)
	other := target
	other.ContainerID = info.ID
	assert.ErrorContains(t, c.Announce(ctx, "engine", other), "is not in the container's cgroup")
	require.NoError(t, c.Announce(ctx, "engine", target))
	exited, failed := docker.ContainerWait(ctx, victim.ID, container.WaitConditionNotRunning)
	out, err := c.Strike(ctx, tap.Strike{Target: "engine", Signal: "SIGKILL"})
	require.NoError(t, err)
	assert.Equal(t, tap.Done, out.State, out.Error)
	select {
	case e := <-exited:
		assert.Equal(t, int64(137), e.StatusCode)
	case err := <-failed:
		require.NoError(t, err)
	}
	t.Logf("signal to death %v", out.DiedT.Sub(out.SignalT))

	grace := 10
	require.NoError(t, docker.ContainerStop(ctx, info.ID, container.StopOptions{Timeout: &grace}))
	ended, err := docker.ContainerInspect(ctx, info.ID)
	require.NoError(t, err)
	assert.Zero(t, ended.State.ExitCode, "SIGTERM is an orderly end")
}
