// Command stub is a runtime that hosts no actor: it answers what the engine
// asks before it places one, and dies as it is told. It is for the tests of
// the rig alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "fail" {
		fmt.Fprintln(os.Stderr, "first words")
		fmt.Fprintln(os.Stderr, "cannot go on: as I was told")
		os.Exit(7)
	}
	boot, err := clock.BootID()
	if err != nil {
		panic(err)
	}
	history.NewEmitter(os.Stdout).Record("", history.KindClock, &history.Clock{BootID: boot})
	burst("begin")
	go serve()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGUSR1)
	for sig := range term {
		if sig == syscall.SIGUSR1 {
			fmt.Println("got SIGUSR1")
			continue
		}
		if os.Getenv("STUB_DEAF") != "" {
			fmt.Println("deaf to SIGTERM")
			continue
		}
		burst("end")
		fmt.Print("last words, without a line end")
		os.Exit(143)
	}
}

// burst writes STUB_LINES numbered lines as fast as it can, by turns to both
// streams.
func burst(when string) {
	n, _ := strconv.Atoi(os.Getenv("STUB_LINES"))
	for i := range n {
		out := os.Stdout
		if i%2 == 1 {
			out = os.Stderr
		}
		fmt.Fprintf(out, "%s %d\n", when, i)
	}
}

func serve() {
	http.HandleFunc("/api/rivet/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) })
	http.HandleFunc("/api/rivet/metadata", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"runtime":"rivetkit","version":"2.3.19","envoyProtocolVersion":6,`+
			`"actorNames":{"stub":{"metadata":{}}},"envoy":{"kind":{"serverless":{}},"version":1}}`)
	})
	http.HandleFunc("/resolve", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		addrs, err := net.DefaultResolver.LookupHost(ctx, r.URL.Query().Get("name"))
		fmt.Fprint(w, addrs, err)
	})
	http.HandleFunc("/connect", func(w http.ResponseWriter, r *http.Request) {
		conn, err := net.DialTimeout("tcp", r.URL.Query().Get("to"), 3*time.Second)
		if err == nil {
			conn.Close()
		}
		fmt.Fprint(w, errors.Is(err, syscall.ENETUNREACH), " ", err)
	})
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}
