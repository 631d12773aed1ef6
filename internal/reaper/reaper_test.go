package reaper

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/dockertest"
	"github.com/killpoint/killpoint/internal/image"
)

// killedLimit is the promise for a process killed by SIGKILL.
const killedLimit = 30 * time.Second

func TestReaperRemovesSessionOfKilledProcess(t *testing.T) {
	docker := dockertest.Client(t)
	bystander := newSession(t, docker)
	require.NoError(t, occupy(t.Context(), docker, bystander))
	before := images(t, docker)

	session := newSession(t, docker)
	process, id := startSession(t, session)
	require.Len(t, leftovers(t, docker, session), 3)
	gone, failed := docker.ContainerWait(t.Context(), id, container.WaitConditionRemoved)
	start := time.Now()
	require.NoError(t, process.Kill())
	select {
	case <-gone:
	case err := <-failed:
		require.NoError(t, err)
	case <-time.After(killedLimit):
		t.Fatalf("the reaper is still there %s after the kill; left: %v", killedLimit, leftovers(t, docker, session))
	}
	t.Logf("all removed %s after the kill", time.Since(start).Round(time.Millisecond))

	assert.Empty(t, leftovers(t, docker, session))
	assert.Len(t, leftovers(t, docker, bystander), 3, "another session's things were touched")
	assert.Equal(t, before, images(t, docker), "an image was pulled or built")
}

func TestCloseRemovesSessionAndReaper(t *testing.T) {
	docker := dockertest.Client(t)
	session := newSession(t, docker)
	r, err := Start(t.Context(), docker, session)
	require.NoError(t, err)
	require.NoError(t, occupy(t.Context(), docker, session))
	require.NoError(t, r.Close(t.Context()))
	assert.Empty(t, leftovers(t, docker, session))
	assert.Zero(t, labelledContainers(t, docker, session), "the reaper is still there")
	assert.NoError(t, r.Close(t.Context()), "a second Close")
}

func TestCloseReportsLossOfReaper(t *testing.T) {
	docker := dockertest.Client(t)
	session := newSession(t, docker)
	r, err := Start(t.Context(), docker, session)
	require.NoError(t, err)
	require.NoError(t, occupy(t.Context(), docker, session))
	require.NoError(t, remove(t.Context(), docker, kindContainer, r.id))
	require.ErrorContains(t, r.Close(t.Context()), "by its reaper")
	assert.Empty(t, leftovers(t, docker, session), "the loss of the reaper must not leave anything")
}

// Docker takes a kill from outside for the user's wish and restarts nothing, so
// the dead reaper's container stays until somebody removes it.
func TestCloseAfterReaperWasKilled(t *testing.T) {
	docker := dockertest.Client(t)
	session := newSession(t, docker)
	r, err := Start(t.Context(), docker, session)
	require.NoError(t, err)
	require.NoError(t, occupy(t.Context(), docker, session))
	ended, failed := docker.ContainerWait(t.Context(), r.id, container.WaitConditionNotRunning)
	require.NoError(t, docker.ContainerKill(t.Context(), r.id, "KILL"))
	select {
	case <-ended:
	case err := <-failed:
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.ErrorIs(t, r.Close(ctx), errLost)
	assert.Zero(t, labelledContainers(t, docker, session), "the dead reaper is still there, or what it should have removed")
	assert.Empty(t, leftovers(t, docker, session))
}

func TestStillbornReaperIsRemoved(t *testing.T) {
	docker := dockertest.Client(t)
	session := newSession(t, docker)
	ref, err := image.Rig(t.Context(), docker)
	require.NoError(t, err)
	config, host := containerConfig(ref, session, defaultSocket)
	made, err := docker.ContainerCreate(t.Context(), config, host, nil, nil, "")
	require.NoError(t, err)
	mine := filters.Arg("label", SessionLabel+"="+session)
	require.NoError(t, removeStillborn(t.Context(), docker, time.Hour, mine))
	assert.Equal(t, 1, labelledContainers(t, docker, session), "a young one may yet be started")
	require.NoError(t, removeStillborn(t.Context(), docker, 0, mine))
	assert.Zero(t, labelledContainers(t, docker, session), made.ID)
}

func TestStartLeavesNothingWhenItFails(t *testing.T) {
	docker := dockertest.Client(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx      context.Context
		env, val string
		says     string
	}{
		"image missing":  {t.Context(), image.RigEnv, "killpoint/none:none", image.RigEnv},
		"socket missing": {t.Context(), SocketEnv, "/nowhere/docker.sock", "/nowhere/docker.sock"},
		"not a socket":   {t.Context(), SocketEnv, "/etc/hostname", "waited for"},
		"cancelled":      {cancelled, "X", "", "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			session := newSession(t, docker)
			t.Setenv(tt.env, tt.val)
			_, err := Start(tt.ctx, docker, session)
			require.ErrorContains(t, err, tt.says)
			assert.Zero(t, labelledContainers(t, docker, session))
		})
	}
}

