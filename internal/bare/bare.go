// Package bare reads and writes BARE, the Binary Application Record Encoding
// that Rivet's protocols use (draft-devault-bare), with one description of a
// layout for both ways: a function that visits the fields of a struct in
// their order. A [Codec] made by [NewReader] fills the fields in, one made by
// [NewWriter] writes them out.
//
//	func point(c *bare.Codec, p *Point) {
//		c.I64("x", &p.X)
//		c.I64("y", &p.Y)
//	}
//
// Errors stick: after the first one nothing more is read, and Finish returns
// it. A writer leaves what it visits unchanged, so that several goroutines may
// write the same value. Reading never panics, and allocates for what is there, not for
// what a length claims. Only the shortest form of a length is accepted, so
// that equal values have equal bytes. (Maps are lists of pairs here: their
// order is kept and keys may repeat.)
package bare

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Codec reads or writes one message. It is for one goroutine and one message.
type Codec struct {
	// Version is the version of the schema, for visitors whose layout
	// depends on it.
	Version uint16

	writing bool
	buf     []byte // reading: the input; writing: the output so far
	off     int    // reading: the position in buf
	err     *Error
}

// NewReader reads b. Byte slices that are read share memory with it.
func NewReader(version uint16, b []byte) *Codec { return &Codec{Version: version, buf: b} }

// NewWriter writes a new message.
func NewWriter(version uint16) *Codec { return &Codec{Version: version, writing: true} }

