package engineimage

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/build"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/dockertest"
)

// frugal counts inspects and allows nothing else.
type frugal struct {
	client.APIClient
	inspects int
}

func (f *frugal) ImageInspect(ctx context.Context, ref string, opts ...client.ImageInspectOption) (dockerimage.InspectResponse, error) {
	f.inspects++
	return f.APIClient.ImageInspect(ctx, ref, opts...)
}

var errDear = errors.New("more than an inspect")

func (*frugal) ImageBuild(context.Context, io.Reader, build.ImageBuildOptions) (build.ImageBuildResponse, error) {
	return build.ImageBuildResponse{}, errDear
}

func (*frugal) ImagePull(context.Context, string, dockerimage.PullOptions) (io.ReadCloser, error) {
	return nil, errDear
}

func TestEnsureDefaultRelease(t *testing.T) {
	docker := dockertest.Client(t)
	source, err := ParseSource("")
	require.NoError(t, err)
	img, err := Ensure(t.Context(), docker, source)
	require.NoError(t, err)
	assert.Equal(t, Default, img.Version)
	assert.Equal(t, KindRelease, img.Kind)

	info, err := docker.ImageInspect(t.Context(), img.Ref)
	require.NoError(t, err)
	assert.Equal(t, img.Digest, info.Config.Labels[DigestLabel])
	assert.Equal(t, Default, info.Config.Labels[VersionLabel])
	assert.Equal(t, []string{"/rivet-engine"}, []string(info.Config.Entrypoint))
	assert.Equal(t, []string{"start"}, []string(info.Config.Cmd))

	again := &frugal{APIClient: docker}
	second, err := Ensure(t.Context(), again, source)
	require.NoError(t, err)
	assert.Equal(t, img, second)
	assert.Equal(t, 1, again.inspects)

	// The image is one that the daemon has: as a reference it is taken as it is.
	byRef, err := Ensure(t.Context(), again, Source{KindImage, img.Ref})
	require.NoError(t, err)
	assert.Equal(t, Image{Ref: img.Ref, Version: Default, Digest: info.ID, Kind: KindImage}, byRef)
	assert.Equal(t, 2, again.inspects)
}

func TestEnsureBinary(t *testing.T) {
	docker := dockertest.Client(t)
	path := filepath.Join(t.TempDir(), "my-engine")
	require.NoError(t, os.WriteFile(path, []byte(t.TempDir()), 0o600)) // contents of this run only
	source, err := ParseSource(path)
	require.NoError(t, err)
	img, err := Ensure(t.Context(), docker, source)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := dockertest.Context(t)
		defer cancel()
		_, err := docker.ImageRemove(ctx, img.Ref, dockerimage.RemoveOptions{PruneChildren: true})
		assert.NoError(t, err)
	})
	assert.Empty(t, img.Version)
	assert.Regexp(t, `^killpoint/engine:binary-[0-9a-f]{12}$`, img.Ref)

	require.NoError(t, os.WriteFile(path, []byte("changed"), 0o600))
	_, err = Ensure(t.Context(), &frugal{APIClient: docker}, source)
	require.ErrorIs(t, err, errDear, "a changed binary must make a new image")
	require.NoError(t, os.Remove(path))
	var missing *MissingBinaryError
	_, err = Ensure(t.Context(), docker, source)
	require.ErrorAs(t, err, &missing)
}

func TestEnsureImageThatCannotBeHad(t *testing.T) {
	docker := dockertest.Client(t)
	const ref = "127.0.0.1:1/none:none" // nobody listens on port 1
	_, err := Ensure(t.Context(), docker, Source{KindImage, ref})
	require.ErrorContains(t, err, ref)
	assert.ErrorContains(t, err, "cannot be pulled")
}

func TestAdviceForBinaryWithoutSlash(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("my-engine", nil, 0o755))
	assert.Contains(t, advice("my-engine"), "./my-engine")
	assert.Contains(t, advice("another"), "docker load")
}

func TestEnsureRefusesEmptySource(t *testing.T) {
	_, err := Ensure(t.Context(), nil, Source{})
	require.Error(t, err)
	var unknown *UnknownVersionError
	_, err = Ensure(t.Context(), nil, Source{KindRelease, "9.9.9"})
	require.ErrorAs(t, err, &unknown)
}
