package standing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/image"
	"github.com/killpoint/killpoint/rivet"
)

// Config is the cell to hold.
type Config struct {
	Name   string
	Engine string
	// Reconnect is the policy of the fixture's client.
	Reconnect string
	// RuntimeImage takes the fixture's place; "" is the fixture.
	RuntimeImage string
}

const (
	fixtureControl = 8081
	startBound     = 5 * time.Minute // a first engine is fetched and built meanwhile
	closeBound     = time.Minute
	wordBound      = 5 * time.Second // for the word of somebody who has connected
	// The words of the socket.
	askDown, saidDone = "down", "done"
)

// Hold starts the cell, calls ready when it stands, and holds it until ctx ends or
// [Down] asks. When it returns nothing of the cell is left, in Docker or in dir,
// unless the error says so.
func Hold(ctx context.Context, dir string, cfg Config, ready func(Cell) error) error {
	p, err := at(dir, cfg.Name)
	if err != nil {
		return err
	}
	unlock, err := p.take()
	if err != nil {
		return err
	}
	if err := p.clear(); err != nil { // what a holder that was killed has left
		return errors.Join(err, unlock())
	}
	h := holder{place: p, cfg: cfg}
	caller, err := h.stand(ctx, ready)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeBound)
	defer cancel()
	err = errors.Join(err, h.close(closing), p.clear(), unlock())
	if caller != nil {
		err = errors.Join(err, answer(caller, err))
	}
	return err
}

type holder struct {
	place
	cfg     Config
	session *containers.Session
	w       *history.Writer
}

// stand starts the cell and waits for its end. It returns who asked for that, or
// nil where ctx ended.
func (h *holder) stand(ctx context.Context, ready func(Cell) error) (net.Conn, error) {
	listener, err := net.Listen("unix", h.socket())
	if err != nil {
		return nil, fmt.Errorf("listen for the cell's end (XDG_STATE_HOME may be too long a path for a socket): %w", err)
	}
	defer func() { _ = listener.Close() }() // its file is removed with the others
	cell, err := h.start(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.write(cell); err != nil {
		return nil, err
	}
	if err := ready(cell); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil
			}
			return nil, fmt.Errorf("wait for the cell's end: %w", err)
		}
		// Who says nothing must not keep the others out.
		_ = conn.SetReadDeadline(time.Now().Add(wordBound)) // a socket that has none fails the read, too
		if word, err := bufio.NewReader(io.LimitReader(conn, 64)).ReadString('\n'); err == nil && word == askDown+"\n" {
			return conn, conn.SetReadDeadline(time.Time{})
		}
		_ = conn.Close() // somebody who knows no word
	}
}

func (h *holder) start(ctx context.Context) (Cell, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startBound, fmt.Errorf("waited %v for the cell to be ready: %w", startBound, context.DeadlineExceeded))
	defer cancel()
	var err error
	if h.session, err = containers.Open(ctx); err != nil {
		return Cell{}, err
	}
	if h.w, err = history.Create(h.history(), history.Header{Run: "up", Trial: h.name}); err != nil {
		return Cell{}, err
	}
	runtime, control := h.cfg.RuntimeImage, 0
	env := map[string]string{}
	if runtime == "" {
		control, env["KILLPOINT_FIXTURE_RECONNECT"] = fixtureControl, h.cfg.Reconnect
		if runtime, err = image.Fixture(ctx, h.session.Docker()); err != nil {
			return Cell{}, err
		}
	}
	cell, err := h.session.Run(ctx, containers.CellConfig{
		Name: h.name, Engine: h.cfg.Engine, Recorder: h.w,
		Runtime: containers.RuntimeConfig{Image: runtime, ControlPort: control, Env: env},
	})
	if err != nil {
		return Cell{}, err
	}
	return Cell{
		Name: h.name, Engine: h.cfg.Engine, Session: h.session.ID(), Holder: os.Getpid(), Gateway: cell.Gateway(), Control: cell.Control(),
		Token: rivet.DefaultToken, Namespace: cell.Namespace(), Pool: cell.PoolName(),
		EngineContainer: cell.Engine.Name(), RuntimeContainer: cell.Runtime.Name(), History: h.history(),
	}, nil
}

func (h *holder) close(ctx context.Context) error {
	var errs []error
	if h.session != nil {
		errs = append(errs, h.session.Close(ctx))
	}
	if h.w != nil {
		errs = append(errs, h.w.Close())
	}
	return errors.Join(errs...)
}

// answer tells who asked how it ended.
func answer(conn net.Conn, err error) error {
	text := saidDone
	if err != nil {
		text = err.Error()
	}
	_, werr := fmt.Fprintln(conn, text)
	return errors.Join(werr, conn.Close())
}
