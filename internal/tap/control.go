package tap

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/clock"
)

// Status is the tap at one moment.
type Status struct {
	Now    clock.Mono `json:"now"`
	Frames uint64     `json:"frames"` // so far
	// Connections are those that are open, by wire.
	Connections map[Wire]int      `json:"connections"`
	Rules       []Outcome         `json:"rules"`
	Targets     map[string]Target `json:"targets"` // that can be struck
}

// Status says how it is now.
func (t *Tap) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{Now: clock.Now(), Frames: t.frames, Connections: map[Wire]int{}, Rules: []Outcome{}, Targets: map[string]Target{}}
	for l := range t.links {
		s.Connections[l.wire]++
	}
	for _, a := range t.rules {
		s.Rules = append(s.Rules, a.out)
	}
	sort.Slice(s.Rules, func(i, j int) bool { return s.Rules[i].ID < s.Rules[j].ID })
	for role, g := range t.targets {
		if g.alive() {
			s.Targets[role] = g.Target
		}
	}
	return s
}

// Cut ends all connections of a wire, or of all where it is "", without a close
// frame, and counts them.
func (t *Tap) Cut(w Wire) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for l := range t.links {
		if (w == "" || l.wire == w) && l.dead == nil {
			l.closeLocked()
			n++
		}
	}
	return n
}

// waitMax bounds a long poll.
const waitMax = time.Minute

// Await returns the rule's outcome when its state is another than not, or
// final, or when the wait is over.
func (t *Tap) Await(done <-chan struct{}, id string, not State, wait time.Duration) (Outcome, error) {
	timer := time.NewTimer(min(wait, waitMax))
	defer timer.Stop()
	for {
		t.mu.Lock()
		a, changed := t.rules[id], t.changed
		if a == nil {
			t.mu.Unlock()
			return Outcome{}, &UnknownRuleError{id}
		}
		out := a.out
		t.mu.Unlock()
		if out.State != not || out.State.Final() {
			return out, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return out, nil
		case <-done:
			return out, nil
		case <-t.ctx.Done():
			return out, errClosed
		}
	}
}

// controlHandler serves what the README of wiretap-image documents.
func (t *Tap) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { reply(w, t.Status(), nil) })
	mux.HandleFunc("PUT /targets/{role}", taking(func(r *http.Request, to Target) (any, error) {
		return struct{}{}, t.Announce(r.PathValue("role"), to)
	}))
	mux.HandleFunc("DELETE /targets/{role}", func(w http.ResponseWriter, r *http.Request) {
		t.Withdraw(r.PathValue("role"))
		reply(w, struct{}{}, nil)
	})
	mux.HandleFunc("PUT /rules/{id}", taking(func(r *http.Request, rule Rule) (any, error) {
		rule.ID = r.PathValue("id")
		return struct{}{}, t.Arm(rule)
	}))
	mux.HandleFunc("GET /rules/{id}", func(w http.ResponseWriter, r *http.Request) {
		wait, err := waitOf(r)
		if err != nil {
			reply(w, nil, err)
			return
		}
		out, err := t.Await(r.Context().Done(), r.PathValue("id"), State(r.URL.Query().Get("not")), wait)
		reply(w, out, err)
	})
	mux.HandleFunc("POST /rules/{id}/release", func(w http.ResponseWriter, r *http.Request) {
		out, err := t.Release(r.PathValue("id"), Held(r.URL.Query().Get("held")))
		reply(w, out, err)
	})
	mux.HandleFunc("DELETE /rules/{id}", func(w http.ResponseWriter, r *http.Request) {
		out, err := t.Disarm(r.PathValue("id"))
		reply(w, out, err)
	})
	mux.HandleFunc("POST /strike", taking(func(_ *http.Request, s Strike) (any, error) { return t.Strike(s) }))
	mux.HandleFunc("POST /connections/cut", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]int{"cut": t.Cut(Wire(r.URL.Query().Get("wire")))}, nil)
	})
	return t.guarded(mux)
}

// guarded lets through who knows the token.
func (t *Tap) guarded(next http.Handler) http.Handler {
	want := []byte("Bearer " + t.cfg.Token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "the control port takes calls with the run's token only: send it as Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// taking reads the JSON that a call brings. A field that there is not is a slip.
func taking[T any](do func(*http.Request, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v T
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			reply(w, nil, fmt.Errorf("read the call: %w", err))
			return
		}
		out, err := do(r, v)
		reply(w, out, err)
	}
}

func waitOf(r *http.Request) (time.Duration, error) {
	s := r.URL.Query().Get("wait")
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("wait=%.40q: use a duration, as in 5s", s)
	}
	return d, nil
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		status := http.StatusBadRequest
		var unknown *UnknownRuleError
		switch {
		case errors.As(err, &unknown):
			status = http.StatusNotFound
		case errors.Is(err, errClosed):
			status = http.StatusServiceUnavailable
		}
		// One line, however many mistakes.
		http.Error(w, strings.ReplaceAll(err.Error(), "\n", "; "), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the caller is gone: nobody is left to tell
}
