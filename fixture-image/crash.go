package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/history"
)

// crash makes some of the container's lives die as they begin: from the first to
// the last, both counted from 1. The zero value spares all.
type crash struct {
	first, last int
	// onStart: they live until the engine gives them an actor to start, rather than
	// not even to listen.
	onStart bool
}

// parseCrash reads boot:2-6 or start:2-6; "" is none.
func parseCrash(v string) (crash, error) {
	if v == "" {
		return crash{}, nil
	}
	where, lives, _ := strings.Cut(v, ":")
	from, to, _ := strings.Cut(lives, "-")
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if err := errors.Join(err1, err2); err != nil || where != "boot" && where != "start" || first < 1 || last < first {
		return crash{}, fmt.Errorf("%.40q: use boot:FIRST-LAST or start:FIRST-LAST, lives of the container from 1 on", v)
	}
	return crash{first: first, last: last, onStart: where == "start"}, nil
}

// livesFile counts the container's lives, a byte for each: its file system outlives
// its processes.
var livesFile = "/lives"

// due counts this life and says whether it is one that is to die.
func (c crash) due() (bool, error) {
	if c == (crash{}) {
		return false, nil
	}
	f, err := os.OpenFile(livesFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return false, fmt.Errorf("count this life: %w", err)
	}
	_, err = f.Write([]byte{'x'})
	info, serr := f.Stat()
	if err := errors.Join(err, serr, f.Close()); err != nil {
		return false, fmt.Errorf("count this life: %w", err)
	}
	n := int(info.Size())
	return n >= c.first && n <= c.last, nil
}

// atStart has the process die of the first call that gives it an actor.
func (c crash) atStart(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == envoy.BasePath+"/start" {
			// Of a handler's own panic net/http would recover.
			go tellAndPanic("fixture: told to crash when it is given an actor")
			select {}
		}
		h.ServeHTTP(w, r)
	})
}

// tellAndPanic says that the panic was asked for, so that it is not held against
// the fixture.
func tellAndPanic(why string) {
	history.NewEmitter(os.Stdout).Record(party, history.KindShutdown, &history.Shutdown{What: history.ShutdownPanic})
	panic(why)
}
