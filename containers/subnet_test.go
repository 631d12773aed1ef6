package containers

import (
	"net/netip"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSubnetsAreInTheRangeAndApart(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for n := range subnets {
		s := nthSubnet(n)
		require.Equal(t, s.Masked(), s)
		require.True(t, ownSubnets.Contains(s.Addr()), "%v", s)
		require.False(t, seen[s], "%v twice", s)
		seen[s] = true
	}
	assert.True(t, seen[netip.MustParsePrefix("10.213.255.224/27")], "the last one")
}

// A subnet that is taken is passed over.
func TestASubnetThatIsTakenIsPassedOver(t *testing.T) {
	s := openSession(t)
	c := &Cell{session: s, id: s.ID() + "-subnets"}
	mine := filters.NewArgs(filters.Arg("label", cellLabel+"="+c.id))
	t.Cleanup(func() { require.NoError(t, c.removeNetworks(limit(t), mine)) })
	seen := map[string]bool{}
	for range 3 {
		nw, err := c.networkOfItsOwn(limit(t), 2046)
		require.NoError(t, err)
		list, err := s.Docker().NetworkList(limit(t), network.ListOptions{Filters: filters.NewArgs(filters.Arg("id", nw.ID))})
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Len(t, list[0].IPAM.Config, 1)
		seen[list[0].IPAM.Config[0].Subnet] = true
	}
	assert.Len(t, seen, 3)
}
