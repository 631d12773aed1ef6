package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// report is what `rig routes` prints, as JSON.
type report struct {
	Routes []string `json:"routes"`
	Out    []string `json:"out"` // those of them that lead off the machine
	Tries  []try    `json:"tries"`
}

// try is an attempt to find a way to an address that is nowhere.
type try struct {
	Address string `json:"address"`
	Errno   string `json:"errno,omitempty"` // "ENETUNREACH"; absent where there is a way
	Error   string `json:"error,omitempty"`
}

// routes prints the routes and whether the kernel knows a way out. A connected
// UDP socket makes the kernel look for one and sends nothing, so that even a
// failing test keeps its packets at home; both addresses are reserved for
// documentation.
func routes(out io.Writer) error {
	all, err := allRoutes()
	if err != nil {
		return err
	}
	r := report{Routes: []string{}, Out: []string{}}
	for _, route := range all {
		r.Routes = append(r.Routes, route.String())
		if leadsOut(route, nil) {
			r.Out = append(r.Out, route.String())
		}
	}
	r.Tries = []try{tryAddress("udp4", "192.0.2.1:9"), tryAddress("udp6", "[2001:db8::1]:9")}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// closed fails where there is a way out: a sandbox's health, where something has
// to wait for it that reads no output.
func closed() error {
	out, err := waysOut(nil)
	if err != nil {
		return err
	}
	if len(out) > 0 {
		return fmt.Errorf("there is a way out: %s", out)
	}
	return nil
}

func tryAddress(network, address string) try {
	t := try{Address: address}
	conn, err := net.Dial(network, address)
	if err == nil {
		err = conn.Close()
	}
	if err == nil {
		return t
	}
	t.Error = err.Error()
	var errno unix.Errno
	if errors.As(err, &errno) {
		t.Errno = unix.ErrnoName(errno)
	}
	return t
}
