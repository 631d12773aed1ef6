package rivetkit

import (
	"fmt"

	"github.com/killpoint/killpoint/internal/bare"
)

// Messages of a connection, to the server: exactly one field is set.
type toServer struct {
	action    *actionRequest
	subscribe *subscription
}

type actionRequest struct {
	id   uint64
	name string
	args []any
}

type subscription struct {
	event string
	on    bool
}

// Messages of a connection, to the client: exactly one field is set. Tag 3 of
// the protocol, Event, is not used here.
type toClient struct {
	init     *initMessage
	failure  *failure
	response *actionResponse
}

type initMessage struct{ actor, conn string }

// failure of the action id, or of the whole connection if id is nil.
type failure struct {
	err *Error
	id  *uint64
}

type actionResponse struct {
	id     uint64
	output any
}

// Tags of the messages: names in JSON and CBOR, their places in BARE.
const (
	nameInit, tagInit           = "Init", 0
	nameError, tagError         = "Error", 1
	nameResponse, tagResponse   = "ActionResponse", 2
	nameAction, tagAction       = "ActionRequest", 0
	nameSubscribe, tagSubscribe = "SubscriptionRequest", 1
)

func encodeToClient(enc Encoding, ver Version, m toClient) ([]byte, error) {
	if enc == BARE {
		return writeBARE(ver, m.write)
	}
	name, val, err := toClientDoc(enc, m)
	if err != nil {
		return nil, err
	}
	return marshal(enc, envelope(name, val))
}

func envelope(name string, val map[string]any) map[string]any {
	return map[string]any{"body": map[string]any{"tag": name, "val": val}}
}

func (m toClient) write(c *bare.Codec) {
	switch {
	case m.init != nil:
		visitTag(c, tagInit)
		c.Str("actorId", &m.init.actor)
		c.Str("connectionId", &m.init.conn)
	case m.failure != nil:
		visitTag(c, tagError)
		visitError(c, m.failure.err)
		bare.Opt(c, "actionId", &m.failure.id, (*bare.Codec).Uint)
		visitActor(c, m.failure.err)
	case m.response != nil:
		visitTag(c, tagResponse)
		c.Uint("id", &m.response.id)
		visitValue(c, "output", &m.response.output)
	}
}

// visitTag visits the tag of a union, and returns it.
func visitTag(c *bare.Codec, tag uint64) uint64 {
	c.Uint("tag", &tag)
	return tag
}

func toClientDoc(enc Encoding, m toClient) (string, map[string]any, error) {
	switch {
	case m.init != nil:
		return nameInit, map[string]any{"actorId": m.init.actor, "connectionId": m.init.conn}, nil
	case m.failure != nil:
		doc, err := errorDoc(enc, m.failure.err)
		if err != nil {
			return "", nil, err
		}
		doc["actionId"] = nil
		if m.failure.id != nil {
			doc["actionId"] = wireID(*m.failure.id)
		}
		return nameError, doc, nil
	default:
		out, err := tree(enc, m.response.output)
		return nameResponse, map[string]any{"id": wireID(m.response.id), "output": out}, err
	}
}

func decodeToServer(enc Encoding, b []byte) (toServer, Version, error) {
	m, ver, err := decodeToServerAny(enc, b)
	if err != nil {
		return toServer{}, ver, fmt.Errorf("decode the %s message: %w", enc, err)
	}
	return m, ver, nil
}

func decodeToServerAny(enc Encoding, b []byte) (toServer, Version, error) {
	if enc == BARE {
		var m toServer
		ver, err := readBARE(b, m.read)
		return m, ver, err
	}
	name, val, err := openEnvelope(enc, b)
	if err != nil {
		return toServer{}, V4, err
	}
	m, err := toServerFrom(name, val)
	return m, V4, err
}

func openEnvelope(enc Encoding, b []byte) (string, map[string]any, error) {
	v, err := unmarshal(enc, b)
	if err != nil {
		return "", nil, err
	}
	doc, err := object(v)
	if err != nil {
		return "", nil, err
	}
	body, err := field[map[string]any](doc, "body")
	if err != nil {
		return "", nil, err
	}
	name, err := field[string](body, "tag")
	if err != nil {
		return "", nil, err
	}
	val, err := field[map[string]any](body, "val")
	return name, val, err
}

func (m *toServer) read(c *bare.Codec) {
	switch tag := visitTag(c, 0); tag {
	case tagAction:
		m.action = &actionRequest{}
		c.Uint("id", &m.action.id)
		c.Str("name", &m.action.name)
		var args any
		visitValue(c, "args", &args)
		m.action.args = argList(args)
	case tagSubscribe:
		m.subscribe = &subscription{}
		c.Str("eventName", &m.subscribe.event)
		c.Bool("subscribe", &m.subscribe.on)
	default:
		c.Fail("tag", fmt.Errorf("%w to a server: %d", bare.ErrTag, tag))
	}
}

func toServerFrom(name string, val map[string]any) (toServer, error) {
	switch name {
	case nameAction:
		id, err := idFrom(val["id"])
		if err != nil {
			return toServer{}, err
		}
		action, err := field[string](val, "name")
		return toServer{action: &actionRequest{id: id, name: action, args: argList(val["args"])}}, err
	case nameSubscribe:
		event, err := field[string](val, "eventName")
		if err != nil {
			return toServer{}, err
		}
		on, err := field[bool](val, "subscribe")
		return toServer{subscribe: &subscription{event: event, on: on}}, err
	}
	return toServer{}, fmt.Errorf("message tag %.40q is none to a server", name)
}
