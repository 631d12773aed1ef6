package containers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
)

// The daemon's default address pools hold some 31 networks, all others' on the
// machine included. A cell beyond them gets a subnet of its own, out of a range
// that no default pool has.
var ownSubnets = netip.MustParsePrefix("10.213.0.0/16")

const (
	// subnetBits leaves room for 29 addresses: a cell has four parties, and a few
	// more where runtimes are handed over.
	subnetBits = 27
	subnets    = 1 << (subnetBits - 16)
	// subnetTries bounds the search for a subnet that is free.
	subnetTries = 32
)

// createNetwork leaves the choice of the subnet to the daemon, which knows the
// machine's routes, as long as it has one.
func (c *Cell) createNetwork(ctx context.Context) error {
	ctx, cancel := uncut(ctx)
	defer cancel()
	nw, err := tcnetwork.New(ctx, tcnetwork.WithLabels(c.labels("network")))
	if err != nil && ping(ctx, c.session.docker) == nil {
		own, oerr := c.networkOfItsOwn(ctx, rand.IntN(subnets))
		if oerr == nil {
			nw, err = own, nil
		} else {
			err = errors.Join(err, oerr)
		}
	}
	if err != nil {
		return c.session.explain("create the cell's network", err)
	}
	c.network = nw
	return nil
}

// networkOfItsOwn tries subnets one after the other from the first on, since other
// sessions on the daemon do the same.
func (c *Cell) networkOfItsOwn(ctx context.Context, first int) (*testcontainers.DockerNetwork, error) {
	var taken error
	for i := range subnetTries {
		subnet := nthSubnet((first + i) % subnets)
		nw, err := tcnetwork.New(ctx, tcnetwork.WithLabels(c.labels("network")), tcnetwork.WithIPAM(&network.IPAM{
			Config: []network.IPAMConfig{{Subnet: subnet.String()}},
		}))
		if err == nil {
			return nw, nil
		}
		// That it overlaps with another network is the one thing that the next may cure.
		if !errdefs.IsPermissionDenied(err) && !errdefs.IsConflict(err) {
			return nil, fmt.Errorf("with the subnet %v: %w", subnet, err)
		}
		taken = err
	}
	return nil, fmt.Errorf("no free subnet among %d of %v: %w; `docker network prune` removes networks that nobody uses", subnetTries, ownSubnets, taken)
}

func nthSubnet(n int) netip.Prefix {
	a := ownSubnets.Addr().As4()
	offset := n << (32 - subnetBits)
	a[2], a[3] = byte(offset>>8), byte(offset)
	return netip.PrefixFrom(netip.AddrFrom4(a), subnetBits)
}
