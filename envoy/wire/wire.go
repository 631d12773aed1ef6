// Package wire is the codec of Rivet's envoy protocol: the frames between the
// engine and a runtime, in both directions, so that a runtime, an engine's
// stand-in or a tap between the two can be built on it.
//
// The layouts are those of the public schema envoy-protocol/v6.bare in
// rivet-dev/rivet and, for version 8, of the published package
// @rivetkit/engine-envoy-protocol 2.3.19. Both are BARE: see internal/bare.
//
// Reading is strict: what is read without an error is written again as the
// same bytes. A decoded message shares its byte slices with the frame it was
// read from. Its slices are nil only where the field is optional and absent.
// Writing refuses what the chosen version cannot say instead of leaving it out.
package wire

import (
	"fmt"

	"github.com/killpoint/killpoint/internal/bare"
)

// Error says where in a frame, and in which field, reading or writing failed.
type Error = bare.Error

// What an [Error] wraps.
var (
	ErrTruncated = bare.ErrTruncated // the frame ends inside a field
	ErrTrailing  = bare.ErrTrailing  // bytes follow the message
	ErrTag       = bare.ErrTag       // unknown variant of a union or value of an enum
	ErrTooLong   = bare.ErrTooLong   // a length or count exceeds what the rest of the frame can hold
	ErrUTF8      = bare.ErrUTF8      // a string is not UTF-8
	ErrBool      = bare.ErrBool      // a bool or an optional's mark is neither 0 nor 1
	ErrVarint    = bare.ErrVarint    // a length is not written in its shortest form, or over 64 bits
	ErrMissing   = bare.ErrMissing   // to be written: no variant is set, or more than one
	ErrVersion   = bare.ErrVersion   // the protocol version is unknown or cannot say this
)

var errV8Field = fmt.Errorf("%w: the field came with %v", ErrVersion, V8)

// DecodeToRuntime reads a frame that the engine sent. The error is an [*Error].
func DecodeToRuntime(v Version, frame []byte) (ToRuntime, error) {
	return decode(v, frame, toRuntimeUnion)
}

// EncodeToRuntime writes a frame as the engine would send it. The error is an
// [*Error].
func EncodeToRuntime(v Version, msg ToRuntime) ([]byte, error) {
	return encode(bare.NewWriter(uint16(v)), msg, toRuntimeUnion)
}

// DecodeToEngine reads a frame that a runtime sent. The error is an [*Error].
func DecodeToEngine(v Version, frame []byte) (ToEngine, error) {
	return decode(v, frame, toEngineUnion)
}

// EncodeToEngine writes a frame as a runtime sends it. The error is an [*Error].
func EncodeToEngine(v Version, msg ToEngine) ([]byte, error) {
	return encode(bare.NewWriter(uint16(v)), msg, toEngineUnion)
}

// DecodeStart reads the body of POST /start: the version as two bytes,
// little-endian, then a message, in practice [Commands] with one start. Offsets
// in an error count from the start of the body.
func DecodeStart(body []byte) (Version, ToRuntime, error) {
	c := bare.NewReader(0, body)
	c.U16("version", &c.Version)
	msg, err := read(c, toRuntimeUnion)
	if err != nil {
		return 0, nil, err
	}
	return Version(c.Version), msg, nil
}

// EncodeStart writes the body of POST /start as [DecodeStart] reads it.
func EncodeStart(v Version, msg ToRuntime) ([]byte, error) {
	c := bare.NewWriter(uint16(v))
	c.U16("version", &c.Version)
	return encode(c, msg, toRuntimeUnion)
}

// Kind is a short name for a [ToRuntime] or [ToEngine] message, for histories
// and logs: "commands", "kv-request", "execute-response". A tunnelled part
// goes by its own name: "request-start", "websocket-message". It is "" for
// anything else. Kinds are stable: stored histories hold them.
func Kind(msg any) string {
	switch m := msg.(type) {
	case ToRuntimeTunnel:
		return toRuntimePartUnion.Name(m.Part)
	case ToEngineTunnel:
		return toEnginePartUnion.Name(m.Part)
	case ToRuntime:
		return toRuntimeUnion.Name(m)
	case ToEngine:
		return toEngineUnion.Name(m)
	}
	return ""
}

func decode[T any](v Version, frame []byte, u *bare.Union[T]) (T, error) {
	return read(bare.NewReader(uint16(v), frame), u)
}

func read[T any](c *bare.Codec, u *bare.Union[T]) (T, error) {
	var msg, none T
	checkVersion(c)
	u.Visit(c, "", &msg)
	if _, err := c.Finish(); err != nil {
		return none, err
	}
	return msg, nil
}

func encode[T any](c *bare.Codec, msg T, u *bare.Union[T]) ([]byte, error) {
	checkVersion(c)
	u.Visit(c, "", &msg)
	return c.Finish()
}

func checkVersion(c *bare.Codec) {
	if v := Version(c.Version); v != V6 && v != V8 {
		c.Fail("version", fmt.Errorf("%w: %v, known are %v and %v", ErrVersion, v, V6, V8))
	}
}
