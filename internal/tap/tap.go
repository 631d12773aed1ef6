package tap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// Config is where the tap stands. Addresses are HOST:PORT.
type Config struct {
	// Envoy, Serverless, Gateway and Control are listened on. No Gateway, no
	// such wire.
	Envoy, Serverless, Gateway, Control string
	// Engine and Runtime are what stands behind the tap.
	Engine, Runtime string
	// Token is what the control port asks for.
	Token string
	// Out takes the events, one JSON object a line.
	Out io.Writer

	open  func(Target) (process, error) // for tests; openTarget
	times times
}

// times are the bounds of what is waited for, for tests.
type times struct {
	announce time.Duration // of a target that a strike needs
	death    time.Duration // of the death after a SIGKILL
	quiet    time.Duration // of frames that are being written as a strike begins
}

var defaultTimes = times{announce: 10 * time.Second, death: 10 * time.Second, quiet: 20 * time.Millisecond}

// Tap is the running proxy.
type Tap struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	emit   *emitter
	known  *acquaintance

	listeners []listener
	accepting sync.WaitGroup
	conns     sync.WaitGroup
	control   *http.Server
	addresses history.TapListening
	failed    chan error
	closing   sync.Once
	closed    error
	timers    sync.WaitGroup // strikes' later signals, watches of targets

	mu          sync.Mutex
	links       map[*link]bool
	connections uint64
	frames      uint64
	counts      map[countKey]int
	gate        gate
	rules       map[string]*armed
	order       []*armed // those that wait for a frame
	targets     map[string]*target
	all         []*target // that live, those replaced and withdrawn too
	strikes     int
	changed     chan struct{} // closed, and made anew, at each change of rules and targets
}

// countKey is what frames are counted by.
type countKey struct {
	wire                          Wire
	direction, typ, detail, actor string
}

// Start listens on all ports and serves them until Close.
func Start(cfg Config) (*Tap, error) {
	if cfg.Token == "" {
		return nil, errors.New("the tap needs a token for its control port")
	}
	if cfg.open == nil {
		cfg.open = openTarget
	}
	if cfg.times == (times{}) {
		cfg.times = defaultTimes
	}
	t := &Tap{
		cfg: cfg, known: newAcquaintance(), links: map[*link]bool{}, counts: map[countKey]int{},
		rules: map[string]*armed{}, targets: map[string]*target{}, changed: make(chan struct{}),
		failed: make(chan error, 1),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	control, err := t.listen()
	if err != nil {
		t.cancel()
		return nil, err
	}
	t.emit = newEmitter(cfg.Out)
	t.serve(control)
	return t, nil
}

// listen opens all ports, or none.
func (t *Tap) listen() (control net.Listener, err error) {
	var opened []net.Listener
	open := func(what, addr string, told *string) net.Listener {
		if err != nil || addr == "" {
			return nil
		}
		var ln net.Listener
		if ln, err = net.Listen("tcp", addr); err != nil {
			err = fmt.Errorf("listen for the %s: %w", what, err)
			return nil
		}
		opened = append(opened, ln)
		*told = ln.Addr().String()
		return ln
	}
	a := &t.addresses
	t.listeners = []listener{
		{open("envoy wire", t.cfg.Envoy, &a.Envoy), WireEnvoy, roleRuntime, roleEngine},
		{open("serverless wire", t.cfg.Serverless, &a.Serverless), WireServerless, roleEngine, roleRuntime},
	}
	if t.cfg.Gateway != "" {
		t.listeners = append(t.listeners, listener{open("gateway wire", t.cfg.Gateway, &a.Gateway), WireGateway, roleClient, roleEngine})
	}
	control = open("control port", t.cfg.Control, &a.Control)
	if err != nil {
		for _, ln := range opened {
			err = errors.Join(err, ln.Close())
		}
	}
	return control, err
}

func (t *Tap) serve(control net.Listener) {
	boot, err := clock.BootID()
	if err == nil {
		// First of all, so that who reads the events knows the clock of the rest.
		t.record(history.KindClock, history.Clock{BootID: boot})
	}
	for _, ln := range t.listeners {
		t.accepting.Go(func() { t.accept(ln, &t.conns) })
	}
	t.control = &http.Server{Handler: t.controlHandler(), ReadHeaderTimeout: 10 * time.Second}
	t.accepting.Go(func() {
		if err := t.control.Serve(control); !errors.Is(err, http.ErrServerClosed) {
			t.fail(fmt.Errorf("serve the control port: %w", err))
		}
	})
	t.record(history.KindTapListen, t.addresses)
}

// Failed tells why the tap cannot go on.
func (t *Tap) Failed() <-chan error { return t.failed }

func (t *Tap) fail(err error) {
	select {
	case t.failed <- err:
	default: // one reason is enough
	}
}

// Addresses are those that it listens on.
func (t *Tap) Addresses() history.TapListening { return t.addresses }

// controlPatience is how long Close waits for calls of the control port.
const controlPatience = time.Second

// Close ends all connections, waits for everything to end, and has all events
// written. It may be called again.
func (t *Tap) Close() error {
	t.closing.Do(func() { t.closed = t.close() })
	return t.closed
}

func (t *Tap) close() error {
	t.cancel()
	var errs []error
	for _, ln := range t.listeners {
		errs = append(errs, ln.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), controlPatience)
	defer cancel()
	if err := t.control.Shutdown(ctx); err != nil {
		errs = append(errs, t.control.Close())
	}
	t.accepting.Wait()
	t.mu.Lock()
	for l := range t.links {
		l.closeLocked()
	}
	for _, g := range t.all {
		g.release()
	}
	t.mu.Unlock()
	t.conns.Wait()
	t.timers.Wait()
	t.emit.close()
	return errors.Join(errs...)
}

func (t *Tap) record(kind history.Kind, body any) { t.emit.emit(clock.Now(), kind, body) }

func (t *Tap) upstream(role string) string {
	if role == roleEngine {
		return t.cfg.Engine
	}
	return t.cfg.Runtime
}

// bump tells who waits for a change of rules or targets. The lock is held.
func (t *Tap) bump() {
	close(t.changed)
	t.changed = make(chan struct{})
}
