package rivetkit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// Encoding is one of RivetKit's three, as the header x-rivet-encoding and the
// subprotocol rivet_encoding.NAME name it.
type Encoding string

// The encodings.
const (
	JSON Encoding = "json"
	CBOR Encoding = "cbor"
	BARE Encoding = "bare"
)

// ParseEncoding reads the name of an encoding; "" is JSON, as in RivetKit.
func ParseEncoding(s string) (Encoding, error) {
	switch e := Encoding(s); e {
	case "":
		return JSON, nil
	case JSON, CBOR, BARE:
		return e, nil
	}
	return "", fmt.Errorf("encoding %.40q: use json, cbor or bare", s)
}

func (e Encoding) contentType() string {
	if e == JSON {
		return "application/json"
	}
	return "application/octet-stream"
}

// wireID is the id of an action on a connection. JavaScript has it as a
// BigInt, which CBOR must therefore carry in eight bytes however small it is.
type wireID uint64

// MarshalCBOR writes eight bytes always.
func (id wireID) MarshalCBOR() ([]byte, error) {
	return binary.BigEndian.AppendUint64([]byte{0x1b}, uint64(id)), nil
}

// MarshalJSON writes RivetKit's tagged BigInt.
func (id wireID) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `["%s","%d"]`, tagBigInt, uint64(id)), nil
}

// encMode is CBOR as cbor-x likes it: shortest forms, keys sorted so that
// equal values have equal bytes.
var encMode = func() cbor.EncMode {
	m, err := cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		ShortestFloat: cbor.ShortestFloatNone,
		Time:          cbor.TimeUnixDynamic,
		TimeTag:       cbor.EncTagRequired,
	}.EncMode()
	return must(m, err)
}()

var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		MaxNestedLevels: maxDepth,
		DefaultMapType:  reflect.TypeOf(map[string]any(nil)),
		BigIntDec:       cbor.BigIntDecodePointer,
		UTF8:            cbor.UTF8RejectInvalid,
	}.DecMode()
	return must(m, err)
}()

// must is for constants of this package, which a test decodes with.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// tree brings a value to what both marshalers below write as RivetKit does.
// Integers that JavaScript would not keep in 32 bits become floats in CBOR:
// cbor-x reads an eight-byte integer as a BigInt, however small it is.
func tree(enc Encoding, v any) (any, error) {
	c, err := toCompat(v, 0)
	if err != nil || enc == JSON {
		return c, err
	}
	return wideToFloat(c), nil
}

func wideToFloat(v any) any {
	switch v := v.(type) {
	case int64:
		if v > math.MaxUint32 || v < -math.MaxUint32-1 {
			return float64(v)
		}
	case []any:
		for i := range v {
			v[i] = wideToFloat(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = wideToFloat(v[k])
		}
	}
	return v
}

// marshal writes a document whose values went through tree.
func marshal(enc Encoding, doc any) ([]byte, error) {
	if enc == CBOR {
		return encMode.Marshal(doc)
	}
	var buf bytes.Buffer
	w := json.NewEncoder(&buf)
	w.SetEscapeHTML(false)
	err := w.Encode(doc)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// unmarshal reads a JSON or CBOR document to the values of this package.
func unmarshal(enc Encoding, b []byte) (any, error) {
	var raw any
	if enc == CBOR {
		if err := decMode.Unmarshal(b, &raw); err != nil {
			return nil, err
		}
		return fromCompat(raw, 0)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the end of the JSON value")
	}
	return fromCompat(raw, 0)
}

// fromTagged brings CBOR's tagged values, which only cbor-x's JavaScript
// types use, to the values of this package.
func fromTagged(v any, depth int) (any, error) {
	t, ok := v.(cbor.Tag)
	if !ok {
		return nil, fmt.Errorf("a CBOR value of type %T has no meaning in RivetKit", v)
	}
	switch t.Number {
	case 64: // Uint8Array
		if b, ok := t.Content.([]byte); ok {
			return b, nil
		}
	case 258, 259: // Set, Map
		return fromCompat(t.Content, depth+1)
	}
	return nil, fmt.Errorf("CBOR tag %d on %T is not one that RivetKit sends in arguments", t.Number, t.Content)
}

// encodeData and decodeData are the CBOR values inside BARE messages.
func encodeData(v any) ([]byte, error) {
	t, err := tree(BARE, v)
	if err != nil {
		return nil, err
	}
	return marshal(CBOR, t)
}

func decodeData(b []byte) (any, error) { return unmarshal(CBOR, b) }

// field reads a member of a decoded document as type T.
func field[T any](doc map[string]any, name string) (T, error) {
	v, ok := doc[name].(T)
	if !ok {
		return v, fmt.Errorf("%s is %T where %T belongs", name, doc[name], v)
	}
	return v, nil
}

func object(v any) (map[string]any, error) {
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a message is an object, not %T", v)
	}
	return doc, nil
}

// idFrom reads a wireID, which arrives as a number or a BigInt.
func idFrom(v any) (uint64, error) {
	switch v := v.(type) {
	case int64:
		if v >= 0 {
			return uint64(v), nil
		}
	case *big.Int:
		if v.IsUint64() {
			return v.Uint64(), nil
		}
	}
	return 0, fmt.Errorf("id %v (%T) is no unsigned 64-bit integer", v, v)
}
