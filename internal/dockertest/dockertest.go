// Package dockertest gives tests the Docker daemon, or a reason to be skipped.
package dockertest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"
)

// Client is a client of the daemon that the environment names, closed with the
// test. Without a daemon the test is skipped, or fails where CI=true: there a
// test that did not run must not look like one that passed.
func Client(t testing.TB) *client.Client {
	t.Helper()
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, docker.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := docker.Ping(ctx); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no Docker daemon answers, and CI=true makes it required: %v", err)
		}
		t.Skipf("no Docker daemon answers (scripts/docker-up.sh starts one): %v", err)
	}
	return docker
}

// Context is what clean-up runs under: the test's own context has ended by then.
func Context(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
}
