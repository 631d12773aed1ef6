package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/killpoint/killpoint/internal/cache"
)

const modulePath = "github.com/killpoint/killpoint"

// built remembers the binaries of this process: sources do not change under a run,
// and asking the go command again costs half a second each time.
var built struct {
	sync.Mutex
	path map[string]string
}

// GoBinary compiles the main package pkg of this module ("./rig-image") into a
// static Linux binary and returns its path. The binary's directory is named by
// its content; the binary must not be changed.
//
// It needs the go command and the module's sources: a checkout, or a module that
// requires this one.
func GoBinary(ctx context.Context, pkg string) (string, error) {
	built.Lock()
	defer built.Unlock()
	if p, ok := built.path[pkg]; ok {
		return p, nil
	}
	p, err := goBuild(ctx, pkg)
	if err != nil {
		return "", fmt.Errorf("compile %s: %w", pkg, err)
	}
	if built.path == nil {
		built.path = make(map[string]string)
	}
	built.path[pkg] = p
	return p, nil
}

func goBuild(ctx context.Context, pkg string) (_ string, err error) {
	root, err := ModuleRoot(ctx)
	if err != nil {
		return "", err
	}
	dir, err := cache.Dir("bin")
	if err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	out := filepath.Join(tmp, path.Base(pkg))
	// The VCS stamp is left out: a commit that changes nothing must not make a new image.
	if _, err := goCommand(ctx, root, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, pkg); err != nil {
		return "", err
	}
	return keepByContent(dir, out)
}

// keepByContent moves a file to dir/HASH/NAME. Whoever comes second with the same
// content replaces the file by its equal.
func keepByContent(dir, file string) (string, error) {
	sum, err := SHA256(file)
	if err != nil {
		return "", err
	}
	keep := filepath.Join(dir, sum[:tagHash])
	if err := os.MkdirAll(keep, 0o755); err != nil {
		return "", err
	}
	kept := filepath.Join(keep, filepath.Base(file))
	return kept, os.Rename(file, kept)
}

// ModuleRoot is the directory of this module's sources: where this file was
// compiled from, or else (built with -trimpath) where the go command finds it.
func ModuleRoot(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, nil
		}
	}
	dir, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}", modulePath)
	if err == nil && dir == "" {
		err = errors.New("the go command knows no directory for it, as for a vendored module")
	}
	if err != nil {
		return "", fmt.Errorf("find the sources of %s (run inside a checkout or a module that requires it): %w", modulePath, err)
	}
	return dir, nil
}

func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("the go command is missing: install Go 1.26 or later: %w", err)
	}
	cmd := exec.CommandContext(ctx, goTool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	cmd.WaitDelay = 5 * time.Second // compilers outlive a killed go command, and hold our pipes
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}
