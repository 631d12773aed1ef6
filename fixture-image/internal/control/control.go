// Package control is the fixture's control channel: what a harness asks of
// the runtime without the engine in between.
package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
)

// Handler serves
//
//	GET  /state                          the State, as JSON
//	GET  /events                         every event from now on, as JSON lines
//	POST /breakpoints/NAME/arm           ?actor=ID&deadline=DURATION, both optional
//	POST /breakpoints/NAME/release       {"released": how many were held}
//	POST /connection/cut                 {"cut": whether there was a connection}
//
// cut ends the runtime's connection to the engine, if there is one.
func Handler(view *View, points *breakpoint.Set, cut func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		s := view.state()
		s.Breakpoints = points.States()
		answer(w, s)
	})
	mux.HandleFunc("GET /events", view.follow)
	mux.HandleFunc("POST /breakpoints/{name}/arm", at(func(w http.ResponseWriter, r *http.Request, n breakpoint.Name) {
		deadline, err := deadlineOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		points.Arm(n, r.URL.Query().Get("actor"), deadline)
		answer(w, struct{}{})
	}))
	mux.HandleFunc("POST /breakpoints/{name}/release", at(func(w http.ResponseWriter, _ *http.Request, n breakpoint.Name) {
		answer(w, map[string]int{"released": points.Release(n)})
	}))
	mux.HandleFunc("POST /connection/cut", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]bool{"cut": cut()})
	})
	return mux
}

func at(f func(http.ResponseWriter, *http.Request, breakpoint.Name)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := breakpoint.Parse(r.PathValue("name"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		f(w, r, n)
	}
}

func deadlineOf(r *http.Request) (time.Duration, error) {
	s := r.URL.Query().Get("deadline")
	if s == "" {
		return breakpoint.DefaultDeadline, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("deadline=%.40q: use a duration above zero, as in 500ms", s)
	}
	return d, nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client is gone: nobody is left to tell
}
