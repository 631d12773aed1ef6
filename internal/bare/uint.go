package bare

import "encoding/binary"

// Uint visits a uint: an unsigned LEB128 number.
func (c *Codec) Uint(field string, p *uint64) {
	if c.writing {
		c.buf = binary.AppendUvarint(c.buf, *p)
		return
	}
	*p = c.uvarint(field)
}
