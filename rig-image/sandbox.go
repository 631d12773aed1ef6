package main

import (
	"errors"
	"fmt"
	"io"
	"net"
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
	caller, err := callerAllowed(os.Getenv(callerEnv))
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	// Watched from before the first look, so that no route comes in between.
	updates, watchErr, unwatch, err := watchRoutes()
	if err != nil {
		return err
	}
	defer unwatch()
	if err := closeWaysOut(caller); err != nil {
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
			if u.Type != unix.RTM_NEWROUTE || !leadsOut(u.Route, caller) {
				continue
			}
			if err := closeWaysOut(caller); err != nil {
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

// callerEnv is the one address that a sandbox keeps reachable: who connects from
// there to a port that a daemon elsewhere publishes comes with that address, and
// could not be answered.
const callerEnv = "KILLPOINT_CALLER"

func callerAllowed(address string) (net.IP, error) {
	if address == "" {
		return nil, nil
	}
	ip := net.ParseIP(address).To4()
	if ip == nil {
		return nil, fmt.Errorf("%s: %q is no IPv4 address", callerEnv, address)
	}
	return ip, nil
}

// closeWaysOut deletes every route that leads off the links, and reads the tables
// again to see that none but the caller's is left.
func closeWaysOut(caller net.IP) error {
	out, err := waysOut(caller)
	if err != nil {
		return err
	}
	for _, r := range out {
		if err := keepCaller(r, caller); err != nil {
			return err
		}
		// ESRCH: gone already, with its link.
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete route %s (CAP_NET_ADMIN is needed): %w", r, err)
		}
	}
	left, err := waysOut(caller)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("a way out is left after its deletion: %s", left)
	}
	return nil
}

// keepCaller makes a route to the caller alone out of a default route.
func keepCaller(def netlink.Route, caller net.IP) error {
	if caller == nil || def.Gw.To4() == nil || !isDefault(def) {
		return nil
	}
	host := netlink.Route{LinkIndex: def.LinkIndex, Dst: &net.IPNet{IP: caller, Mask: net.CIDRMask(32, 32)}, Gw: def.Gw}
	if err := netlink.RouteReplace(&host); err != nil {
		return fmt.Errorf("keep a route to the caller %s (CAP_NET_ADMIN is needed): %w", caller, err)
	}
	return nil
}

func waysOut(caller net.IP) ([]netlink.Route, error) {
	all, err := allRoutes()
	if err != nil {
		return nil, err
	}
	var out []netlink.Route
	for _, r := range all {
		if leadsOut(r, caller) {
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
// default route, or any with a gateway. That to the caller alone does not count.
func leadsOut(r netlink.Route, caller net.IP) bool {
	if r.Type != unix.RTN_UNICAST {
		return false // local, broadcast, or an answer of "unreachable"
	}
	if caller != nil && isHost(r.Dst, caller) {
		return false
	}
	if r.Gw != nil || r.Via != nil || len(r.MultiPath) > 0 {
		return true
	}
	return isDefault(r)
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}

func isHost(n *net.IPNet, ip net.IP) bool {
	if n == nil || !n.IP.Equal(ip) {
		return false
	}
	ones, bits := n.Mask.Size()
	return ones == bits && bits > 0
}
