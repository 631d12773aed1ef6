package tap

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/internal/pidfd"
)

// echo answers each request of the runtime, as an engine that takes no time.
func echo(b *testing.B) string {
	up := websocket.Upgrader{Subprotocols: []string{"rivet"}, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize}
	answer := executed(b, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ws, err := up.Upgrade(w, req, nil)
		if err != nil {
			return
		}
		defer ws.Close() //nolint:errcheck // the benchmark is over
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			if len(data) > 0 && data[0] != silent && ws.WriteMessage(websocket.BinaryMessage, answer) != nil {
				return
			}
		}
	}))
	b.Cleanup(srv.Close)
	return host(srv.URL)
}

// silent is the tag of frames that the echo does not answer: Stopping's.
const silent = 3

// start has a tap before the engine, and before nothing else.
func start(b *testing.B, engine string) *Tap {
	t, err := Start(Config{
		Envoy: "127.0.0.1:0", Serverless: "127.0.0.1:0", Control: "127.0.0.1:0", Engine: engine, Runtime: "127.0.0.1:1",
		Token: token, Out: io.Discard, open: func(to Target) (process, error) { return pidfd.Hold(to.PID) },
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, t.Close()) })
	return t
}

func dialBench(b *testing.B, addr string) *websocket.Conn {
	d := websocket.Dialer{Subprotocols: []string{"rivet"}, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize}
	ws, _, err := d.Dial("ws://"+addr+connectPath, nil)
	require.NoError(b, err)
	b.Cleanup(func() { ws.Close() }) //nolint:errcheck // the benchmark is over
	return ws
}

// eachWay runs a benchmark without the tap, with it, and with it while eight
// rules wait for frames that do not come.
func eachWay(b *testing.B, run func(b *testing.B, addr string)) {
	b.Run("direct", func(b *testing.B) { run(b, echo(b)) })
	b.Run("tap", func(b *testing.B) { run(b, start(b, echo(b)).Addresses().Envoy) })
	b.Run("tap, 8 rules", func(b *testing.B) {
		t := start(b, echo(b))
		for i := range 8 {
			require.NoError(b, t.Arm(Rule{ID: fmt.Sprint(i), Match: Match{Type: "exec-request", Detail: "commit", Key: "k"}, When: Before, Do: DoHold}))
		}
		run(b, t.Addresses().Envoy)
	})
}

// BenchmarkRoundTrip is a request and its answer, one after the other: two
// frames. The tap's latency per frame is half of what it adds.
func BenchmarkRoundTrip(b *testing.B) {
	eachWay(b, func(b *testing.B, addr string) {
		ws := dialBench(b, addr)
		request := exec_(b, 1, "5jhphmkvhi0eqwh0taokw5fyd4cl00", "INSERT INTO events VALUES (1, 2, 3)")
		var took []time.Duration
		for b.Loop() {
			begun := clock.Now()
			if ws.WriteMessage(websocket.BinaryMessage, request) != nil {
				b.Fatal("the connection ended")
			}
			if _, _, err := ws.ReadMessage(); err != nil {
				b.Fatal(err)
			}
			took = append(took, clock.Now().Sub(begun))
		}
		percentiles(b, "", took)
	})
}

// BenchmarkThroughput sends frames as fast as they are taken; the last is
// answered.
func BenchmarkThroughput(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			eachWay(b, func(b *testing.B, addr string) {
				ws := dialBench(b, addr)
				frame := make([]byte, size)
				frame[0] = silent
				b.SetBytes(int64(size))
				for b.Loop() {
					if ws.WriteMessage(websocket.BinaryMessage, frame) != nil {
						b.Fatal("the connection ended")
					}
				}
				if ws.WriteMessage(websocket.BinaryMessage, exec_(b, 1, "a", "COMMIT")) != nil {
					b.Fatal("the connection ended")
				}
				if _, _, err := ws.ReadMessage(); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkStrike is the way from a frame's arrival to the signal, to a process
// that dies of it: a new one each time, which is not part of ns/op's meaning
// here. The figures are p50 and p99.
func BenchmarkStrike(b *testing.B) {
	t := start(b, echo(b))
	var toSignal, call, toDeath []time.Duration
	for b.Loop() {
		v := spawn(b, "sleeper")
		require.NoError(b, t.Announce("engine", Target{PID: v.cmd.Process.Pid, Party: "engine#1"}))
		require.NoError(b, t.Arm(Rule{ID: "k", Match: Match{Type: "exec-request", Detail: "commit"}, When: Before, Do: DoStrike, Strike: kill("engine", Drop)}))
		ws := dialBench(b, t.Addresses().Envoy)
		require.NoError(b, ws.WriteMessage(websocket.BinaryMessage, exec_(b, 1, "a", "COMMIT")))
		out := awaitRule(b, t, "k")
		toSignal = append(toSignal, out.SignalT.Sub(out.ArrivedT))
		call = append(call, out.SignaledT.Sub(out.SignalT))
		toDeath = append(toDeath, out.DiedT.Sub(out.SignalT))
	}
	percentiles(b, "to-signal-", toSignal)
	percentiles(b, "call-", call)
	percentiles(b, "to-death-", toDeath)
}

func awaitRule(b *testing.B, t *Tap, id string) Outcome {
	_, err := t.Await(nil, id, Armed, patience)
	require.NoError(b, err)
	out, err := t.Await(nil, id, Reached, patience)
	require.NoError(b, err)
	require.Equal(b, Done, out.State, out.Error)
	return out
}

func percentiles(b *testing.B, prefix string, took []time.Duration) {
	slices.Sort(took)
	us := func(share float64) float64 {
		return float64(took[min(len(took)-1, int(share*float64(len(took))))].Nanoseconds()) / 1000
	}
	b.ReportMetric(us(0.5), prefix+"p50-us")
	b.ReportMetric(us(0.99), prefix+"p99-us")
}

// BenchmarkDecode is what the tap does to tell what a frame is.
func BenchmarkDecode(b *testing.B) {
	d := newAcquaintance().dialogue(wire.V6)
	request := exec_(b, 1, "5jhphmkvhi0eqwh0taokw5fyd4cl00", "INSERT INTO events VALUES (1, 2, 3)")
	for b.Loop() {
		d.toEngine(request)
	}
}
