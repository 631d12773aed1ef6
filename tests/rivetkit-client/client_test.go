// Package rivetkitclient has RivetKit's own client call the fixture through a
// real engine.
package rivetkitclient

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
)

// gate asks for this test, which needs Node and 340 MB of its packages:
//
//	npm install --no-package-lock --prefix tests/rivetkit-client
//	KILLPOINT_RIVETKIT_CLIENT=1 make itest
const gate = "KILLPOINT_RIVETKIT_CLIENT"

const bound = 90 * time.Second

func TestRivetKitClient(t *testing.T) {
	if os.Getenv(gate) == "" {
		t.Skipf("set %s=1 to run it, after npm install in this folder", gate)
	}
	image := os.Getenv("KILLPOINT_FIXTURE_IMAGE")
	require.NotEmpty(t, image, "KILLPOINT_FIXTURE_IMAGE names the fixture's image: make itest sets it")
	require.DirExists(t, "node_modules", "run npm install --no-package-lock in tests/rivetkit-client first")

	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cell := startCell(ctx, t, image)
	out, err := exec.CommandContext(ctx, "node", "client.mjs", cell.Gateway(), cell.Namespace(), cell.PoolName()).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, encoding := range []string{"json", "cbor", "bare"} {
		require.Contains(t, string(out), fmt.Sprintf("%s: ok\n", encoding))
	}
}

func startCell(ctx context.Context, t *testing.T, image string) *containers.Cell {
	t.Helper()
	h, err := history.Create(filepath.Join(t.TempDir(), "history.jsonl"), history.Header{Trial: t.Name()})
	require.NoError(t, err)
	session, err := containers.Open(ctx)
	require.NoError(t, err)
	t.Cleanup(func() {
		// t's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		require.NoError(t, session.Close(ctx))
		require.NoError(t, h.Close())
	})
	cell, err := session.Run(ctx, containers.CellConfig{
		Name: "rivetkit-client", Engine: "2.3.19",
		Runtime:  containers.RuntimeConfig{Image: image},
		Recorder: h,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		require.NoError(t, cell.Close(ctx))
	})
	return cell
}
