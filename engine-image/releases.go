// Package engineimage provides the engine under test as a Docker image: a pinned
// release, an image of the user's, or a binary of the user's.
package engineimage

// Default is the release that is tested when none is asked for.
const Default = "2.3.19"

// Release is one pinned release of the engine.
type Release struct {
	Version   string
	Integrity string // of the npm package: sha512-BASE64, as npm publishes it
	SHA256    string // of the binary in the package, hex
}

// The binary is named by its checksum, not by what it says of itself: that of
// package 2.3.18 calls itself 2.3.17.
var releases = []Release{
	{
		Version:   "2.3.5",
		Integrity: "sha512-/yJPsQbfe3lIsgPKq5BEvHXQRYurQ4gy3HNrkI4OIG7rQnTdOgbOkZyaKaY7yUqyqq4EyWijSsUAtrvjQvxx7Q==",
		SHA256:    "3f56a5a2d3b2aca3a53caa8ae10b6ff9a90efaf22b3843f997fe72ec8d7c3702",
	},
	{
		Version:   "2.3.11",
		Integrity: "sha512-sVP5vzJ4tiyfkt/4yT+OQnpNeGZ4I51geXgr4u9Al5eh0Oi3lJaui4Kj5sApoOejrhhJu9D/AkYilyTGRBvEMQ==",
		SHA256:    "1d294476e80b6e42495116063d38c4e0acb932a73748893379b07179868e3b9e",
	},
	{
		Version:   "2.3.17",
		Integrity: "sha512-okLPpyMbzod1jP3v1AlQezcAq6WjILPm5mCH6nT5sVbfNr+hJUBq+eapyMaDwL9H9yw1kg5C1S2pSWFMuHzEfw==",
		SHA256:    "7ee835f5df84674368a3fe5ce48f172ccb6e3689665bb22aa61da41f26c9b5de",
	},
	{
		Version:   "2.3.18",
		Integrity: "sha512-Pq0pFxYTtPE4Gs5vHOT4IBpiqOPbxgmRP+bXRgiIA/Km5MEVp+KPdocv4zuHoYrzt+SUsvATgJubWEfCZo52LA==",
		SHA256:    "a7754e8206e7dc183e16d724e138bf5c794993690d48e2ae845151a1e17e8e09",
	},
	{
		Version:   "2.3.19",
		Integrity: "sha512-8aujounRoOmh1cdbLEd8SdaOZ6MYjE6lTC5UC8fjcqdk9lpeIdvgCEzTjUJYlslXFaiTv11wN70k2GfSxf5Rxg==",
		SHA256:    "52cd39b79bfb448ebaea776bc351e4caa7b30ca61732d45ec08ee9b3e108a3ff",
	},
}

// Releases lists the pinned releases, oldest first.
func Releases() []Release { return append([]Release(nil), releases...) }

func release(version string) (Release, bool) {
	for _, r := range releases {
		if r.Version == version {
			return r, true
		}
	}
	return Release{}, false
}

func releaseOf(binarySHA256 string) (Release, bool) {
	for _, r := range releases {
		if r.SHA256 == binarySHA256 {
			return r, true
		}
	}
	return Release{}, false
}
