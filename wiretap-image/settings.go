package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/killpoint/killpoint/internal/environ"
	"github.com/killpoint/killpoint/internal/tap"
)

// prefix is in front of every setting's name in the environment.
const prefix = "KILLPOINT_WIRETAP_"

// table has no IMAGE: that belongs to the harness, which finds the tap's image by it.
var table = environ.Table[tap.Config]{Prefix: prefix, Foreign: []string{"IMAGE"}, Rows: []environ.Row[tap.Config]{
	{Name: "ENVOY", Otherwise: ":6420", Read: func(c *tap.Config, v string) error { c.Envoy = v; return environ.Address(v) }},
	{Name: "SERVERLESS", Otherwise: ":8080", Read: func(c *tap.Config, v string) error { c.Serverless = v; return environ.Address(v) }},
	{Name: "GATEWAY", Otherwise: ":6430", Read: func(c *tap.Config, v string) error { return readGateway(c, v) }},
	{Name: "CONTROL", Otherwise: ":8090", Read: func(c *tap.Config, v string) error { c.Control = v; return environ.Address(v) }},
	{Name: "ENGINE", Otherwise: "engine:6420", Read: func(c *tap.Config, v string) error { c.Engine = v; return behind(v) }},
	{Name: "RUNTIME", Otherwise: "runtime:8080", Read: func(c *tap.Config, v string) error { c.Runtime = v; return behind(v) }},
	{Name: "TOKEN", Otherwise: "", Read: func(c *tap.Config, v string) error { c.Token = v; return token(v) }},
}}

func readGateway(c *tap.Config, v string) error {
	if v == "none" {
		return nil
	}
	c.Gateway = v
	return environ.Address(v)
}

// behind reads the address of what stands behind the tap.
func behind(v string) error {
	host, port, err := net.SplitHostPort(v)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return fmt.Errorf("%.80q is no address to connect to: use HOST:PORT", v)
	}
	return nil
}

// token is long enough that nobody guesses it, and goes into a header.
func token(v string) error {
	const least = 16
	if len(v) < least || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("the control port needs a token: use %d or more printable characters without spaces", least)
	}
	return nil
}
