// Command dockerping exits 0 when a Docker daemon answers where the tests will
// look for one (DOCKER_HOST, or else the usual socket), and else says why not.
// The docker command is no substitute: it may be missing where a daemon answers,
// and follows contexts, which the tests do not.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/docker/docker/client"
)

const timeout = 5 * time.Second

func main() {
	if err := ping(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ping() (err error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, docker.Close()) }()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err = docker.Ping(ctx)
	return err
}
