package reaper

import (
	"encoding/binary"
	"io"
)

// demuxer reads the payload of an attached container's output and error streams,
// in the order of their arrival. Docker puts eight bytes before each piece: the
// stream, three zeros, and the length, big-endian. (stdcopy would do this with a
// goroutine and a pipe.)
type demuxer struct {
	src  io.Reader
	left uint32 // bytes of the present piece
}

func (d *demuxer) Read(p []byte) (int, error) {
	for d.left == 0 {
		var head [8]byte
		if _, err := io.ReadFull(d.src, head[:]); err != nil {
			return 0, err
		}
		d.left = binary.BigEndian.Uint32(head[4:])
	}
	n, err := d.src.Read(p[:min(len(p), int(d.left))])
	d.left -= uint32(n)
	return n, err
}
