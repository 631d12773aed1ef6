package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/killpoint/killpoint/internal/dockertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var scratch = []byte("FROM scratch\nCOPY file /file\n")

func TestRefDependsOnEverythingInIt(t *testing.T) {
	base := func() Spec {
		return Spec{
			Repo: "killpoint/test", Dockerfile: scratch,
			Files:  []File{{Name: "file", SHA256: "aa"}},
			Labels: map[string]string{"a": "b", "c": "d"},
		}
	}
	assert.Equal(t, base().Ref(), base().Ref())
	seen := map[string]string{base().Ref(): "base"}
	for name, change := range map[string]func(*Spec){
		"dockerfile":  func(s *Spec) { s.Dockerfile = append([]byte("# x\n"), scratch...) },
		"contents":    func(s *Spec) { s.Files[0].SHA256 = "ab" },
		"name":        func(s *Spec) { s.Files[0].Name = "file2" },
		"one more":    func(s *Spec) { s.Files = append(s.Files, s.Files[0]) },
		"label":       func(s *Spec) { s.Labels["a"] = "x" },
		"label's key": func(s *Spec) { s.Labels = map[string]string{"ab": "", "c": "d"} },
		"no label":    func(s *Spec) { s.Labels = nil },
	} {
		s := base()
		change(&s)
		assert.Empty(t, seen[s.Ref()], name)
		seen[s.Ref()] = name
	}
	s := base()
	s.Tag = "1.2.3"
	assert.Regexp(t, `^killpoint/test:1\.2\.3-[0-9a-f]{12}$`, s.Ref())
}

func TestContextHoldsDockerfileAndFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(path, []byte("contents"), 0o600))
	f, err := LocalFile("file", path)
	require.NoError(t, err)
	s := Spec{Dockerfile: scratch, Files: []File{f}}
	read := func() []byte {
		files, err := openAll(t.Context(), s.Files)
		require.NoError(t, err)
		pipe := buildContext(s, files)
		b, err := io.ReadAll(pipe)
		require.NoError(t, err)
		require.NoError(t, pipe.Close())
		require.NoError(t, closeAll(files))
		return b
	}
	first := read()
	require.NoError(t, os.Chtimes(path, testTime, testTime))
	assert.Equal(t, first, read(), "the context depends on the file's time")

	r := tar.NewReader(bytes.NewReader(first))
	for _, want := range []struct{ name, body string }{{"Dockerfile", string(scratch)}, {"file", "contents"}} {
		head, err := r.Next()
		require.NoError(t, err)
		body, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, want.name, head.Name)
		assert.Equal(t, want.body, string(body))
	}
	_, err = r.Next()
	assert.ErrorIs(t, err, io.EOF)
}

func TestContextCanBeLeftUnread(t *testing.T) {
	pipe := buildContext(Spec{Dockerfile: scratch}, nil)
	require.NoError(t, pipe.Close())
}

func TestContextReportsItsFile(t *testing.T) {
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	pipe := buildContext(Spec{Dockerfile: scratch, Files: []File{{Name: "gone"}}}, []*os.File{f})
	_, err = io.ReadAll(pipe)
	require.ErrorContains(t, err, "add gone to the build context")
	require.ErrorIs(t, pipe.Close(), os.ErrClosed)
}

func TestEnsureBuildsOnce(t *testing.T) {
	docker := dockertest.Client(t)
	s := uniqueSpec(t, docker)
	ids := make([]string, 4)
	var group errgroup.Group
	for i := range ids {
		group.Go(func() error {
			ref, err := Ensure(t.Context(), docker, s)
			if err != nil {
				return err
			}
			info, err := docker.ImageInspect(t.Context(), ref)
			ids[i] = info.ID
			return err
		})
	}
	require.NoError(t, group.Wait())
	for _, id := range ids {
		assert.Equal(t, ids[0], id, "built more than once")
	}
}

// An image that happens to have our name is not ours.
func TestEnsureBuildsAnewWhatItDidNotBuild(t *testing.T) {
	docker := dockertest.Client(t)
	other, s := uniqueSpec(t, docker), uniqueSpec(t, docker)
	ref, err := Ensure(t.Context(), docker, other)
	require.NoError(t, err)
	require.NoError(t, docker.ImageTag(t.Context(), ref, s.Ref()))
	ref, err = Ensure(t.Context(), docker, s)
	require.NoError(t, err)
	ok, err := have(t.Context(), docker, ref, s.content())
	require.NoError(t, err)
	assert.True(t, ok)
}

func TestEnsureReportsFailedBuild(t *testing.T) {
	docker := dockertest.Client(t)
	for name, tt := range map[string]struct {
		change func(*Spec)
		says   string
	}{
		"no such instruction": {func(s *Spec) { s.Dockerfile = []byte("FROM scratch\nNONSENSE\n") }, "NONSENSE"},
		"file not in context": {func(s *Spec) { s.Dockerfile = []byte("FROM scratch\nCOPY other /\n") }, "other"},
		"file missing": {func(s *Spec) {
			s.Files[0].Open = func(context.Context) (*os.File, error) { return nil, errNoFile }
		}, errNoFile.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			s := uniqueSpec(t, docker)
			tt.change(&s)
			_, err := Ensure(t.Context(), docker, s)
			require.ErrorContains(t, err, tt.says)
			require.ErrorContains(t, err, s.Ref())
			_, err = docker.ImageInspect(t.Context(), s.Ref())
			assert.True(t, errdefs.IsNotFound(err))
		})
	}
}

func TestGivenImageMustBeThere(t *testing.T) {
	docker := dockertest.Client(t)
	t.Setenv(RigEnv, "killpoint/none:none")
	_, err := Rig(t.Context(), docker)
	require.ErrorContains(t, err, RigEnv)

	s := uniqueSpec(t, docker)
	ref, err := Ensure(t.Context(), docker, s)
	require.NoError(t, err)
	t.Setenv(FixtureEnv, ref)
	got, err := Fixture(t.Context(), docker)
	require.NoError(t, err)
	assert.Equal(t, ref, got)
}

func TestGoBinaryIsTheSameTwice(t *testing.T) {
	first, err := goBuild(t.Context(), "./internal/cmd/images")
	require.NoError(t, err)
	second, err := goBuild(t.Context(), "./internal/cmd/images")
	require.NoError(t, err)
	assert.Equal(t, first, second)
	assert.FileExists(t, first)
}

func TestGoBinaryRefuses(t *testing.T) {
	_, err := GoBinary(t.Context(), "./none-image")
	require.ErrorContains(t, err, "compile ./none-image")
	assert.ErrorContains(t, err, "none-image: directory not found")
	t.Setenv("PATH", t.TempDir())
	_, err = GoBinary(t.Context(), "./rig-image-2")
	assert.ErrorContains(t, err, "executable file not found")
}

var testTime = time.Unix(1, 0)

var errNoFile = errors.New("no file today")

// uniqueSpec is a small image of this test only, removed with it.
func uniqueSpec(t *testing.T, docker client.APIClient) Spec {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(path), 0o600))
	f, err := LocalFile("file", path)
	require.NoError(t, err)
	s := Spec{Repo: "killpoint/test", Dockerfile: scratch, Files: []File{f}}
	t.Cleanup(func() {
		ctx, cancel := dockertest.Context(t)
		defer cancel()
		_, err := docker.ImageRemove(ctx, s.Ref(), dockerimage.RemoveOptions{PruneChildren: true})
		assert.True(t, err == nil || errdefs.IsNotFound(err), "%v", err)
	})
	return s
}
