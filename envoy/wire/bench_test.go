package wire

import "testing"

func BenchmarkTunnel(b *testing.B) {
	bench(b, V8, ToRuntime(ToRuntimeTunnel{ID: refID, Part: RequestStart{
		ActorID: "5jhphmkvhi0eqwh0taokw5fyd4cl00", Generation: ptr(uint32(1)), Method: "POST", Path: "/request/action/tick",
		Headers: []Header{{"host", "127.0.0.1:6420"}, {"content-type", "application/json"}, {"x-rivet-encoding", "json"},
			{"user-agent", "Go-http-client/1.1"}, {"accept-encoding", "gzip"}},
		Body: make([]byte, 1024),
	}}), EncodeToRuntime, DecodeToRuntime)
}

func BenchmarkCommands(b *testing.B) {
	bench(b, V6, referenceToRuntime[1], EncodeToRuntime, DecodeToRuntime)
}

func bench[M any](b *testing.B, v Version, msg M,
	encode func(Version, M) ([]byte, error), decode func(Version, []byte) (M, error),
) {
	frame, err := encode(v, msg)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(frame)))
		for b.Loop() {
			if _, err := encode(v, msg); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(frame)))
		for b.Loop() {
			if _, err := decode(v, frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}
