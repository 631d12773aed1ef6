package tap

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/killpoint/killpoint/envoy/wire"
)

// child is the life of a process that the tests strike. It ends with its
// standard input at the latest.
func child(role string) {
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that matters
		os.Exit(0)
	}()
	switch role {
	case "sleeper":
		fmt.Println("sleeping")
		select {}
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ignoring")
		select {}
	case "engine":
		childEngine()
	case "runtime":
		childRuntime(os.Args[1])
	}
	os.Exit(1)
}

// childEngine answers a Stopping with a flood of pings.
func childEngine() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	up := websocket.Upgrader{Subprotocols: []string{"rivet"}}
	http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck // it ends with the process
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			if msg, err := wire.DecodeToEngine(wire.V6, data); err == nil && msg == wire.ToEngine(wire.Stopping{}) {
				flood(ws)
			}
		}
	}))
}

// flood sends numbered messages for ever.
func flood(ws *websocket.Conn) {
	for i := int64(1); ; i++ {
		b, err := wire.EncodeToRuntime(wire.V6, wire.Ping{TS: i})
		if err != nil || ws.WriteMessage(websocket.BinaryMessage, b) != nil {
			return
		}
	}
}

// sends is how many messages childRuntime sends.
const sends = 100

// childRuntime connects to the tap and, once it got a message, sends numbered
// pongs.
func childRuntime(addr string) {
	d := websocket.Dialer{Subprotocols: []string{"rivet"}, HandshakeTimeout: 5 * time.Second}
	ws, _, err := d.Dial("ws://"+addr+connectPath, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("connected")
	if _, _, err := ws.ReadMessage(); err != nil {
		return
	}
	for i := range int64(sends) {
		b, err := wire.EncodeToEngine(wire.V6, wire.Pong{TS: i + 1})
		if err != nil || ws.WriteMessage(websocket.BinaryMessage, b) != nil {
			return
		}
	}
	fmt.Println("sent")
	select {}
}
