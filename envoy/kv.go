package envoy

import (
	"context"
	"fmt"

	"github.com/killpoint/killpoint/envoy/wire"
)

// KV is an actor's key-value store. The protocol tells the engine no
// generation, so it is the runtime that refuses, with [ErrNotSent], what a
// generation asks for after its end.
type KV struct{ g *generation }

// KVPair is a key with its value.
type KVPair struct{ Key, Value []byte }

// ListOptions choose what [KV.List] lists; the zero value lists everything.
type ListOptions struct {
	// Prefix lists the keys that begin with it. Start and End list a range
	// instead, End included unless Exclusive.
	Prefix     []byte
	Start, End []byte
	Exclusive  bool
	Reverse    bool
	Limit      uint64 // 0: none
}

func (o ListOptions) query() wire.KVQuery {
	switch {
	case o.Start != nil || o.End != nil:
		return wire.KVRange{Start: o.Start, End: o.End, Exclusive: o.Exclusive}
	case o.Prefix != nil:
		return wire.KVPrefix{Key: o.Prefix}
	}
	return wire.KVAll{}
}

// Get reads keys. The values come in the order of the keys, nil where a key
// does not exist.
func (kv *KV) Get(ctx context.Context, keys ...[]byte) ([][]byte, error) {
	res, err := kvCall[wire.KVGetResult](ctx, kv, "get", wire.KVGet{Keys: keys})
	if err != nil {
		return nil, err
	}
	found := make(map[string][]byte, len(res.Keys))
	for i, k := range res.Keys {
		if i < len(res.Values) {
			found[string(k)] = nonNil(res.Values[i])
		}
	}
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = found[string(k)]
	}
	return out, nil
}

// Put writes pairs, all or none.
func (kv *KV) Put(ctx context.Context, pairs ...KVPair) error {
	op := wire.KVPut{}
	for _, p := range pairs {
		op.Keys, op.Values = append(op.Keys, p.Key), append(op.Values, p.Value)
	}
	_, err := kvCall[wire.KVPutResult](ctx, kv, "put", op)
	return err
}

// Delete deletes keys.
func (kv *KV) Delete(ctx context.Context, keys ...[]byte) error {
	_, err := kvCall[wire.KVDeleteResult](ctx, kv, "delete", wire.KVDelete{Keys: keys})
	return err
}

// DeleteRange deletes the keys from start up to, not including, end.
func (kv *KV) DeleteRange(ctx context.Context, start, end []byte) error {
	_, err := kvCall[wire.KVDeleteResult](ctx, kv, "delete range", wire.KVDeleteRange{Start: start, End: end})
	return err
}

// List reads the pairs that o chooses, in the order of their keys.
func (kv *KV) List(ctx context.Context, o ListOptions) ([]KVPair, error) {
	op := wire.KVList{Query: o.query()}
	if o.Reverse {
		op.Reverse = &o.Reverse
	}
	if o.Limit > 0 {
		op.Limit = &o.Limit
	}
	res, err := kvCall[wire.KVListResult](ctx, kv, "list", op)
	if err != nil {
		return nil, err
	}
	if len(res.Keys) != len(res.Values) {
		return nil, fmt.Errorf("kv list: the engine's answer has %d keys but %d values", len(res.Keys), len(res.Values))
	}
	out := make([]KVPair, len(res.Keys))
	for i := range out {
		out[i] = KVPair{Key: res.Keys[i], Value: nonNil(res.Values[i])}
	}
	return out, nil
}

// Drop deletes everything.
func (kv *KV) Drop(ctx context.Context) error {
	_, err := kvCall[wire.KVDropResult](ctx, kv, "drop", wire.KVDrop{})
	return err
}

// kvCall sends one operation and returns its result, of type R.
func kvCall[R wire.KVResult](ctx context.Context, kv *KV, name string, op wire.KVOp) (R, error) {
	var none R
	msg, _, err := kv.g.call(ctx, anySession, func(id uint32) wire.ToEngine {
		return wire.KVRequest{ActorID: kv.g.ID, RequestID: id, Op: op}
	})
	if err != nil {
		return none, fmt.Errorf("kv %s: %w", name, err)
	}
	res, ok := msg.(wire.KVResponse)
	if !ok {
		return none, fmt.Errorf("kv %s: the engine answered with %s", name, wire.Kind(msg))
	}
	switch v := res.Result.(type) {
	case R:
		return v, nil
	case wire.KVError:
		return none, fmt.Errorf("kv %s: %w", name, &KVError{Message: v.Message})
	}
	return none, fmt.Errorf("kv %s: the engine answered with %T", name, res.Result)
}

// nonNil tells an empty value from none.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
