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
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

const engineBytes = "\x7fELF, or so"

// fakeNPM stands in for the npm client: it leaves a given archive where it is
// told to and counts its calls. The cache is the test's own.
type fakeNPM struct {
	calls string // a line for each call
}

func newFakeNPM(t *testing.T, archive []byte) *fakeNPM {
	t.Helper()
	dir := t.TempDir()
	f := &fakeNPM{calls: filepath.Join(dir, "calls")}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "archive"), archive, 0o644))
	f.script(t, dir, `
echo "$@" >>"`+dir+`/calls"
while [ "$1" != --pack-destination ]; do shift; done
cat "`+dir+`/archive" >"$2/engine.tgz"`)
	return f
}

func (f *fakeNPM) script(t *testing.T, dir, body string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "npm"), []byte("#!/bin/sh -eu\n"+body+"\n"), 0o755))
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

func (f *fakeNPM) called(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(f.calls)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

func TestFetchOnceVerifiedAndCached(t *testing.T) {
	archive := pack(t, header(memberName, engineBytes))
	npm := newFakeNPM(t, archive)
	r := pin(archive, engineBytes)
	for range 2 {
		path, err := fetch(t.Context(), r)
		require.NoError(t, err)
		requireEngine(t, path)
	}
	calls := npm.called(t)
	require.Len(t, calls, 1)
	assert.Contains(t, calls[0], npmPackage+"@"+r.Version)
	assert.Contains(t, calls[0], "--ignore-scripts")
}

func TestFetchMendsDamagedCache(t *testing.T) {
	archive := pack(t, header(memberName, engineBytes))
	npm := newFakeNPM(t, archive)
	r := pin(archive, engineBytes)
	path, err := fetch(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("half"), 0o755))
	left := filepath.Join(filepath.Dir(path), tempPrefix+"of-a-killed-process")
	require.NoError(t, os.Mkdir(left, 0o755))

	path, err = fetch(t.Context(), r)
	require.NoError(t, err)
	requireEngine(t, path)
	assert.Len(t, npm.called(t), 2)
	assert.NoDirExists(t, left)
}

func TestFetchAtOnceFetchesOnce(t *testing.T) {
	archive := pack(t, header(memberName, engineBytes))
	npm := newFakeNPM(t, archive)
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			_, err := fetch(t.Context(), pin(archive, engineBytes))
			return err
		})
	}
	require.NoError(t, group.Wait())
	assert.Len(t, npm.called(t), 1)
}

func TestFetchRefusesWrongPackage(t *testing.T) {
	archive := pack(t, header(memberName, engineBytes))
	newFakeNPM(t, archive)
	r := pin(archive, engineBytes)
	good := r.Integrity
	r.Integrity = "sha512-" + base64.StdEncoding.EncodeToString(make([]byte, 64))
	_, err := fetch(t.Context(), r)
	var mismatch *MismatchError
	require.ErrorAs(t, err, &mismatch)
	assert.Equal(t, MismatchError{What: npmPackage + "@" + r.Version, Expected: r.Integrity, Actual: good}, *mismatch)
	assert.ErrorContains(t, err, "expected "+r.Integrity)
	requireEmptyCache(t, r)
}

func TestFetchRefusesWrongBinary(t *testing.T) {
	archive := pack(t, header(memberName, "something else"))
	newFakeNPM(t, archive)
	r := pin(archive, engineBytes)
	_, err := fetch(t.Context(), r)
	var mismatch *MismatchError
	require.ErrorAs(t, err, &mismatch)
	assert.Equal(t, r.SHA256, mismatch.Expected)
	assert.Equal(t, hexSHA256("something else"), mismatch.Actual)
	requireEmptyCache(t, r)
}

