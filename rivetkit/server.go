package rivetkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// MaxMessage bounds one request, and one message of a connection, in bytes.
// RivetKit's own bound is 64 KiB; this one lets through the payloads that the
// fixture's actor takes.
const MaxMessage = 8 << 20

// Headers of RivetKit's.
const (
	headerEncoding   = "X-Rivet-Encoding"
	headerParams     = "X-Rivet-Conn-Params"
	headerActor      = "X-Rivet-Actor"
	headerGeneration = "X-Rivet-Actor-Generation"
	headerKey        = "X-Rivet-Actor-Key"
	headerError      = "X-Rivet-Error"
)

// Action answers a call. Its error is sent as it is where it is an *Error,
// and as "actor.internal_error" with its own text otherwise: RivetKit hides
// that text from clients, a test fixture must not.
type Action func(ctx context.Context, args []any) (any, error)

// Server serves an actor's actions to RivetKit clients.
type Server struct {
	// Actor is named in errors and in the headers of every answer.
	Actor   ActorRef
	Actions map[string]Action
}

type paramsKey struct{}

// Params are the connection parameters that the client of the action's call
// gave, nil for none.
func Params(ctx context.Context) any { return ctx.Value(paramsKey{}) }

// ActionName is the action that a request path calls, ok=false where it calls
// none: .../action/NAME.
func ActionName(path string) (name string, ok bool) {
	_, name, ok = strings.Cut(path, "/action/")
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", false
	}
	return name, true
}

// ServeHTTP answers a call by HTTP.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	enc, err := ParseEncoding(r.Header.Get(headerEncoding))
	if err != nil {
		enc = JSON // RivetKit's server takes an encoding it does not know for JSON
	}
	out, ver, err := s.call(enc, w, r)
	if err == nil {
		var body []byte
		if body, err = EncodeResponse(enc, ver, out); err == nil {
			s.write(w, enc, http.StatusOK, body)
			return
		}
	}
	e := s.asError(err)
	body, _ := EncodeError(enc, ver, e) // asError made sure that it can be encoded
	s.write(w, enc, status(e), body)
}

func (s *Server) call(enc Encoding, w http.ResponseWriter, r *http.Request) (any, Version, error) {
	name, ok := ActionName(r.URL.Path)
	if !ok {
		return nil, V4, &Error{Group: "actor", Code: "not_found", Message: "no action at " + r.URL.Path}
	}
	if r.Method != http.MethodPost {
		return nil, V4, &Error{Group: "actor", Code: "method_not_allowed", Message: "call actions with POST, not " + r.Method}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
	if err != nil {
		return nil, V4, bodyError(err)
	}
	args, ver, err := DecodeRequest(enc, body)
	if err != nil {
		return nil, ver, invalid(err)
	}
	params, err := parseParams(r.Header.Get(headerParams))
	if err != nil {
		return nil, ver, invalid(err)
	}
	out, err := s.act(context.WithValue(r.Context(), paramsKey{}, params), name, args)
	return out, ver, err
}

func (s *Server) act(ctx context.Context, name string, args []any) (any, error) {
	action, ok := s.Actions[name]
	if !ok {
		return nil, &Error{Group: "actor", Code: "action_not_found", Message: fmt.Sprintf("action %.80q was not found", name)}
	}
	return action(ctx, args)
}

func bodyError(err error) error {
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return &Error{Group: "message", Code: "incoming_too_long", Message: fmt.Sprintf("the request is longer than %d bytes", MaxMessage)}
	}
	return invalid(fmt.Errorf("read the request: %w", err))
}

func invalid(err error) error {
	return &Error{Group: "actor", Code: "invalid_request", Message: err.Error()}
}

func parseParams(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	v, err := unmarshal(JSON, []byte(s))
	if err != nil {
		return nil, fmt.Errorf("decode the connection parameters: %w", err)
	}
	return v, nil
}

// asError gives any error RivetKit's shape, says whose it is, and makes sure
// that it can be encoded.
func (s *Server) asError(err error) *Error {
	e := &Error{Group: "actor", Code: "internal_error", Message: err.Error()}
	if own := (*Error)(nil); errors.As(err, &own) {
		c := *own
		e = &c
	}
	if e.Actor == nil {
		actor := s.Actor
		e.Actor = &actor
	}
	if _, err := toCompat(e.Metadata, 0); err != nil {
		e.Metadata = nil
		e.Message += fmt.Sprintf(" (its metadata is left out: %v)", err)
	}
	e.Message = strings.ToValidUTF8(e.Message, "\ufffd")
	return e
}

// status is the HTTP status that RivetKit's server gives an error.
func status(e *Error) int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Name() {
	case "auth.forbidden":
		return http.StatusForbidden
	case "actor.action_not_found", "actor.not_found":
		return http.StatusNotFound
	case "actor.action_timed_out":
		return http.StatusRequestTimeout
	case "actor.method_not_allowed":
		return http.StatusMethodNotAllowed
	case "actor.invalid_request", "message.incoming_too_long", "message.outgoing_too_long":
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func (s *Server) write(w http.ResponseWriter, enc Encoding, code int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", enc.contentType())
	h.Set(headerActor, s.Actor.ID)
	h.Set(headerGeneration, strconv.FormatUint(s.Actor.Generation, 10))
	if s.Actor.Key != "" && !strings.ContainsAny(s.Actor.Key, "\r\n") {
		h.Set(headerKey, s.Actor.Key)
	}
	w.WriteHeader(code)
	w.Write(body) //nolint:errcheck // the client is gone: nobody is left to tell
}

// protocol finds the subprotocol with a prefix among those offered.
func protocol(h http.Header, prefix string) string {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(p), prefix); ok {
				return rest
			}
		}
	}
	return ""
}

func connParams(h http.Header) (any, error) {
	raw, err := url.PathUnescape(protocol(h, "rivet_conn_params."))
	if err != nil {
		return nil, fmt.Errorf("decode the connection parameters: %w", err)
	}
	return parseParams(raw)
}
