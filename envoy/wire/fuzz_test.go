package wire

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzDecodeToRuntime(f *testing.F) {
	for _, g := range goldens(f, "*.txt") {
		switch g.direction {
		case "to-runtime":
			f.Add(g.version == V8, g.bytes)
		case "start":
			f.Add(g.version == V8, g.bytes[2:])
		}
	}
	f.Fuzz(func(t *testing.T, v8 bool, frame []byte) {
		fuzz(t, v8, frame, DecodeToRuntime, EncodeToRuntime)
	})
}

func FuzzDecodeToEngine(f *testing.F) {
	for _, g := range goldens(f, "*.txt") {
		if g.direction == "to-engine" {
			f.Add(g.version == V8, g.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, v8 bool, frame []byte) {
		fuzz(t, v8, frame, DecodeToEngine, EncodeToEngine)
	})
}

// fuzz: what is read is written again as the same bytes, what is refused is
// refused with an *Error inside the frame, and memory is bounded by the frame.
func fuzz[M any](t *testing.T, v8 bool, frame []byte,
	decode func(Version, []byte) (M, error), encode func(Version, M) ([]byte, error),
) {
	v := V6
	if v8 {
		v = V8
	}
	var msg M
	var err error
	used := allocated(func() { msg, err = decode(v, frame) })
	// The most a byte of a frame can become is an empty row, 24 bytes of a
	// slice that grows by copying.
	require.LessOrEqual(t, used, uint64(32<<10+128*len(frame)), "bytes allocated for %d", len(frame))
	if err != nil {
		var e *Error
		require.True(t, errors.As(err, &e))
		require.LessOrEqual(t, e.Offset, len(frame))
		return
	}
	again, err := encode(v, msg)
	require.NoError(t, err)
	require.Equal(t, frame, again)
	require.NotEmpty(t, Kind(msg))
}
