package rivetkit

import (
	"encoding/hex"
	"maps"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var encodings = []Encoding{JSON, CBOR, BARE}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func bigInt(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

// The requests below were sent by RivetKit 2.3.19's own client under Node 20
// for tick(4096, "op-1", 12345678901234567890n, Uint8Array(1,2,255),
// ["$x", 1], {a: [null, true, 1.5, -7, 5000000000]}). Its CBOR encoding does
// not escape the fifth argument, which was therefore left out there.
var realRequests = map[Encoding]string{
	JSON: "7b2261726773223a5b343039362c226f702d31222c5b2224426967496e74222c223132333435363738393031323334353637383930225d2c5b222455696e74384172726179222c2241514c2f225d2c5b22242478222c315d2c7b2261223a5b6e756c6c2c747275652c312e352c2d372c353030303030303030305d7d5d7d",
	CBOR: "b90001646172677385191000646f702d311bab54a98ceb1f0ad2d840430102ffb90001616185f6f5fb3ff800000000000026fb41f2a05f20000000",
	BARE: "04005a86191000646f702d31826724426967496e74743132333435363738393031323334353637383930826b2455696e743841727261796441514c2f826324247801b90001616185f6f5fb3ff800000000000026fb41f2a05f20000000",
}

func TestDecodeRequestOfRealClient(t *testing.T) {
	want := []any{
		int64(4096), "op-1", bigInt("12345678901234567890"), []byte{1, 2, 255},
		[]any{"$x", int64(1)},
		map[string]any{"a": []any{nil, true, 1.5, int64(-7), int64(5000000000)}},
	}
	for _, enc := range encodings {
		t.Run(string(enc), func(t *testing.T) {
			want := want
			if enc == CBOR {
				want = append(append([]any{}, want[:4]...), want[5])
			}
			args, ver, err := DecodeRequest(enc, unhex(t, realRequests[enc]))
			require.NoError(t, err)
			assert.Equal(t, want, args)
			assert.Equal(t, V4, ver)
		})
	}
}

// What these tests expect of our own bytes was checked against the real
// client's decoder by tests/rivetkit-client.
func TestEncodedBytes(t *testing.T) {
	out := map[string]any{"count": 3, "at": int64(1) << 40, "big": uint64(1) << 60, "raw": []byte("hi")}
	fail := &Error{Group: "user", Code: "repeated", Message: "no", Metadata: 7, Actor: &ActorRef{ID: "A", Generation: 2, Key: "k"}}
	for _, c := range []struct {
		name string
		enc  func() ([]byte, error)
		want string
	}{
		{"json response", func() ([]byte, error) { return EncodeResponse(JSON, V4, out) },
			`{"output":{"at":1099511627776,"big":["$BigInt","1152921504606846976"],"count":3,"raw":["$Uint8Array","aGk="]}}`},
		{"json error", func() ([]byte, error) { return EncodeError(JSON, V4, fail) },
			`{"actor":{"actorId":"A","generation":2,"key":"k"},"code":"repeated","group":"user","message":"no","metadata":7}`},
		{"json <> stay as they are", func() ([]byte, error) { return EncodeResponse(JSON, V4, "<&>") }, `{"output":"<&>"}`},
		{"json response on a connection", func() ([]byte, error) {
			return encodeToClient(JSON, V4, toClient{response: &actionResponse{5, nil}})
		}, `{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","5"],"output":null}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.enc()
			require.NoError(t, err)
			assert.Equal(t, c.want, string(b))
		})
	}
	for _, c := range []struct {
		name string
		enc  func() ([]byte, error)
		want string
	}{
		{"cbor: integers beyond 32 bits are floats", func() ([]byte, error) { return EncodeResponse(CBOR, V4, int64(1)<<40) }, "a1666f7574707574fb4270000000000000"},
		{"cbor: an id takes eight bytes", func() ([]byte, error) {
			return encodeToClient(CBOR, V4, toClient{response: &actionResponse{5, true}})
		}, "a164626f6479a2637461676e416374696f6e526573706f6e73656376616ca26269641b0000000000000005666f7574707574f5"},
		{"bare response", func() ([]byte, error) { return EncodeResponse(BARE, V4, 3) }, "04000103"},
		{"bare error, version 4", func() ([]byte, error) { return EncodeError(BARE, V4, fail) }, "040004" + "75736572" + "08" + "7265706561746564" + "026e6f" + "010107" + "010141" + "02" + "01016b"},
		{"bare error, version 3 has no actor", func() ([]byte, error) {
			return EncodeError(BARE, V3, &Error{Group: "a", Code: "b", Message: "c", Actor: &ActorRef{ID: "A"}})
		}, "0300" + "0161" + "0162" + "0163" + "00"},
		{"bare init", func() ([]byte, error) { return encodeToClient(BARE, V3, toClient{init: &initMessage{"a", "c"}}) }, "03000001610163"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.enc()
			require.NoError(t, err)
			assert.Equal(t, c.want, hex.EncodeToString(b))
		})
	}
}

func TestDecodeMessageOfRealClient(t *testing.T) {
	action := toServer{action: &actionRequest{0, "tick", []any{int64(1), "o"}}}
	sub := toServer{subscribe: &subscription{"ev", true}}
	for _, c := range []struct {
		enc  Encoding
		hex  string
		want toServer
	}{
		{JSON, "7b22626f6479223a7b22746167223a22537562736372697074696f6e52657175657374222c2276616c223a7b226576656e744e616d65223a226576222c22737562736372696265223a747275657d7d7d", sub},
		{JSON, "7b22626f6479223a7b22746167223a22416374696f6e52657175657374222c2276616c223a7b226964223a5b2224426967496e74222c2230225d2c226e616d65223a227469636b222c2261726773223a5b312c226f225d7d7d7d", action},
		{CBOR, "b9000164626f6479b900026374616773537562736372697074696f6e526571756573746376616cb90002696576656e744e616d6562657669737562736372696265f5", sub},
		{CBOR, "b9000164626f6479b90002637461676d416374696f6e526571756573746376616cb900036269641b0000000000000000646e616d65647469636b64617267738201616f", action},
		{BARE, "04000102657601", sub},
		{BARE, "04000000047469636b048201616f", action},
	} {
		m, ver, err := decodeToServer(c.enc, unhex(t, c.hex))
		require.NoError(t, err)
		assert.Equal(t, c.want, m)
		assert.Equal(t, V4, ver)
	}
}

func TestErrorRoundTrip(t *testing.T) {
	for _, enc := range encodings {
		for _, want := range []*Error{
			{Group: "user", Code: "x", Message: "m"},
			{Group: "g", Code: "c", Message: "größe", Metadata: map[string]any{"a": []any{int64(1), "b"}}, Actor: &ActorRef{ID: "id", Generation: 9, Key: "k,l"}},
			{Group: "g", Code: "c", Message: "", Actor: &ActorRef{ID: "id"}},
		} {
			b, err := EncodeError(enc, V4, want)
			require.NoError(t, err)
			got, err := DecodeError(enc, b)
			require.NoError(t, err)
			assert.Equal(t, want, got, enc)
		}
	}
}

// values draws what an action may return, in the form it is decoded to.
func values(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Int64Range(-maxSafe, maxSafe).AsAny(),
		rapid.Map(rapid.Int64(), func(n int64) any {
			b := new(big.Int).Lsh(big.NewInt(n), 70)
			if b.Sign() == 0 {
				return bigInt("9007199254740993")
			}
			return b
		}),
		rapid.Map(rapid.Float64(), func(f float64) any { return fromFloat(f) }),
		rapid.Map(rapid.StringN(0, 4, 8), func(s string) any { return []any{"$" + s, int64(1)} }),
	}
	if depth > 0 {
		leaves = append(leaves,
			rapid.SliceOfN(values(depth-1), 0, 4).AsAny(),
			rapid.MapOfN(rapid.String(), values(depth-1), 0, 4).AsAny())
	}
	return rapid.OneOf(leaves...)
}

func TestValuesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := values(3).Draw(t, "value")
		enc := rapid.SampledFrom(encodings).Draw(t, "encoding")
		b, err := EncodeResponse(enc, V4, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeResponse(enc, b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		assert.Equal(t, want, got)
	})
}

func TestEncodeRefuses(t *testing.T) {
	loop := []any{nil}
	loop[0] = loop
	for name, v := range map[string]any{
		"NaN": math.NaN(), "infinity": math.Inf(1), "struct": struct{}{}, "text that is none": "\xff", "such a key": map[string]int{"\xff": 1}, "channel": make(chan int),
		"keys that are no text": map[int]int{1: 1}, "cycle": loop, "inside a list": []any{math.NaN()},
	} {
		for _, enc := range encodings {
			_, err := EncodeResponse(enc, V4, v)
			assert.Error(t, err, "%s in %s", name, enc)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	deep := ""
	for range 1000 {
		deep += "["
	}
	for _, c := range []struct {
		enc  Encoding
		body string
	}{
		{JSON, ``}, {JSON, `{`}, {JSON, `[]`}, {JSON, `{} {}`}, {JSON, `{"args":["$Nope",1]}`}, {JSON, `{"args":["$BigInt","x"]}`},
		{JSON, `{"args":["$Uint8Array","*"]}`}, {JSON, `{"args":` + deep}, {JSON, `{"args":[1e999]}`},
		{CBOR, ""}, {CBOR, "\x80"}, {CBOR, "\xa1\x64args\x9b\xff\xff\xff\xff\xff\xff\xff\xff"}, {CBOR, "\xa1\x64args\xd8\x30\x01"},
		{BARE, ""}, {BARE, "\x04"}, {BARE, "\x05\x00\x01\x80"}, {BARE, "\x02\x00\x01\x80"}, {BARE, "\x04\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{BARE, "\x04\x00\x01\x80\x00"}, {BARE, "\x04\x00\x05\x80"},
	} {
		_, _, err := DecodeRequest(c.enc, []byte(c.body))
		assert.Error(t, err, "%s %q", c.enc, c.body)
	}
	_, err := ParseEncoding("xml")
	assert.ErrorContains(t, err, "use json, cbor or bare")
}

func TestArgumentsAreLenient(t *testing.T) {
	for body, want := range map[string][]any{
		`{}`: nil, `{"args":null}`: nil, `{"args":"x"}`: {"x"}, `{"args":[]}`: {},
	} {
		args, _, err := DecodeRequest(JSON, []byte(body))
		require.NoError(t, err)
		assert.Equal(t, want, args, body)
	}
}

func FuzzDecode(f *testing.F) {
	for enc, s := range realRequests {
		f.Add(string(enc), unhex(f, s))
	}
	f.Add("bare", unhex(f, "04000000047469636b048201616f"))
	f.Fuzz(func(t *testing.T, e string, b []byte) {
		enc, err := ParseEncoding(e)
		if err != nil {
			return
		}
		// None may panic; what is understood can be written and is understood again.
		if args, ver, err := DecodeRequest(enc, b); err == nil {
			again, err := EncodeRequest(enc, ver, args)
			if err == nil {
				_, _, err = DecodeRequest(enc, again)
			}
			if err != nil && !hasTime([]any(args)) {
				t.Fatalf("%v does not survive: %v", args, err)
			}
		}
		_, _ = DecodeError(enc, b)
		_, _, _ = decodeToServer(enc, b)
	})
}

// hasTime: JavaScript's dates reach years that Go cannot write.
func hasTime(v any) bool {
	switch v := v.(type) {
	case time.Time:
		return true
	case []any:
		return slices.ContainsFunc(v, hasTime)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasTime)
	}
	return false
}
