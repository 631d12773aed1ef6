package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// Environment variables that name an image which is in the daemon already; set,
// nothing is compiled or built.
const (
	FixtureEnv = "KILLPOINT_FIXTURE_IMAGE"
	RigEnv     = "KILLPOINT_RIG_IMAGE"
	WiretapEnv = "KILLPOINT_WIRETAP_IMAGE"
)

// Fixture makes the image of the fixture runtime available and returns its name.
func Fixture(ctx context.Context, docker client.APIClient) (string, error) {
	return own(ctx, docker, "fixture", FixtureEnv)
}

// Rig makes the image of the rig's own helpers (sandbox, reaper) available and
// returns its name.
func Rig(ctx context.Context, docker client.APIClient) (string, error) {
	return own(ctx, docker, "rig", RigEnv)
}

// Wiretap makes the image of the tap available and returns its name.
func Wiretap(ctx context.Context, docker client.APIClient) (string, error) {
	return own(ctx, docker, "wiretap", WiretapEnv)
}

// own builds killpoint/NAME from the directory NAME-image, whose Dockerfile
// expects the compiled main package beside it as NAME-image.
func own(ctx context.Context, docker client.APIClient, name, env string) (string, error) {
	if ref := os.Getenv(env); ref != "" {
		return ref, given(ctx, docker, ref, env)
	}
	built := docker.DaemonHost() + " " + name
	if ref, ok := made.Load(built); ok {
		return ref.(string), nil
	}
	spec, err := ownSpec(ctx, name)
	if err != nil {
		return "", fmt.Errorf("build the %s image (or name one in %s): %w", name, env, err)
	}
	ref, err := Ensure(ctx, docker, spec)
	if err == nil {
		made.Store(built, ref)
	}
	return ref, err
}

// made are the images that this process has made available, by daemon and name:
// to ask the go command again for every trial whether its sources are the same
// takes a good part of a second.
var made sync.Map

func ownSpec(ctx context.Context, name string) (Spec, error) {
	dir := name + "-image"
	root, err := ModuleRoot(ctx)
	if err != nil {
		return Spec{}, err
	}
	dockerfile, err := os.ReadFile(filepath.Join(root, dir, "Dockerfile"))
	if err != nil {
		return Spec{}, err
	}
	bin, err := GoBinary(ctx, "./"+dir)
	if err != nil {
		return Spec{}, err
	}
	file, err := LocalFile(dir, bin)
	if err != nil {
		return Spec{}, err
	}
	return Spec{Repo: "killpoint/" + name, Dockerfile: dockerfile, Files: []File{file}}, nil
}

func given(ctx context.Context, docker client.APIClient, ref, env string) error {
	_, err := docker.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("image %s, named by %s, is not in the Docker daemon: run `make images`, or unset the variable", ref, env)
	}
	if err != nil {
		return fmt.Errorf("inspect image %s, named by %s: %w", ref, env, err)
	}
	return nil
}
