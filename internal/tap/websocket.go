package tap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
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
	raw     []byte // as it was on the wire, all fragments
	payload []byte // unmasked
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
		f, final, err := m.fragment()
		if err != nil {
			return message{}, err
		}
		switch {
		case f.op >= opClose:
			return f, nil
		case f.op == opContinuation && !m.open:
			return message{}, fmt.Errorf("read a WebSocket message: it begins with a continuation")
		case f.op == opContinuation:
			m.partial.raw = append(m.partial.raw, f.raw...)
			m.partial.payload = append(m.partial.payload, f.payload...)
		case m.open:
			return message{}, fmt.Errorf("read a WebSocket message: another one begins in the middle of it")
		default:
			m.partial, m.open = f, true
		}
		if len(m.partial.raw) > messageMax {
			return message{}, fmt.Errorf("read a WebSocket message: it is longer than %d MiB", messageMax>>20)
		}
		if final {
			m.open = false
			return m.partial, nil
		}
	}
}

// fragment reads one frame of the WebSocket protocol.
func (m *messages) fragment() (f message, final bool, err error) {
	head := make([]byte, 2, 14)
	if _, err := io.ReadFull(m.r, head); err != nil {
		return f, false, err
	}
	masked := head[1]&0x80 != 0
	var extended int
	switch head[1] & 0x7f {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	if masked {
		extended += 4
	}
	head = head[:2+extended]
	if _, err := io.ReadFull(m.r, head[2:]); err != nil {
		return f, false, unexpected(err)
	}
	length, mask := headLength(head, masked)
	if length > messageMax {
		return f, false, fmt.Errorf("read a WebSocket message: %d bytes are more than %d MiB", length, messageMax>>20)
	}
	f = message{op: head[0] & 0x0f}
	if f.raw, err = readOn(m.r, head, int(length)); err != nil {
		return f, false, unexpected(err)
	}
	body := f.raw[len(head):]
	f.payload = body
	if masked {
		f.payload = unmask(body, mask)
	}
	return f, head[0]&0x80 != 0, nil
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

// headLength reads the length and the mask of a complete head.
func headLength(head []byte, masked bool) (length uint64, mask []byte) {
	rest := head[2:]
	switch n := head[1] & 0x7f; n {
	case 126:
		length, rest = uint64(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		length, rest = binary.BigEndian.Uint64(rest), rest[8:]
	default:
		length = uint64(n)
	}
	if masked {
		mask = rest[:4]
	}
	return length, mask
}

func unmask(body, mask []byte) []byte {
	out := make([]byte, len(body))
	word := binary.LittleEndian.Uint32(mask)
	wide := uint64(word)<<32 | uint64(word)
	i := 0
	for ; i+8 <= len(body); i += 8 {
		binary.LittleEndian.PutUint64(out[i:], binary.LittleEndian.Uint64(body[i:])^wide)
	}
	for ; i < len(body); i++ {
		out[i] = body[i] ^ mask[i%4]
	}
	return out
}

// unexpected is the error of an end in the middle of something.
func unexpected(err error) error {
	if err == io.EOF { //nolint:errorlint // io.ReadFull returns it bare
		return io.ErrUnexpectedEOF
	}
	return err
}
