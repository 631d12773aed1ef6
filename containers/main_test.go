package containers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/internal/image"
	"github.com/killpoint/killpoint/internal/reaper"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// memory is a recorder that keeps what it is given.
type memory struct {
	mu     sync.Mutex
	events []history.Event
}

func (m *memory) Record(party string, kind history.Kind, body any) {
	m.RecordAt(clock.Now(), party, kind, body)
}

func (m *memory) RecordAt(t clock.Mono, party string, kind history.Kind, body any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, history.Event{Seq: uint64(len(m.events) + 1), T: t, Party: party, Kind: kind, Body: body})
}

// bodies returns the events of one body's type, in the order of recording.
func bodies[T any](m *memory) (out []T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if b, ok := e.Body.(*T); ok {
			out = append(out, *b)
		}
	}
	return out
}

// limit is the context of a test that talks to Docker.
func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// openSession opens a session, or skips the test where there is no Docker and
// none is promised.
func openSession(t testing.TB, opts ...SessionOption) *Session {
	t.Helper()
	s, err := Open(limit(t), opts...)
	var unavailable *UnavailableError
	if errors.As(err, &unavailable) && os.Getenv("CI") == "" {
		t.Skipf("needs Docker: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return s
}

// stubImage builds the runtime that hosts no actor.
func stubImage(t testing.TB, s *Session) string {
	t.Helper()
	bin, err := image.GoBinary(limit(t), "./containers/testdata/stub")
	require.NoError(t, err)
	file, err := image.LocalFile("stub", bin)
	require.NoError(t, err)
	dockerfile, err := os.ReadFile(filepath.Join("testdata", "stub", "Dockerfile"))
	require.NoError(t, err)
	ref, err := image.Ensure(limit(t), s.Docker(), image.Spec{Repo: "killpoint/test-stub", Dockerfile: dockerfile, Files: []image.File{file}})
	require.NoError(t, err)
	return ref
}

// engineUnderTest is the default release unless the environment names another
// one, as in KILLPOINT_ENGINE=2.3.5.
func engineUnderTest() string { return os.Getenv("KILLPOINT_ENGINE") }

func runCell(t testing.TB, s *Session, change func(*CellConfig)) (*Cell, *memory) {
	t.Helper()
	rec := &memory{}
	cfg := CellConfig{Engine: engineUnderTest(), Runtime: RuntimeConfig{Image: stubImage(t, s)}, Recorder: rec}
	if change != nil {
		change(&cfg)
	}
	c, err := s.Run(limit(t), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		require.NoError(t, c.Close(ctx))
	})
	return c, rec
}

// requireNothingLeft asserts that Docker has nothing of the session but its
// reaper.
func requireNothingLeft(t *testing.T, s *Session) {
	t.Helper()
	ctx, mine := limit(t), filters.NewArgs(filters.Arg("label", reaper.SessionLabel+"="+s.ID()))
	containers, err := s.Docker().ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	require.NoError(t, err)
	var left []string
	for _, c := range containers {
		if c.Labels[reaper.RoleLabel] != reaper.Role {
			left = append(left, c.Names...)
		}
	}
	networks, err := s.Docker().NetworkList(ctx, network.ListOptions{Filters: mine})
	require.NoError(t, err)
	for _, n := range networks {
		left = append(left, n.Name)
	}
	volumes, err := s.Docker().VolumeList(ctx, volume.ListOptions{Filters: mine})
	require.NoError(t, err)
	for _, v := range volumes.Volumes {
		left = append(left, v.Name)
	}
	require.Empty(t, left)
}
