package rivetkit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// RivetKit's values are JavaScript's. In Go they are
//
//	nil               null and undefined
//	bool, string      themselves
//	int64             a number without a fraction, |n| < 2^53
//	float64           any other number
//	*big.Int          a BigInt, or an integer beyond 2^53
//	[]byte            Uint8Array and ArrayBuffer
//	time.Time         Date (CBOR and BARE only)
//	[]any             Array and Set
//	map[string]any    object, and Map with string keys
//
// CBOR does not tell a small BigInt from a number: there it is an int64.
// Encoding also takes the other integer and float types, named types, and
// slices and maps of such values; no structs, because nothing would say how
// JavaScript spells their fields.

// JSON and the CBOR inside BARE have no BigInt and no bytes of their own.
// RivetKit writes them as a pair of a tag and a value, and puts one more
// dollar in front of an array of the user's that looks like such a pair.
const (
	tagBigInt      = "$BigInt"
	tagArrayBuffer = "$ArrayBuffer"
	tagUint8Array  = "$Uint8Array"
	tagUndefined   = "$Undefined"
	tagSet         = "$Set"
)

// maxSafe is JavaScript's Number.MAX_SAFE_INTEGER.
const maxSafe = 1<<53 - 1

// maxDepth bounds the nesting of a value on its way in and out, so that
// neither a hostile body nor a cyclic value can exhaust the stack.
const maxDepth = 64

func errDepth() error {
	return fmt.Errorf("the value is nested deeper than %d levels", maxDepth)
}

// toCompat is v as a tree of nil, bool, int64, float64, string, time.Time,
// []any and map[string]any only, with RivetKit's tags for the rest.
func toCompat(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth()
	}
	switch v := v.(type) {
	case nil, bool, time.Time:
		return v, nil
	case []byte:
		return []any{tagUint8Array, base64.StdEncoding.EncodeToString(v)}, nil
	case *big.Int:
		if v == nil {
			return nil, nil
		}
		return []any{tagBigInt, v.String()}, nil
	}
	return reflectCompat(reflect.ValueOf(v), depth)
}

func reflectCompat(v reflect.Value, depth int) (any, error) {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.String:
		return compatString(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return compatInt(big.NewInt(v.Int())), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return compatInt(new(big.Int).SetUint64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return compatFloat(v.Float())
	case reflect.Slice, reflect.Array:
		return compatArray(v, depth)
	case reflect.Map:
		return compatMap(v, depth)
	default:
		return nil, fmt.Errorf("a value of type %s has no form in RivetKit's encodings", v.Type())
	}
}

func compatString(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("the string %.40q is not UTF-8: bytes belong in a []byte", s)
	}
	return s, nil
}

func compatInt(n *big.Int) any {
	if isSafe(n) {
		return n.Int64()
	}
	return []any{tagBigInt, n.String()}
}

func isSafe(n *big.Int) bool {
	return n.IsInt64() && n.Int64() >= -maxSafe && n.Int64() <= maxSafe
}

func compatFloat(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("the number %v has no form in JSON", f)
	}
	return f, nil
}

func compatArray(v reflect.Value, depth int) (any, error) {
	out := make([]any, v.Len())
	for i := range out {
		e, err := toCompat(v.Index(i).Interface(), depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	if tag, ok := pairTag(out); ok {
		out[0] = "$" + tag
	}
	return out, nil
}

func compatMap(v reflect.Value, depth int) (any, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("a map with keys of type %s has no form in JSON", v.Type().Key())
	}
	out := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		e, err := toCompat(it.Value().Interface(), depth+1)
		if err != nil {
			return nil, err
		}
		k, err := compatString(it.Key().String())
		if err != nil {
			return nil, err
		}
		out[k.(string)] = e
	}
	return out, nil
}

// pairTag is the first element of an array that has the shape of a tag and
// its value.
func pairTag(a []any) (string, bool) {
	if len(a) != 2 {
		return "", false
	}
	s, ok := a[0].(string)
	return s, ok && strings.HasPrefix(s, "$")
}

// fromCompat undoes toCompat on what a JSON or CBOR decoder returned, and
// brings that decoder's own types to those listed above.
func fromCompat(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth()
	}
	switch v := v.(type) {
	case nil, bool, string, []byte, time.Time:
		return v, nil
	case json.Number:
		return fromNumber(v)
	case int64:
		return fromBig(big.NewInt(v)), nil
	case uint64:
		return fromBig(new(big.Int).SetUint64(v)), nil
	case *big.Int:
		return fromBig(v), nil
	case big.Int:
		return fromBig(&v), nil
	case float64:
		return fromFloat(v), nil
	case []any:
		return fromArray(v, depth)
	case map[string]any:
		return fromMap(v, depth)
	default:
		return fromTagged(v, depth)
	}
}

func fromBig(n *big.Int) any {
	if isSafe(n) {
		return n.Int64()
	}
	return n
}

// fromFloat makes an integer of a number without a fraction: JavaScript does
// not tell 1 from 1.0, and cbor-x writes integers beyond 32 bits as floats.
func fromFloat(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) <= maxSafe && !(f == 0 && math.Signbit(f)) {
		return int64(f)
	}
	return f
}

func fromNumber(s json.Number) (any, error) {
	if n, err := s.Int64(); err == nil {
		return fromBig(big.NewInt(n)), nil
	}
	if n, ok := new(big.Int).SetString(s.String(), 10); ok {
		return fromBig(n), nil
	}
	f, err := s.Float64()
	if err != nil {
		return nil, fmt.Errorf("number %.40q: %w", s.String(), err)
	}
	return fromFloat(f), nil
}

func fromArray(a []any, depth int) (any, error) {
	if tag, ok := pairTag(a); ok {
		return fromPair(tag, a[1], depth)
	}
	out := make([]any, len(a))
	for i, e := range a {
		r, err := fromCompat(e, depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = r
	}
	return out, nil
}

func fromMap(m map[string]any, depth int) (any, error) {
	out := make(map[string]any, len(m))
	for k, e := range m {
		r, err := fromCompat(e, depth+1)
		if err != nil {
			return nil, err
		}
		out[k] = r
	}
	return out, nil
}

func fromPair(tag string, v any, depth int) (any, error) {
	switch tag {
	case tagUndefined:
		return nil, nil
	case tagBigInt:
		return bigFromText(v)
	case tagUint8Array, tagArrayBuffer:
		return bytesFromText(tag, v)
	case tagSet:
		a, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("%s holds %T where a list belongs", tag, v)
		}
		// The items of a Set are not a pair, whatever they look like.
		out := make([]any, len(a))
		for i, e := range a {
			r, err := fromCompat(e, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	}
	if strings.HasPrefix(tag, "$$") {
		r, err := fromCompat(v, depth+1)
		return []any{tag[1:], r}, err
	}
	return nil, fmt.Errorf("unknown tag %.40q: the sender speaks a newer RivetKit or the data is damaged", tag)
}

// maxBigInt bounds the digits of a BigInt, because parsing them takes time
// that grows faster than their number.
const maxBigInt = 1024

func bigFromText(v any) (any, error) {
	s, ok := v.(string)
	if !ok || len(s) > maxBigInt {
		return nil, fmt.Errorf("%s holds no decimal number of at most %d digits", tagBigInt, maxBigInt)
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("%s holds %.40q, no decimal number", tagBigInt, s)
	}
	return n, nil
}

func bytesFromText(tag string, v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("%s holds %T where base64 belongs", tag, v)
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tag, err)
	}
	return b, nil
}
