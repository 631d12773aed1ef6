package containers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// RestartPolicy is Docker's: what the daemon itself does when the container's
// process has died of something else than a stop or kill by its API.
type RestartPolicy string

// The policies. "on-failure:3" gives up after three restarts.
const (
	RestartNever         RestartPolicy = "" // the rig starts it again
	RestartAlways        RestartPolicy = "always"
	RestartOnFailure     RestartPolicy = "on-failure"
	RestartUnlessStopped RestartPolicy = "unless-stopped"
)

// docker is the policy as its API has it.
func (p RestartPolicy) docker() (container.RestartPolicy, error) {
	name, most, limited := strings.Cut(string(p), ":")
	out := container.RestartPolicy{Name: container.RestartPolicyMode(name)}
	if limited {
		n, err := strconv.Atoi(most)
		if err != nil || n < 1 {
			return out, fmt.Errorf("restart policy %q: want a number of restarts from 1 on", p)
		}
		out.MaximumRetryCount = n
	}
	return out, container.ValidateRestartPolicy(out)
}

// keeper follows a container that the daemon starts again by itself: it is told of
// each start and death by the daemon's events, which come in order and none of
// them twice. Output of an incarnation that the daemon started is read from the
// daemon's log, by the log's own stamps, since an attachment would come too late
// for its first lines; the stamps of starts and deaths are the daemon's.
//
// A life so short that its process is gone before it can be held has its death
// from the daemon's event, which is late by up to 200 ms. Where the events break
// off, lives under way end with that for an error, and have no exit record.
type keeper struct {
	c      *Container
	cancel context.CancelFunc
	done   chan struct{}

	mu           sync.Mutex
	lives        []*kept // in the order of their starts
	starts, dies int
	oom          bool
}

// kept is a life with what the daemon says of it.
type kept struct {
	l       *life
	reports chan exitReport
	died    time.Time // by the daemon's clock; zero: it lives
	over    context.CancelFunc
}

// watchDaemon begins to follow the events, from the container's creation on.
func (c *Container) watchDaemon(ctx context.Context) error {
	if c.keeper != nil || c.policy == RestartNever {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := c.session.docker.ContainerInspect(call, c.id)
	if err != nil {
		return fmt.Errorf("find when it was created: %w", err)
	}
	k := &keeper{c: c, done: make(chan struct{})}
	var following context.Context
	following, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	said, broken := c.session.docker.Events(following, events.ListOptions{
		Since:   info.Created,
		Filters: filters.NewArgs(filters.Arg("container", c.id), filters.Arg("type", string(events.ContainerEventType))),
	})
	c.keeper = k
	go k.follow(said, broken)
	return nil
}

func (k *keeper) follow(said <-chan events.Message, broken <-chan error) {
	defer close(k.done)
	for {
		select {
		case m := <-said:
			k.take(m)
		case err := <-broken:
			k.lose(fmt.Errorf("the daemon's events broke off: %w", err))
			return
		}
	}
}

func (k *keeper) take(m events.Message) {
	at := time.Unix(0, m.TimeNano)
	switch m.Action {
	case events.ActionStart:
		k.mu.Lock()
		k.starts++
		mine := k.starts <= len(k.lives)
		k.mu.Unlock()
		if !mine {
			k.adopt(at)
		}
	case events.ActionOOM:
		k.mu.Lock()
		k.oom = true
		k.mu.Unlock()
	case events.ActionDie:
		code, _ := strconv.Atoi(m.Actor.Attributes["exitCode"]) // the daemon's own number
		k.died(code, at)
	}
}

// died gives the report to the first life that has none.
func (k *keeper) died(code int, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dies >= len(k.lives) {
		return // of a start that this rig never saw
	}
	one := k.lives[k.dies]
	k.dies++
	one.died = at
	one.report(exitReport{code: code, oom: k.oom, at: k.c.session.mono(at)})
	k.oom = false
	one.over()
}

func (one *kept) report(r exitReport) {
	select {
	case one.reports <- r:
	default: // the wait was given up before
	}
}

// lose ends the wait of all that live.
func (k *keeper) lose(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.lives[k.dies:] {
		one.report(exitReport{err: err})
		one.over()
	}
}

// expect is for a life that the rig is about to start. following ends with it.
func (k *keeper) expect(living context.Context, l *life) (following context.Context) {
	one := &kept{l: l, reports: make(chan exitReport, 1)}
	l.reports = one.reports
	following, one.over = context.WithCancel(living)
	// Whoever gives the life up is not to wait for a report.
	context.AfterFunc(living, func() { one.report(exitReport{err: context.Cause(living)}) })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lives = append(k.lives, one)
	return following
}

// forget takes back a life that did not start.
func (k *keeper) forget(l *life) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, one := range k.lives {
		if one.l == l {
			k.lives = append(k.lives[:i], k.lives[i+1:]...)
			one.over()
			return
		}
	}
}

