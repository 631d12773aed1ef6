package engineimage

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The rig writes the configuration that a version understands: an image without
// a label tells its version by its tag.
func TestTaggedVersion(t *testing.T) {
	for ref, want := range map[string]string{
		"rivetdev/engine:2.3.5":                "2.3.5",
		"rivetdev/engine:v2.3.5":               "2.3.5",
		"registry.example:5000/engine:2.3.5-1": "2.3.5-1",
		"rivetdev/engine:latest":               "",
		"rivetdev/engine":                      "",
		"registry.example:5000/engine":         "",
		"Not A Reference":                      "",
	} {
		assert.Equal(t, want, taggedVersion(ref), ref)
	}
}
