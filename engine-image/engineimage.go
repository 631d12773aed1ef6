package engineimage

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/killpoint/killpoint/internal/image"
)

// Labels of the images built here.
const (
	VersionLabel = "org.opencontainers.image.version"
	DigestLabel  = "killpoint.engine.digest"
)

const (
	repo       = "killpoint/engine"
	binaryName = "rivet-engine"
)

//go:embed Dockerfile
var dockerfile []byte

// Image is an engine that the daemon has.
type Image struct {
	Ref     string // what to run
	Version string // of the release; "" where unknown
	Digest  string // sha256:HEX of the binary, or the image's id when the user gave an image
	Kind    Kind
}

// Ensure makes the engine available in the daemon and returns its image. An
// engine that is there already costs one image inspect; a binary is hashed first.
// The image's entry point is the engine, its default command "start".
//
// A release is fetched with the npm client at most once per user and verified
// (*MismatchError); a missing image is pulled by the daemon.
func Ensure(ctx context.Context, docker client.APIClient, s Source) (Image, error) {
	switch s.kind {
	case KindRelease:
		r, ok := release(s.text)
		if !ok {
			return Image{}, &UnknownVersionError{Version: s.text, Nearest: nearest(s.text)}
		}
		return ensureRelease(ctx, docker, r)
	case KindBinary:
		return ensureBinary(ctx, docker, s.text)
	case KindImage:
		return ensureImage(ctx, docker, s.text)
	}
	return Image{}, errors.New("engine source is empty; make one with ParseSource")
}

// Binary returns the path of the engine's binary on this machine, fetching that
// of a release at need. An engine given as an image has none (*NoBinaryError).
func Binary(ctx context.Context, s Source) (string, error) {
	switch s.kind {
	case KindRelease:
		r, ok := release(s.text)
		if !ok {
			return "", &UnknownVersionError{Version: s.text, Nearest: nearest(s.text)}
		}
		return fetch(ctx, r)
	case KindBinary:
		return filepath.Abs(s.text)
	}
	return "", &NoBinaryError{Source: s}
}

// NoBinaryError says that a source gives an image and no file.
type NoBinaryError struct{ Source Source }

func (e *NoBinaryError) Error() string {
	return fmt.Sprintf("engine %s is an image: its binary is not at hand; give a version or the path of a binary", e.Source)
}

func ensureRelease(ctx context.Context, docker client.APIClient, r Release) (Image, error) {
	open := func(ctx context.Context) (*os.File, error) {
		path, err := fetch(ctx, r)
		if err != nil {
			return nil, err
		}
		return os.Open(path)
	}
	img := Image{Version: r.Version, Digest: "sha256:" + r.SHA256, Kind: KindRelease}
	return buildEngine(ctx, docker, img, image.File{Name: binaryName, SHA256: r.SHA256, Open: open}, r.Version)
}

func ensureBinary(ctx context.Context, docker client.APIClient, path string) (Image, error) {
	file, err := image.LocalFile(binaryName, path)
	if err != nil {
		return Image{}, &MissingBinaryError{Path: path, Err: err}
	}
	img := Image{Digest: "sha256:" + file.SHA256, Kind: KindBinary}
	if r, ok := releaseOf(file.SHA256); ok {
		img.Version = r.Version
	}
	return buildEngine(ctx, docker, img, file, "binary")
}

func buildEngine(ctx context.Context, docker client.APIClient, img Image, binary image.File, tag string) (Image, error) {
	labels := map[string]string{DigestLabel: img.Digest}
	if img.Version != "" {
		labels[VersionLabel] = img.Version
	}
	var err error
	img.Ref, err = image.Ensure(ctx, docker, image.Spec{
		Repo: repo, Tag: tag, Dockerfile: dockerfile, Files: []image.File{binary}, Labels: labels,
	})
	if err != nil {
		return Image{}, fmt.Errorf("engine: %w", err)
	}
	return img, nil
}

func ensureImage(ctx context.Context, docker client.APIClient, ref string) (Image, error) {
	info, err := docker.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		if err := pull(ctx, docker, ref); err != nil {
			return Image{}, fmt.Errorf("engine image %s is not in the Docker daemon and cannot be pulled (%s): %w", ref, advice(ref), err)
		}
		info, err = docker.ImageInspect(ctx, ref)
	}
	if err != nil {
		return Image{}, fmt.Errorf("inspect engine image %s: %w", ref, err)
	}
	img := Image{Ref: ref, Digest: info.ID, Kind: KindImage}
	if info.Config != nil {
		img.Version = info.Config.Labels[VersionLabel]
	}
	if img.Version == "" {
		img.Version = taggedVersion(ref)
	}
	return img, nil
}

// advice is for a reference that leads to no image.
func advice(ref string) string {
	if info, err := os.Stat(ref); err == nil && info.Mode().IsRegular() {
		return "there is a file of that name: a binary is given as ./" + ref
	}
	return "check the name and the daemon's way to its registry, or `docker load` the image"
}

func pull(ctx context.Context, docker client.APIClient, ref string) error {
	progress, err := docker.ImagePull(ctx, ref, dockerimage.PullOptions{})
	if err != nil {
		return err
	}
	err = jsonmessage.DisplayJSONMessagesStream(progress, io.Discard, 0, false, nil)
	return errors.Join(err, progress.Close())
}

// taggedVersion is the version that a reference's tag names, as the published
// images' do; "" for one such as "latest".
func taggedVersion(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	tagged, ok := named.(reference.Tagged)
	if !ok || !versionLike.MatchString(tagged.Tag()) {
		return ""
	}
	return strings.TrimPrefix(tagged.Tag(), "v")
}
