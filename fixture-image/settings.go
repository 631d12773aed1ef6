package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/fixture-image/internal/bug"
	"github.com/killpoint/killpoint/fixture-image/internal/counter"
)

// prefix is in front of every setting's name in the environment.
const prefix = "KILLPOINT_FIXTURE_"

// imageName belongs to the harness, which finds the fixture's image by it:
// no setting of ours, but no mistake either.
const imageName = prefix + "IMAGE"

// settings of the process. README.md documents each.
type settings struct {
	listen, control string
	endpoint        string
	token           string
	envoyKey        string
	protocol        wire.Version
	reconnect       envoy.ReconnectPolicy
	version         uint32
	forgetStopped   bool
	dropAnswers     bool
	noRetryHint     bool
	ackEvery        time.Duration
	lost            envoy.LostPolicy
	heartbeat       counter.Heartbeat
	sleepAfter      time.Duration
	commitHold      time.Duration
	drainGrace      time.Duration
	exit            exitWay
	secondEnds      bool
	arms            []armAtStart
	bug             bug.Name
	crash           crash
}

// armAtStart is a breakpoint to be armed before the first actor starts.
type armAtStart struct {
	name     breakpoint.Name
	deadline time.Duration
}

// setting is one row of the table: a name, a default, and who reads it.
type setting struct {
	name, otherwise string
	read            func(s *settings, v string) error
}

var table = []setting{
	{"LISTEN", ":8080", func(s *settings, v string) error { s.listen = v; return address(v) }},
	{"CONTROL", ":8081", func(s *settings, v string) error { return readControl(s, v) }},
	{"ENDPOINT", "", func(s *settings, v string) error { s.endpoint = v; return nil }},
	{"TOKEN", "", func(s *settings, v string) error { s.token = v; return nil }},
	{"ENVOY_KEY", "", func(s *settings, v string) error { s.envoyKey = v; return nil }},
	{"PROTOCOL", "6", func(s *settings, v string) error { return into(&s.protocol, v, protocol) }},
	{"RECONNECT", "rivet", func(s *settings, v string) error { return into(&s.reconnect, v, envoy.ParsePolicy) }},
	{"VERSION", "1", func(s *settings, v string) error { return into(&s.version, v, version) }},
	{"FORGET_STOPPED", "false", func(s *settings, v string) error { return into(&s.forgetStopped, v, truth) }},
	{"DROP_ANSWERS", "false", func(s *settings, v string) error { return into(&s.dropAnswers, v, truth) }},
	{"NO_RETRY_HINT", "false", func(s *settings, v string) error { return into(&s.noRetryHint, v, truth) }},
	{"ACK", "lazy", func(s *settings, v string) error { return into(&s.ackEvery, v, ackEvery) }},
	{"LOST", "stop", func(s *settings, v string) error { return into(&s.lost, v, envoy.ParseLostPolicy) }},
	{"HEARTBEAT", "none", func(s *settings, v string) error { return into(&s.heartbeat, v, counter.ParseHeartbeat) }},
	{"SLEEP_AFTER", "none", func(s *settings, v string) error { return into(&s.sleepAfter, v, durationOrNone) }},
	{"COMMIT_HOLD", "500ms", func(s *settings, v string) error { return into(&s.commitHold, v, duration) }},
	{"DRAIN_GRACE", "5s", func(s *settings, v string) error { return into(&s.drainGrace, v, duration) }},
	{"EXIT", "drain", func(s *settings, v string) error { return into(&s.exit, v, parseExit) }},
	{"SECOND_SIGNAL", "absorb", func(s *settings, v string) error { return into(&s.secondEnds, v, parseSecond) }},
	{"ARM", "", func(s *settings, v string) error { return into(&s.arms, v, arms) }},
	{"CRASH", "", func(s *settings, v string) error { return into(&s.crash, v, parseCrash) }},
	{"BUG", "", func(s *settings, v string) error { return into(&s.bug, v, bug.Parse) }},
}

// readSettings reads the environment, as os.Environ returns it. An empty
// value is the default. All that is wrong comes as one error.
func readSettings(environ []string) (*settings, error) {
	given, err := ours(environ)
	s := &settings{}
	errs := []error{err}
	for _, row := range table {
		v := given[row.name]
		if v == "" {
			v = row.otherwise
		}
		if err := row.read(s, v); err != nil {
			errs = append(errs, fmt.Errorf("%s%s: %w", prefix, row.name, err))
		}
	}
	return s, errors.Join(errs...)
}

// ours are the settings that are given. A name that is no setting is an error:
// it is a slip of somebody who believes it to work.
func ours(environ []string) (map[string]string, error) {
	given := map[string]string{}
	var errs []error
	for _, kv := range environ {
		name, v, _ := strings.Cut(kv, "=")
		short, ok := strings.CutPrefix(name, prefix)
		if !ok || name == imageName {
			continue
		}
		if !slices.ContainsFunc(table, func(r setting) bool { return r.name == short }) {
			errs = append(errs, fmt.Errorf("%s: there is no such setting", name))
		}
		given[short] = v
	}
	return given, errors.Join(errs...)
}

func into[T any](to *T, v string, parse func(string) (T, error)) (err error) {
	*to, err = parse(v)
	return err
}

func address(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%.80q is no address: use HOST:PORT or :PORT", v)
	}
	return nil
}

func readControl(s *settings, v string) error {
	if v == "none" {
		return nil
	}
	s.control = v
	return address(v)
}

func protocol(v string) (wire.Version, error) {
	switch v {
	case "6":
		return wire.V6, nil
	case "8":
		return wire.V8, nil
	}
	return 0, fmt.Errorf("%.40q: use 6 or 8", v)
}

func version(v string) (uint32, error) {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%.40q: use a number from 1 to 4294967295", v)
	}
	return uint32(n), nil
}

func truth(v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%.40q: use true or false", v)
	}
	return b, nil
}

// ackEvery reads lazy, which is Rivet's client's, at-once or a duration.
func ackEvery(v string) (time.Duration, error) {
	switch v {
	case "lazy":
		return 0, nil
	case "at-once":
		return envoy.AckAtOnce, nil
	}
	d, err := duration(v)
	if err != nil {
		return 0, fmt.Errorf("%w, or lazy, or at-once", err)
	}
	return d, nil
}

func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%.40q: use a duration above zero, as in 500ms or 5s", v)
	}
	return d, nil
}

func durationOrNone(v string) (time.Duration, error) {
	if v == "none" {
		return 0, nil
	}
	d, err := duration(v)
	if err != nil {
		return 0, fmt.Errorf("%w, or none", err)
	}
	return d, nil
}

// arms reads NAME[:DEADLINE],...
func arms(v string) ([]armAtStart, error) {
	var out []armAtStart
	for one := range strings.SplitSeq(v, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		name, d, timed := strings.Cut(one, ":")
		a := armAtStart{deadline: breakpoint.DefaultDeadline}
		var err error
		if a.name, err = breakpoint.Parse(name); err != nil {
			return nil, err
		}
		if timed {
			if a.deadline, err = duration(d); err != nil {
				return nil, err
			}
		}
		out = append(out, a)
	}
	return out, nil
}
