package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/killpoint/killpoint/internal/tap"
)

// prefix is in front of every setting's name in the environment.
const prefix = "KILLPOINT_WIRETAP_"

// imageName belongs to the harness, which finds the tap's image by it: no
// setting of ours, but no mistake either.
const imageName = prefix + "IMAGE"

// setting is one row of the table: a name, a default, and who reads it.
type setting struct {
	name, otherwise string
	read            func(c *tap.Config, v string) error
}

var table = []setting{
	{"ENVOY", ":6420", func(c *tap.Config, v string) error { c.Envoy = v; return address(v) }},
	{"SERVERLESS", ":8080", func(c *tap.Config, v string) error { c.Serverless = v; return address(v) }},
	{"GATEWAY", ":6430", func(c *tap.Config, v string) error { return readGateway(c, v) }},
	{"CONTROL", ":8090", func(c *tap.Config, v string) error { c.Control = v; return address(v) }},
	{"ENGINE", "engine:6420", func(c *tap.Config, v string) error { c.Engine = v; return behind(v) }},
	{"RUNTIME", "runtime:8080", func(c *tap.Config, v string) error { c.Runtime = v; return behind(v) }},
	{"TOKEN", "", func(c *tap.Config, v string) error { c.Token = v; return token(v) }},
}

// readSettings reads the environment, as os.Environ returns it. An empty value
// is the default. All that is wrong comes as one error.
func readSettings(environ []string) (tap.Config, error) {
	given, err := ours(environ)
	var c tap.Config
	errs := []error{err}
	for _, row := range table {
		v := given[row.name]
		if v == "" {
			v = row.otherwise
		}
		if err := row.read(&c, v); err != nil {
			errs = append(errs, fmt.Errorf("%s%s: %w", prefix, row.name, err))
		}
	}
	return c, errors.Join(errs...)
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

func readGateway(c *tap.Config, v string) error {
	if v == "none" {
		return nil
	}
	c.Gateway = v
	return address(v)
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