func TestServeSaysWhatItCouldNotRemove(t *testing.T) {
	docker := dockertest.Client(t)
	session, other := newSession(t, docker), newSession(t, docker)
	name := "killpoint-test-" + other
	// A volume of the session, held by a container that is none of it.
	_, err := docker.VolumeCreate(t.Context(), volume.CreateOptions{Name: name, Labels: map[string]string{SessionLabel: session}})
	require.NoError(t, err)
	require.NoError(t, occupy(t.Context(), docker, other))

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var log strings.Builder
	err = Serve(ctx, docker, session, strings.NewReader(farewell+"\n"), &log)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, name)
	assert.Contains(t, log.String(), "could not remove volume "+name)
	require.NoError(t, docker.ContainerRemove(t.Context(), name, container.RemoveOptions{Force: true}))
}

// What a daemon that went down and came back does: it starts the container anew.
func TestRestartedReaperTakesSessionForLost(t *testing.T) {
	docker := dockertest.Client(t)
	session := newSession(t, docker)
	r, err := Start(t.Context(), docker, session)
	require.NoError(t, err)
	require.NoError(t, occupy(t.Context(), docker, session))
	gone := watchRemoval(t.Context(), docker, r.id)
	require.NoError(t, docker.ContainerRestart(t.Context(), r.id, container.StopOptions{}))
	require.NoError(t, gone.wait())
	assert.Empty(t, leftovers(t, docker, session))
	assert.Error(t, r.Close(t.Context()))
}

func TestServeRefusesNamelessSession(t *testing.T) {
	require.Error(t, Serve(t.Context(), nil, "", strings.NewReader(""), io.Discard))
}

func TestSaidFarewell(t *testing.T) {
	for in, want := range map[string]bool{"": false, farewell + "\n": true, "x\n" + farewell: true, "sweeping\n": false} {
		assert.Equal(t, want, saidFarewell(strings.NewReader(in)), "%q", in)
	}
}

func TestSocket(t *testing.T) {
	assert.Equal(t, "/run/user/1/docker.sock", socket("unix:///run/user/1/docker.sock"))
	assert.Equal(t, defaultSocket, socket("tcp://127.0.0.1:2375"))
	t.Setenv(SocketEnv, "/elsewhere")
	assert.Equal(t, "/elsewhere", socket("unix:///run/docker.sock"))
}

func TestDemuxer(t *testing.T) {
	const framed = "\x01\x00\x00\x00\x00\x00\x00\x03one" + "\x02\x00\x00\x00\x00\x00\x00\x00" + "\x02\x00\x00\x00\x00\x00\x00\x04 two"
	got, err := io.ReadAll(&demuxer{src: strings.NewReader(framed)})
	require.NoError(t, err)
	assert.Equal(t, "one two", string(got))
	_, err = io.ReadAll(&demuxer{src: strings.NewReader(framed[:5])})
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func BenchmarkStartAndClose(b *testing.B) {
	docker := dockertest.Client(b)
	for b.Loop() {
		r, err := Start(b.Context(), docker, fmt.Sprintf("bench-%d", rand.Uint64()))
		require.NoError(b, err)
		require.NoError(b, r.Close(b.Context()))
	}
}

// startSession runs this test binary as the process of a session and returns it
// once its things are up, with the id of its reaper's container.
func startSession(t *testing.T, session string) (*os.Process, string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), sessionEnv+"="+session)
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe() // held open by us: the process ends with this one
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead already
		_ = cmd.Wait()         // its exit status is that of the kill
	})
	id, err := bufio.NewReader(stdout).ReadString('\n') // ends with the process at the latest
	require.NoError(t, err, "the session's process said no id")
	return cmd.Process, strings.TrimSpace(id)
}

// newSession names a session of its own and removes what the test leaves of it.
func newSession(t *testing.T, docker client.APIClient) string {
	t.Helper()
	session := fmt.Sprintf("%016x", rand.Uint64())
	t.Cleanup(func() {
		ctx, cancel := dockertest.Context(t)
		defer cancel()
		assert.NoError(t, sweep(ctx, docker, session, 0, io.Discard))
	})
	return session
}

func leftovers(t *testing.T, docker client.APIClient, session string) []leftover {
	t.Helper()
	left, err := list(t.Context(), docker, session)
	require.NoError(t, err)
	return left
}

// labelledContainers counts the reaper too.
func labelledContainers(t *testing.T, docker client.APIClient, session string) int {
	t.Helper()
	found, err := docker.ContainerList(t.Context(), container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", SessionLabel+"="+session)),
	})
	require.NoError(t, err)
	return len(found)
}

// images lists the images that are not killpoint's own: those that other tests
// build meanwhile do not matter here.
func images(t *testing.T, docker client.APIClient) []string {
	t.Helper()
	all, err := docker.ImageList(t.Context(), dockerimage.ListOptions{})
	require.NoError(t, err)
	var tags []string
	for _, img := range all {
		for _, tag := range img.RepoTags {
			if !strings.HasPrefix(tag, "killpoint/") && tag != "<none>:<none>" {
				tags = append(tags, tag)
			}
		}
	}
	slices.Sort(tags)
	return tags
}
