// Command rig-image is the one binary of the rig's own helper containers, of
// which each runs one subcommand as PID 1 of a FROM scratch image.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/docker/docker/client"

	"github.com/killpoint/killpoint/internal/reaper"
)

const usage = `usage: rig sandbox            keep a network namespace that has no way out
       rig front http|tcp     the same, and balance calls or connections to the runtimes
       rig caller             tell whoever connects to port 8080 by which address it comes
       rig reaper SESSION     remove what SESSION left, once standard input ends
       rig routes             print the routes of this network namespace
       rig closed             succeed if none of them leads out`

var errUsage = errors.New(usage)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "sandbox":
		return sandbox(os.Stdout, nil)
	case len(args) == 2 && args[0] == "front":
		return frontCommand(args[1])
	case len(args) == 1 && args[0] == "caller":
		return caller()
	case len(args) == 2 && args[0] == "reaper":
		return reap(args[1])
	case len(args) == 1 && args[0] == "closed":
		return closed()
	case len(args) == 1 && args[0] == "routes":
		return routes(os.Stdout)
	}
	return errUsage
}

// began is a file that the first life of a container leaves to a second.
const began = "/began"

func reap(session string) (err error) {
	docker, err := client.NewClientWithOpts(client.WithHost("unix://"+reaper.SocketInside), client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("make Docker client: %w", err)
	}
	defer func() { err = errors.Join(err, docker.Close()) }()
	in, err := sessionInput()
	if err != nil {
		return err
	}
	return reaper.Serve(context.Background(), docker, session, in, os.Stdout)
}

// sessionInput is the session's side of the connection. A restarted container has
// a standard input too, but nobody holds it: the daemon went down, and the
// session with it.
func sessionInput() (io.Reader, error) {
	f, err := os.OpenFile(began, os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return strings.NewReader(""), nil
	}
	if err != nil {
		return nil, fmt.Errorf("mark this container as begun: %w", err)
	}
	return os.Stdin, f.Close()
}
