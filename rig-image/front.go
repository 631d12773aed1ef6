package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// The front's ports.
const (
	frontPort    = ":8080" // calls
	frontControl = ":8081" // POST /route?to=HOST:PORT&as=NAME
)

// front is the load balancer before the runtimes: it passes each new call, or
// each new connection, on to the one that it was told last, and leaves what is
// under way where it is. It reports its calls on standard output, as events of a
// history.
type front struct {
	rec history.Recorder

	mu  sync.Mutex
	now route
}

// route is where calls go.
type route struct{ to, as string }

// serveFront is the front within a sandbox: mode is "http" or "tcp".
func serveFront(mode string, out io.Writer) error {
	boot, err := clock.BootID()
	if err != nil {
		return err
	}
	f := &front{rec: history.NewEmitter(out)}
	f.rec.Record("", history.KindClock, &history.Clock{BootID: boot})
	calls, err := net.Listen("tcp", frontPort)
	if err != nil {
		return fmt.Errorf("listen for calls: %w", err)
	}
	control, err := net.Listen("tcp", frontControl)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for routes: %w", err), calls.Close())
	}
	failed := make(chan error, 2)
	go func() { failed <- f.control(control) }()
	go func() {
		if mode == "tcp" {
			failed <- f.forward(calls)
		} else {
			failed <- f.proxy(calls)
		}
	}()
	return sandbox(out, failed)
}

func (f *front) current() route {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *front) control(l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /route", func(w http.ResponseWriter, r *http.Request) {
		next := route{to: r.FormValue("to"), as: r.FormValue("as")}
		if _, _, err := net.SplitHostPort(next.to); err != nil || next.as == "" {
			http.Error(w, "want to=HOST:PORT and as=NAME", http.StatusBadRequest)
			return
		}
		f.mu.Lock()
		f.now = next
		// Within the lock: whoever goes by the new route is written down later.
		f.rec.Record("", history.KindFront, &history.Front{What: "routed", To: next.as})
		f.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}).Serve(l)
}

var errNoRoute = errors.New("the front has no route yet")

// proxy balances calls, as a load balancer of the seventh layer does.
func (f *front) proxy(l net.Listener) error {
	// A connection for each call: one that is kept would add its own failure.
	transport := &http.Transport{DisableKeepAlives: true}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now, begun := f.current(), clock.Now()
		note := func(status int, err error) {
			c := &history.Front{What: "call", To: now.as, Method: r.Method, Path: r.URL.Path, Status: status, TookNS: int64(clock.Now().Sub(begun))}
			if err != nil {
				c.Error = err.Error()
			}
			f.rec.RecordAt(begun, "", history.KindFront, c)
		}
		proxy := httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(&url.URL{Scheme: "http", Host: now.to})
				p.Out.Host = p.In.Host
			},
			Transport:     transport,
			FlushInterval: -1, // the answers are streams
			ErrorLog:      nil,
			ModifyResponse: func(resp *http.Response) error {
				note(resp.StatusCode, nil)
				return nil
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				note(0, err)
				w.WriteHeader(http.StatusBadGateway)
			},
		}
		if now.to == "" {
			note(0, errNoRoute)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	return (&http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}).Serve(l)
}

// forward balances connections, as one of the fourth layer does: whoever keeps a
// connection keeps the runtime at its other end.
func (f *front) forward(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go f.splice(conn)
	}
}

func (f *front) splice(from net.Conn) {
	defer from.Close() //nolint:errcheck // whatever was to be said is said
	now, begun := f.current(), clock.Now()
	note := &history.Front{What: "connection", To: now.as}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", now.to)
	if err != nil {
		note.Error = err.Error()
	}
	f.rec.RecordAt(begun, "", history.KindFront, note)
	if err != nil {
		return
	}
	defer to.Close() //nolint:errcheck // as above
	done := make(chan struct{}, 2)
	half := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src) // a broken half ends as a closed one does
		if c, ok := dst.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
		done <- struct{}{}
	}
	go half(to, from)
	go half(from, to)
	<-done
	<-done
}

// frontCommand runs the front.
func frontCommand(mode string) error {
	if mode != "http" && mode != "tcp" {
		return errUsage
	}
	return serveFront(mode, os.Stdout)
}
