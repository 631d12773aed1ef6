package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

// backend answers with its name, and to /stream with its name whenever it is
// told to go on.
func backend(t *testing.T, name string) (addr string, more chan struct{}) {
	t.Helper()
	more = make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, name) // its reader finds what is missing
		if r.URL.Path != "/stream" {
			return
		}
		w.(http.Flusher).Flush()
		<-more
		_, _ = fmt.Fprintln(w, name) // its reader finds what is missing
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), more
}

// lines is an output that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) events() (out []*history.Front) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.b.Bytes()) {
		if e, ok := history.ParseEvent(line); ok {
			out = append(out, e.Body.(*history.Front))
		}
	}
	return out
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func routeTo(t *testing.T, control net.Listener, to, as string) int {
	t.Helper()
	resp, err := http.Post("http://"+control.Addr().String()+"/route?"+url.Values{"to": {to}, "as": {as}}.Encode(), "", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// Whatever is under way stays where it is; what is new goes where the front was
// told last: each call by one front, each connection by the other.
func TestFrontRoutes(t *testing.T) {
	for _, mode := range []string{"http", "tcp"} {
		t.Run(mode, func(t *testing.T) {
			out := &lines{}
			f := &front{rec: history.NewEmitter(out)}
			calls, control := listen(t), listen(t)
			go f.control(control) //nolint:errcheck // ends with its listener
			if mode == "tcp" {
				go f.forward(calls) //nolint:errcheck // as above
			} else {
				go f.proxy(calls) //nolint:errcheck // as above
			}
			old, more := backend(t, "old")
			young, _ := backend(t, "young")
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			get := func(path string) (*http.Response, error) {
				return client.Get("http://" + calls.Addr().String() + path)
			}
			require.Equal(t, http.StatusBadRequest, routeTo(t, control, "nowhere", "x"))
			require.Equal(t, http.StatusNoContent, routeTo(t, control, old, "runtime#1"))
			streaming, err := get("/stream")
			require.NoError(t, err)
			in := bufio.NewReader(streaming.Body)
			first, err := in.ReadString('\n')
			require.NoError(t, err)

			require.Equal(t, http.StatusNoContent, routeTo(t, control, young, "runtime#2"))
			resp, err := get("/")
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, "young\n", string(body))
			close(more)
			rest, err := io.ReadAll(in)
			require.NoError(t, err)
			require.NoError(t, streaming.Body.Close())
			assert.Equal(t, "old\nold\n", first+string(rest))

			require.Equal(t, http.StatusNoContent, routeTo(t, control, "127.0.0.1:1", "runtime#3"))
			resp, err = get("/")
			if mode == "http" {
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, http.StatusBadGateway, resp.StatusCode)
			} else {
				require.Error(t, err)
			}
			var said []string
			for _, e := range out.events() {
				said = append(said, fmt.Sprintf("%s %s %s %v", e.What, e.To, e.Path, e.Error != ""))
			}
			want := []string{
				"routed runtime#1  false", "call runtime#1 /stream false",
				"routed runtime#2  false", "call runtime#2 / false",
				"routed runtime#3  false", "call runtime#3 / true",
			}
			if mode == "tcp" {
				want = []string{
					"routed runtime#1  false", "connection runtime#1  false",
					"routed runtime#2  false", "connection runtime#2  false",
					"routed runtime#3  false", "connection runtime#3  true",
				}
			}
			assert.Equal(t, want, said)
		})
	}
}
