package envoy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/killpoint/killpoint/envoy/wire"
)

// BasePath is where the serverless side is served.
const BasePath = "/api/rivet"

const (
	// maxStart bounds the body of POST /start, which carries the actor's
	// input and preloaded KV.
	maxStart = 16 << 20
	// pingStale is the age of the engine's last ping above which /health says
	// that the runtime is not well, as RivetKit's does.
	pingStale = 20 * time.Second
)

// Handler serves the engine's calls under [BasePath]: GET health, GET metadata
// and POST start.
func (r *Runtime) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+BasePath+"/health", r.serveHealth)
	mux.HandleFunc("GET "+BasePath+"/metadata", r.serveMetadata)
	mux.HandleFunc("POST "+BasePath+"/start", r.serveStart)
	return mux
}

func (r *Runtime) serveHealth(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	stale := r.conn.sessions > 0 && time.Since(r.conn.pinged) > pingStale
	r.mu.Unlock()
	status, word := http.StatusOK, "ok"
	if stale {
		status, word = http.StatusServiceUnavailable, "engine_ping_stale"
	}
	writeJSON(w, status, map[string]any{"status": word, "runtime": "rivetkit", "version": runtimeVersion})
}

// runtimeVersion is what the engine is told where RivetKit names its release.
const runtimeVersion = "killpoint"

func (r *Runtime) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	names := map[string]any{}
	for _, name := range r.cfg.ActorName {
		names[name] = map[string]any{"metadata": map[string]any{}}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"runtime":              "rivetkit",
		"version":              runtimeVersion,
		"envoyProtocolVersion": r.cfg.Protocol,
		"actorNames":           names,
		"envoy":                map[string]any{"kind": map[string]any{"serverless": map[string]any{}}, "version": r.cfg.Version},
	})
}

// serveStart takes a start command and keeps the engine company until that
// generation has ended.
func (r *Runtime) serveStart(w http.ResponseWriter, req *http.Request) {
	cp, start, err := r.readStart(w, req)
	if err != nil {
		refuseStart(w, err)
		return
	}
	r.starts.add()
	defer r.starts.done()
	if err := r.connect(); err != nil {
		refuseStart(w, &startError{"registry", "shut_down", err})
		return
	}
	r.startCommand(cp, start, "http")
	r.ackAtOnce()
	r.stream(w, req, r.generation(generationID{cp.ActorID, cp.Generation}))
}

// startError is a refusal of POST /start, in RivetKit's shape.
type startError struct {
	group, code string
	err         error
}

func (e *startError) Error() string { return e.err.Error() }

func (e *startError) Unwrap() error { return e.err }

func invalid(format string, args ...any) error {
	return &startError{"request", "invalid", fmt.Errorf(format, args...)}
}

func refuseStart(w http.ResponseWriter, err error) {
	group, code := "request", "invalid"
	var known *startError
	if errors.As(err, &known) {
		group, code = known.group, known.code
	}
	writeJSON(w, http.StatusBadRequest, map[string]any{"group": group, "code": code, "message": err.Error(), "metadata": nil})
}

func (r *Runtime) readStart(w http.ResponseWriter, req *http.Request) (cp wire.Checkpoint, start wire.StartActor, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxStart))
	if err != nil {
		return cp, start, &startError{"message", "incoming_too_long", fmt.Errorf("read the body of the start: %w", err)}
	}
	_, msg, err := wire.DecodeStart(body)
	if err != nil {
		return cp, start, invalid("read the start command: %w", err)
	}
	cs, ok := msg.(wire.Commands)
	if !ok || len(cs) != 1 {
		return cp, start, invalid("read the start command: a single command is wanted, this is %s with %d", wire.Kind(msg), len(cs))
	}
	start, ok = cs[0].Body.(wire.StartActor)
	if !ok {
		return cp, start, invalid("read the start command: this is %T", cs[0].Body)
	}
	return cs[0].Checkpoint, start, r.identify(req.Header)
}

// identify takes over from the first start what the configuration leaves
// open, and refuses one that belongs elsewhere.
func (r *Runtime) identify(h http.Header) error {
	said := identity{h.Get("X-Rivet-Endpoint"), h.Get("X-Rivet-Namespace-Name"), h.Get("X-Rivet-Pool-Name"), h.Get("X-Rivet-Token")}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.id
	for _, f := range []struct {
		name       string
		have, said *string
	}{
		{"x-rivet-namespace-name", &id.namespace, &said.namespace},
		{"x-rivet-pool-name", &id.pool, &said.pool},
	} {
		if *f.said == "" {
			return invalid("read the start command: the header %s is required", f.name)
		}
		if *f.have != "" && *f.have != *f.said {
			return &startError{"config", "mismatch", fmt.Errorf("%s: expected %q, received %q", f.name, *f.have, *f.said)}
		}
		*f.have = *f.said
	}
	return r.identifyEndpoint(id, said)
}

func (r *Runtime) identifyEndpoint(id, said identity) error {
	if id.token == "" {
		id.token = said.token
	}
	switch {
	case r.cfg.Endpoint != "":
	case said.endpoint == "":
		return invalid("read the start command: the header x-rivet-endpoint is required")
	case id.endpoint != "" && !sameEndpoint(id.endpoint, said.endpoint):
		return &startError{"config", "endpoint_mismatch", fmt.Errorf("x-rivet-endpoint: expected %q, received %q", id.endpoint, said.endpoint)}
	default:
		if _, err := websocketURL(said.endpoint); err != nil {
			return invalid("read the start command: x-rivet-endpoint: %w", err)
		}
		id.endpoint = said.endpoint
	}
	r.id = id
	return nil
}

func sameEndpoint(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ua.Scheme == ub.Scheme && ua.Host == ub.Host &&
		strings.TrimSuffix(ua.Path, "/") == strings.TrimSuffix(ub.Path, "/")
}

// stream is the answer to a start: a ping at once and every second, and word
// of the generation's end. g is nil where that has ended already.
func (r *Runtime) stream(w http.ResponseWriter, req *http.Request, g *generation) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	sse := &sseWriter{w: w, flush: http.NewResponseController(w)}
	sse.event("ping")
	if g == nil {
		sse.event("stopping")
		return
	}
	ticker := time.NewTicker(r.cfg.times.ssePing)
	defer ticker.Stop()
	for sse.err == nil {
		select {
		case <-ticker.C:
			sse.event("ping")
		case <-g.ended:
			sse.event("stopping")
			return
		case <-req.Context().Done():
			return
		case <-r.ctx.Done():
			return
		}
	}
}

// sseWriter writes server-sent events until one cannot be written.
type sseWriter struct {
	w     io.Writer
	flush *http.ResponseController
	err   error
}

func (s *sseWriter) event(name string) {
	if _, s.err = fmt.Fprintf(s.w, "event: %s\ndata:\n\n", name); s.err == nil {
		s.err = s.flush.Flush()
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client has gone
}
