package rivetkit

import (
	"fmt"

	"github.com/killpoint/killpoint/internal/bare"
)

// ActorRef says which actor answered.
type ActorRef struct {
	ID         string
	Generation uint64
	// Key is the actor's key as one text, "" where it has none.
	Key string
}

// Error is an error that the actor, the runtime or the engine's gateway
// answered with, as RivetKit's clients see it.
type Error struct {
	// Group and Code name the error: "user" is the group of an action's own.
	Group, Code string
	Message     string
	// Metadata is any value of RivetKit's, nil for none.
	Metadata any
	// Actor is who said so, where the other end tells.
	Actor *ActorRef
	// Status is the HTTP status it came with, 0 on a connection.
	Status int
}

func (e *Error) Error() string { return fmt.Sprintf("%s.%s: %s", e.Group, e.Code, e.Message) }

// Name is group and code in one, as the history writes it.
func (e *Error) Name() string { return e.Group + "." + e.Code }

// EncodeRequest is the body of a call by HTTP.
func EncodeRequest(enc Encoding, v Version, args []any) ([]byte, error) {
	return encodeOne(enc, v, "args", anyList(args))
}

// DecodeRequest reads the body of a call by HTTP, and the version its sender
// speaks (V4 where the encoding does not say).
func DecodeRequest(enc Encoding, b []byte) ([]any, Version, error) {
	v, ver, err := decodeOne(enc, "args", b)
	if err != nil {
		return nil, ver, fmt.Errorf("decode the %s request: %w", enc, err)
	}
	return argList(v), ver, nil
}

// EncodeResponse is the body of a good answer by HTTP.
func EncodeResponse(enc Encoding, v Version, output any) ([]byte, error) {
	return encodeOne(enc, v, "output", output)
}

// DecodeResponse reads the body of a good answer by HTTP.
func DecodeResponse(enc Encoding, b []byte) (any, error) {
	v, _, err := decodeOne(enc, "output", b)
	if err != nil {
		return nil, fmt.Errorf("decode the %s response: %w", enc, err)
	}
	return v, nil
}

// anyList keeps nil arguments from being written as null.
func anyList(args []any) []any {
	if args == nil {
		return []any{}
	}
	return args
}

// argList is lenient in the way RivetKit's server is: nothing means no
// argument, and what is no list is the only argument.
func argList(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// encodeOne writes a message of one value.
func encodeOne(enc Encoding, ver Version, name string, value any) ([]byte, error) {
	if enc == BARE {
		return writeBARE(ver, func(c *bare.Codec) { visitValue(c, name, &value) })
	}
	t, err := tree(enc, value)
	if err != nil {
		return nil, err
	}
	return marshal(enc, map[string]any{name: t})
}

func decodeOne(enc Encoding, name string, b []byte) (any, Version, error) {
	if enc == BARE {
		var v any
		ver, err := readBARE(b, func(c *bare.Codec) { visitValue(c, name, &v) })
		return v, ver, err
	}
	v, err := unmarshal(enc, b)
	if err != nil {
		return nil, V4, err
	}
	doc, err := object(v)
	if err != nil {
		return nil, V4, err
	}
	return doc[name], V4, nil
}

// EncodeError is the body of an error by HTTP.
func EncodeError(enc Encoding, v Version, e *Error) ([]byte, error) {
	if enc == BARE {
		return writeBARE(v, func(c *bare.Codec) { visitError(c, e); visitActor(c, e) })
	}
	doc, err := errorDoc(enc, e)
	if err != nil {
		return nil, err
	}
	return marshal(enc, doc)
}

// DecodeError reads the body of an error by HTTP.
func DecodeError(enc Encoding, b []byte) (*Error, error) {
	if enc == BARE {
		e := &Error{}
		_, err := readBARE(b, func(c *bare.Codec) { visitError(c, e); visitActor(c, e) })
		return e, err
	}
	v, err := unmarshal(enc, b)
	if err != nil {
		return nil, err
	}
	return errorFrom(v)
}

func errorDoc(enc Encoding, e *Error) (map[string]any, error) {
	doc := map[string]any{"group": e.Group, "code": e.Code, "message": e.Message}
	if e.Metadata != nil {
		m, err := tree(enc, e.Metadata)
		if err != nil {
			return nil, err
		}
		doc["metadata"] = m
	}
	if e.Actor != nil {
		a := map[string]any{"actorId": e.Actor.ID, "generation": e.Actor.Generation}
		if e.Actor.Key != "" {
			a["key"] = e.Actor.Key
		}
		doc["actor"] = a
	}
	return doc, nil
}

func errorFrom(v any) (*Error, error) {
	doc, err := object(v)
	if err != nil {
		return nil, err
	}
	e := &Error{Metadata: doc["metadata"]}
	if e.Group, err = field[string](doc, "group"); err != nil {
		return nil, err
	}
	if e.Code, err = field[string](doc, "code"); err != nil {
		return nil, err
	}
	if e.Message, err = field[string](doc, "message"); err != nil {
		return nil, err
	}
	if a, ok := doc["actor"].(map[string]any); ok {
		e.Actor, err = actorFrom(a)
	}
	return e, err
}

func actorFrom(doc map[string]any) (*ActorRef, error) {
	id, err := field[string](doc, "actorId")
	if err != nil {
		return nil, err
	}
	gen, err := idFrom(doc["generation"])
	if err != nil {
		return nil, fmt.Errorf("generation: %w", err)
	}
	key, _ := doc["key"].(string)
	return &ActorRef{ID: id, Generation: gen, Key: key}, nil
}