func TestUnpackRefuses(t *testing.T) {
	link := member{tar.Header{Name: memberName, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}
	huge := member{tar.Header{Name: memberName, Typeflag: tar.TypeReg, Size: maxBinary + 1}, ""}
	whole := pack(t, header(memberName, strings.Repeat("engine", 1000)))
	for name, tt := range map[string]struct {
		archive []byte
		says    string
	}{
		"no engine in it":  {pack(t, header("package/other", "x"), header("rivet-engine", "x")), "no " + memberName},
		"a symbolic link":  {pack(t, link), "not a regular file"},
		"too large":        {packHeaders(t, huge), "not a regular file of at most"},
		"climbing out":     {pack(t, header("package/../../"+binaryName, "x")), "no " + memberName},
		"not an archive":   {[]byte("<html>not found</html>"), "gzip"},
		"empty":            {nil, "EOF"},
		"cut short":        {whole[:len(whole)-20], "unexpected EOF"},
		"gzip of no tar":   {zip(t, []byte(strings.Repeat("x", 1024))), "tar"},
		"gzip of nothing":  {zip(t, nil), "no " + memberName},
		"a directory":      {pack(t, member{tar.Header{Name: memberName, Typeflag: tar.TypeDir}, ""}), "not a regular file"},
		"a character node": {pack(t, member{tar.Header{Name: memberName, Typeflag: tar.TypeChar}, ""}), "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := unpack(bytes.NewReader(tt.archive), filepath.Join(t.TempDir(), binaryName))
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

func TestFetchSaysWhatNPMSaid(t *testing.T) {
	npm := newFakeNPM(t, nil)
	npm.script(t, t.TempDir(), "echo 'registry says no' >&2; exit 7")
	_, err := fetch(t.Context(), Release{Version: "2.3.5"})
	require.ErrorContains(t, err, "registry says no")
	assert.ErrorContains(t, err, "fetch engine 2.3.5")
	npm.script(t, t.TempDir(), `echo '{"error": {"code": "E404", "summary": "nobody there", "detail": "see 25 more lines"}}'; exit 1`)
	_, err = fetch(t.Context(), Release{Version: "2.3.5"})
	require.ErrorContains(t, err, "nobody there")
	assert.Equal(t, 1, len(strings.Split(err.Error(), "\n")), "%v", err)
	npm.script(t, t.TempDir(), "exit 0")
	_, err = fetch(t.Context(), Release{Version: "2.3.5"})
	assert.ErrorContains(t, err, "0 archives")
}

func TestFetchWithoutNPM(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := fetch(t.Context(), Release{Version: "2.3.5"})
	require.ErrorContains(t, err, "npm client is not installed")
}

func TestBinary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine")
	require.NoError(t, os.WriteFile(path, nil, 0o755))
	got, err := Binary(t.Context(), Source{KindBinary, path})
	require.NoError(t, err)
	assert.Equal(t, path, got)
	var none *NoBinaryError
	_, err = Binary(t.Context(), Source{KindImage, "some/engine"})
	require.ErrorAs(t, err, &none)
	assert.ErrorContains(t, err, "some/engine")
	newFakeNPM(t, []byte("not an engine"))
	var mismatch *MismatchError
	_, err = Binary(t.Context(), Source{KindRelease, Default})
	require.ErrorAs(t, err, &mismatch)
}

func TestFetchCancelled(t *testing.T) {
	npm := newFakeNPM(t, nil)
	npm.script(t, t.TempDir(), "exit 0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := fetch(ctx, Release{Version: "2.3.5"})
	require.ErrorIs(t, err, context.Canceled)
}

func requireEngine(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, engineBytes, string(b))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&0o111, "not executable")
}

// requireEmptyCache sees that a refused engine left nothing that could be used.
func requireEmptyCache(t *testing.T, r Release) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "killpoint", "engine", r.Version, "[^.]*")) // save the lock
	require.NoError(t, err)
	require.Empty(t, left)
}

func pin(archive []byte, binary string) Release {
	sum := sha512.Sum512(archive)
	return Release{Version: "0.0.1", Integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), SHA256: hexSHA256(binary)}
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

type member struct {
	head tar.Header
	body string
}

func header(name, body string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}, body}
}

func pack(t *testing.T, members ...member) []byte {
	t.Helper()
	return archive(t, true, members)
}

// packHeaders leaves out the bodies and the end.
func packHeaders(t *testing.T, members ...member) []byte {
	t.Helper()
	return archive(t, false, members)
}

func archive(t *testing.T, whole bool, members []member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		require.NoError(t, w.WriteHeader(&m.head))
		_, err := w.Write([]byte(m.body))
		require.NoError(t, err)
	}
	if whole {
		require.NoError(t, w.Close())
	}
	return zip(t, buf.Bytes())
}

func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}
