package tap

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// What a frame's way through the tap can end with, other than its delivery.
var (
	errSevered = errors.New("the connection was severed by a strike")
	errDropped = errors.New("the frame was dropped")
	errCut     = errors.New("the connection was cut")
	errClosed  = errors.New("the tap is closed")
)

// The parties at the ends of a connection.
const (
	roleEngine  = "engine"
	roleRuntime = "runtime"
	roleClient  = "client"
)

// link is a connection that was accepted, with the one that was made for it to
// its server. The two live and end together.
type link struct {
	tap            *Tap
	n              uint64
	wire           Wire
	client, server string // who is at either end
	a              *net.TCPConn
	cr             *bufio.Reader   // of a
	idle           <-chan struct{} // a watch of the server's end while no exchange is under way

	severed chan struct{} // closed when one end is dead

	// The rest is guarded by the tap's lock; sr belongs to who reads.
	b      *net.TCPConn  // nil until it is dialled
	sr     *bufio.Reader // of b
	dead   map[string]bool
	flows  map[*flow]bool
	lost   int // frames not delivered since it was severed
	proven bool
	closed bool
}

// flow is one direction of a link.
type flow struct {
	link     *link
	from, to string
	// next reads a frame, and says how to write it on.
	next func() (*frame, func() error, error)
	done chan struct{}
}

// frame is one on its way.
type frame struct {
	history.Frame
	account
	arrived clock.Mono
	// whole frames are not to be had twice, and without one nothing that follows
	// makes sense: a call, the head and the end of an answer.
	whole bool
}

func direction(to string) string { return "to-" + to }

// flow begins a direction of the link.
func (l *link) flow(from, to string, next func() (*frame, func() error, error)) *flow {
	fl := &flow{link: l, from: from, to: to, next: next, done: make(chan struct{})}
	l.tap.mu.Lock()
	l.flows[fl] = true
	l.tap.mu.Unlock()
	return fl
}

// end is of the goroutine that ran it.
func (fl *flow) end() {
	l := fl.link
	l.tap.mu.Lock()
	delete(l.flows, fl)
	l.tap.mu.Unlock()
	close(fl.done)
}

// run passes frames until there are no more. On a severed connection it reads
// on, so that what is lost is counted.
func (fl *flow) run() error {
	for {
		f, write, err := fl.next()
		if err != nil {
			return err
		}
		err = fl.link.tap.pass(fl, f, write)
		switch {
		case err == nil, errors.Is(err, errSevered):
		case errors.Is(err, errDropped) && !f.whole:
		default:
			return err
		}
	}
}

// dialTimeout bounds a connection to the server: it is on the same host.
const dialTimeout = 10 * time.Second

// dial connects to the server, once.
func (l *link) dial() error {
	if l.b != nil {
		return nil
	}
	t := l.tap
	c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(t.ctx, "tcp", t.upstream(l.server))
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l.b, l.sr = c.(*net.TCPConn), bufio.NewReaderSize(c, bufferSize)
	switch {
	case l.closed:
		return errors.Join(net.ErrClosed, c.Close())
	case l.dead != nil: // it is too late, and the strike closes what is there
		return errSevered
	}
	return nil
}

const bufferSize = 64 << 10

// close ends both connections at once, as the kernel does with those of a
// process that dies. The strike that severed a link closes it itself, when the
// held frame is where it belongs.
func (l *link) close() {
	l.tap.mu.Lock()
	defer l.tap.mu.Unlock()
	if l.dead == nil {
		l.closeLocked()
	}
}

func (l *link) closeLocked() {
	if l.closed {
		return
	}
	l.closed = true
	delete(l.tap.links, l)
	if l.b == nil {
		// Nothing was there to connect to: the nearest to a refusal that is left.
		l.a.SetLinger(0) //nolint:errcheck // it is being closed
	} else {
		l.b.Close() //nolint:errcheck // likewise
	}
	l.a.Close() //nolint:errcheck // likewise
}

// gone is told of an end of a connection while nobody reads it. A strike under
// way has the first word.
func (l *link) gone() {
	if l.tap.enter(l) == nil {
		l.tap.leave()
		l.close()
	}
}

// alive says whether the client's end of a connection is. A connection that was
// accepted only after its client had been killed is not.
func (l *link) alive() bool {
	raw, err := l.a.SyscallConn()
	if err != nil {
		return false
	}
	established := true
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		established = err != nil || info.State == unix.BPF_TCP_ESTABLISHED
	})
	return err == nil && established
}

// deadlines has reads of a severed link end: at the dead end when all has
// come, at the other one with what is there.
func (l *link) deadlines(dead map[string]bool) {
	now := time.Now()
	for _, end := range []struct {
		conn *net.TCPConn
		who  string
	}{{l.a, l.client}, {l.b, l.server}} {
		if end.conn == nil {
			continue
		}
		wait := time.Millisecond
		if dead[end.who] {
			wait = drainTimeout
		}
		end.conn.SetReadDeadline(now.Add(wait)) //nolint:errcheck // it is closed already
	}
}

// drainTimeout bounds the reading of what a dead process left. Its kernel has
// sent all of it, and the end of it, before the death can be seen.
const drainTimeout = 200 * time.Millisecond

// listener accepts the connections of one wire.
type listener struct {
	net.Listener
	wire           Wire
	client, server string
}

func (t *Tap) accept(ln listener, conns *sync.WaitGroup) {
	for {
		c, err := ln.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.fail(fmt.Errorf("accept on the %s wire: %w", ln.wire, err))
			}
			return
		}
		l := &link{
			tap: t, wire: ln.wire, client: ln.client, server: ln.server,
			a: c.(*net.TCPConn), cr: bufio.NewReaderSize(c, bufferSize),
			severed: make(chan struct{}), flows: map[*flow]bool{},
		}
		t.mu.Lock()
		t.connections++
		l.n = t.connections
		t.links[l] = true
		t.mu.Unlock()
		conns.Go(func() {
			defer l.close()
			l.serve()
		})
	}
}
