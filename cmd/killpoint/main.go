// Command killpoint kills a container of a stateful serverless engine at a
// chosen instant, brings it back, and shows what its users saw. `killpoint
// help` lists what it can do; docs/guide is the way in.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	tclog "github.com/testcontainers/testcontainers-go/log"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends the process at once; the reaper cleans up after it.
	context.AfterFunc(ctx, stop)
	// Its banner of ten lines would head every run.
	tclog.SetDefault(log.New(io.Discard, "", 0))
	os.Exit(newApp(os.Stdout, os.Stderr).execute(ctx, os.Args[1:]))
}
