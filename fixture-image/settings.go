package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/killpoint/killpoint/envoy"
	"github.com/killpoint/killpoint/envoy/wire"
	"github.com/killpoint/killpoint/fixture-image/internal/breakpoint"
	"github.com/killpoint/killpoint/fixture-image/internal/bug"
	"github.com/killpoint/killpoint/fixture-image/internal/counter"
	"github.com/killpoint/killpoint/internal/environ"
)

// prefix is in front of every setting's name in the environment.
const prefix = "KILLPOINT_FIXTURE_"

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

// table has no IMAGE: that belongs to the harness, which finds the fixture's image by it.
var table = environ.Table[settings]{Prefix: prefix, Foreign: []string{"IMAGE"}, Rows: []environ.Row[settings]{
	{Name: "LISTEN", Otherwise: ":8080", Read: func(s *settings, v string) error { s.listen = v; return environ.Address(v) }},
	{Name: "CONTROL", Otherwise: ":8081", Read: func(s *settings, v string) error { return readControl(s, v) }},
	{Name: "ENDPOINT", Otherwise: "", Read: func(s *settings, v string) error { s.endpoint = v; return nil }},
	{Name: "TOKEN", Otherwise: "", Read: func(s *settings, v string) error { s.token = v; return nil }},
	{Name: "ENVOY_KEY", Otherwise: "", Read: func(s *settings, v string) error { s.envoyKey = v; return nil }},
	{Name: "PROTOCOL", Otherwise: "6", Read: func(s *settings, v string) error { return environ.Into(&s.protocol, v, protocol) }},
	{Name: "RECONNECT", Otherwise: "rivet", Read: func(s *settings, v string) error { return environ.Into(&s.reconnect, v, envoy.ParsePolicy) }},
	{Name: "VERSION", Otherwise: "1", Read: func(s *settings, v string) error { return environ.Into(&s.version, v, version) }},
	{Name: "FORGET_STOPPED", Otherwise: "false", Read: func(s *settings, v string) error { return environ.Into(&s.forgetStopped, v, truth) }},
	{Name: "DROP_ANSWERS", Otherwise: "false", Read: func(s *settings, v string) error { return environ.Into(&s.dropAnswers, v, truth) }},
	{Name: "NO_RETRY_HINT", Otherwise: "false", Read: func(s *settings, v string) error { return environ.Into(&s.noRetryHint, v, truth) }},
	{Name: "ACK", Otherwise: "lazy", Read: func(s *settings, v string) error { return environ.Into(&s.ackEvery, v, ackEvery) }},
	{Name: "LOST", Otherwise: "stop", Read: func(s *settings, v string) error { return environ.Into(&s.lost, v, envoy.ParseLostPolicy) }},
	{Name: "HEARTBEAT", Otherwise: "none", Read: func(s *settings, v string) error { return environ.Into(&s.heartbeat, v, counter.ParseHeartbeat) }},
	{Name: "SLEEP_AFTER", Otherwise: "none", Read: func(s *settings, v string) error { return environ.Into(&s.sleepAfter, v, durationOrNone) }},
	{Name: "COMMIT_HOLD", Otherwise: "500ms", Read: func(s *settings, v string) error { return environ.Into(&s.commitHold, v, duration) }},
	{Name: "DRAIN_GRACE", Otherwise: "5s", Read: func(s *settings, v string) error { return environ.Into(&s.drainGrace, v, duration) }},
	{Name: "EXIT", Otherwise: "drain", Read: func(s *settings, v string) error { return environ.Into(&s.exit, v, parseExit) }},
	{Name: "SECOND_SIGNAL", Otherwise: "absorb", Read: func(s *settings, v string) error { return environ.Into(&s.secondEnds, v, parseSecond) }},
	{Name: "ARM", Otherwise: "", Read: func(s *settings, v string) error { return environ.Into(&s.arms, v, arms) }},
	{Name: "CRASH", Otherwise: "", Read: func(s *settings, v string) error { return environ.Into(&s.crash, v, parseCrash) }},
	{Name: "BUG", Otherwise: "", Read: func(s *settings, v string) error { return environ.Into(&s.bug, v, bug.Parse) }},
}}

func readControl(s *settings, v string) error {
	if v == "none" {
		return nil
	}
	s.control = v
	return environ.Address(v)
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
