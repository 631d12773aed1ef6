package containers

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/history"
)

// DockerStop has the daemon stop the container by itself, as `docker stop --time`
// does: it sends the container's stop signal, waits and sends SIGKILL. It returns
// the exit record, which has the instant at which the daemon was asked, and
// whether it reported that it sent SIGKILL. The grace is in whole seconds: the
// daemon knows no other. [Container.Stop] takes any.
//
// When ctx ends first, the daemon goes on with it.
func (c *Container) DockerStop(ctx context.Context, grace time.Duration) (history.Exit, error) {
	seconds := int(grace / time.Second)
	if grace < 0 || time.Duration(seconds)*time.Second != grace {
		return history.Exit{}, fmt.Errorf("docker stop %s: the daemon waits whole seconds, not %v: use Stop", c.name, grace)
	}
	sig := c.stopSignal
	f := c.fault("stop", WayDocker, fmt.Sprintf("docker stop: %s, SIGKILL after %v", sig, grace))
	return c.end(ctx, f, func(l *life) error {
		watching, unwatch := context.WithCancel(ctx)
		defer unwatch()
		sent, errs := c.session.docker.Events(watching, events.ListOptions{Filters: filters.NewArgs(
			filters.Arg("container", c.id), filters.Arg("event", string(events.ActionKill)),
		)})
		go l.noteKill(sent, errs)
		undo := l.note(sig, sentByDaemon, false)
		call, cancel := context.WithTimeout(ctx, grace+callTimeout)
		defer cancel()
		err := c.session.docker.ContainerStop(call, c.id, container.StopOptions{Timeout: &seconds})
		if err != nil {
			undo()
		}
		return notRunning(err)
	})
}

// sentByDaemon is who sends the signals of a DockerStop.
const sentByDaemon = "docker"

// noteKill notes that the daemon sent SIGKILL, which it says at once; the exit it
// reports some 100 ms later. It ends with the stream of events.
func (l *life) noteKill(sent <-chan events.Message, errs <-chan error) {
	for {
		select {
		case e := <-sent:
			if e.Actor.Attributes["signal"] == strconv.Itoa(int(unix.SIGKILL)) {
				l.mu.Lock()
				l.graceEnded = true
				l.mu.Unlock()
			}
		case err := <-errs:
			if err != nil { // the wait is over, or nothing more can be seen
				return
			}
		}
	}
}
