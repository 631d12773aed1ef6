package counter

import (
	"context"
	"errors"
	"fmt"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/rivetkit"
)

// userPrefix keeps a caller's keys apart from the heartbeat's.
const userPrefix = "user/"

// kvPut(key, value): sets a key of the actor's key-value store.
func (a *Actor) kvPut(ctx context.Context, args []any) (any, error) {
	texts, err := textArgs(args, "key", "value")
	if err != nil {
		return nil, err
	}
	err = a.deps.kv.Put(ctx, envoy.KVPair{Key: []byte(userPrefix + texts[0]), Value: []byte(texts[1])})
	// The caller may be gone: what the actor knows is written down here.
	a.note("kv-put", texts[1], err)
	if err != nil {
		return nil, kvError(err)
	}
	return map[string]any{"key": texts[0], "generation": a.deps.id.Generation}, nil
}

// kvGet(key): its value, or null.
func (a *Actor) kvGet(ctx context.Context, args []any) (any, error) {
	texts, err := textArgs(args, "key")
	if err != nil {
		return nil, err
	}
	values, err := a.deps.kv.Get(ctx, []byte(userPrefix+texts[0]))
	if err != nil {
		return nil, fmt.Errorf("read key %.40q: %w", texts[0], err)
	}
	if len(values) != 1 || values[0] == nil {
		return nil, nil
	}
	return string(values[0]), nil
}

// kvError tells a client by its code what it may conclude of a put.
func kvError(err error) error {
	e := &rivetkit.Error{Group: "user", Code: "outcome_unknown", Message: err.Error()}
	var refused *envoy.KVError
	if errors.Is(err, envoy.ErrNotSent) || errors.As(err, &refused) {
		e.Code = "not_applied"
	}
	return e
}

// textArgs are the texts that an action takes, by their names.
func textArgs(args []any, names ...string) ([]string, error) {
	texts := make([]string, len(names))
	for i, name := range names {
		var ok bool
		if i < len(args) {
			texts[i], ok = args[i].(string)
		}
		if !ok || texts[i] == "" || len(texts[i]) > maxOp {
			return nil, &rivetkit.Error{Group: "actor", Code: "invalid_request", Message: fmt.Sprintf("the %s, argument %d, must be a text of 1 to %d bytes", name, i+1, maxOp)}
		}
	}
	return texts, nil
}
