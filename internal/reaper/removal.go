package reaper

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// removal is a wait for a container to be removed. The client's goroutine hands
// its result over an unbuffered channel: exactly one of wait and abandon must be
// called, or it never ends.
type removal struct {
	cancel context.CancelFunc
	gone   <-chan container.WaitResponse
	failed <-chan error
}

func watchRemoval(ctx context.Context, docker client.APIClient, id string) *removal {
	ctx, cancel := context.WithCancel(ctx)
	w := &removal{cancel: cancel}
	w.gone, w.failed = docker.ContainerWait(ctx, id, container.WaitConditionRemoved)
	return w
}

// wait ends with the context at the latest.
func (w *removal) wait() error {
	defer w.cancel()
	select {
	case <-w.gone: // with the exit code of a container that removed itself: that of its kill
		return nil
	case err := <-w.failed:
		return err
	}
}

func (w *removal) abandon() {
	w.cancel()
	_ = w.wait()
}
