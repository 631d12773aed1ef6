package tap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
)

// WebSocket opcodes (RFC 6455, 5.2). A message is read off the connection as
// the bytes that it is, and written on as the same bytes: masks, fragments and
// close codes stay what they were, and a control message between two fragments
// is a frame of its own that can be held.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// messageMax bounds a message: twice what the engine lets anyone send.
const messageMax = 64 << 20

// message is one WebSocket message, or one control message.
type message struct {
	op      byte
	raw     [][]byte // its fragments, as they were on the wire
	size    int      // of raw
	payload []byte   // unmasked
}

// writeTo writes the message as it came.
func (m message) writeTo(w io.Writer) error {
	if len(m.raw) == 1 {
		_, err := w.Write(m.raw[0])
		return err
	}
	raw := net.Buffers(slices.Clone(m.raw)) // writing consumes it
	_, err := raw.WriteTo(w)
	return err
}

// messages reads a side of a WebSocket.
type messages struct {
	r       *bufio.Reader
	partial message // the fragments so far of a data message
	open    bool    // there are some
}

// next is the next message that is complete.
func (m *messages) next() (message, error) {
	for {
		f, err := m.fragment()
		if err != nil {
			return message{}, err
		}
		if f.op >= opClose {
			return message{op: f.op, raw: [][]byte{f.raw}, size: len(f.raw), payload: f.onto(nil)}, nil
		}
		if err := m.add(f); err != nil {
			return message{}, fmt.Errorf("read a WebSocket message: %w", err)
		}
		if f.final {
			m.open = false
			return m.partial, nil
		}
	}
}

// add puts a fragment to those before it.
func (m *messages) add(f fragment) error {
	switch {
	case f.op == opContinuation && !m.open:
		return errors.New("it begins with a continuation")
	case f.op != opContinuation && m.open:
		return errors.New("another one begins in the middle of it")
	case f.op != opContinuation:
		m.partial, m.open = message{op: f.op}, true
	}
	p := &m.partial
	p.raw = append(p.raw, f.raw)
	p.size += len(f.raw)
	p.payload = f.onto(p.payload)
	if p.size > messageMax {
		return errMessage
	}
	return nil
}

var errMessage = fmt.Errorf("it is longer than %d MiB", messageMax>>20)

// fragment is one frame of the WebSocket protocol.
type fragment struct {
	op    byte
	final bool
	raw   []byte // as it was on the wire
	body  []byte // part of that
	mask  []byte // likewise; nil: none
}

// fragment reads the next one.
func (m *messages) fragment() (f fragment, err error) {
	head := make([]byte, 2, 14)
	if _, err := io.ReadFull(m.r, head); err != nil {
		return f, err
	}
	var extended int
	switch head[1] & 0x7f {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	masked := head[1]&0x80 != 0
	if masked {
		extended += 4
	}
	head = head[:2+extended]
	if _, err := io.ReadFull(m.r, head[2:]); err != nil {
		return f, unexpected(err)
	}
	length := headLength(head)
	if length > messageMax {
		return f, fmt.Errorf("read a WebSocket message: %w", errMessage)
	}
	f = fragment{op: head[0] & 0x0f, final: head[0]&0x80 != 0}
	if f.raw, err = readOn(m.r, head, int(length)); err != nil {
		return f, unexpected(err)
	}
	f.body = f.raw[len(head):]
	if masked {
		f.mask = f.raw[len(head)-4 : len(head)]
	}
	return f, nil
}

// onto puts the payload behind that of the fragments before it.
func (f fragment) onto(payload []byte) []byte {
	if payload == nil && f.mask == nil {
		return f.body[:len(f.body):len(f.body)]
	}
	n := len(payload)
	payload = append(slices.Grow(payload, max(len(f.body), min(n, messageMax))), f.body...)
	if f.mask != nil {
		unmask(payload[n:], f.mask)
	}
	return payload
}

// readOn reads n bytes behind those that are there. It makes room for what
// comes, not for what a head claims.
func readOn(r io.Reader, head []byte, n int) ([]byte, error) {
	if n <= 1<<20 {
		out := make([]byte, len(head)+n)
		_, err := io.ReadFull(r, out[copy(out, head):])
		return out, err
	}
	var out bytes.Buffer
	out.Write(head)
	_, err := io.CopyN(&out, r, int64(n))
	return out.Bytes(), err
}

// headLength reads the length out of a complete head.
func headLength(head []byte) uint64 {
	switch n := head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		return binary.BigEndian.Uint64(head[2:])
	default:
		return uint64(n)
	}
}

func unmask(body, mask []byte) {
	word := binary.LittleEndian.Uint32(mask)
	wide := uint64(word)<<32 | uint64(word)
	i := 0
	for ; i+8 <= len(body); i += 8 {
		binary.LittleEndian.PutUint64(body[i:], binary.LittleEndian.Uint64(body[i:])^wide)
	}
	for ; i < len(body); i++ {
		body[i] ^= mask[i%4]
	}
}

// unexpected is the error of an end in the middle of something.
func unexpected(err error) error {
	if err == io.EOF { //nolint:errorlint // io.ReadFull returns it bare
		return io.ErrUnexpectedEOF
	}
	return err
}
