package tests

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/explore"
)

// mostPools bounds how many networks are made to spend the daemon's address pools.
const mostPools = 100

// A daemon whose address pools are spent has room for a cell all the same. It runs
// alone, before all parallel tests, since nobody else gets a network meanwhile.
func TestACellBeyondTheAddressPools(t *testing.T) {
	s := session(t)
	spend(t, s)
	dir := filepath.Join(t.TempDir(), "trial")
	v, err := explore.Runner{Session: s, Name: "pools"}.Run(t.Context(), short(), dir)
	require.NoError(t, err)
	assert.Equal(t, check.Pass, v.State, "%v", v)
}

// spend makes networks until the daemon has no subnet for another one.
func spend(t *testing.T, s *containers.Session) {
	t.Helper()
	labels := map[string]string{containers.SessionLabel: s.ID()} // for the reaper, should we be killed
	for n := range mostPools {
		made, err := s.Docker().NetworkCreate(t.Context(), fmt.Sprintf("killpoint-%s-pool-%d", s.ID(), n), network.CreateOptions{Labels: labels})
		if err != nil {
			t.Logf("room for %d networks, then: %v", n, err)
			return
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			assert.NoError(t, s.Docker().NetworkRemove(ctx, made.ID))
		})
	}
	t.Skipf("the daemon has address pools for more than %d networks", mostPools)
}