// adopt makes a life of a start that was the daemon's.
func (k *keeper) adopt(at time.Time) {
	c := k.c
	k.mu.Lock()
	var after time.Time
	if n := len(k.lives); n > 0 {
		after = k.lives[n-1].died
	}
	k.mu.Unlock()
	l := c.newLife()
	l.byDaemon = true
	living, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	following := k.expect(living, l)
	t := c.session.mono(at)
	l.began = t
	c.mu.Lock()
	c.lives = append(c.lives, l)
	c.mu.Unlock()
	body := history.Container{Role: c.role, Name: c.name, ID: c.id, Image: c.image, Incarnation: l.n, By: byDaemon}
	starting, started := body, body
	starting.What, started.What = history.ContainerStarting, history.ContainerStarted
	c.rec.RecordAt(t, harness, history.KindContainer, &starting)
	call, done := context.WithTimeout(living, callTimeout)
	defer done()
	l.hold(call, at)
	if c.tap != nil {
		// Its strikes fail until then, and say why; the life goes on without.
		if err := c.tap.announced(call, l); err != nil {
			l.book.add("stderr", []byte("killpoint: "+err.Error()))
		}
	}
	started.PID = l.pid()
	c.rec.RecordAt(t, harness, history.KindContainer, &started)
	go l.followLog(following, after)
	go l.watch()
}

// byDaemon is who started an incarnation that the rig did not.
const byDaemon = "daemon"

// end stops following, when all lives have ended.
func (k *keeper) end() {
	k.cancel()
	<-k.done
}

// followLog reads the life's output from the daemon's log, while it is written and
// then to its end.
func (l *life) followLog(following context.Context, after time.Time) {
	defer close(l.drained)
	stdout := &lineSplitter{emit: func(b []byte) { l.book.add("stdout", b) }}
	stderr := &lineSplitter{emit: func(b []byte) { l.book.add("stderr", b) }}
	r := &logReader{life: l, after: after, stdout: stdout, stderr: stderr}
	// While it lives: what is missed by the way is read below.
	_ = r.read(following, true)
	<-following.Done()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := r.read(ctx, false); err != nil {
		l.book.add("stderr", []byte("killpoint: the rest of this output could not be read: "+err.Error()))
	}
	stdout.flush()
	stderr.flush()
}

// logReader reads frames of the daemon's log, each once.
type logReader struct {
	life           *life
	after          time.Time // of earlier lives
	taken          int       // frames of this life
	stdout, stderr io.Writer
}

func (r *logReader) read(ctx context.Context, follow bool) (err error) {
	c := r.life.c
	logs, err := c.session.docker.ContainerLogs(ctx, c.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: follow})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	in := bufio.NewReader(logs)
	for n := 0; ; {
		stream, payload, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		stamp, text, _ := bytes.Cut(payload, []byte(" "))
		at, err := time.Parse(time.RFC3339Nano, string(stamp))
		if err != nil {
			return fmt.Errorf("read a line of the daemon's log: %w", err)
		}
		if !at.After(r.after) || r.later(at) {
			continue
		}
		if n++; n <= r.taken {
			continue
		}
		r.taken = n
		_, _ = stream(r).Write(text) // a line splitter's never fails
	}
}

// later: the line is of a life after this one.
func (r *logReader) later(at time.Time) bool {
	k := r.life.c.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.lives {
		if one.l == r.life {
			return !one.died.IsZero() && at.After(one.died)
		}
	}
	return false
}

func readFrame(in io.Reader) (stream func(*logReader) io.Writer, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, nil, err
	}
	payload = make([]byte, binary.BigEndian.Uint32(head[4:]))
	if _, err := io.ReadFull(in, payload); err != nil {
		return nil, nil, err
	}
	if stdcopy.StdType(head[0]) == stdcopy.Stderr {
		return func(r *logReader) io.Writer { return r.stderr }, payload, nil
	}
	return func(r *logReader) io.Writer { return r.stdout }, payload, nil
}

// mono is an instant of the daemon's wall clock on the history's, which is exact
// where both are of one machine, and the time of the asking elsewhere.
func (s *Session) mono(wall time.Time) clock.Mono {
	now := clock.Now()
	if !s.local && !s.near {
		return now
	}
	return min(now, now.Add(-time.Since(wall)))
}

// Restarts compares how often the daemon says that it has restarted the container
// since the rig last started it with how often that was seen.
func (c *Container) Restarts(ctx context.Context) (seen, counted int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := c.session.docker.ContainerInspect(ctx, c.id)
	if err != nil {
		return 0, 0, c.session.explain("inspect "+c.name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.lives) - 1; i >= 0 && c.lives[i].byDaemon; i-- {
		seen++
	}
	return seen, info.RestartCount, nil
}
