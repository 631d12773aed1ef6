package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	for _, v := range []Version{V6, V8} {
		toRuntime, toEngine := messages(v)
		t.Run(v.String()+"/to-runtime", rapid.MakeCheck(func(t *rapid.T) {
			roundTrip(t, v, toRuntime.Draw(t, "message"), EncodeToRuntime, DecodeToRuntime)
		}))
		t.Run(v.String()+"/to-engine", rapid.MakeCheck(func(t *rapid.T) {
			roundTrip(t, v, toEngine.Draw(t, "message"), EncodeToEngine, DecodeToEngine)
		}))
		t.Run(v.String()+"/start", rapid.MakeCheck(func(t *rapid.T) {
			want := toRuntime.Draw(t, "message")
			body, err := EncodeStart(v, want)
			require.NoError(t, err)
			gotVersion, got, err := DecodeStart(body)
			require.NoError(t, err)
			require.Equal(t, v, gotVersion)
			require.Equal(t, want, got)
		}))
	}
}

// roundTrip also cuts the frame short everywhere: no prefix of a frame is one.
func roundTrip[M any](t *rapid.T, v Version, want M,
	encode func(Version, M) ([]byte, error), decode func(Version, []byte) (M, error),
) {
	frame, err := encode(v, want)
	require.NoError(t, err)
	got, err := decode(v, frame)
	require.NoError(t, err)
	require.Equal(t, want, got)
	again, err := encode(v, got)
	require.NoError(t, err)
	require.Equal(t, frame, again)
	require.NotEmpty(t, Kind(want))

	cut := rapid.IntRange(0, len(frame)-1).Draw(t, "cut")
	_, err = decode(v, frame[:cut])
	require.Error(t, err, "a prefix of %d of %d bytes", cut, len(frame))
}