// Finish returns the first error, or else what was written. It is an error
// (an [*Error]) if a reader has bytes left.
func (c *Codec) Finish() ([]byte, error) {
	if c.err == nil && !c.writing && c.off < len(c.buf) {
		c.Fail("message", fmt.Errorf("%w: %d of %d left", ErrTrailing, len(c.buf)-c.off, len(c.buf)))
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.buf, nil
}

// Writing tells a writer from a reader.
func (c *Codec) Writing() bool { return c.writing }

// OK says that nothing failed yet.
func (c *Codec) OK() bool { return c.err == nil }

// Fail makes err the codec's error, at the present position, unless it has one.
func (c *Codec) Fail(field string, err error) {
	if c.err == nil {
		c.err = &Error{Offset: c.position(), Field: field, Err: err}
	}
}

// In visits the fields of a struct that is itself a field: name is put in
// front of the names of fields that fail.
func (c *Codec) In(name string, fields func()) {
	failed := c.err != nil
	fields()
	c.prefix(name, failed)
}

func (c *Codec) prefix(name string, failedBefore bool) {
	if c.err == nil || failedBefore {
		return
	}
	if !strings.HasPrefix(c.err.Field, "[") && c.err.Field != "" {
		name += "."
	}
	c.err.Field = name + c.err.Field
}

func (c *Codec) position() int {
	if c.writing {
		return len(c.buf)
	}
	return c.off
}

// take returns the next n bytes of the input, or nil after an error.
func (c *Codec) take(field string, n int) []byte {
	if c.err != nil {
		return nil
	}
	if left := len(c.buf) - c.off; n > left {
		c.Fail(field, fmt.Errorf("%w: %d bytes wanted, %d left", ErrTruncated, n, left))
		return nil
	}
	b := c.buf[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}

// U8 visits a u8.
func (c *Codec) U8(field string, p *uint8) {
	if c.writing {
		c.buf = append(c.buf, *p)
	} else if b := c.take(field, 1); b != nil {
		*p = b[0]
	}
}

// U16 visits a u16.
func (c *Codec) U16(field string, p *uint16) {
	if c.writing {
		c.buf = binary.LittleEndian.AppendUint16(c.buf, *p)
	} else if b := c.take(field, 2); b != nil {
		*p = binary.LittleEndian.Uint16(b)
	}
}

// U32 visits a u32.
func (c *Codec) U32(field string, p *uint32) {
	if c.writing {
		c.buf = binary.LittleEndian.AppendUint32(c.buf, *p)
	} else if b := c.take(field, 4); b != nil {
		*p = binary.LittleEndian.Uint32(b)
	}
}

// U64 visits a u64.
func (c *Codec) U64(field string, p *uint64) {
	if c.writing {
		c.buf = binary.LittleEndian.AppendUint64(c.buf, *p)
	} else if b := c.take(field, 8); b != nil {
		*p = binary.LittleEndian.Uint64(b)
	}
}

// I64 visits an i64.
func (c *Codec) I64(field string, p *int64) {
	u := uint64(*p)
	if c.U64(field, &u); !c.writing {
		*p = int64(u)
	}
}

// F64BigEndian visits eight bytes that hold a float, most significant first,
// as Rivet writes SQL floats. (BARE's own f64 has the other order.)
func (c *Codec) F64BigEndian(field string, p *float64) {
	if c.writing {
		c.buf = binary.BigEndian.AppendUint64(c.buf, math.Float64bits(*p))
	} else if b := c.take(field, 8); b != nil {
		*p = math.Float64frombits(binary.BigEndian.Uint64(b))
	}
}

// Bool visits a bool.
func (c *Codec) Bool(field string, p *bool) {
	if c.writing {
		var b byte
		if *p {
			b = 1
		}
		c.buf = append(c.buf, b)
		return
	}
	b := c.take(field, 1)
	if b == nil {
		return
	}
	if b[0] > 1 {
		c.off--
		c.Fail(field, fmt.Errorf("%w: %#x", ErrBool, b[0]))
		return
	}
	*p = b[0] == 1
}

// Fixed visits data of a fixed length.
func (c *Codec) Fixed(field string, p []byte) {
	if c.writing {
		c.buf = append(c.buf, p...)
	} else {
		copy(p, c.take(field, len(p)))
	}
}

// Data visits data. What is read is never nil.
func (c *Codec) Data(field string, p *[]byte) {
	n := c.length(field, len(*p), 1)
	if c.writing {
		c.buf = append(c.buf, *p...)
	} else if b := c.take(field, n); b != nil {
		*p = b
	}
}

// OptData visits optional data; nil is absent.
func (c *Codec) OptData(field string, p *[]byte) {
	if c.present(field, *p != nil) {
		c.Data(field, p)
	}
}

// Str visits a string.
func (c *Codec) Str(field string, p *string) {
	if c.writing {
		if !utf8.ValidString(*p) {
			c.Fail(field, ErrUTF8)
		}
		c.length(field, len(*p), 1)
		c.buf = append(c.buf, *p...)
		return
	}
	start := c.off
	b := c.take(field, c.length(field, 0, 1))
	if !utf8.Valid(b) {
		c.off = start
		c.Fail(field, ErrUTF8)
		return
	}
	*p = string(b)
}

// Enum visits an enumeration whose values count from 0 up to, not including,
// end.
func Enum[E ~uint8](c *Codec, field string, p *E, end E) {
	if tag := c.tag(field, int(*p), int(end)); !c.writing {
		*p = E(tag)
	}
}

// Opt visits an optional; nil is absent.
func Opt[T any](c *Codec, field string, p **T, visit func(*Codec, string, *T)) {
	if !c.present(field, *p != nil) {
		return
	}
	if !c.writing {
		*p = new(T)
	}
	visit(c, field, *p)
}

// OptStruct visits an optional struct; nil is absent.
func OptStruct[T any](c *Codec, field string, p **T, fields func(*Codec, *T)) {
	Opt(c, field, p, func(c *Codec, field string, p *T) {
		c.In(field, func() { fields(c, p) })
	})
}

// OptList visits an optional list; nil is absent.
func OptList[T any](c *Codec, field string, p *[]T, least int, elem func(*Codec, *T)) {
	if c.present(field, *p != nil) {
		List(c, field, p, least, elem)
	}
}

// List visits a list. least is the least size of an element in bytes, at
// least 1. What is read is never nil.
func List[T any](c *Codec, field string, p *[]T, least int, elem func(*Codec, *T)) {
	n := c.length(field, len(*p), least)
	if c.err != nil {
		return
	}
	if !c.writing {
		// Grown as elements arrive: an element may be larger in memory than
		// on the wire.
		*p = make([]T, 0, min(n, 64))
	}
	for i := range n {
		if !c.writing {
			var zero T
			*p = append(*p, zero)
		}
		elem(c, &(*p)[i])
		if c.err != nil {
			c.prefix(fmt.Sprintf("%s[%d]", field, i), false)
			return
		}
	}
}

// present visits the mark of an optional.
func (c *Codec) present(field string, is bool) bool {
	c.Bool(field, &is)
	return is && c.err == nil
}

// length visits the length of data or of a list whose elements take at least
// least bytes each.
func (c *Codec) length(field string, n, least int) int {
	if c.writing {
		c.buf = binary.AppendUvarint(c.buf, uint64(n))
		return n
	}
	start := c.off
	claimed := c.uvarint(field)
	if left := (len(c.buf) - c.off) / least; claimed > uint64(left) {
		c.off = start
		c.Fail(field, fmt.Errorf("%w: %d, at most %d", ErrTooLong, claimed, left))
		return 0
	}
	return int(claimed)
}

// uvarint reads an unsigned LEB128 number in its shortest form.
func (c *Codec) uvarint(field string) uint64 {
	if c.err != nil {
		return 0
	}
	x, n := binary.Uvarint(c.buf[c.off:])
	switch {
	case n == 0 && len(c.buf)-c.off < binary.MaxVarintLen64:
		c.Fail(field, ErrTruncated)
		return 0
	case n <= 0 || n > 1 && c.buf[c.off+n-1] == 0:
		c.Fail(field, ErrVarint)
		return 0
	}
	c.off += n
	return x
}

// tag visits the tag of an enum or union with n tags. Tags are varints, but no
// schema here has as many as 128, so each is one byte.
func (c *Codec) tag(field string, tag, n int) int {
	if c.writing {
		if tag < 0 || tag >= n {
			c.Fail(field, fmt.Errorf("%w: %d of %d", ErrTag, tag, n))
		}
		c.buf = append(c.buf, byte(tag))
		return tag
	}
	b := c.take(field, 1)
	if b == nil {
		return 0
	}
	if int(b[0]) >= n {
		c.off--
		c.Fail(field, fmt.Errorf("%w: %d of %d", ErrTag, b[0], n))
		return 0
	}
	return int(b[0])
}
