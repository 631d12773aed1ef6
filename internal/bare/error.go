package bare

import (
	"errors"
	"fmt"
)

// What an [Error] wraps.
var (
	ErrTruncated = errors.New("input ends inside the field")
	ErrTrailing  = errors.New("bytes follow the message")
	ErrTag       = errors.New("unknown tag")
	ErrTooLong   = errors.New("length exceeds what the rest of the input can hold")
	ErrUTF8      = errors.New("string is not UTF-8")
	ErrBool      = errors.New("bool is neither 0 nor 1")
	ErrVarint    = errors.New("varint is over-long or exceeds 64 bits")
	ErrMissing   = errors.New("not exactly one variant is set")
	ErrVersion   = errors.New("not in this version of the protocol")
)

// Error says where reading or writing failed.
type Error struct {
	Offset int    // of the field, in bytes from the start
	Field  string // its path, as in "commands[2].start.key"; "" for the message's own tag
	Err    error  // one of the Err variables, possibly wrapped
}

func (e *Error) Error() string {
	field := e.Field
	if field == "" {
		field = "message"
	}
	return fmt.Sprintf("%s at byte %d: %v", field, e.Offset, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
