// Package image builds the small FROM scratch images of this project, each named
// by the hash of what is in it, so that an image that is there is never built
// again and one that is out of date is never used.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/killpoint/killpoint/internal/cache"
)

// ContentLabel carries the full content hash of an image built here. An image
// that bears our name without it was not made by us and is built anew.
const ContentLabel = "killpoint.content"

// tagHash is how many hex digits of the content hash stand in an image's name.
const tagHash = 12

// Spec is what an image is made of. The Dockerfile is the one that the checkout
// holds, so that a build by hand gives the same image.
type Spec struct {
	Repo       string            // the image's name, without a tag
	Tag        string            // put before the hash in the tag; may be empty
	Dockerfile []byte            // its build context holds Files and nothing else
	Files      []File            // names must differ
	Labels     map[string]string // added to those of the Dockerfile
}

// File is one file of a build context. Its hash is known before it is opened:
// when the image exists the file need not.
type File struct {
	Name   string                                  // name in the context, mode 0755
	SHA256 string                                  // hex
	Open   func(context.Context) (*os.File, error) // called only when the image is built
}

// LocalFile describes the file at path, reading it once to hash it.
func LocalFile(name, path string) (File, error) {
	sum, err := SHA256(path)
	if err != nil {
		return File{}, err
	}
	open := func(context.Context) (*os.File, error) { return os.Open(path) }
	return File{Name: name, SHA256: sum, Open: open}, nil
}

// SHA256 is the hex SHA-256 of the file at path.
func SHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Ref is the name under which the image is kept: repo:[tag-]hash.
func (s Spec) Ref() string {
	tag := s.content()[:tagHash]
	if s.Tag != "" {
		tag = s.Tag + "-" + tag
	}
	return s.Repo + ":" + tag
}

// content hashes everything that decides what the image is.
func (s Spec) content() string {
	h := sha256.New()
	field := func(v string) { _, _ = fmt.Fprintf(h, "%d:%s", len(v), v) } // a hash's Write never fails
	field(string(s.Dockerfile))
	for _, f := range s.Files {
		field(f.Name)
		field(f.SHA256)
	}
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		field(k)
		field(s.Labels[k])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// lockTimeout bounds the wait for another process that builds the same image.
const lockTimeout = 5 * time.Minute

// Ensure makes the image available in the daemon and returns its name. It costs
// one image inspect when the daemon has it. Processes that want the same image
// at once build it once.
func Ensure(ctx context.Context, docker client.APIClient, s Spec) (string, error) {
	ref := s.Ref()
	if ok, err := have(ctx, docker, ref, s.content()); ok || err != nil {
		return ref, err
	}
	dir, err := cache.Dir("locks")
	if err != nil {
		return "", err
	}
	lockCtx, cancel := context.WithTimeoutCause(ctx, lockTimeout, fmt.Errorf("another process has been building it for %v", lockTimeout))
	defer cancel()
	unlock, err := cache.Lock(lockCtx, dir+"/image-"+s.content()[:tagHash])
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", ref, err)
	}
	err = buildOnce(ctx, docker, s, ref)
	return ref, errors.Join(err, unlock())
}

// buildOnce builds unless another process did so while this one waited.
func buildOnce(ctx context.Context, docker client.APIClient, s Spec, ref string) error {
	if ok, err := have(ctx, docker, ref, s.content()); ok || err != nil {
		return err
	}
	if err := buildImage(ctx, docker, s, ref); err != nil {
		return fmt.Errorf("build image %s: %w", ref, err)
	}
	ok, err := have(ctx, docker, ref, s.content())
	if err == nil && !ok {
		err = fmt.Errorf("build image %s: the daemon reports success but has no image of that name and content", ref)
	}
	return err
}

func have(ctx context.Context, docker client.APIClient, ref, content string) (bool, error) {
	img, err := docker.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("inspect image %s: %w", ref, err)
	}
	return img.Config != nil && img.Config.Labels[ContentLabel] == content, nil
}

func buildImage(ctx context.Context, docker client.APIClient, s Spec, ref string) (err error) {
	// All files are at hand before the daemon hears of the build, so that a file's
	// fault is not reported as the daemon's.
	files, err := openAll(ctx, s.Files)
	defer func() { err = errors.Join(err, closeAll(files)) }()
	if err != nil {
		return err
	}
	pipe := buildContext(s, files)
	// Closing the reading end frees the writer when the daemon did not read to the end.
	defer func() { err = errors.Join(err, pipe.Close()) }()
	labels := map[string]string{ContentLabel: s.content()}
	maps.Copy(labels, s.Labels)
	resp, err := docker.ImageBuild(ctx, pipe, build.ImageBuildOptions{
		Tags:        []string{ref},
		Labels:      labels,
		NetworkMode: "none",
		Remove:      true,
		ForceRemove: true,
		// The classic builder needs no client session, and a scratch image nothing that it lacks.
		Version: build.BuilderV1,
	})
	if err != nil {
		return err
	}
	err = jsonmessage.DisplayJSONMessagesStream(resp.Body, io.Discard, 0, false, nil)
	return errors.Join(err, resp.Body.Close())
}

func openAll(ctx context.Context, files []File) ([]*os.File, error) {
	var open []*os.File
	for _, f := range files {
		o, err := f.Open(ctx)
		if err != nil {
			return open, err
		}
		open = append(open, o)
	}
	return open, nil
}

func closeAll(files []*os.File) error {
	var err error
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}
