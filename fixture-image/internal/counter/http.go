package counter

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/rivetkit"
)

// Headers of every answer.
const (
	headerActor      = "X-Killpoint-Actor"
	headerGeneration = "X-Killpoint-Generation"
)

// ServeHTTP answers the actor's requests. RivetKit's raw requests come under
// /request; here it makes no difference.
func (a *Actor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer a.idle.begin()()
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/request"); ok && (rest == "" || rest[0] == '/') {
		path = rest
	}
	a.note("request", r.Method+" "+path, nil)
	w.Header().Set(headerActor, a.deps.id.Actor)
	w.Header().Set(headerGeneration, strconv.FormatUint(uint64(a.deps.id.Generation), 10))
	_, isAction := rivetkit.ActionName(path)
	switch {
	case isAction:
		a.server.ServeHTTP(w, r)
	case path == "/health" && r.Method == http.MethodGet:
		a.health(w)
	case path == "/stream" && r.Method == http.MethodGet:
		a.stream(w, r)
	default:
		a.server.ServeHTTP(w, r) // says that there is nothing, in RivetKit's words
	}
}

// health says who is there. It touches no database, so that it answers
// wherever the actor runs at all.
func (a *Actor) health(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct { //nolint:errcheck // the client is gone: nobody is left to tell
		OK bool `json:"ok"`
		Identity
	}{true, a.deps.id})
}

// Bounds of a stream.
const (
	maxChunks   = 100_000
	maxInterval = time.Minute
)

// stream answers with a number of chunks, "chunk 1\n" and so on, each flushed,
// with a pause after each but the last: /stream?chunks=N&interval=MS. The
// breakpoint mid-stream comes before the first pause.
func (a *Actor) stream(w http.ResponseWriter, r *http.Request) {
	chunks, err := queryInt(r, "chunks", 10, maxChunks)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ms, err := queryInt(r, "interval", 100, int(maxInterval/time.Millisecond))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !a.chunks(r.Context(), w, chunks, time.Duration(ms)*time.Millisecond) {
		// To return would end the answer as if it were whole.
		panic(http.ErrAbortHandler)
	}
}

// chunks writes all of them, or as many as it can before the client is gone or
// the generation ends; it is false then.
func (a *Actor) chunks(ctx context.Context, w http.ResponseWriter, chunks int, pause time.Duration) bool {
	out := http.NewResponseController(w)
	for i := 1; i <= chunks; i++ {
		if _, err := fmt.Fprintf(w, "chunk %d\n", i); err != nil {
			return false
		}
		if err := out.Flush(); err != nil {
			return false
		}
		if i < chunks && !a.between(ctx, i, pause) {
			return false
		}
	}
	return true
}

// between is what comes after chunk i, which is not the last. It is false where
// the client is gone.
func (a *Actor) between(ctx context.Context, i int, pause time.Duration) bool {
	if i == 1 && a.reach(ctx, breakpoint.MidStream) != nil {
		return false
	}
	// The pause is what is asked for, not a wait for an event.
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func queryInt(r *http.Request, name string, otherwise, most int) (int, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s=%.40q: use a number from 0 to %d", name, s, most)
	}
	return n, nil
}
