package engineimage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"github.com/killpoint/killpoint/internal/suggest"
)

// Kind says what an engine was chosen by.
type Kind string

// The three ways to choose an engine.
const (
	KindRelease Kind = "release" // a pinned version
	KindImage   Kind = "image"   // an image reference
	KindBinary  Kind = "binary"  // the path of a binary
)

// Source is where an engine comes from. Make one with ParseSource.
type Source struct {
	kind Kind
	text string
}

// String is the setting that the source was read from.
func (s Source) String() string { return s.text }

// Kind is how the source chooses the engine.
func (s Source) Kind() Kind { return s.kind }

// Absolute is the same engine for a process that works in another directory.
func (s Source) Absolute() (Source, error) {
	if s.kind != KindBinary {
		return s, nil
	}
	path, err := filepath.Abs(s.text)
	if err != nil {
		return Source{}, fmt.Errorf("find engine binary %s: %w", s.text, err)
	}
	return Source{KindBinary, path}, nil
}

// UnknownVersionError refuses a version that is not pinned here.
type UnknownVersionError struct {
	Version string
	Nearest string // the pinned version that differs least
}

func (e *UnknownVersionError) Error() string {
	known := make([]string, len(releases))
	for i, r := range releases {
		known[i] = r.Version
	}
	return fmt.Sprintf("engine version %s is not known; nearest is %s, known are %s; any other engine can be given as an image reference or as the path of a binary",
		e.Version, e.Nearest, strings.Join(known, ", "))
}

// MissingBinaryError refuses a path where there is no engine binary.
type MissingBinaryError struct {
	Path string
	Err  error
}

func (e *MissingBinaryError) Error() string {
	return fmt.Sprintf("engine binary %s: %v; give the path of an executable file, a version, or an image reference", e.Path, e.Err)
}

func (e *MissingBinaryError) Unwrap() error { return e.Err }

var (
	versionLike   = regexp.MustCompile(`^v?[0-9]+(\.[0-9A-Za-z+-]+)*$`)
	errNotRegular = errors.New("is not a regular file")
)

// ParseSource reads the setting that chooses the engine:
//   - "" is the default release, a version such as "2.3.19" a pinned one;
//   - what starts with /, ./ or ../, or holds a slash and names an existing file,
//     is the path of a binary;
//   - all else is an image reference, such as "rivetdev/engine:latest".
//
// It refuses an unknown version (*UnknownVersionError), a binary that is not
// there (*MissingBinaryError) and what is none of the three.
func ParseSource(s string) (Source, error) {
	switch {
	case s == "":
		return Source{KindRelease, Default}, nil
	case versionLike.MatchString(s):
		return parseVersion(s)
	case looksLikePath(s):
		return parsePath(s)
	}
	if _, err := reference.ParseNormalizedNamed(s); err != nil {
		return Source{}, fmt.Errorf("engine %q is neither a version, nor a path, nor an image reference: %w", s, err)
	}
	return Source{KindImage, s}, nil
}

func parseVersion(s string) (Source, error) {
	v := strings.TrimPrefix(s, "v")
	if _, ok := release(v); ok {
		return Source{KindRelease, v}, nil
	}
	return Source{}, &UnknownVersionError{Version: s, Nearest: nearest(v)}
}

func looksLikePath(s string) bool {
	for _, prefix := range []string{"/", "./", "../"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	info, err := os.Stat(s)
	return strings.Contains(s, "/") && err == nil && info.Mode().IsRegular()
}

func parsePath(s string) (Source, error) {
	info, err := os.Stat(s)
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &pathErr):
		return Source{}, &MissingBinaryError{Path: s, Err: pathErr.Err}
	case err != nil:
		return Source{}, &MissingBinaryError{Path: s, Err: err}
	case !info.Mode().IsRegular():
		return Source{}, &MissingBinaryError{Path: s, Err: errNotRegular}
	}
	return Source{KindBinary, s}, nil
}

// nearest is the pinned version with the fewest edits to v; of equals, the newest.
func nearest(v string) string {
	best, bestDistance := "", 0
	for _, r := range releases {
		if d := suggest.Distance(v, r.Version); best == "" || d <= bestDistance {
			best, bestDistance = r.Version, d
		}
	}
	return best
}
