package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

const callerAddress = ":8080"

// caller tells everyone who connects the address by which they come, and ends at
// SIGTERM or SIGINT. A session with a daemon elsewhere learns from it under which
// address it has to be answered, and that published ports can be reached at all.
func caller() error {
	l, err := net.Listen("tcp4", callerAddress)
	if err != nil {
		return fmt.Errorf("listen for callers: %w", err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		_ = l.Close() // which ends the loop below
	}()
	return tellCallers(l)
}

func tellCallers(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a caller: %w", err)
		}
		if from, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			_, _ = fmt.Fprintln(conn, from.IP) // a caller that has gone asks again
		}
		_ = conn.Close() // as above
	}
}
