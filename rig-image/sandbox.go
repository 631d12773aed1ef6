package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sandboxReady is printed when the namespace has no way out.
const sandboxReady = "sandbox ready"

var errWatchEnded = errors.New("the kernel stopped reporting routes; a way out could be added unseen")

// sandbox owns a network namespace for the containers that join it, so that its
// addresses and published ports outlive their restarts, and keeps it without a
// way out: Docker adds a default route at every connection to a network. Needs
// CAP_NET_ADMIN. It ends at SIGTERM or SIGINT, and fails closed: with it goes
// the namespace. It fails, too, with what else runs in its process, of whose end
// failed tells.
func sandbox(out io.Writer, failed <-chan error) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	// Watched from before the first look, so that no route comes in between.
	updates, watchErr, unwatch, err := watchRoutes()
	if err != nil {
		return err
	}
	defer unwatch()
	if err := closeWaysOut(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, sandboxReady); err != nil {
		return err
	}
	for {
		select {
		case <-stop:
			return nil
		case err := <-watchErr:
			return fmt.Errorf("watch routes: %w", err)
		case err := <-failed:
			return err
		case u, ok := <-updates:
			if !ok {
				return errWatchEnded
			}
			if u.Type != unix.RTM_NEWROUTE || !leadsOut(u.Route) {
				continue
			}
			if err := closeWaysOut(); err != nil {
				return err
			}
		}
	}
}

func watchRoutes() (<-chan netlink.RouteUpdate, <-chan error, func(), error) {
	updates := make(chan netlink.RouteUpdate, 64)
	failed := make(chan error, 1)
	done := make(chan struct{})
	err := netlink.RouteSubscribeWithOptions(updates, done, netlink.RouteSubscribeOptions{
		ErrorCallback: func(err error) {
			select {
			case failed <- err:
			default: // the first error is enough
			}
		},
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("watch routes: %w", err)
	}
	return updates, failed, func() { close(done) }, nil
}

// closeWaysOut deletes every route that leads off the links, and reads the tables
// again to see that none is left.
func closeWaysOut() error {
	out, err := waysOut()
	if err != nil {
		return err
	}
	for _, r := range out {
		// ESRCH: gone already, with its link.
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete route %s (CAP_NET_ADMIN is needed): %w", r, err)
		}
	}
	left, err := waysOut()
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("a way out is left after its deletion: %s", left)
	}
	return nil
}

func waysOut() ([]netlink.Route, error) {
	all, err := allRoutes()
	if err != nil {
		return nil, err
	}
	var out []netlink.Route
	for _, r := range all {
		if leadsOut(r) {
			out = append(out, r)
		}
	}
	return out, nil
}

// allRoutes reads all tables of both address families.
func allRoutes() ([]netlink.Route, error) {
	var all []netlink.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		all = append(all, routes...)
	}
	return all, nil
}

// leadsOut reports whether a route reaches beyond the links of the namespace: a
// default route, or any with a gateway.
func leadsOut(r netlink.Route) bool {
	if r.Type != unix.RTN_UNICAST {
		return false // local, broadcast, or an answer of "unreachable"
	}
	if r.Gw != nil || r.Via != nil || len(r.MultiPath) > 0 || r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}
