package dind

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/killpoint/killpoint/internal/image"
)

// What the image is made of, from the root of the module.
const (
	dockerfile = "dind-image/Dockerfile"
	entrypoint = "dind-image/entrypoint.sh"
	rootfs     = "scripts/dind-rootfs.sh"
	library    = "scripts/lib.sh"
)

// Image makes the image of a Docker daemon available in the daemon and returns
// its name. The first time it takes most of a minute, and a package mirror.
// What is done meanwhile is said on log.
func Image(ctx context.Context, docker client.APIClient, log io.Writer) (string, error) {
	root, err := image.ModuleRoot(ctx)
	if err != nil {
		return "", err
	}
	spec, err := imageSpec(root, log)
	if err != nil {
		return "", fmt.Errorf("make the image of a Docker daemon: %w", err)
	}
	return image.Ensure(ctx, docker, spec)
}

// imageSpec names the image by how its root file system is made: the packages
// in it are those of the day on which that was done.
func imageSpec(root string, log io.Writer) (image.Spec, error) {
	script := filepath.Join(root, rootfs)
	recipe := sha256.New()
	for _, path := range []string{script, filepath.Join(root, library), "/etc/os-release"} {
		b, err := os.ReadFile(path)
		if err != nil {
			return image.Spec{}, err
		}
		_, _ = fmt.Fprintf(recipe, "%d:%s", len(b), b) // a hash's Write never fails
	}
	instructions, err := os.ReadFile(filepath.Join(root, dockerfile))
	if err != nil {
		return image.Spec{}, err
	}
	start, err := image.LocalFile("entrypoint.sh", filepath.Join(root, entrypoint))
	if err != nil {
		return image.Spec{}, err
	}
	return image.Spec{
		Repo: "killpoint/dind", Dockerfile: instructions,
		Files: []image.File{start, {
			Name: "rootfs.tar", SHA256: hex.EncodeToString(recipe.Sum(nil)),
			Open: func(ctx context.Context) (*os.File, error) { return makeRootfs(ctx, script, log) },
		}},
	}, nil
}

// makeRootfs returns an open file that has no name any more.
func makeRootfs(ctx context.Context, script string, log io.Writer) (_ *os.File, err error) {
	dir, err := os.MkdirTemp("", "killpoint-dind-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "rootfs.tar")
	cmd := exec.CommandContext(ctx, script, path)
	cmd.Stderr = log
	// With its own children, which remove what they have made so far.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(script), err)
	}
	return os.Open(path)
}
