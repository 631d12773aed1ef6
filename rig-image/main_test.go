package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/internal/dockertest"
	"github.com/killpoint/killpoint/internal/image"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"nap"}, {"front"}, {"front", "udp"}, {"sandbox", "x"}, {"caller", "x"}, {"closed", "x"}, {"reaper"}, {"reaper", "a", "b"}} {
		assert.ErrorIs(t, run(args), errUsage, "%q", args)
	}
}

func TestLeadsOut(t *testing.T) {
	cidr := func(s string) *net.IPNet {
		_, n, err := net.ParseCIDR(s)
		require.NoError(t, err)
		return n
	}
	gateway, caller := net.ParseIP("172.17.0.1"), net.ParseIP("192.0.2.7").To4()
	for name, tt := range map[string]struct {
		route netlink.Route
		want  bool
	}{
		"default":                  {netlink.Route{Gw: gateway, Type: unix.RTN_UNICAST}, true},
		"default, written out":     {netlink.Route{Dst: cidr("0.0.0.0/0"), Type: unix.RTN_UNICAST}, true},
		"default, version 6":       {netlink.Route{Dst: cidr("::/0"), Gw: net.ParseIP("fe80::1"), Type: unix.RTN_UNICAST}, true},
		"half of all, by gateway":  {netlink.Route{Dst: cidr("128.0.0.0/1"), Gw: gateway, Type: unix.RTN_UNICAST}, true},
		"several gateways":         {netlink.Route{Dst: cidr("10.0.0.0/8"), MultiPath: []*netlink.NexthopInfo{{}}, Type: unix.RTN_UNICAST}, true},
		"the link's own network":   {netlink.Route{Dst: cidr("172.17.0.0/16"), Type: unix.RTN_UNICAST}, false},
		"own address":              {netlink.Route{Dst: cidr("172.17.0.2/32"), Type: unix.RTN_LOCAL}, false},
		"to the caller":            {netlink.Route{Dst: cidr("192.0.2.7/32"), Gw: gateway, Type: unix.RTN_UNICAST}, false},
		"to the caller's network":  {netlink.Route{Dst: cidr("192.0.2.0/24"), Gw: gateway, Type: unix.RTN_UNICAST}, true},
		"to another host":          {netlink.Route{Dst: cidr("192.0.2.8/32"), Gw: gateway, Type: unix.RTN_UNICAST}, true},
		"default is 'unreachable'": {netlink.Route{Dst: cidr("::/0"), Type: unix.RTN_UNREACHABLE}, false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, leadsOut(tt.route, caller)) })
	}
}

// A container beside the sandbox has a way out, one inside has none: so the test
// would notice a machine on which nothing has one.
func TestSandboxHasNoWayOut(t *testing.T) {
	docker := dockertest.Client(t)
	netw := newNetwork(t, docker)
	beside := readRoutes(t, docker, container.NetworkMode(netw))
	require.NotEmpty(t, beside.Out)

	id := startSandbox(t, docker, netw)
	inside := readRoutes(t, docker, container.NetworkMode("container:"+id))
	requireNoWayOut(t, inside)
	assert.NotEmpty(t, inside.Routes, "the network itself must stay reachable")

	code, _, stderr := runToEnd(t, docker, create(t, docker, container.NetworkMode("container:"+id), nil, "closed"))
	assert.Zero(t, code, stderr)
	code, _, stderr = runToEnd(t, docker, create(t, docker, container.NetworkMode(netw), nil, "closed"))
	assert.EqualValues(t, 1, code)
	assert.Contains(t, stderr, "there is a way out")
}

// What a daemon elsewhere publishes is answered, and nobody else is.
func TestSandboxReachesItsCallerOnly(t *testing.T) {
	docker := dockertest.Client(t)
	id := startSandbox(t, docker, newNetwork(t, docker), callerEnv+"=192.0.2.7")
	inside := readRoutes(t, docker, container.NetworkMode("container:"+id))
	require.Len(t, inside.Out, 1)
	assert.Contains(t, inside.Out[0], "192.0.2.7/32")
	inside.Out = nil
	requireNoWayOut(t, inside)
}

func TestSandboxRefusesWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"x", "192.0.2.0/24", "2001:db8::1"} {
		_, err := callerAllowed(address)
		assert.ErrorContains(t, err, callerEnv)
	}
}

func TestCallersAreTold(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- tellCallers(l) }()
	conn, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	told, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1\n", string(told))
	require.NoError(t, conn.Close())
	require.NoError(t, l.Close())
	require.NoError(t, <-ended)
}

