package engineimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/cache"
	"github.com/killpoint/killpoint/internal/image"
)

const (
	npmPackage  = "@rivetkit/engine-cli-linux-x64-musl"
	memberName  = "package/" + binaryName // the one file of the package that is unpacked
	maxBinary   = 512 << 20               // bytes; five times the largest release
	binaryPerms = 0o755
	tempPrefix  = "fetch-"
	lockTimeout = 5 * time.Minute // for another process to fetch 30 MB on a slow line
	killDelay   = 5 * time.Second // for what a cancelled client started itself, and which may hold our pipe
)

// MismatchError says that what was fetched is not what is pinned.
type MismatchError struct {
	What             string // which file
	Expected, Actual string // sha512-BASE64 of a package, hex SHA-256 of a binary
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s has the wrong checksum: expected %s, got %s; nothing was installed", e.What, e.Expected, e.Actual)
}

// fetch returns the path of the release's binary in the cache, getting it where
// it is missing or damaged. Processes that want the same release fetch it once.
func fetch(ctx context.Context, r Release) (path string, err error) {
	dir, err := cache.Dir("engine", r.Version)
	if err != nil {
		return "", err
	}
	lockCtx, cancel := context.WithTimeoutCause(ctx, lockTimeout, fmt.Errorf("not had within %s", lockTimeout))
	defer cancel()
	unlock, err := cache.Lock(lockCtx, filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	path = filepath.Join(dir, binaryName)
	sum, err := image.SHA256(path)
	if err == nil && sum == r.SHA256 {
		return path, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the cached engine: %w", err)
	}
	if err := errors.Join(sweepTemp(dir), fetchInto(ctx, r, dir, path)); err != nil {
		return "", fmt.Errorf("fetch engine %s: %w", r.Version, err)
	}
	return path, nil
}

// sweepTemp removes what a killed process left; the caller holds the lock, so
// nobody is at work there.
func sweepTemp(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	for _, l := range left {
		err = errors.Join(err, os.RemoveAll(l))
	}
	return err
}

// fetchInto works in a directory beside the target, so that the last step is a
// rename within one file system.
func fetchInto(ctx context.Context, r Release, dir, target string) (err error) {
	tmp, err := os.MkdirTemp(dir, tempPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	pkg, err := npmPack(ctx, r.Version, tmp)
	if err != nil {
		return err
	}
	fetched := filepath.Join(tmp, binaryName)
	if err := unpackVerified(r, pkg, fetched); err != nil {
		return err
	}
	return os.Rename(fetched, target)
}

// npmPack fetches the package with the user's npm client, and so through the
// user's registry, proxy and credentials, and returns the path of the archive.
func npmPack(ctx context.Context, version, dir string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("the npm client is not installed (Debian: apt-get install npm); or give the engine as an image or as the path of a binary: %w", err)
	}
	// As text, npm explains a registry that does not answer in 25 lines and, with
	// its own delays between its tries, after 70 s.
	cmd := exec.CommandContext(ctx, npm, "pack", "--ignore-scripts", "--no-update-notifier", "--json", "--loglevel=silent",
		"--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", "--pack-destination", dir, npmPackage+"@"+version)
	cmd.Dir = dir
	cmd.WaitDelay = killDelay
	var out, other bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &other
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("npm pack %s@%s (is the registry reachable? else give the engine as an image or as the path of a binary): %w: %s",
			npmPackage, version, err, npmReason(out.Bytes(), other.Bytes()))
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		return "", err
	}
	if len(archives) != 1 {
		return "", fmt.Errorf("npm pack left %d archives in place of one\n%s", len(archives), strings.TrimSpace(out.String()))
	}
	return archives[0], nil
}

// npmReason is why npm failed: the summary of its JSON answer, or else all that
// it said.
func npmReason(answer, other []byte) string {
	var a struct {
		Error struct{ Summary string }
	}
	if err := json.Unmarshal(answer, &a); err == nil && a.Error.Summary != "" {
		return strings.TrimSpace(a.Error.Summary)
	}
	if said := strings.TrimSpace(string(answer) + string(other)); said != "" {
		return said
	}
	return "it gave no reason"
}

// unpackVerified checks the archive before it looks inside, and the binary after.
func unpackVerified(r Release, archive, target string) (err error) {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := checkIntegrity(r, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum, err := unpack(f, target)
	if err != nil {
		return fmt.Errorf("unpack %s@%s: %w", npmPackage, r.Version, err)
	}
	if sum != r.SHA256 {
		return &MismatchError{What: "binary of engine " + r.Version, Expected: r.SHA256, Actual: sum}
	}
	return nil
}

func checkIntegrity(r Release, archive io.Reader) error {
	h := sha512.New()
	if _, err := io.Copy(h, archive); err != nil {
		return err
	}
	actual := "sha512-" + base64.StdEncoding.EncodeToString(h.Sum(nil))
	if actual != r.Integrity {
		return &MismatchError{What: npmPackage + "@" + r.Version, Expected: r.Integrity, Actual: actual}
	}
	return nil
}

// unpack writes the engine, and no other member, to target and returns its hash.
func unpack(archive io.Reader, target string) (string, error) {
	gz, err := gzip.NewReader(archive)
	if err != nil {
		return "", err
	}
	members := tar.NewReader(gz)
	for {
		head, err := members.Next()
		if errors.Is(err, io.EOF) {
			return "", fmt.Errorf("there is no %s in it", memberName)
		}
		if err != nil {
			return "", err
		}
		if head.Name != memberName {
			continue
		}
		if head.Typeflag != tar.TypeReg || head.Size > maxBinary {
			return "", fmt.Errorf("%s is not a regular file of at most %d bytes (type %q, %d bytes)", memberName, maxBinary, head.Typeflag, head.Size)
		}
		return writeBinary(members, target)
	}
}

func writeBinary(src io.Reader, target string) (_ string, err error) {
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, binaryPerms)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, h), src); err != nil {
		return "", err
	}
	// Without it a power cut could leave the name with half of the contents.
	if err := f.Sync(); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
