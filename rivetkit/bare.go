package rivetkit

import (
	"encoding/binary"
	"fmt"

	"github.com/killpoint/killpoint/internal/bare"
)

// Version is a version of RivetKit's client protocol. A BARE message begins
// with it, as two bytes, little-endian. Version 4 adds to version 3 which
// actor an error comes from.
type Version uint16

// The versions understood. RivetKit 2.3.x speaks V4 and reads both.
const (
	V3 Version = 3
	V4 Version = 4
)

// readBARE reads a message and its version.
func readBARE(b []byte, visit func(*bare.Codec)) (Version, error) {
	if len(b) < 2 {
		return V4, bare.ErrTruncated
	}
	v := Version(binary.LittleEndian.Uint16(b))
	if v < V3 || v > V4 {
		return V4, fmt.Errorf("client protocol version %d: this end reads %d and %d", v, V3, V4)
	}
	c := bare.NewReader(uint16(v), b[2:])
	visit(c)
	_, err := c.Finish()
	return v, err
}

// writeBARE writes a message with its version in front.
func writeBARE(v Version, visit func(*bare.Codec)) ([]byte, error) {
	c := bare.NewWriter(uint16(v))
	visit(c)
	b, err := c.Finish()
	if err != nil {
		return nil, err
	}
	return append(binary.LittleEndian.AppendUint16(nil, uint16(v)), b...), nil
}

// visitValue visits data that holds a value as CBOR.
func visitValue(c *bare.Codec, field string, p *any) {
	var d []byte
	var err error
	if c.Writing() {
		if d, err = encodeData(*p); err != nil {
			c.Fail(field, err)
		}
	}
	c.Data(field, &d)
	if c.Writing() || !c.OK() {
		return
	}
	if *p, err = decodeData(d); err != nil {
		c.Fail(field, err)
	}
}

// visitError visits an error up to what messages put between.
func visitError(c *bare.Codec, e *Error) {
	c.Str("group", &e.Group)
	c.Str("code", &e.Code)
	c.Str("message", &e.Message)
	has := e.Metadata != nil
	if c.Bool("metadata", &has); has {
		visitValue(c, "metadata", &e.Metadata)
	}
}

// visitActor visits the end of an error.
func visitActor(c *bare.Codec, e *Error) {
	if c.Version >= uint16(V4) {
		bare.OptStruct(c, "actor", &e.Actor, visitActorRef)
	}
}

func visitActorRef(c *bare.Codec, a *ActorRef) {
	c.Str("actorId", &a.ID)
	c.Uint("generation", &a.Generation)
	has := a.Key != ""
	if c.Bool("key", &has); has {
		c.Str("key", &a.Key)
	}
}
