package envoy

import (
	"errors"
	"fmt"
)

// What became of a KV or SQL request that has no answer. An error that is
// neither ErrNotSent nor an engine's refusal ([*SQLError], [*KVError]) leaves
// the outcome unknown: so does the end of the request's own context while it
// was in flight.
var (
	// ErrConnectionLost: the connection died while the request was in flight.
	// It may have taken effect.
	ErrConnectionLost = errors.New("the envoy connection was lost while the request was in flight: its outcome is unknown")
	// ErrNotSent: the request never left the runtime. It had no effect.
	ErrNotSent = errors.New("the request was not sent: it had no effect")
	// ErrTxLost: the connection on which the transaction began is gone, and
	// with it the transaction, of which nothing was committed. The statement
	// was not sent.
	ErrTxLost = errors.New("the connection of the transaction is gone: nothing of it was committed")
	// ErrTxDone: the transaction was committed or rolled back before.
	ErrTxDone = errors.New("the transaction is over already")
)

// Causes of the end of a generation's context. See [context.Cause].
var (
	ErrStopped    = errors.New("the generation was stopped")
	ErrSuperseded = errors.New("the engine started a newer generation of the actor")
	ErrClosed     = errors.New("the runtime is closed")
)

// Causes of the end of a connection.
var (
	errEvicted  = errors.New("another process connected under the same envoy key")
	errOverflow = errors.New("the engine does not read: the queue of messages to it is full")
	errCut      = errors.New("the runtime cut the connection, as it was asked to")
)

// SQLError is the engine's refusal of an SQL request, which had no effect.
// Code is empty where the engine gives none.
type SQLError struct{ Group, Code, Message string }

func (e *SQLError) Error() string {
	return fmt.Sprintf("the engine refused the SQL request: %s.%s: %s", e.Group, e.Code, e.Message)
}

// KVError is the engine's refusal of a KV request, which had no effect.
type KVError struct{ Message string }

func (e *KVError) Error() string { return "the engine refused the KV request: " + e.Message }

// CloseError says that the client's side closed a [WebSocket]. Code is 1000
// where it gave none.
type CloseError struct {
	Code   uint16
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("the WebSocket was closed by the client: %d %q", e.Code, e.Reason)
}