// Docker sets a default route whenever it connects a container to a network.
func TestSandboxStaysClosedAfterReconnect(t *testing.T) {
	docker := dockertest.Client(t)
	netw := newNetwork(t, docker)
	id := startSandbox(t, docker, netw)
	for range 3 {
		require.NoError(t, docker.NetworkDisconnect(t.Context(), netw, id, false))
		require.NoError(t, docker.NetworkConnect(t.Context(), netw, id, nil))
		r := readRoutes(t, docker, container.NetworkMode("container:"+id))
		requireNoWayOut(t, r)
		assert.NotEmpty(t, r.Routes)
	}
}

func TestSandboxEndsAtSIGTERM(t *testing.T) {
	docker := dockertest.Client(t)
	id := startSandbox(t, docker, newNetwork(t, docker))
	start := time.Now()
	require.NoError(t, docker.ContainerStop(t.Context(), id, container.StopOptions{}))
	assert.Less(t, time.Since(start), 5*time.Second, "it waited for Docker's SIGKILL")
	info, err := docker.ContainerInspect(t.Context(), id)
	require.NoError(t, err)
	assert.Zero(t, info.State.ExitCode)
}

func TestSandboxRefusesToPretend(t *testing.T) {
	docker := dockertest.Client(t)
	netw := newNetwork(t, docker)
	id := create(t, docker, container.NetworkMode(netw), nil, "sandbox")
	code, stdout, stderr := runToEnd(t, docker, id)
	assert.EqualValues(t, 1, code)
	assert.NotContains(t, stdout, sandboxReady)
	assert.Contains(t, stderr, "CAP_NET_ADMIN")
}

func requireNoWayOut(t *testing.T, r report) {
	t.Helper()
	require.Empty(t, r.Out)
	require.Len(t, r.Tries, 2)
	for _, try := range r.Tries {
		// A namespace without IPv6 has no address to send from in place of no route.
		require.Contains(t, []string{"ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"}, try.Errno, "%+v", try)
	}
}

func newNetwork(t *testing.T, docker client.APIClient) string {
	t.Helper()
	name := fmt.Sprintf("killpoint-test-%016x", rand.Uint64())
	_, err := docker.NetworkCreate(t.Context(), name, network.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := dockertest.Context(t)
		defer cancel()
		assert.NoError(t, docker.NetworkRemove(ctx, name))
	})
	return name
}

func create(t *testing.T, docker client.APIClient, mode container.NetworkMode, caps []string, command string, env ...string) string {
	t.Helper()
	ref, err := image.Rig(t.Context(), docker)
	require.NoError(t, err)
	made, err := docker.ContainerCreate(t.Context(), &container.Config{Image: ref, Cmd: []string{command}, Env: env},
		&container.HostConfig{NetworkMode: mode, CapDrop: []string{"ALL"}, CapAdd: caps}, nil, nil, "")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := dockertest.Context(t)
		defer cancel()
		assert.NoError(t, docker.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true}))
	})
	return made.ID
}

// startSandbox returns when the sandbox says that it is ready.
func startSandbox(t *testing.T, docker client.APIClient, netw string, env ...string) string {
	t.Helper()
	id := create(t, docker, container.NetworkMode(netw), []string{"NET_ADMIN"}, "sandbox", env...)
	require.NoError(t, docker.ContainerStart(t.Context(), id, container.StartOptions{}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	logs, err := docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	require.NoError(t, err)
	line, err := bufio.NewReader(logs).ReadString('\n')
	require.NoError(t, err, "waited for %q", sandboxReady)
	require.Contains(t, line, sandboxReady)
	require.NoError(t, logs.Close())
	return id
}

func readRoutes(t *testing.T, docker client.APIClient, mode container.NetworkMode) report {
	t.Helper()
	code, stdout, stderr := runToEnd(t, docker, create(t, docker, mode, nil, "routes"))
	require.Zero(t, code, stderr)
	var r report
	require.NoError(t, json.NewDecoder(strings.NewReader(stdout)).Decode(&r))
	return r
}

func runToEnd(t *testing.T, docker client.APIClient, id string) (code int64, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended, failed := docker.ContainerWait(ctx, id, container.WaitConditionNextExit)
	require.NoError(t, docker.ContainerStart(ctx, id, container.StartOptions{}))
	select {
	case end := <-ended:
		code = end.StatusCode
	case err := <-failed:
		require.NoError(t, err)
	}
	logs, err := docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, logs.Close()) }()
	var out, errs bytes.Buffer
	_, err = stdcopy.StdCopy(&out, &errs, io.Reader(logs))
	require.NoError(t, err)
	return code, out.String(), errs.String()
}
